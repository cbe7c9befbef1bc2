//! Writes events with the caller's own open transaction.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

use outbox_core::capture::{self, NewEvent};
use outbox_core::event::JSON;
use outbox_core::sql::writing;
use outbox_core::{CaptureError, Context, DomainEvent, Entity, Names, Operation, Payload};
use sqlx::{Postgres, SqlStr, Transaction};
use uuid::Uuid;

use super::connection::{assembled, statement};
use crate::AppendError;

const INSERT: &str = outbox_core::sql::postgres::CAPTURE_INSERT;
const INSERT_ALL: &str = outbox_core::sql::postgres::CAPTURE_INSERT_ALL;
const LOCK: &str = outbox_core::sql::postgres::CAPTURE_LOCK;

/// Writes events into the outbox of a PostgreSQL database, with the transaction that makes the change they tell of.
///
/// Made once, and cloned cheaply, for it keeps the statements. The tables must be of revision 2 at least: `outbox-relay migrate`
/// comes before the application. Call it after the row was written: then the order of events of a key is the order of its changes.
/// Every call sends at most one statement, two where it [locks keys](PgOutbox::locking_keys); an error before that
/// leaves the transaction as it was, an error of the database aborts it, as any failed statement does.
///
/// Text that PostgreSQL cannot store, which is text with a NUL character or not UTF-8, is kept as bytes in
/// `payload_binary`. JSON made by serde holds no such text.
#[derive(Debug, Clone)]
pub struct PgOutbox {
    statements: Arc<Statements>,
    context: Arc<Context>,
    prepares: bool,
    locks_keys: bool,
}

#[derive(Debug)]
struct Statements {
    names: Names,
    /// By the columns that an event has something for. An application's events are of a few such shapes.
    inserts: RwLock<HashMap<[bool; OPTIONAL], SqlStr>>,
    insert_all: SqlStr,
    lock: SqlStr,
    #[cfg(feature = "testing")]
    captured: SqlStr,
}

impl Default for PgOutbox {
    fn default() -> Self {
        Self::with_names(Names::default())
    }
}

impl PgOutbox {
    /// The outbox under its default names.
    pub fn new() -> Self {
        Self::default()
    }

    /// The outbox under other names.
    pub fn with_names(names: Names) -> Self {
        let statements = Statements {
            inserts: RwLock::default(),
            insert_all: statement(&names, INSERT_ALL),
            lock: statement(&names, LOCK),
            #[cfg(feature = "testing")]
            captured: statement(&names, outbox_core::sql::postgres::CAPTURE_CAPTURED),
            names,
        };
        Self { statements: Arc::new(statements), context: Arc::default(), prepares: true, locks_keys: false }
    }

    /// The same outbox behind a pooler that hands out a connection for each transaction and keeps no prepared statements for
    /// its clients, as `PgBouncer` before 1.21: nothing is prepared that would outlast the transaction.
    #[must_use]
    pub fn without_prepared_statements(mut self) -> Self {
        self.prepares = false;
        self
    }

    /// The same outbox for writers of one key that lock nothing in common: each waits with its event until the others' transactions
    /// have ended, so that the order of the events is that of the commits. It costs a statement more for each call.
    ///
    /// Writers in other languages run `capture_lock.sql` before their `INSERT`. Two transactions that write several keys, in several
    /// calls and in different orders, may meet in a deadlock, as with any lock.
    #[must_use]
    pub fn locking_keys(mut self) -> Self {
        self.locks_keys = true;
        self
    }

    /// The same outbox for one transaction: every event written through it carries the context, in savepoints too.
    ///
    /// It takes the place of the context this outbox has; [`PgOutbox::context`] gives that one to build upon.
    ///
    /// # Examples
    ///
    /// ```
    /// use outbox_core::Context;
    /// use outbox_sqlx::PgOutbox;
    ///
    /// async fn cancel(pool: &sqlx::PgPool, outbox: &PgOutbox) -> Result<(), Box<dyn std::error::Error>> {
    ///     let outbox = outbox.with_context(Context::new().tenant("acme").actor("ann"));
    ///     let mut tx = pool.begin().await?;
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
    /// [`AppendError`] when the value cannot be made into an event, or the database refuses it.
    pub async fn append<E: DomainEvent + ?Sized>(
        &self,
        tx: &mut Transaction<'_, Postgres>,
        event: &E,
    ) -> Result<Uuid, AppendError> {
        self.write(tx, event.to_event()?).await
    }

    /// Writes events in one statement, with positions in the order of the slice, and returns their ids.
    ///
    /// # Errors
    ///
    /// [`AppendError`] when a value cannot be made into an event, or the database refuses one; none is written then.
    pub async fn append_all<E: DomainEvent>(
        &self,
        tx: &mut Transaction<'_, Postgres>,
        events: &[E],
    ) -> Result<Vec<Uuid>, AppendError> {
        if events.is_empty() {
            return Ok(Vec::new());
        }
        let context = self.context.now();
        let stamped = events.iter().map(|event| Ok(context.stamp(event.to_event()?)));
        let events = stamped.collect::<Result<Vec<_>, CaptureError>>()?;
        let rows = events.iter().map(Stored::new).collect::<Result<Vec<_>, _>>()?;
        self.lock(tx, column(&rows, |row| row.event.key.as_ref())).await?;
        let query = sqlx::query(self.statements.insert_all.clone())
            .bind(column(&rows, |row| row.event.event_id))
            .bind(column(&rows, |row| row.event.topic.as_ref()))
            .bind(column(&rows, |row| row.event.key.as_ref()))
            .bind(column(&rows, |row| row.event.event_type.as_deref()))
            .bind(column(&rows, |row| row.event.aggregate_type.as_deref()))
            .bind(column(&rows, |row| row.event.operation.map(Operation::as_str)))
            .bind(column(&rows, |row| row.payload.text))
            .bind(column(&rows, |row| row.old_payload.text))
            .bind(column(&rows, |row| row.payload.binary))
            .bind(column(&rows, |row| row.old_payload.binary))
            .bind(column(&rows, |row| row.event.content_type.as_ref()))
            .bind(column(&rows, |row| row.event.headers.as_deref()))
            .bind(column(&rows, |row| row.event.tenant_id.as_deref()))
            .bind(column(&rows, |row| row.event.actor.as_deref()))
            .bind(column(&rows, |row| row.event.schema_version));
        query.persistent(self.prepares).execute(&mut **tx).await?;
        Ok(column(&rows, |row| row.event.event_id))
    }

    /// Captures a row that was inserted.
    ///
    /// # Errors
    ///
    /// As for [`PgOutbox::append`].
    pub async fn insert<E: Entity>(
        &self,
        tx: &mut Transaction<'_, Postgres>,
        after: &E,
    ) -> Result<Option<Uuid>, AppendError> {
        self.change(tx, None, Some(after)).await
    }

    /// Captures a row that was updated; returns `None` where nothing of its image changed.
    ///
    /// # Errors
    ///
    /// As for [`PgOutbox::append`].
    pub async fn update<E: Entity>(
        &self,
        tx: &mut Transaction<'_, Postgres>,
        before: &E,
        after: &E,
    ) -> Result<Option<Uuid>, AppendError> {
        self.change(tx, Some(before), Some(after)).await
    }

    /// Captures a row that was deleted.
    ///
    /// # Errors
    ///
    /// As for [`PgOutbox::append`].
    pub async fn delete<E: Entity>(
        &self,
        tx: &mut Transaction<'_, Postgres>,
        before: &E,
    ) -> Result<Option<Uuid>, AppendError> {
        self.change(tx, Some(before), None).await
    }

    #[cfg(feature = "testing")]
    pub(super) fn captured_statement(&self) -> SqlStr {
        self.statements.captured.clone()
    }

    async fn change<E: Entity>(
        &self,
        tx: &mut Transaction<'_, Postgres>,
        before: Option<&E>,
        after: Option<&E>,
    ) -> Result<Option<Uuid>, AppendError> {
        match capture::change(before, after)? {
            Some(event) => self.write(tx, event).await.map(Some),
            None => Ok(None),
        }
    }

    /// Waits for others that write these keys, where that is wanted.
    async fn lock(&self, tx: &mut Transaction<'_, Postgres>, keys: Vec<&str>) -> Result<(), sqlx::Error> {
        if self.locks_keys {
            let query = sqlx::query(self.statements.lock.clone()).bind(keys);
            query.persistent(self.prepares).execute(&mut **tx).await?;
        }
        Ok(())
    }

    async fn write(&self, tx: &mut Transaction<'_, Postgres>, event: NewEvent<'_>) -> Result<Uuid, AppendError> {
        let context = self.context.now();
        let event = context.stamp(event);
        let row = Stored::new(&event)?;
        self.lock(tx, vec![event.key.as_ref()]).await?;
        let columns = row.columns();
        let mut query = sqlx::query(self.statements.insert(&columns))
            .bind(event.event_id)
            .bind(event.topic.as_ref())
            .bind(event.key.as_ref());
        for value in columns.into_iter().filter_map(|(_, value)| value) {
            query = match value {
                Value::Text(text) => query.bind(text),
                Value::Bytes(bytes) => query.bind(bytes),
                Value::Number(number) => query.bind(number),
            };
        }
        query.persistent(self.prepares).execute(&mut **tx).await?;
        Ok(event.event_id)
    }
}

impl Statements {
    /// The statement that writes an event with these columns.
    fn insert(&self, columns: &Columns<'_>) -> SqlStr {
        let shape = columns.each_ref().map(|(_, value)| value.is_some());
        if let Some(insert) = self.inserts.read().unwrap_or_else(PoisonError::into_inner).get(&shape) {
            return insert.clone();
        }
        let there = columns.iter().filter(|(_, value)| value.is_some()).map(|(name, _)| *name);
        let insert = assembled(writing(&self.names.render(INSERT), there));
        self.inserts.write().unwrap_or_else(PoisonError::into_inner).entry(shape).or_insert(insert).clone()
    }
}

/// So many columns are left to the database where an event has nothing for them.
const OPTIONAL: usize = 12;

/// Each of these columns, with what an event has for it.
type Columns<'e> = [(&'static str, Option<Value<'e>>); OPTIONAL];

enum Value<'e> {
    Text(&'e str),
    Bytes(&'e [u8]),
    Number(i32),
}

/// An event whose every text PostgreSQL can store.
struct Stored<'e> {
    event: &'e NewEvent<'e>,
    payload: Body<'e>,
    old_payload: Body<'e>,
}

/// A payload, as text or as bytes.
#[derive(Default)]
struct Body<'e> {
    text: Option<&'e str>,
    binary: Option<&'e [u8]>,
}

impl<'e> Stored<'e> {
    /// Refuses a NUL in any other text before the database does: its refusal would abort the transaction.
    fn new(event: &'e NewEvent<'e>) -> Result<Self, sqlx::Error> {
        let optional = |text: &'e Option<Cow<'e, str>>| text.as_deref().unwrap_or_default();
        let texts = [
            ("topic", event.topic.as_ref()),
            ("key", event.key.as_ref()),
            ("event type", optional(&event.event_type)),
            ("aggregate type", optional(&event.aggregate_type)),
            ("content type", event.content_type.as_ref()),
            ("headers", optional(&event.headers)),
            ("tenant", optional(&event.tenant_id)),
            ("actor", optional(&event.actor)),
        ];
        if let Some((name, _)) = texts.iter().find(|(_, text)| text.contains('\0')) {
            let message =
                format!("the {name} of the event holds a NUL character, which PostgreSQL cannot store; leave it out");
            return Err(sqlx::Error::InvalidArgument(message));
        }
        let stored = |payload: &'e Option<Payload>| payload.as_ref().map(Body::new).unwrap_or_default();
        Ok(Self { event, payload: stored(&event.payload), old_payload: stored(&event.old_payload) })
    }

    /// The columns that not every event has something for.
    fn columns(&self) -> Columns<'_> {
        let Self { event, payload, old_payload } = self;
        let content_type = Some(event.content_type.as_ref()).filter(|content_type| *content_type != JSON);
        [
            ("event_type", event.event_type.as_deref().map(Value::Text)),
            ("aggregate_type", event.aggregate_type.as_deref().map(Value::Text)),
            ("operation", event.operation.map(|operation| Value::Text(operation.as_str()))),
            ("payload", payload.text.map(Value::Text)),
            ("old_payload", old_payload.text.map(Value::Text)),
            ("payload_binary", payload.binary.map(Value::Bytes)),
            ("old_payload_binary", old_payload.binary.map(Value::Bytes)),
            ("content_type", content_type.map(Value::Text)),
            ("headers", event.headers.as_deref().map(Value::Text)),
            ("tenant_id", event.tenant_id.as_deref().map(Value::Text)),
            ("actor", event.actor.as_deref().map(Value::Text)),
            ("schema_version", event.schema_version.map(Value::Number)),
        ]
    }
}

impl<'e> Body<'e> {
    fn new(payload: &'e Payload) -> Self {
        let text = match payload {
            Payload::Text(bytes) => std::str::from_utf8(bytes).ok().filter(|text| !text.contains('\0')),
            Payload::Binary(_) => None,
        };
        let binary = if text.is_none() { Some(payload.as_bytes()) } else { None };
        Self { text, binary }
    }
}

fn column<'r, 'e, T>(rows: &'r [Stored<'e>], value: impl Fn(&'r Stored<'e>) -> T) -> Vec<T> {
    rows.iter().map(value).collect()
}
