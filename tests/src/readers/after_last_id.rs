//! Reads on after the highest position it has seen, as if positions became visible in their order.

use anyhow::Result;
use sqlx::PgConnection;

use super::{BATCH, BrokenReader, sighting};
use crate::oracle::Sighting;

const READ: &str = "\
    SELECT position, event_id, event_key, payload FROM outbox_event
    WHERE position > $1 ORDER BY position LIMIT $2";

/// Loses every event whose transaction commits after one with a higher position.
#[derive(Debug, Default)]
pub struct AfterLastId {
    last: i64,
}

impl BrokenReader for AfterLastId {
    async fn poll(&mut self, session: &mut PgConnection) -> Result<Vec<Sighting>> {
        let rows = sqlx::query(READ).bind(self.last).bind(BATCH).fetch_all(session).await?;
        let sightings: Vec<Sighting> = rows.iter().map(sighting).collect::<Result<_>>()?;
        if let Some(last) = sightings.last() {
            self.last = i64::try_from(last.position)?;
        }
        Ok(sightings)
    }
}
