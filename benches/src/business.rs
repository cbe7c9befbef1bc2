//! `business`: a business transaction with a separate append against the same without.
//!
//! All update a row; one appends an event of 300 bytes by the library as well, which is one more round trip, and one writes the
//! same event by hand, which shows what the round trip and the table cost whoever writes. No relay runs.

use anyhow::Result;
use outbox_core::NewEvent;
use outbox_sqlx::PgOutbox;
use sqlx::Connection as _;
use sqlx::postgres::PgConnection;
use uuid::Uuid;

use crate::Options;
use crate::report::Table;
use crate::server::{Server, settle};
use crate::turns::{Clients, Variant};

const TABLES: [&str; 2] = [
    "CREATE TABLE account (id bigint PRIMARY KEY, balance bigint NOT NULL) WITH (fillfactor = 50)",
    "INSERT INTO account SELECT n, 0 FROM generate_series(0, 99999) AS n",
];
/// Touches every page.
const TOUCH: &str = "UPDATE account SET balance = 0";
const PAY: &str = "UPDATE account SET balance = balance + 1 WHERE id = $1";

/// So many transactions show how much of the write-ahead log each writes.
const LOGGED: u32 = 4000;

const INSERT: &str = "\
    INSERT INTO outbox_event (event_id, topic, event_key, payload) VALUES ($1, 'bench.payments', $2, $3)";

/// How the event is written.
#[derive(Clone, Copy)]
enum Way {
    NotAtAll,
    Library,
    ByHand,
}

/// A transaction, with the name it has at a number of clients.
#[derive(Clone, Copy)]
struct Business {
    way: Way,
    name: &'static str,
}

impl Variant for Business {
    fn name(self) -> &'static str {
        self.name
    }

    async fn commit(self, connection: &mut PgConnection, transactions: u32) -> Result<()> {
        let (outbox, payload) = (PgOutbox::new(), format!("{{\"note\":\"{}\"}}", "x".repeat(289)));
        for _ in 0..transactions {
            let account = fastrand::i64(0..100_000);
            let mut transaction = connection.begin().await?;
            sqlx::query(PAY).bind(account).execute(&mut *transaction).await?;
            match self.way {
                Way::NotAtAll => {}
                Way::Library => {
                    let event = NewEvent::new("bench.payments", account.to_string()).json(payload.as_str());
                    outbox.append(&mut transaction, &event).await?;
                }
                Way::ByHand => {
                    let insert = sqlx::query(INSERT).bind(Uuid::now_v7()).bind(account.to_string());
                    insert.bind(payload.as_str()).execute(&mut *transaction).await?;
                }
            }
            transaction.commit().await?;
        }
        Ok(())
    }
}

/// How many clients, what the transactions are called with them, and which part of the speed shall be left.
const CLIENTS: [(u32, [Business; 3], f64); 2] = [
    (
        8,
        [
            Business { way: Way::NotAtAll, name: "without, 8 clients" },
            Business { way: Way::Library, name: "with an append, 8 clients" },
            Business { way: Way::ByHand, name: "with an INSERT by hand, 8 clients" },
        ],
        0.72,
    ),
    (
        32,
        [
            Business { way: Way::NotAtAll, name: "without, 32 clients" },
            Business { way: Way::Library, name: "with an append, 32 clients" },
            Business { way: Way::ByHand, name: "with an INSERT by hand, 32 clients" },
        ],
        0.70,
    ),
];

/// A fresh outbox for each number of clients.
pub(crate) async fn run(server: &Server, options: &Options) -> Result<Table> {
    eprintln!("business");
    let mut table = Table::new(
        "business: transactions with an append of 300 bytes against without, in turns, durable commits, PostgreSQL",
    );
    for (clients, variants, goal) in CLIENTS {
        let url = server.database("bench_business").await?;
        let mut connection = PgConnection::connect(&url).await?;
        for statement in TABLES {
            sqlx::query(statement).execute(&mut connection).await?;
        }
        settle(&mut connection).await?;
        let mut clients = Clients::durable(server, &url, clients).await?;
        for round in 1..=options.rounds {
            eprintln!("  {}, round {round}", variants[1].name);
            clients.round(&mut table, variants).await?;
        }
        clients.check(options.rounds).await?;
        let [without, with, by_hand] = variants.map(Variant::name);
        table.at_least(&format!("{with} / {without}"), table.ratio(with, without, "transactions/s"), goal);
        table.at_most("its processor time of the server", table.ratio(with, without, "server µs each"), 1.25);
        table.note(&format!("{by_hand} / {without}"), table.ratio(by_hand, without, "transactions/s"));
        table.note("its processor time of the server", table.ratio(by_hand, without, "server µs each"));
        if goal > 0.71 {
            settle(&mut connection).await?;
            // A page is logged whole when it is first touched after a checkpoint: now, and not while events are counted.
            sqlx::query(TOUCH).execute(&mut connection).await?;
            let [without, with] =
                [written(&mut connection, variants[0]).await?, written(&mut connection, variants[1]).await?];
            table.at_most("bytes of write-ahead log for each event", with - without, 550.0);
        }
    }
    server.drop_database("bench_business").await?;
    Ok(table)
}

/// The bytes of write-ahead log that each transaction writes, once the pages it touches are in it.
async fn written(connection: &mut PgConnection, variant: Business) -> Result<f64> {
    variant.commit(connection, LOGGED).await?;
    let before = position(connection).await?;
    variant.commit(connection, LOGGED).await?;
    Ok((position(connection).await? - before) / f64::from(LOGGED))
}

async fn position(connection: &mut PgConnection) -> Result<f64> {
    let query = sqlx::query_scalar("SELECT pg_wal_lsn_diff(pg_current_wal_insert_lsn(), '0/0')::float8");
    Ok(query.fetch_one(connection).await?)
}
