//! Who changed what, when, from what, to what: the report an auditor asks for.
//!
//! ```text
//! cargo run --example audit
//! ```
//!
//! A bank keeps the customers of its branches on SQLite. Clerks change them, and each change is captured in the
//! transaction of the change, with who made it. Then somebody asks. The rows know nothing of their past, but the change log
//! does: no relay runs here, and no other system is needed.

mod bank;
mod report;
#[cfg(test)]
mod tests;

use std::error::Error;

use bank::{Bank, Customer};
use outbox_core::Filter;
use outbox_core::source::Row;
use outbox_examples::Terminal;
use outbox_relay::ChangeLog;
use outbox_sqlx::{Names, SqliteStore};
use report::Report;

type Outcome<T = ()> = Result<T, Box<dyn Error>>;

#[tokio::main]
async fn main() -> Outcome {
    print!("{}", audit("north", Terminal::new()).await?);
    Ok(())
}

/// A few months of work, and the report of one branch.
async fn audit(branch: &str, terminal: Terminal) -> Outcome<String> {
    let folder = tempfile::tempdir()?;
    let url = format!("sqlite:{}?mode=rwc", folder.path().join("bank.db").display());
    let store = SqliteStore::new(&url, Names::default())?;
    store.migrate().await?;
    work(&Bank::open(&url).await?).await?;

    let mut report = Report::new(branch, terminal);
    let filter = Filter { tenants: vec![branch.into()], ..Filter::default() };
    let mut changes = ChangeLog::new(store, filter).export(None).await?;
    // A page at a time: the log may be larger than memory.
    while let Some(page) = changes.next().await? {
        for row in page {
            if let Row::Event(event) = row {
                report.add(&event);
            }
        }
    }
    changes.finish().await?;
    Ok(report.finish())
}

async fn work(bank: &Bank) -> Outcome {
    let maria = Customer::new(1, "north", "Maria Keller", 500, "CH93 0076 2011 6238 5295 7");
    let jonas = Customer::new(2, "north", "Jonas Frei", 2000, "CH56 0483 5012 3456 7800 9");
    let other = Customer::new(3, "south", "Lea Blanc", 800, "CH44 3199 9123 0008 8901 2");
    bank.change("ann", None, Some(&maria)).await?;
    bank.change("ann", None, Some(&jonas)).await?;
    bank.change("tom", None, Some(&other)).await?;

    let trusted = Customer { credit_limit: 5000, ..maria.clone() };
    bank.change("bob", Some(&maria), Some(&trusted)).await?;
    let moved = Customer { iban: "DE89 3704 0044 0532 0130 00".into(), ..trusted.clone() };
    bank.change("bob", Some(&trusted), Some(&moved)).await?;
    // More than anybody may give: the transaction fails, and what never happened is in no report.
    let greedy = Customer { credit_limit: 1_000_000, ..moved.clone() };
    if bank.change("eve", Some(&moved), Some(&greedy)).await.is_ok() {
        return Err("the limit was not checked".into());
    }
    let married = Customer { name: "Maria Frei".into(), credit_limit: 4000, ..moved.clone() };
    bank.change("ann", Some(&moved), Some(&married)).await?;
    bank.change("carol", Some(&jonas), None).await
}
