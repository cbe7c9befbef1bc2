//! The bank: a table, and one way to change it.

use outbox_core::{Context, Outbox};
use outbox_sqlx::SqliteOutbox;
use serde::Serialize;
use sqlx::{Sqlite, SqlitePool, Transaction};

use crate::Outcome;

/// A row of the table `customers`.
#[derive(Clone, Serialize, Outbox)]
#[outbox(table = "customers", topic = "bank.customers", version = 1)]
pub(crate) struct Customer {
    #[outbox(key)]
    pub(crate) id: i64,
    #[outbox(tenant)]
    pub(crate) branch: String,
    pub(crate) name: String,
    pub(crate) credit_limit: i64,
    /// The log tells that it was changed, but not what it is.
    #[outbox(hash)]
    pub(crate) iban: String,
}

impl Customer {
    pub(crate) fn new(id: i64, branch: &str, name: &str, credit_limit: i64, iban: &str) -> Self {
        Self { id, branch: branch.into(), name: name.into(), credit_limit, iban: iban.into() }
    }
}

/// The bank's database.
pub(crate) struct Bank {
    pool: SqlitePool,
    outbox: SqliteOutbox,
}

impl Bank {
    pub(crate) async fn open(url: &str) -> Outcome<Self> {
        let pool = SqlitePool::connect(url).await?;
        sqlx::query(
            "CREATE TABLE customers (id INTEGER PRIMARY KEY, branch TEXT, name TEXT, iban TEXT,
                 credit_limit INTEGER CHECK (credit_limit <= 10000))",
        )
        .execute(&pool)
        .await?;
        Ok(Self { pool, outbox: SqliteOutbox::new() })
    }

    /// One transaction: the row, and what `actor` did to it.
    pub(crate) async fn change(&self, actor: &str, before: Option<&Customer>, after: Option<&Customer>) -> Outcome {
        let outbox = self.outbox.with_context(Context::new().actor(actor));
        let mut tx = self.pool.begin_with("BEGIN IMMEDIATE").await?;
        write(&mut tx, before, after).await?;
        match (before, after) {
            (None, Some(after)) => outbox.insert(&mut tx, after).await?,
            (Some(before), Some(after)) => outbox.update(&mut tx, before, after).await?,
            (Some(before), None) => outbox.delete(&mut tx, before).await?,
            (None, None) => None,
        };
        Ok(tx.commit().await?)
    }
}

async fn write(
    tx: &mut Transaction<'_, Sqlite>,
    before: Option<&Customer>,
    after: Option<&Customer>,
) -> sqlx::Result<()> {
    match (before, after) {
        (_, Some(customer)) => {
            sqlx::query(
                "INSERT INTO customers (id, branch, name, credit_limit, iban) VALUES (?, ?, ?, ?, ?)
                 ON CONFLICT (id) DO UPDATE SET name = excluded.name, credit_limit = excluded.credit_limit, iban = excluded.iban",
            )
            .bind(customer.id)
            .bind(&customer.branch)
            .bind(&customer.name)
            .bind(customer.credit_limit)
            .bind(&customer.iban)
            .execute(&mut **tx)
            .await?;
        }
        (Some(gone), None) => {
            sqlx::query("DELETE FROM customers WHERE id = ?").bind(gone.id).execute(&mut **tx).await?;
        }
        (None, None) => {}
    }
    Ok(())
}
