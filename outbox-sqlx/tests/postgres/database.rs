//! A database of each test's own, dropped when the test is over.

use std::str::FromStr;

use outbox_core::lease::{RelayIdentity, Renewal, Report};
use outbox_core::source::{Evidence, Read, ReadRequest, Row, Source};
use outbox_core::{Filter, Position, Store, schema};
use outbox_sqlx::{Names, PgStore};
use sqlx::postgres::PgConnectOptions;
use sqlx::{AssertSqlSafe, ConnectOptions, Connection, PgConnection};
use uuid::Uuid;

/// A database with an outbox in it, and users that have one role each.
pub(crate) struct TestDatabase {
    server: String,
    name: String,
    /// As the owner of the tables, who makes and changes them.
    pub(crate) owner: PgStore,
    /// As a user that may relay, and no more.
    pub(crate) store: PgStore,
    /// As a user that may look on, and no more.
    pub(crate) operator: PgStore,
}

impl TestDatabase {
    /// A database with the outbox in two segments.
    pub(crate) async fn migrated() -> Self {
        let database = Self::empty().await;
        assert!(database.owner.migrate(2).await.unwrap().changed());
        database.with_users().await
    }

    /// Lets its users do what their roles allow.
    pub(crate) async fn with_users(self) -> Self {
        self.owner.create_roles().await.unwrap();
        self.make_users(&Names::default()).await;
        self
    }

    async fn make_users(&self, names: &Names) {
        for role in schema::ROLES {
            let sql = format!("CREATE ROLE {0}_{role} LOGIN; GRANT {1} TO {0}_{role}", self.name, names.role(role));
            execute(&mut self.session().await, &sql).await;
        }
    }

    pub(crate) async fn empty() -> Self {
        Self::made_with("").await
    }

    /// A database made with options of `CREATE DATABASE`.
    pub(crate) async fn made_with(options: &str) -> Self {
        let server = std::env::var("OUTBOX_TEST_POSTGRES_URL").expect("no test server: run `cargo xtask test`");
        let name = format!("outbox_test_{}", Uuid::now_v7().simple());
        let mut admin = PgConnection::connect(&server).await.unwrap();
        execute(&mut admin, &format!("CREATE DATABASE {name} {options}")).await;
        let address = url(&server, &name);
        let as_user = |role: &str| {
            let options = PgConnectOptions::from_str(&address).unwrap().username(&format!("{name}_{role}"));
            PgStore::from_options(options, Names::default())
        };
        let owner = PgStore::new(&address, Names::default()).unwrap();
        let (store, operator) = (as_user("relay"), as_user("operator"));
        Self { server, name, owner, store, operator }
    }

    pub(crate) fn url(&self) -> String {
        url(&self.server, &self.name)
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    pub(crate) fn store_with(&self, names: Names) -> PgStore {
        PgStore::new(&self.url(), names).unwrap()
    }

    /// A session of an application, which may write events and no more.
    pub(crate) async fn writer(&self) -> PgConnection {
        let options = PgConnectOptions::from_str(&self.url()).unwrap();
        options.username(&format!("{}_writer", self.name)).connect().await.unwrap()
    }

    /// A session of the owner.
    pub(crate) async fn session(&self) -> PgConnection {
        PgConnection::connect(&self.url()).await.unwrap()
    }

    pub(crate) async fn source(&self) -> Box<dyn Source> {
        self.store.source(&Filter::default()).await.unwrap()
    }
}

impl Drop for TestDatabase {
    fn drop(&mut self) {
        let (server, name) = (self.server.clone(), self.name.clone());
        let dropping = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                let mut admin = PgConnection::connect(&server).await.unwrap();
                // A test that failed halfway may leave a prepared transaction, which the server would rather keep.
                let drop_database = AssertSqlSafe(format!("DROP DATABASE {name} WITH (FORCE)"));
                sqlx::query(drop_database).execute(&mut admin).await?;
                let users = schema::ROLES.map(|role| format!("{name}_{role}")).join(", ");
                sqlx::query(AssertSqlSafe(format!("DROP ROLE IF EXISTS {users}"))).execute(&mut admin).await.map(drop)
            })
        });
        let dropped = dropping.join().expect("the thread that drops the database does not panic");
        assert!(dropped.is_ok() || std::thread::panicking(), "{dropped:?}");
    }
}

fn url(server: &str, name: &str) -> String {
    let (address, query) = server.split_once('?').map_or((server, String::new()), |(a, q)| (a, format!("?{q}")));
    let (host, _) = address.rsplit_once('/').expect("the URL names a database");
    format!("{host}/{name}{query}")
}

/// Runs statements that give nothing back.
pub(crate) async fn execute(connection: &mut PgConnection, sql: &str) {
    sqlx::raw_sql(AssertSqlSafe(sql.to_owned())).execute(connection).await.unwrap();
}

/// Writes events with these keys by the plain SQL contract.
pub(crate) async fn write(connection: &mut PgConnection, keys: &[&str]) {
    for key in keys {
        sqlx::query("INSERT INTO outbox_event (topic, event_key, payload) VALUES ('shop.orders', $1, '{}')")
            .bind(*key)
            .execute(&mut *connection)
            .await
            .unwrap();
    }
}

/// A read of everything above a position.
pub(crate) fn above(after: Position) -> ReadRequest {
    ReadRequest { max_events: 1000, max_bytes: 1 << 20, ..ReadRequest::above(after) }
}

/// The same with open ranges below it.
pub(crate) fn above_and(after: Position, open: &str) -> ReadRequest {
    ReadRequest { open: open.parse().unwrap(), ..above(after) }
}

pub(crate) fn positions(read: &Read) -> Vec<Position> {
    read.rows.iter().map(Row::position).collect()
}

/// How many transactions may still fill a missing position; `None` if nobody looked.
pub(crate) fn holder_count(read: &Read) -> Option<usize> {
    match &read.evidence {
        Evidence::Holders(holders) => Some(holders.len()),
        _ => None,
    }
}

pub(crate) fn relay(name: &str) -> RelayIdentity {
    RelayIdentity {
        relay_id: Uuid::now_v7(),
        name: name.to_owned(),
        host: "host-a".to_owned(),
        process_id: 4711,
        process_started: "then".to_owned(),
    }
}

/// A renewal of the first partition's lease.
pub(crate) fn renewal(subscription: &str, epoch: i64, report: Report) -> Renewal {
    Renewal { subscription: subscription.to_owned(), partition: 0, epoch, report }
}
