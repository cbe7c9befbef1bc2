//! `update`: an entity's update captured by the library, against the same with before and after written by hand.
//!
//! Both read the row for update, update it, and insert an event with the row before and after as JSON by serde. Only the
//! third differs: `update(&mut tx, &before, &after)` against an INSERT of the columns that are needed.

use anyhow::Result;
use outbox_core::Outbox;
use outbox_sqlx::PgOutbox;
use serde::Serialize;
use sqlx::postgres::{PgConnection, PgRow};
use sqlx::{Connection as _, Row as _};
use uuid::Uuid;

use crate::Options;
use crate::report::Table;
use crate::server::Server;
use crate::turns::{Clients, Variant};

const TABLES: [&str; 2] = [
    "CREATE TABLE account (id bigint PRIMARY KEY, owner text NOT NULL, balance bigint NOT NULL, note text NOT NULL) \
        WITH (fillfactor = 50)",
    "INSERT INTO account SELECT n, 'owner ' || n, 0, repeat('x', 100) FROM generate_series(0, 9999) AS n",
];
const LOCK: &str = "SELECT id, owner, balance, note FROM account WHERE id = $1 FOR UPDATE";
const PAY: &str = "UPDATE account SET balance = $2 WHERE id = $1";
const INSERT: &str = "\
    INSERT INTO outbox_event (event_id, topic, event_key, aggregate_type, operation, old_payload, payload) \
    VALUES ($1, 'account', $2, 'account', 'update', $3, $4)";

#[derive(Clone, Serialize, Outbox)]
#[outbox(table = "account")]
struct Account {
    #[outbox(key)]
    id: i64,
    owner: String,
    balance: i64,
    note: String,
}

impl Account {
    fn read(row: &PgRow) -> Result<Self> {
        Ok(Self { id: row.try_get(0)?, owner: row.try_get(1)?, balance: row.try_get(2)?, note: row.try_get(3)? })
    }
}

/// How the event is written.
#[derive(Clone, Copy)]
enum Way {
    ByHand,
    Library,
}

impl Variant for Way {
    fn name(self) -> &'static str {
        match self {
            Self::ByHand => "INSERT by hand",
            Self::Library => "update by the library",
        }
    }

    async fn commit(self, connection: &mut PgConnection, transactions: u32) -> Result<()> {
        let outbox = PgOutbox::new();
        for _ in 0..transactions {
            let mut transaction = connection.begin().await?;
            let row = sqlx::query(LOCK).bind(fastrand::i64(0..10_000)).fetch_one(&mut *transaction).await?;
            let before = Account::read(&row)?;
            let after = Account { balance: before.balance + 1, ..before.clone() };
            sqlx::query(PAY).bind(after.id).bind(after.balance).execute(&mut *transaction).await?;
            match self {
                Self::Library => drop(outbox.update(&mut transaction, &before, &after).await?),
                Self::ByHand => {
                    let insert = sqlx::query(INSERT).bind(Uuid::now_v7()).bind(after.id.to_string());
                    let insert = insert.bind(serde_json::to_string(&before)?).bind(serde_json::to_string(&after)?);
                    insert.execute(&mut *transaction).await?;
                }
            }
            transaction.commit().await?;
        }
        Ok(())
    }
}

/// One client, so that nobody waits for a lock.
pub(crate) async fn run(server: &Server, options: &Options) -> Result<Table> {
    eprintln!("update");
    let mut table =
        Table::new("update: a row read, updated and captured, in turns, synchronous_commit off, PostgreSQL");
    let url = server.database("bench_update").await?;
    let mut connection = PgConnection::connect(&url).await?;
    for statement in TABLES {
        sqlx::query(statement).execute(&mut connection).await?;
    }
    let mut client = Clients::connect(server, &url, 1).await?;
    for round in 1..=options.rounds {
        eprintln!("  round {round}");
        client.round(&mut table, [Way::ByHand, Way::Library]).await?;
    }
    client.check(options.rounds).await?;
    drop(client);
    server.drop_database("bench_update").await?;
    let [by_hand, library] = [Way::ByHand, Way::Library].map(Variant::name);
    let processor = table.ratio(library, by_hand, "processor µs each");
    table.at_most("processor time of client and server, by the library / by hand", processor, 1.15);
    table.note("transactions/s", table.ratio(library, by_hand, "transactions/s"));
    Ok(table)
}
