//! How an application writes events: the adapters say the same on every database.

use outbox_core::{Context, Entity, NewEvent};
use outbox_sqlx::{AppendError, PgOutbox, SqliteOutbox};
use sqlx::{Database, Postgres, Sqlite, Transaction};
use uuid::Uuid;

/// Writes events with the caller's own open transaction.
#[expect(async_fn_in_trait, reason = "the behaviours run on one task, which need not move between threads")]
pub trait Adapter<D: Database>: Default {
    /// The same with a context.
    #[must_use]
    fn with_context(&self, context: Context) -> Self;

    /// Writes one event.
    ///
    /// # Errors
    ///
    /// What the adapter says.
    async fn append(&self, tx: &mut Transaction<'_, D>, event: &NewEvent<'_>) -> Result<Uuid, AppendError>;

    /// Writes events in one call.
    ///
    /// # Errors
    ///
    /// What the adapter says.
    async fn append_all(&self, tx: &mut Transaction<'_, D>, events: &[NewEvent<'_>]) -> Result<Vec<Uuid>, AppendError>;

    /// Captures a change of a row: no row before an insert, none after a delete.
    ///
    /// # Errors
    ///
    /// What the adapter says.
    async fn change<E: Entity>(
        &self,
        tx: &mut Transaction<'_, D>,
        before: Option<&E>,
        after: Option<&E>,
    ) -> Result<Option<Uuid>, AppendError>;
}

macro_rules! adapter {
    ($outbox:ident, $database:ident) => {
        impl Adapter<$database> for $outbox {
            fn with_context(&self, context: Context) -> Self {
                $outbox::with_context(self, context)
            }

            async fn append(
                &self,
                tx: &mut Transaction<'_, $database>,
                event: &NewEvent<'_>,
            ) -> Result<Uuid, AppendError> {
                $outbox::append(self, tx, event).await
            }

            async fn append_all(
                &self,
                tx: &mut Transaction<'_, $database>,
                events: &[NewEvent<'_>],
            ) -> Result<Vec<Uuid>, AppendError> {
                $outbox::append_all(self, tx, events).await
            }

            async fn change<E: Entity>(
                &self,
                tx: &mut Transaction<'_, $database>,
                before: Option<&E>,
                after: Option<&E>,
            ) -> Result<Option<Uuid>, AppendError> {
                match (before, after) {
                    (None, Some(after)) => self.insert(tx, after).await,
                    (Some(before), Some(after)) => self.update(tx, before, after).await,
                    (Some(before), None) => self.delete(tx, before).await,
                    (None, None) => Ok(None),
                }
            }
        }
    };
}

adapter!(PgOutbox, Postgres);
adapter!(SqliteOutbox, Sqlite);
