//! A small shop on SQLite: rows change in business transactions, and come out as ordered events.
//!
//! ```text
//! cargo run --example quickstart
//! ```
//!
//! Every step is one transaction that changes a row and captures the change. One of them fails and rolls back: its events
//! never existed. A relay embedded in the same process publishes the others while the shop goes on.

use std::error::Error;

use outbox_core::{Event, Outbox, Payload};
use outbox_examples::{Terminal, changed};
use outbox_relay::publisher::closure;
use outbox_relay::{Relay, Subscription};
use outbox_sqlx::{Names, SqliteOutbox, SqliteStore};
use serde::Serialize;
use sqlx::{Sqlite, SqlitePool, Transaction};
use tokio::sync::mpsc;

type Outcome<T = ()> = Result<T, Box<dyn Error>>;

/// A row of the table `orders`. Its changes become events with the row before and after.
#[derive(Clone, Serialize, Outbox)]
#[outbox(table = "orders", topic = "shop.orders", version = 1)]
struct Order {
    #[outbox(key)]
    id: i64,
    #[outbox(tenant)]
    shop: String,
    item: String,
    quantity: i64,
    #[outbox(redact)]
    card_number: String,
}

/// What else happens in the shop.
#[derive(Serialize, Outbox)]
#[outbox(topic = "shop.order-events", key = order_id)]
enum OrderEvent {
    Placed { order_id: i64, total_cents: i64 },
    Cancelled { order_id: i64, reason: &'static str },
}

#[tokio::main]
async fn main() -> Outcome {
    let terminal = Terminal::new();
    let folder = tempfile::tempdir()?;
    let url = format!("sqlite:{}?mode=rwc", folder.path().join("shop.db").display());

    let store = SqliteStore::new(&url, Names::default())?;
    store.migrate().await?;
    let shop = Shop { pool: SqlitePool::connect(&url).await?, outbox: SqliteOutbox::new() };
    sqlx::query(
        "CREATE TABLE orders (id INTEGER PRIMARY KEY, shop TEXT, item TEXT, quantity INTEGER, card_number TEXT)",
    )
    .execute(&shop.pool)
    .await?;

    let (sender, mut published) = mpsc::unbounded_channel();
    let relay = Relay::builder(store)
        .name("quickstart")
        .subscription(Subscription::new(
            "terminal",
            closure(move |event| {
                let sent = sender.send(event);
                async move { sent.map_err(|_| "the shop has closed") }
            }),
        ))
        .start()
        .await?;

    let tea = Order { id: 1, shop: "north".into(), item: "tea".into(), quantity: 2, card_number: "4111 1111".into() };
    let cake = Order { id: 2, item: "cake".into(), quantity: 1, ..tea.clone() };
    let more_tea = Order { quantity: 5, ..tea.clone() };

    terminal.title("The shop writes");
    shop.place(&tea, 700).await?;
    terminal.committed("placed order 1: 2 × tea", "1 row, 2 events");
    shop.place(&cake, 450).await?;
    terminal.committed("placed order 2: 1 × cake", "1 row, 2 events");
    let failure = shop.change_and_fail(&tea, &Order { quantity: 999, ..tea.clone() }).await;
    terminal
        .rolled_back("changed order 1 to 999 × tea", &failure.err().ok_or("the stock was not checked")?.to_string());
    shop.change(&tea, &more_tea).await?;
    terminal.committed("changed order 1 to 5 × tea", "1 row, 1 event");
    shop.cancel(&cake, "out of cake").await?;
    terminal.committed("deleted order 2", "1 row, 2 events");

    terminal.title("The relay publishes");
    for number in 1..=7 {
        let event = published.recv().await.ok_or("the relay ended early")?;
        terminal.published(number, &event.key, &describe(&event));
    }
    relay.stop().await?;
    terminal.summary("7 events of 4 committed transactions, in the order of their key; none of the one rolled back.");
    Ok(())
}

struct Shop {
    pool: SqlitePool,
    outbox: SqliteOutbox,
}

impl Shop {
    /// A transaction that may write from its first statement on: SQLite would refuse one that had only read before.
    async fn begin(&self) -> sqlx::Result<Transaction<'static, Sqlite>> {
        self.pool.begin_with("BEGIN IMMEDIATE").await
    }

    async fn place(&self, order: &Order, total_cents: i64) -> Outcome {
        let mut tx = self.begin().await?;
        sqlx::query("INSERT INTO orders VALUES (?, ?, ?, ?, ?)")
            .bind(order.id)
            .bind(&order.shop)
            .bind(&order.item)
            .bind(order.quantity)
            .bind(&order.card_number)
            .execute(&mut *tx)
            .await?;
        self.outbox.insert(&mut tx, order).await?;
        self.outbox.append(&mut tx, &OrderEvent::Placed { order_id: order.id, total_cents }).await?;
        Ok(tx.commit().await?)
    }

    async fn change(&self, before: &Order, after: &Order) -> Outcome {
        let mut tx = self.begin().await?;
        self.write_quantity(&mut tx, before, after).await?;
        Ok(tx.commit().await?)
    }

    /// Writes row and event, then finds that it must not: the transaction is dropped and takes both with it.
    async fn change_and_fail(&self, before: &Order, after: &Order) -> Outcome {
        let mut tx = self.begin().await?;
        self.write_quantity(&mut tx, before, after).await?;
        Err("not enough tea in stock".into())
    }

    async fn write_quantity(&self, tx: &mut Transaction<'_, Sqlite>, before: &Order, after: &Order) -> Outcome {
        let update = sqlx::query("UPDATE orders SET quantity = ? WHERE id = ?").bind(after.quantity).bind(after.id);
        update.execute(&mut **tx).await?;
        self.outbox.update(tx, before, after).await?;
        Ok(())
    }

    async fn cancel(&self, order: &Order, reason: &'static str) -> Outcome {
        let mut tx = self.begin().await?;
        sqlx::query("DELETE FROM orders WHERE id = ?").bind(order.id).execute(&mut *tx).await?;
        self.outbox.delete(&mut tx, order).await?;
        self.outbox.append(&mut tx, &OrderEvent::Cancelled { order_id: order.id, reason }).await?;
        Ok(tx.commit().await?)
    }
}

/// One line for people: what happened, and of a changed row only what is different.
fn describe(event: &Event) -> String {
    let kind =
        event.operation.map_or_else(|| event.event_type.clone().unwrap_or_default(), |operation| operation.to_string());
    match (&event.old_payload, &event.payload) {
        (Some(before), Some(after)) => format!("{kind:<9} {}", difference(before, after)),
        (Some(before), None) => format!("{kind:<9} {} → gone", text(before)),
        (None, after) => format!("{kind:<9} {}", after.as_ref().map(text).unwrap_or_default()),
    }
}

fn difference(before: &Payload, after: &Payload) -> String {
    let fields = changed(before, after).into_iter();
    fields.map(|(name, before, after)| format!("{name}: {before} → {after}")).collect::<Vec<_>>().join(", ")
}

fn text(payload: &Payload) -> String {
    String::from_utf8_lossy(payload.as_bytes()).into_owned()
}
