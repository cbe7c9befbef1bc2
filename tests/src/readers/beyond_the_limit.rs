//! Remembers holes with those who may fill them, but judges them by a read that was cut off before it reached them.

use std::collections::BTreeSet;

use anyhow::Result;
use sqlx::{PgConnection, Row};

use super::{BATCH, BrokenReader, sighting};
use crate::oracle::Sighting;

/// Everything above the frontier and in the holes, in one snapshot, but at most so many rows.
const READ: &str = "\
    SELECT e.position, e.event_id, e.event_key, e.payload, (SELECT max(position) FROM outbox_event) AS newest
    FROM (SELECT unnest($1::bigint[]) AS low, unnest($2::bigint[]) AS high) AS span
    CROSS JOIN LATERAL (
        SELECT position, event_id, event_key, payload FROM outbox_event
        WHERE position BETWEEN span.low AND span.high ORDER BY position LIMIT $3
    ) AS e
    ORDER BY e.position LIMIT $3";

/// Who holds a lock that an insert into the outbox needs; a prepared transaction shows as -1 and its id.
const HOLDERS: &str = "\
    SELECT DISTINCT virtualtransaction FROM pg_locks
    WHERE locktype = 'relation' AND mode = 'RowExclusiveLock' AND virtualtransaction IS NOT NULL
      AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
      AND relation IN (SELECT relid FROM pg_partition_tree('outbox_event'))";

const SETTINGS: &str = "SELECT set_config('jit', 'off', false), set_config('enable_seqscan', 'off', false)";

/// Buries the rest of a bulk transaction that is larger than a batch.
#[derive(Debug, Default)]
pub struct BeyondTheLimit {
    frontier: i64,
    holes: Vec<Hole>,
    prepared: bool,
}

#[derive(Debug, Clone)]
struct Hole {
    low: i64,
    high: i64,
    holders: BTreeSet<String>,
}

impl BrokenReader for BeyondTheLimit {
    async fn poll(&mut self, session: &mut PgConnection) -> Result<Vec<Sighting>> {
        if !self.prepared {
            sqlx::query(SETTINGS).execute(&mut *session).await?;
            self.prepared = true;
        }
        let (mut low, mut high): (Vec<i64>, Vec<i64>) = self.holes.iter().map(|hole| (hole.low, hole.high)).unzip();
        low.push(self.frontier + 1);
        high.push(i64::MAX);
        let read = sqlx::query(READ).bind(low).bind(high).bind(BATCH);
        let rows = read.fetch_all(&mut *session).await?;
        let holders: Vec<String> = sqlx::query_scalar(HOLDERS).fetch_all(session).await?;
        let holders = holders.into_iter().collect();

        let positions: Vec<i64> = rows.iter().map(|row| row.try_get("position")).collect::<sqlx::Result<_>>()?;
        // The mistake: what lies between the last row returned and the newest counts as looked at.
        let newest = rows.first().map(|row| row.try_get("newest")).transpose()?;
        self.judge(&positions, newest.unwrap_or(self.frontier), &holders);
        rows.iter().map(sighting).collect()
    }
}

impl BeyondTheLimit {
    fn judge(&mut self, positions: &[i64], newest: i64, holders: &BTreeSet<String>) {
        let prepared = || holders.iter().filter(|holder| holder.starts_with("-1/")).cloned();
        // Those whose holders had ended before this snapshot, and that it still lacks, are dead.
        let mut holes: Vec<Hole> = self.holes.drain(..).filter(|hole| !hole.holders.is_empty()).collect();
        for hole in &mut holes {
            let before = hole.holders.len();
            hole.holders.retain(|holder| holders.contains(holder));
            if hole.holders.len() < before {
                hole.holders.extend(prepared());
            }
        }
        if newest > self.frontier {
            holes.push(Hole { low: self.frontier + 1, high: newest, holders: holders.clone() });
            self.frontier = newest;
        }
        self.holes = holes.iter().flat_map(|hole| hole.without(positions)).collect();
    }
}

impl Hole {
    /// What is left of it when these positions, in order, have come.
    fn without(&self, positions: &[i64]) -> Vec<Self> {
        let from = positions.partition_point(|&position| position < self.low);
        let to = positions.partition_point(|&position| position <= self.high);
        let (mut left, mut low) = (Vec::new(), self.low);
        for &position in positions[from..to].iter().chain([&(self.high + 1)]) {
            if position > low {
                left.push(Self { low, high: position - 1, holders: self.holders.clone() });
            }
            low = position + 1;
        }
        left
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hole_breaks_into_what_is_still_missing() {
        let hole = Hole { low: 3, high: 9, holders: BTreeSet::new() };
        let left = hole.without(&[1, 3, 5, 6, 12]);
        let ranges: Vec<_> = left.iter().map(|hole| (hole.low, hole.high)).collect();
        assert_eq!(ranges, [(4, 4), (7, 9)]);
        assert!(hole.without(&[3, 4, 5, 6, 7, 8, 9]).is_empty());
    }
}
