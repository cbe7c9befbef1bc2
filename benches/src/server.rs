//! The PostgreSQL server that `cargo xtask bench` has started, and the databases the benches make on it.

use std::env;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use outbox_sqlx::{Names, PgStore};
use sqlx::postgres::PgConnection;
use sqlx::{AssertSqlSafe, Connection as _};

use crate::processor;

/// How many segments the outbox has, as by default.
const SEGMENTS: u8 = 8;

/// Makes rows of `$1` events over 1,000 keys with payloads of `$2` bytes of JSON.
const FILL: &str = "\
    INSERT INTO outbox_event (topic, event_key, event_type, payload) \
    SELECT 'bench.orders', 'order-' || n % 1000, 'Placed', \
        left('{\"order\":' || n || ',\"note\":\"' || repeat(md5(n::text), $2 / 32 + 1), $2 - 2) || '\"}' \
    FROM generate_series(1, $1) AS n";

/// The server and the relay's program.
pub(crate) struct Server {
    url: String,
    relay: PathBuf,
    postmaster: u32,
}

impl Server {
    /// The server that the environment names.
    pub(crate) async fn from_environment() -> Result<Self> {
        let (Some(url), Some(relay)) = (env::var("OUTBOX_TEST_POSTGRES_URL").ok(), env::var_os("OUTBOX_RELAY_BIN"))
        else {
            bail!("no server and no relay were started for the benches; run `cargo xtask bench`");
        };
        let mut connection = PgConnection::connect(&url).await.context("the server does not answer")?;
        let backend: i32 = sqlx::query_scalar("SELECT pg_backend_pid()").fetch_one(&mut connection).await?;
        let postmaster = processor::parent(u32::try_from(backend)?)?;
        Ok(Self { url, relay: relay.into(), postmaster })
    }

    /// The relay's program.
    pub(crate) fn relay(&self) -> &Path {
        &self.relay
    }

    /// The server's first process.
    pub(crate) fn postmaster(&self) -> u32 {
        self.postmaster
    }

    /// A connection to the database that holds no outbox.
    pub(crate) async fn connect(&self) -> Result<PgConnection> {
        Ok(PgConnection::connect(&self.url).await?)
    }

    /// Makes a fresh database with an empty outbox; its URL.
    pub(crate) async fn database(&self, name: &str) -> Result<String> {
        let mut connection = self.connect().await?;
        self.drop_database(name).await?;
        sqlx::query(AssertSqlSafe(format!("CREATE DATABASE {name}"))).execute(&mut connection).await?;
        let (server, _) = self.url.rsplit_once('/').context("the server's URL names no database")?;
        let url = format!("{server}/{name}");
        PgStore::new(&url, Names::default())?.migrate(SEGMENTS).await?;
        Ok(url)
    }

    /// Gives the disk back.
    pub(crate) async fn drop_database(&self, name: &str) -> Result<()> {
        let drop = format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)");
        sqlx::query(AssertSqlSafe(drop)).execute(&mut self.connect().await?).await?;
        Ok(())
    }
}

/// Fills an empty outbox with waiting events, in so many segments one after the other.
pub(crate) async fn fill(url: &str, events: i64, bytes: i32, segments: i64) -> Result<()> {
    eprintln!("  filling in {events} events of {bytes} bytes");
    let mut connection = PgConnection::connect(url).await?;
    for segment in 0..segments {
        sqlx::query("SELECT setval('outbox_segment', $1, true)").bind(segment).execute(&mut connection).await?;
        let share = events * (segment + 1) / segments - events * segment / segments;
        sqlx::query(FILL).bind(share).bind(bytes).execute(&mut connection).await?;
    }
    settle(&mut connection).await
}

/// Does the work that a server would otherwise do later, in the midst of a measurement.
pub(crate) async fn settle(connection: &mut PgConnection) -> Result<()> {
    for statement in ["VACUUM ANALYZE", "CHECKPOINT"] {
        sqlx::query(statement).execute(&mut *connection).await?;
    }
    Ok(())
}
