//! Reads below the oldest transaction that still runs, in the order of transaction ids.

use anyhow::Result;
use sqlx::{PgConnection, Row};

use super::{BATCH, BrokenReader, sighting};
use crate::oracle::Sighting;

const READ: &str = "\
    SELECT position, event_id, event_key, payload, transaction_id FROM outbox_event
    WHERE transaction_id::xid8 < pg_snapshot_xmin(pg_current_snapshot())
      AND (transaction_id::xid8, position) > ($1::text::xid8, $2)
    ORDER BY transaction_id::xid8, position LIMIT $3";

/// Swaps events of a key, because a transaction's id is drawn before it holds the key; and stands still as long as any
/// older transaction is open, whatever that writes.
#[derive(Debug)]
pub struct XidWatermark {
    transaction: String,
    position: i64,
}

impl Default for XidWatermark {
    fn default() -> Self {
        Self { transaction: "0".to_owned(), position: 0 }
    }
}

impl BrokenReader for XidWatermark {
    async fn poll(&mut self, session: &mut PgConnection) -> Result<Vec<Sighting>> {
        let read = sqlx::query(READ).bind(&self.transaction).bind(self.position).bind(BATCH);
        let rows = read.fetch_all(session).await?;
        if let Some(last) = rows.last() {
            self.transaction = last.try_get("transaction_id")?;
            self.position = last.try_get("position")?;
        }
        rows.iter().map(sighting).collect()
    }
}
