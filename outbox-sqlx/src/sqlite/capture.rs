//! Capture: writes events with the caller's own open transaction.

use std::sync::Arc;

use outbox_core::capture::change;
use outbox_core::event::{Operation, Payload};
use outbox_core::{CaptureError, Context, DomainEvent, Entity, Names, NewEvent};
use sqlx::query::Query;
use sqlx::sqlite::SqliteArguments;
use sqlx::{Connection, SqlStr, Sqlite, Transaction};
use uuid::Uuid;

use super::connection::{assembled, statement};
use crate::AppendError;

const INSERT: &str = outbox_core::sql::sqlite::CAPTURE_INSERT;

/// Events of one statement of [`SqliteOutbox::append_all`]: enough to make its cost vanish, and far below SQLite's
/// limit of 32,766 values.
const CHUNK: usize = 128;

/// Writes events into the outbox of an SQLite file.
///
/// Open the business transaction with `pool.begin_with("BEGIN IMMEDIATE")`. With a plain `begin` the transaction starts
/// as a reader; when it then writes while another connection does, or did since, SQLite refuses it at once with `database
/// is locked`, whatever the busy timeout says. `BEGIN IMMEDIATE` waits its turn before anything is read.
///
/// Write the row first, then its event: positions come in the order of the inserts.
#[derive(Debug, Clone)]
pub struct SqliteOutbox {
    one: SqlStr,
    chunk: SqlStr,
    context: Arc<Context>,
    #[cfg(feature = "testing")]
    captured: super::captured::Statements,
}

impl Default for SqliteOutbox {
    fn default() -> Self {
        Self::new()
    }
}

impl SqliteOutbox {
    /// The outbox under default names.
    pub fn new() -> Self {
        Self::with_names(Names::default())
    }

    /// The outbox under other names.
    #[expect(
        clippy::needless_pass_by_value,
        reason = "reads as `with_names(Names::new(…)?)`, the same on every database"
    )]
    pub fn with_names(names: Names) -> Self {
        let one = statement(&names, INSERT);
        let chunk = repeated(&one, CHUNK);
        Self {
            one,
            chunk,
            context: Arc::default(),
            #[cfg(feature = "testing")]
            captured: super::captured::Statements::new(&names),
        }
    }

    /// The same outbox for one transaction: every event written through it carries the context, in savepoints too.
    ///
    /// It takes the place of the context this outbox has; [`SqliteOutbox::context`] gives that one to build upon.
    ///
    /// # Examples
    ///
    /// ```
    /// use outbox_core::Context;
    /// use outbox_sqlx::SqliteOutbox;
    ///
    /// async fn cancel(pool: &sqlx::SqlitePool, outbox: &SqliteOutbox) -> Result<(), Box<dyn std::error::Error>> {
    ///     let outbox = outbox.with_context(Context::new().tenant("acme").actor("ann"));
    ///     let mut tx = pool.begin_with("BEGIN IMMEDIATE").await?;
    ///     outbox.append(&mut tx, &outbox_core::NewEvent::new("shop.cancelled", "7").json("{}")).await?;
    ///     tx.commit().await?;
    ///     Ok(())
    /// }
    /// ```
    #[must_use]
    pub fn with_context(&self, context: Context) -> Self {
        Self { context: Arc::new(context), ..self.clone() }
    }

    /// What every event written through this outbox carries.
    pub fn context(&self) -> &Context {
        &self.context
    }

    /// Writes one event and returns its id.
    ///
    /// # Errors
    ///
    /// [`AppendError`]; the transaction is then what it was before the call.
    pub async fn append<E: DomainEvent + ?Sized>(
        &self,
        tx: &mut Transaction<'_, Sqlite>,
        event: &E,
    ) -> Result<Uuid, AppendError> {
        self.write(tx, event.to_event()?).await
    }

    /// Writes events in their order, all of them or none, and returns their ids.
    ///
    /// # Errors
    ///
    /// [`AppendError`]; the transaction is then what it was before the call.
    pub async fn append_all<E: DomainEvent>(
        &self,
        tx: &mut Transaction<'_, Sqlite>,
        events: &[E],
    ) -> Result<Vec<Uuid>, AppendError> {
        let context = self.context.now();
        let stamped = events.iter().map(|event| Ok(context.stamp(event.to_event()?)));
        let events = stamped.collect::<Result<Vec<_>, CaptureError>>()?;
        let ids = events.iter().map(|event| event.event_id).collect();
        if events.len() <= CHUNK {
            self.write_chunk(tx, events).await?;
            return Ok(ids);
        }
        let mut savepoint = tx.begin().await?;
        let mut events = events.into_iter();
        loop {
            let chunk: Vec<_> = events.by_ref().take(CHUNK).collect();
            if chunk.is_empty() {
                break;
            }
            self.write_chunk(&mut savepoint, chunk).await?;
        }
        savepoint.commit().await?;
        Ok(ids)
    }

    /// Tells that a row was inserted.
    ///
    /// # Errors
    ///
    /// [`AppendError`]; the transaction is then what it was before the call.
    pub async fn insert<E: Entity>(
        &self,
        tx: &mut Transaction<'_, Sqlite>,
        after: &E,
    ) -> Result<Option<Uuid>, AppendError> {
        self.tell(tx, change(None, Some(after))?).await
    }

    /// Tells that a row was updated; returns `None` and writes nothing where its image is the same.
    ///
    /// # Errors
    ///
    /// [`AppendError`]; the transaction is then what it was before the call.
    pub async fn update<E: Entity>(
        &self,
        tx: &mut Transaction<'_, Sqlite>,
        before: &E,
        after: &E,
    ) -> Result<Option<Uuid>, AppendError> {
        self.tell(tx, change(Some(before), Some(after))?).await
    }

    /// Tells that a row was deleted.
    ///
    /// # Errors
    ///
    /// [`AppendError`]; the transaction is then what it was before the call.
    pub async fn delete<E: Entity>(
        &self,
        tx: &mut Transaction<'_, Sqlite>,
        before: &E,
    ) -> Result<Option<Uuid>, AppendError> {
        self.tell(tx, change(Some(before), None)?).await
    }

    #[cfg(feature = "testing")]
    pub(super) fn captured_statements(&self) -> &super::captured::Statements {
        &self.captured
    }

    async fn tell(
        &self,
        tx: &mut Transaction<'_, Sqlite>,
        event: Option<NewEvent<'_>>,
    ) -> Result<Option<Uuid>, AppendError> {
        match event {
            Some(event) => self.write(tx, event).await.map(Some),
            None => Ok(None),
        }
    }

    async fn write(&self, tx: &mut Transaction<'_, Sqlite>, event: NewEvent<'_>) -> Result<Uuid, AppendError> {
        let event_id = event.event_id;
        let context = self.context.now();
        bind(sqlx::query(self.one.clone()), context.stamp(event)).execute(&mut **tx).await?;
        Ok(event_id)
    }

    /// At most [`CHUNK`] events in one statement, which SQLite takes back whole if it fails.
    async fn write_chunk(
        &self,
        tx: &mut Transaction<'_, Sqlite>,
        events: Vec<NewEvent<'_>>,
    ) -> Result<(), AppendError> {
        let query = match events.len() {
            0 => return Ok(()),
            1 => sqlx::query(self.one.clone()),
            CHUNK => sqlx::query(self.chunk.clone()),
            // A length of its own would push a statement of use out of the connection's cache.
            odd => sqlx::query(repeated(&self.one, odd)).persistent(false),
        };
        events.into_iter().fold(query, bind).execute(&mut **tx).await?;
        Ok(())
    }
}

/// The statement for one row, with its values said `rows` times.
fn repeated(one: &SqlStr, rows: usize) -> SqlStr {
    let one = one.as_str().trim_end();
    let values = &one[one.rfind('(').unwrap_or(one.len())..];
    let mut sql = String::with_capacity(one.len() + rows * (values.len() + 1));
    sql.push_str(one);
    for _ in 1..rows {
        sql.push(',');
        sql.push_str(values);
    }
    assembled(sql)
}

type Insert<'q> = Query<'q, Sqlite, SqliteArguments>;

fn bind<'q>(query: Insert<'q>, event: NewEvent<'_>) -> Insert<'q> {
    let (payload, payload_binary) = columns(event.payload);
    let (old_payload, old_payload_binary) = columns(event.old_payload);
    let query = query
        .bind(event.event_id.hyphenated().to_string())
        .bind(event.topic.into_owned())
        .bind(event.key.into_owned())
        .bind(event.event_type.map(String::from))
        .bind(event.aggregate_type.map(String::from))
        .bind(event.operation.map(Operation::as_str));
    let query = bind_text(bind_text(query, payload), old_payload);
    query
        .bind(payload_binary)
        .bind(old_payload_binary)
        .bind(event.content_type.into_owned())
        .bind(event.headers.map(String::from))
        .bind(event.tenant_id.map(String::from))
        .bind(event.actor.map(String::from))
        .bind(event.schema_version)
}

fn columns(payload: Option<Payload>) -> (Option<Vec<u8>>, Option<Vec<u8>>) {
    match payload {
        None => (None, None),
        Some(Payload::Text(text)) => (Some(text), None),
        Some(Payload::Binary(binary)) => (None, Some(binary)),
    }
}

/// Text that is not UTF-8 goes into the text column as the bytes it is, and comes back as them.
fn bind_text(query: Insert<'_>, text: Option<Vec<u8>>) -> Insert<'_> {
    match text.map(String::from_utf8) {
        None => query.bind(None::<String>),
        Some(Ok(text)) => query.bind(text),
        Some(Err(other)) => query.bind(other.into_bytes()),
    }
}
