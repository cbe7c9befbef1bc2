//! Orders: the row, what else happens to it, and the repository that writes row and event in one transaction.

use outbox_core::Outbox;
use outbox_sqlx::{AppendError, PgOutbox};
use serde::Serialize;
use sqlx::{FromRow, Postgres, Transaction};
use uuid::Uuid;

/// The application's own table.
pub const TABLE: &str = "CREATE TABLE IF NOT EXISTS orders (
    id uuid PRIMARY KEY, shop text NOT NULL, item text NOT NULL, quantity integer NOT NULL, status text NOT NULL)";

/// A row of `orders`. Its changes become events with the row before and after.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, FromRow, Outbox)]
#[outbox(table = "orders", topic = "shop.orders", version = 1)]
pub struct Order {
    /// Its number.
    #[outbox(key)]
    pub id: Uuid,
    /// Whose order it is.
    #[outbox(tenant)]
    pub shop: String,
    /// What was ordered.
    pub item: String,
    /// How much of it.
    pub quantity: i32,
    /// `placed` or `shipped`.
    pub status: String,
}

/// What others want to hear of an order, in words of the business and not of the table.
#[derive(Debug, Serialize, Outbox)]
#[outbox(topic = "shop.order-events", key = order_id)]
pub enum OrderEvent {
    /// It has left the house.
    Shipped {
        /// The order.
        order_id: Uuid,
        /// What was sent.
        item: String,
        /// How much of it.
        quantity: i32,
    },
}

/// Why an order could not be written; the transaction is to be dropped then.
#[derive(Debug)]
pub enum OrderError {
    /// There is no such order in this shop.
    NotFound,
    /// It was shipped before.
    ShippedAlready,
    /// The database.
    Database(anyhow::Error),
}

impl From<sqlx::Error> for OrderError {
    fn from(error: sqlx::Error) -> Self {
        Self::Database(error.into())
    }
}

impl From<AppendError> for OrderError {
    fn from(error: AppendError) -> Self {
        Self::Database(error.into())
    }
}

/// Writes orders. Every function takes the caller's transaction: row and event are committed together, or not at all.
#[derive(Debug, Clone)]
pub struct Orders {
    /// The outbox, with the context of the transaction.
    pub outbox: PgOutbox,
}

impl Orders {
    /// Writes a new order.
    ///
    /// # Errors
    ///
    /// [`OrderError::Database`].
    pub async fn place(&self, tx: &mut Transaction<'_, Postgres>, order: &Order) -> Result<(), OrderError> {
        sqlx::query("INSERT INTO orders (id, shop, item, quantity, status) VALUES ($1, $2, $3, $4, $5)")
            .bind(order.id)
            .bind(&order.shop)
            .bind(&order.item)
            .bind(order.quantity)
            .bind(&order.status)
            .execute(&mut **tx)
            .await?;
        self.outbox.insert(tx, order).await?;
        Ok(())
    }

    /// Changes an order with a closure. The row is locked first, so that what it was before is true when the event says it.
    ///
    /// # Errors
    ///
    /// [`OrderError`], and what the closure says.
    pub async fn update_with(
        &self,
        tx: &mut Transaction<'_, Postgres>,
        shop: &str,
        id: Uuid,
        change: impl FnOnce(&mut Order) -> Result<(), OrderError>,
    ) -> Result<Order, OrderError> {
        let before = self.locked(tx, shop, id).await?;
        let mut after = before.clone();
        change(&mut after)?;
        sqlx::query("UPDATE orders SET quantity = $2, status = $3 WHERE id = $1")
            .bind(id)
            .bind(after.quantity)
            .bind(&after.status)
            .execute(&mut **tx)
            .await?;
        self.outbox.update(tx, &before, &after).await?;
        Ok(after)
    }

    /// Ships an order: the row changes, and the business event is told beside it.
    ///
    /// # Errors
    ///
    /// [`OrderError`].
    pub async fn ship(&self, tx: &mut Transaction<'_, Postgres>, shop: &str, id: Uuid) -> Result<Order, OrderError> {
        let order = self.update_with(tx, shop, id, Order::ship).await?;
        let shipped = OrderEvent::Shipped { order_id: order.id, item: order.item.clone(), quantity: order.quantity };
        self.outbox.append(tx, &shipped).await?;
        Ok(order)
    }

    /// Removes an order.
    ///
    /// # Errors
    ///
    /// [`OrderError`].
    pub async fn cancel(&self, tx: &mut Transaction<'_, Postgres>, shop: &str, id: Uuid) -> Result<(), OrderError> {
        let order = self.locked(tx, shop, id).await?;
        sqlx::query("DELETE FROM orders WHERE id = $1").bind(id).execute(&mut **tx).await?;
        self.outbox.delete(tx, &order).await?;
        Ok(())
    }

    async fn locked(&self, tx: &mut Transaction<'_, Postgres>, shop: &str, id: Uuid) -> Result<Order, OrderError> {
        let row = sqlx::query_as("SELECT * FROM orders WHERE id = $1 AND shop = $2 FOR UPDATE").bind(id).bind(shop);
        row.fetch_optional(&mut **tx).await?.ok_or(OrderError::NotFound)
    }
}

impl Order {
    fn ship(&mut self) -> Result<(), OrderError> {
        if self.status == "shipped" {
            return Err(OrderError::ShippedAlready);
        }
        self.status = "shipped".into();
        Ok(())
    }
}
