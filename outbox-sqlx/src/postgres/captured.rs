//! What an open transaction captured, for tests.

use outbox_core::source::Row;
use outbox_core::testing::Captured;
use sqlx::{Postgres, Transaction};

use super::capture::PgOutbox;
use super::row;
use crate::AppendError;
use crate::error::no_event;

impl PgOutbox {
    /// What this open transaction captured so far, savepoints included, for assertions in tests. Feature `testing`.
    ///
    /// Events are found by their column `transaction_id`: one that plain SQL wrote under another id is not among them. The
    /// whole log is read, so this is for the small databases of tests.
    ///
    /// # Errors
    ///
    /// [`AppendError::Database`] when the database refuses the question, or a row is no event.
    ///
    /// # Examples
    ///
    /// ```
    /// use outbox_core::NewEvent;
    /// use outbox_sqlx::PgOutbox;
    ///
    /// async fn test(pool: sqlx::PgPool) -> Result<(), Box<dyn std::error::Error>> {
    ///     let outbox = PgOutbox::new();
    ///     let mut tx = pool.begin().await?;
    ///     outbox.append(&mut tx, &NewEvent::new("shop.stock", "tea").json("5")).await?;
    ///     outbox.captured(&mut tx).await?.assert_topics(["shop.stock"]);
    ///     tx.rollback().await?;
    ///     Ok(())
    /// }
    /// ```
    pub async fn captured(&self, tx: &mut Transaction<'_, Postgres>) -> Result<Captured, AppendError> {
        let rows = sqlx::query(self.captured_statement()).fetch_all(&mut **tx).await?;
        let event = |row| match row::read(row)? {
            Row::Event(event) => Ok(*event),
            other => Err(no_event(&other)),
        };
        Ok(Captured::new(rows.iter().map(event).collect::<Result<_, _>>()?))
    }
}
