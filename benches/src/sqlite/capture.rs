//! A business transaction that captures an event, against the same without, and with an INSERT written by hand.

use std::path::Path;
use std::process;
use std::time::Instant;

use anyhow::{Result, ensure};
use outbox_core::Outbox;
use outbox_sqlx::SqliteOutbox;
use serde::Serialize;
use sqlx::sqlite::{SqliteConnection, SqliteSynchronous};
use sqlx::{ConnectOptions as _, Connection as _};
use uuid::Uuid;

use crate::processor;
use crate::report::Table;

const UNIT: &str = "transactions/s";

/// A business of some size: what an update costs depends on how many pages the table has.
const ACCOUNTS: &str = "CREATE TABLE account (id INTEGER PRIMARY KEY, balance INTEGER NOT NULL, filler TEXT NOT NULL)";
const OPEN: &str = "\
    WITH RECURSIVE numbers (n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM numbers WHERE n < 99999) \
    INSERT INTO account SELECT n, 0, hex(randomblob(42)) FROM numbers";
const PAY: &str = "UPDATE account SET balance = balance + 1 WHERE id = ?1";
const INSERT: &str = "\
    INSERT INTO outbox_event (event_id, topic, event_key, event_type, payload) \
    VALUES (?1, 'bench.payments', ?2, 'Paid', ?3)";

#[derive(Serialize, Outbox)]
#[outbox(topic = "bench.payments", key = account)]
struct Paid<'a> {
    account: i64,
    note: &'a str,
}

/// How the event is written, if it is.
enum Capture {
    Not,
    Library(SqliteOutbox),
    ByHand,
}

/// One setting of SQLite's durability, with its variants and its goal.
pub(super) struct Setting {
    synchronous: SqliteSynchronous,
    plain: &'static str,
    captured: &'static str,
    by_hand: &'static str,
    transactions: u32,
    goal: f64,
}

/// A commit survives a crash of the process.
pub(super) const NORMAL: Setting = Setting {
    synchronous: SqliteSynchronous::Normal,
    plain: "transaction, NORMAL",
    captured: "the same with capture, NORMAL",
    by_hand: "the same with an INSERT, NORMAL",
    transactions: 10_000,
    goal: 0.68,
};

/// A commit survives a power cut.
pub(super) const FULL: Setting = Setting {
    synchronous: SqliteSynchronous::Full,
    plain: "transaction, FULL",
    captured: "the same with capture, FULL",
    by_hand: "the same with an INSERT, FULL",
    transactions: 1000,
    goal: 0.95,
};

impl Setting {
    /// One round of the variants, each on a fresh file.
    pub(super) async fn measure(&self, table: &mut Table, folder: &Path) -> Result<()> {
        for (variant, capture) in [
            (self.plain, Capture::Not),
            (self.captured, Capture::Library(SqliteOutbox::new())),
            (self.by_hand, Capture::ByHand),
        ] {
            let file = tempfile::Builder::new().suffix(".db").tempfile_in(folder)?.into_temp_path();
            let (options, _) = super::outbox(&file, self.synchronous).await?;
            let mut connection = options.connect().await?;
            for statement in [ACCOUNTS, OPEN, "PRAGMA wal_checkpoint(TRUNCATE)"] {
                sqlx::query(statement).execute(&mut connection).await?;
            }
            let (start, processor) = (Instant::now(), processor::of_process(process::id())?);
            self.write(&mut connection, &capture).await?;
            table.record(variant, UNIT, f64::from(self.transactions) / start.elapsed().as_secs_f64());
            let used = processor::of_process(process::id())?.saturating_sub(processor);
            table.record(variant, "client µs each", used.as_secs_f64() * 1e6 / f64::from(self.transactions));

            let query =
                sqlx::query_as("SELECT (SELECT sum(balance) FROM account), (SELECT count(*) FROM outbox_event)");
            let written: (i64, i64) = query.fetch_one(&mut connection).await?;
            let transactions = i64::from(self.transactions);
            let wanted = (transactions, if matches!(capture, Capture::Not) { 0 } else { transactions });
            ensure!(written == wanted, "{variant}: {written:?} payments and events were written instead of {wanted:?}");
        }
        Ok(())
    }

    async fn write(&self, connection: &mut SqliteConnection, capture: &Capture) -> Result<()> {
        let note = "x".repeat(270);
        for _ in 0..self.transactions {
            let account = fastrand::i64(0..100_000);
            let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await?;
            sqlx::query(PAY).bind(account).execute(&mut *transaction).await?;
            let paid = Paid { account, note: &note };
            match capture {
                Capture::Not => {}
                Capture::Library(outbox) => drop(outbox.append(&mut transaction, &paid).await?),
                Capture::ByHand => {
                    let insert = sqlx::query(INSERT).bind(Uuid::now_v7().to_string()).bind(account.to_string());
                    insert.bind(serde_json::to_string(&paid)?).execute(&mut *transaction).await?;
                }
            }
            transaction.commit().await?;
        }
        Ok(())
    }

    /// The goal of this setting.
    pub(super) fn judge(&self, table: &mut Table) {
        table.at_least(
            &format!("{} / without", self.captured),
            table.ratio(self.captured, self.plain, UNIT),
            self.goal,
        );
        table.note(
            &format!("{} / an INSERT written by hand", self.captured),
            table.ratio(self.captured, self.by_hand, UNIT),
        );
    }
}
