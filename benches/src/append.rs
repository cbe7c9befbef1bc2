//! `append`: a transaction that appends an event by the library, against one with an INSERT written by hand.

use anyhow::Result;
use outbox_core::Outbox;
use outbox_sqlx::PgOutbox;
use serde::Serialize;
use sqlx::Connection as _;
use sqlx::postgres::PgConnection;
use uuid::Uuid;

use crate::Options;
use crate::report::Table;
use crate::server::Server;
use crate::turns::{Clients, Variant};

const INSERT: &str = "\
    INSERT INTO outbox_event (event_id, topic, event_key, event_type, payload) \
    VALUES ($1, 'bench.payments', $2, 'Paid', $3)";

#[derive(Serialize, Outbox)]
#[outbox(topic = "bench.payments", key = account)]
struct Paid<'a> {
    account: i64,
    note: &'a str,
}

/// How an event is written.
#[derive(Clone, Copy)]
enum Way {
    ByHand,
    Library,
}

/// A way, with the name it has at a number of clients.
#[derive(Clone, Copy)]
struct Append {
    way: Way,
    name: &'static str,
}

impl Variant for Append {
    fn name(self) -> &'static str {
        self.name
    }

    async fn commit(self, connection: &mut PgConnection, transactions: u32) -> Result<()> {
        let (outbox, note) = (PgOutbox::new(), "x".repeat(270));
        for _ in 0..transactions {
            let paid = Paid { account: fastrand::i64(0..100_000), note: &note };
            let mut transaction = connection.begin().await?;
            match self.way {
                Way::Library => drop(outbox.append(&mut transaction, &paid).await?),
                Way::ByHand => {
                    let insert = sqlx::query(INSERT).bind(Uuid::now_v7()).bind(paid.account.to_string());
                    insert.bind(serde_json::to_string(&paid)?).execute(&mut *transaction).await?;
                }
            }
            transaction.commit().await?;
        }
        Ok(())
    }
}

/// How many clients, and what the ways are called with them.
const CLIENTS: [(u32, [Append; 2]); 2] = [
    (
        1,
        [
            Append { way: Way::ByHand, name: "INSERT by hand, 1 client" },
            Append { way: Way::Library, name: "append, 1 client" },
        ],
    ),
    (
        8,
        [
            Append { way: Way::ByHand, name: "INSERT by hand, 8 clients" },
            Append { way: Way::Library, name: "append, 8 clients" },
        ],
    ),
];

/// A fresh outbox for each number of clients.
pub(crate) async fn run(server: &Server, options: &Options) -> Result<Table> {
    eprintln!("append");
    let mut table =
        Table::new("append: transactions of one event of 300 bytes, in turns, synchronous_commit off, PostgreSQL");
    for (clients, variants) in CLIENTS {
        let url = server.database("bench_append").await?;
        let mut clients = Clients::connect(server, &url, clients).await?;
        for round in 1..=options.rounds {
            eprintln!("  {}, round {round}", variants[1].name);
            clients.round(&mut table, variants).await?;
        }
        clients.check(options.rounds).await?;
        let [by_hand, library] = variants.map(Variant::name);
        table.at_least(&format!("{library} / {by_hand}"), table.ratio(library, by_hand, "transactions/s"), 0.97);
        table.note("its processor time", table.ratio(library, by_hand, "processor µs each"));
    }
    server.drop_database("bench_append").await?;
    Ok(table)
}
