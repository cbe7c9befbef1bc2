//! Who is there beside the load.

use std::time::Duration;

use anyhow::Result;
use sqlx::Connection as _;
use sqlx::postgres::PgConnection;
use tokio::task::JoinSet;
use tokio::time::interval;

/// How many sessions are idle in a transaction.
const IDLE: usize = 50;

/// What a dump does first: one snapshot for all of it, and a lock on every table.
const DUMP: [&str; 2] = [
    "BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY",
    "LOCK TABLE outbox_event, outbox_checkpoint, outbox_lease, outbox_relay, outbox_dead_letter, outbox_meta, counter \
     IN ACCESS SHARE MODE",
];

const INSERT: &str = "INSERT INTO outbox_event (topic, event_key, payload) VALUES ('bench.counters', 'open', '{}')";

/// So many events are written and taken back at once, so often: 5,000 positions a second that nobody will ever fill.
const TAKEN_BACK: &str = "\
    INSERT INTO outbox_event (topic, event_key, payload) SELECT 'bench.counters', 'never', '{}' FROM generate_series(1, 20)";
const EVERY: Duration = Duration::from_millis(4);

/// Who that is.
#[derive(Clone, Copy)]
pub(super) enum Company {
    /// Nobody.
    Nobody,
    /// A writer of another table, a dump that holds its snapshot, and sessions idle in a transaction.
    Strangers,
    /// Somebody who has written an event and does not commit.
    OpenWriter,
    /// Somebody whose transactions are all rolled back.
    Rollbacks,
}

/// Those who came; they leave with this value.
pub(super) struct Present {
    open: Vec<PgConnection>,
    working: JoinSet<Result<()>>,
}

impl Present {
    /// Lets them leave; fails where somebody had left before.
    pub(super) fn leave(mut self) -> Result<()> {
        drop(self.open);
        self.working.try_join_next().map_or(Ok(()), |ended| ended?)
    }
}

impl Company {
    pub(super) const ALL: [Self; 4] = [Self::Nobody, Self::Strangers, Self::OpenWriter, Self::Rollbacks];

    /// What the table calls the transactions, and what comes of them.
    pub(super) fn names(self) -> [&'static str; 2] {
        match self {
            Self::Nobody => ["transaction", "commit to file"],
            Self::Strangers => ["transaction, strangers", "commit to file, strangers"],
            Self::OpenWriter => ["transaction, open writer", "commit to file, open writer"],
            Self::Rollbacks => ["transaction, rollbacks", "commit to file, rollbacks"],
        }
    }

    pub(super) async fn come(self, url: &str) -> Result<Present> {
        let (mut open, mut working) = (Vec::new(), JoinSet::new());
        match self {
            Self::Nobody => {}
            Self::Strangers => open = strangers(url).await?,
            Self::OpenWriter => open.push(session(url, &["BEGIN", INSERT]).await?),
            Self::Rollbacks => {
                let connection = PgConnection::connect(url).await?;
                working.spawn(roll_back(connection));
            }
        }
        Ok(Present { open, working })
    }
}

async fn session(url: &str, statements: &[&'static str]) -> Result<PgConnection> {
    let mut session = PgConnection::connect(url).await?;
    for statement in statements {
        sqlx::query(*statement).execute(&mut session).await?;
    }
    Ok(session)
}

async fn strangers(url: &str) -> Result<Vec<PgConnection>> {
    let writer = ["CREATE TABLE stranger (n integer)", "BEGIN", "INSERT INTO stranger VALUES (1)"];
    let mut all = vec![session(url, &writer).await?];
    all.push(session(url, &[DUMP[0], DUMP[1], "SELECT count(*) FROM outbox_event"]).await?);
    for _ in 0..IDLE {
        all.push(session(url, &["BEGIN", "SELECT count(*) FROM counter"]).await?);
    }
    Ok(all)
}

/// For as long as it is let.
async fn roll_back(mut connection: PgConnection) -> Result<()> {
    let mut due = interval(EVERY);
    loop {
        due.tick().await;
        let mut transaction = connection.begin().await?;
        sqlx::query(TAKEN_BACK).execute(&mut *transaction).await?;
        transaction.rollback().await?;
    }
}
