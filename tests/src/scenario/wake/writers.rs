//! Writers of every kind, by the library's own statements or in plain SQL, who may write events and no more.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use outbox_core::sql::postgres::{CAPTURE_INSERT, CAPTURE_INSERT_ALL};
use outbox_core::sql::writing;
use sqlx::error::DatabaseError;
use sqlx::{Executor, PgConnection, Row as _};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::Protocol;
use super::judge::{Judge, Written};
use crate::database::Database;
use crate::scenario::pause;

/// How a transaction goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Autocommit,
    /// Several events in one statement, though here it is one.
    Together,
    Begun(&'static str),
    Savepoint,
    RolledBack,
    Long,
    Prepared,
}

impl Kind {
    /// Whether it takes part. A trigger is not for who prepares transactions, and it fires once for a statement, whatever that writes.
    fn suits(self, protocol: Protocol) -> bool {
        protocol != Protocol::ByTrigger || !matches!(self, Self::Prepared | Self::Together)
    }
}

/// One writer of each kind; most take their snapshot before they write.
const KINDS: [Kind; 9] = [
    Kind::Autocommit,
    Kind::Together,
    Kind::Begun("READ COMMITTED"),
    Kind::Begun("REPEATABLE READ"),
    Kind::Begun("SERIALIZABLE"),
    Kind::Savepoint,
    Kind::RolledBack,
    Kind::Long,
    Kind::Prepared,
];

const TOPIC: &str = "race";
const PLAIN: &str =
    "INSERT INTO outbox_event (event_id, topic, event_key, payload) VALUES ($1, $2, $3, '{\"plain\":true}')";
const LOOK: &str =
    "SELECT coalesce(pg_sequence_last_value('outbox_wake') > date_part('epoch', clock_timestamp()) * 1000000, false)";
const TELL: &str = "SELECT pg_notify('outbox:' || 'outbox_wake'::regclass::oid, \
    CASE WHEN $1 THEN pg_sequence_last_value('outbox_wake')::text ELSE '' END)";
const SNAPSHOT: &str = "SELECT count(*) FROM pg_database";

/// The longest pause between two transactions of one writer, so that the log is quiet in between.
const REST: u64 = 500;

/// Writers at work.
pub(super) struct Writers {
    tasks: JoinSet<Result<()>>,
    stop: CancellationToken,
}

impl Writers {
    pub(super) async fn start(database: &Database, protocol: Protocol, seed: u64, judge: &Arc<Judge>) -> Result<Self> {
        let (mut tasks, stop) = (JoinSet::new(), CancellationToken::new());
        for (number, kind) in KINDS.into_iter().enumerate().filter(|(_, kind)| kind.suits(protocol)) {
            let writer = Writer {
                connection: database.connect_as_writer().await?,
                kind,
                protocol,
                random: fastrand::Rng::with_seed(seed.wrapping_mul(31).wrapping_add(number as u64)),
                judge: Arc::clone(judge),
            };
            tasks.spawn(writer.run(stop.clone()));
        }
        Ok(Self { tasks, stop })
    }

    /// Lets each end its transaction.
    pub(super) async fn finish(mut self) -> Result<()> {
        self.stop.cancel();
        while let Some(ended) = self.tasks.join_next().await {
            ended?.context("a writer failed")?;
        }
        Ok(())
    }
}

struct Writer {
    connection: PgConnection,
    kind: Kind,
    protocol: Protocol,
    random: fastrand::Rng,
    judge: Arc<Judge>,
}

impl Writer {
    async fn run(mut self, stop: CancellationToken) -> Result<()> {
        while !stop.is_cancelled() {
            let rest = Duration::from_millis(self.random.u64(0..REST));
            pause(rest).await;
            self.transaction().await?;
        }
        Ok(())
    }

    /// One transaction. What conflicts with another is rolled back, as an application would before it tries again.
    async fn transaction(&mut self) -> Result<()> {
        let event = Uuid::now_v7();
        match self.write(event).await {
            Ok(Some(written)) => self.judge.committed(event, written),
            Ok(None) => {}
            Err(error) if is_conflict(&error) => {
                self.connection.execute("ROLLBACK").await?;
            }
            Err(error) => return Err(error),
        }
        Ok(())
    }

    async fn write(&mut self, event: Uuid) -> Result<Option<Written>> {
        let begin = match self.kind {
            Kind::Autocommit => return self.insert(event, true).await.map(Some),
            Kind::Begun("REPEATABLE READ") => "BEGIN ISOLATION LEVEL REPEATABLE READ",
            Kind::Begun("SERIALIZABLE") => "BEGIN ISOLATION LEVEL SERIALIZABLE",
            _ => "BEGIN",
        };
        self.connection.execute(begin).await?;
        self.connection.execute(SNAPSHOT).await?;
        self.soon(6_000).await;
        if self.kind == Kind::Prepared {
            return self.prepare(event).await.map(Some);
        }
        if self.kind == Kind::Savepoint {
            self.connection.execute("SAVEPOINT s").await?;
            self.insert(Uuid::now_v7(), false).await?;
            self.soon(3_000).await;
            self.connection.execute("ROLLBACK TO s").await?;
        }
        let written = self.insert(event, false).await?;
        match self.kind {
            Kind::Long => pause(Duration::from_millis(self.random.u64(20..80))).await,
            _ => self.soon(3_000).await,
        }
        let committed = self.kind != Kind::RolledBack;
        self.connection.execute(if committed { "COMMIT" } else { "ROLLBACK" }).await?;
        Ok(committed.then_some(written))
    }

    /// The event as the library writes it; or, where writers look too early, after a look.
    async fn insert(&mut self, event: Uuid, alone: bool) -> Result<Written> {
        let begun = Instant::now();
        if self.protocol == Protocol::EarlyLook {
            let announced: bool = sqlx::query_scalar(LOOK).fetch_one(&mut self.connection).await?;
            let ended = Instant::now();
            self.soon(6_000).await;
            self.connection.execute(if alone { "BEGIN" } else { "SELECT" }).await?;
            self.plain(event).await?;
            if announced {
                sqlx::query(TELL).bind(true).execute(&mut self.connection).await?;
            }
            self.connection.execute(if alone { "COMMIT" } else { "SELECT" }).await?;
            return Ok(Written { announced, looked: Some((begun, ended)) });
        }
        if self.kind == Kind::Together {
            let announced = self.together(event).await?;
            return Ok(Written { announced, looked: Some((begun, Instant::now())) });
        }
        // It brings nothing back; whether it told is asked in its last moment.
        let insert = if self.protocol == Protocol::ByTrigger { PLAIN.to_owned() } else { writing(CAPTURE_INSERT, []) };
        let sql = sqlx::AssertSqlSafe(format!("{insert} RETURNING ({LOOK})"));
        let insert = sqlx::query(sql).bind(event).bind(TOPIC).bind(event.to_string());
        let announced: Option<bool> = insert.fetch_one(&mut self.connection).await?.try_get(0)?;
        let announced = announced == Some(true);
        Ok(Written { announced, looked: Some((begun, Instant::now())) })
    }

    /// The statement that writes many brings a row back where it has told.
    async fn together(&mut self, event: Uuid) -> Result<bool> {
        let (key, nothing) = (event.to_string(), [None::<&str>]);
        let insert = sqlx::query(CAPTURE_INSERT_ALL).bind([event]).bind([TOPIC]).bind([key.as_str()]);
        let insert = insert.bind(nothing).bind(nothing).bind(nothing).bind(["{}"]).bind(nothing);
        let insert = insert.bind([None::<&[u8]>]).bind([None::<&[u8]>]).bind(["application/json"]);
        let insert = insert.bind(nothing).bind(nothing).bind(nothing).bind([None::<i32>]);
        Ok(insert.fetch_optional(&mut self.connection).await?.is_some())
    }

    /// A prepared transaction tells nobody; its coordinator does, afterwards.
    async fn prepare(&mut self, event: Uuid) -> Result<Written> {
        self.plain(event).await?;
        let name = format!("race {event}");
        self.connection.execute(sqlx::AssertSqlSafe(format!("PREPARE TRANSACTION '{name}'"))).await?;
        self.soon(20_000).await;
        self.connection.execute(sqlx::AssertSqlSafe(format!("COMMIT PREPARED '{name}'"))).await?;
        self.soon(3_000).await;
        sqlx::query(TELL).bind(false).execute(&mut self.connection).await?;
        Ok(Written { announced: true, looked: None })
    }

    async fn plain(&mut self, event: Uuid) -> Result<()> {
        let insert = sqlx::query(PLAIN).bind(event).bind(TOPIC).bind(event.to_string());
        let written = insert.execute(&mut self.connection).await?.rows_affected();
        if written == 1 { Ok(()) } else { bail!("{written} rows were written") }
    }

    /// A pause of any length up to so many microseconds, often none.
    async fn soon(&mut self, longest: u64) {
        if self.random.bool() {
            let length = Duration::from_micros(self.random.u64(0..longest));
            pause(length).await;
        }
    }
}

fn is_conflict(error: &anyhow::Error) -> bool {
    let error = error.downcast_ref::<sqlx::Error>().and_then(sqlx::Error::as_database_error);
    error.and_then(DatabaseError::code).is_some_and(|code| code == "40001")
}
