//! Who wrote each checkpoint, and who had the right to, told by a trigger.
//!
//! The relay's own statement compares epochs, so what it lets through says nothing of itself. The trigger goes by another
//! mark: the setting `torture.relay`, by which each process is known. Whoever raises the epoch of a partition has it from then
//! on; a position that anybody else moves is a stale write.

use std::fmt;

use anyhow::{Context, Result};
use sqlx::{Executor, PgConnection};

use crate::database::Database;

const INSTALL: &str = "
CREATE TABLE audit (
    id           bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at           timestamptz NOT NULL DEFAULT clock_timestamp(),
    partition_id integer     NOT NULL,
    writer       text,
    old_epoch    bigint,
    new_epoch    bigint      NOT NULL,
    old_position bigint,
    new_position bigint      NOT NULL,
    lease_epoch  bigint
);
CREATE FUNCTION audit_checkpoint() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
BEGIN
    INSERT INTO audit (partition_id, writer, old_epoch, new_epoch, old_position, new_position, lease_epoch)
    SELECT NEW.partition_id, current_setting('torture.relay', true), OLD.epoch, NEW.epoch, OLD.position, NEW.position,
        (SELECT epoch FROM outbox_lease WHERE subscription = NEW.subscription AND partition_id = NEW.partition_id);
    RETURN NULL;
END $$;
CREATE TRIGGER audit AFTER UPDATE ON outbox_checkpoint FOR EACH ROW EXECUTE FUNCTION audit_checkpoint()";

/// Each write beside the one that last raised the epoch of its partition: the row's lock puts both in order.
const JUDGE: &str = "
WITH told AS (
    SELECT *, max(id) FILTER (WHERE new_epoch > old_epoch) OVER (PARTITION BY partition_id ORDER BY id) AS claim FROM audit
)
SELECT count(*) FILTER (WHERE told.new_epoch = told.old_epoch) AS writes,
    count(*) FILTER (WHERE told.new_epoch > told.old_epoch) AS claims,
    count(*) FILTER (WHERE told.writer IS DISTINCT FROM holder.writer OR told.new_epoch < told.old_epoch) AS stale,
    count(*) FILTER (WHERE told.new_position < told.old_position) AS back,
    count(*) FILTER (WHERE told.new_epoch < told.lease_epoch) AS early
FROM told LEFT JOIN audit AS holder ON holder.id = told.claim";

/// What nobody may do: a position moved by a session of no relay.
const STALE: &str = "SET torture.relay = 'nobody';
UPDATE outbox_checkpoint SET position = position WHERE subscription = 'default' AND partition_id = 0";

/// An audit under way.
pub(super) struct Audit(PgConnection);

/// What it found.
#[derive(Debug)]
pub(super) struct Told {
    writes: i64,
    claims: i64,
    stale: i64,
    back: i64,
    /// Writes of a holder whose lease had passed on, while its successor had not begun and so begins behind them.
    early: i64,
    /// How many more stale writes it found after one was made on purpose.
    control: i64,
}

impl Audit {
    /// Lets every later write of a checkpoint be told.
    pub(super) async fn begin(database: &Database) -> Result<Self> {
        let mut session = database.connect().await?;
        session.execute(INSTALL).await.context("the audit cannot be installed")?;
        Ok(Self(session))
    }

    /// Judges what was told, and whether a stale write would have been found.
    pub(super) async fn end(mut self) -> Result<Told> {
        let (writes, claims, stale, back, early) = self.judge().await?;
        self.0.execute(STALE).await?;
        let control = self.judge().await?.2 - stale;
        Ok(Told { writes, claims, stale, back, early, control })
    }

    async fn judge(&mut self) -> Result<(i64, i64, i64, i64, i64)> {
        Ok(sqlx::query_as(JUDGE).fetch_one(&mut self.0).await?)
    }
}

impl Told {
    /// No stale write, no position that went back, and an audit that can tell.
    pub(super) fn is_clean(&self) -> bool {
        self.stale + self.back == 0 && self.control == 1 && self.writes > 0 && self.claims > 0
    }
}

impl fmt::Display for Told {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { writes, claims, stale, back, early, control } = self;
        write!(f, "stale_checkpoint_writes={stale} of {writes}, went_back={back}, claims={claims}, ")?;
        write!(
            f,
            "after_the_lease_passed_on_and_before_its_new_owner_began={early}, found_when_made_on_purpose={control}"
        )
    }
}
