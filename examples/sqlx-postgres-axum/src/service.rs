//! The HTTP service: one request, one transaction, one context.

use axum::Router;
use axum::extract::{FromRequestParts, Json, Path, State};
use axum::http::StatusCode;
use axum::http::request::Parts;
use axum::response::{IntoResponse, Response};
use axum::routing::{delete, patch, post};
use outbox_core::Context;
use outbox_sqlx::PgOutbox;
use serde::Deserialize;
use sqlx::PgPool;
use uuid::Uuid;

use crate::order::{Order, OrderError, Orders};

/// What every request shares.
#[derive(Debug, Clone)]
pub struct Shop {
    /// Connections to the database.
    pub pool: PgPool,
    /// The outbox in it.
    pub outbox: PgOutbox,
}

/// The routes.
pub fn router(shop: Shop) -> Router {
    Router::new()
        .route("/orders", post(place))
        .route("/orders/{id}", patch(change))
        .route("/orders/{id}", delete(cancel))
        .route("/orders/{id}/shipment", post(ship))
        .with_state(shop)
}

/// Who asks, and for which shop: from headers here, from a checked token in a real service.
struct Caller {
    shop: String,
    user: String,
    request_id: Option<String>,
}

impl Caller {
    /// The repository whose events say who caused them, whose they are, and by which request.
    fn orders(&self, shop: &Shop) -> Orders {
        let mut context = Context::new().tenant(&self.shop).actor(&self.user);
        if let Some(request_id) = &self.request_id {
            context = context.correlation_id(request_id);
        }
        Orders { outbox: shop.outbox.with_context(context) }
    }
}

impl<S: Sync> FromRequestParts<S> for Caller {
    type Rejection = (StatusCode, &'static str);

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Self::Rejection> {
        let header = |name| parts.headers.get(name).and_then(|value| value.to_str().ok()).map(str::to_owned);
        match (header("x-shop"), header("x-user")) {
            (Some(shop), Some(user)) => Ok(Self { shop, user, request_id: header("x-request-id") }),
            _ => Err((StatusCode::UNAUTHORIZED, "say who you are with the headers x-shop and x-user\n")),
        }
    }
}

#[derive(Deserialize)]
struct NewOrder {
    item: String,
    quantity: i32,
}

#[derive(Deserialize)]
struct Change {
    quantity: i32,
}

async fn place(
    State(shop): State<Shop>,
    caller: Caller,
    Json(new): Json<NewOrder>,
) -> Result<(StatusCode, Json<Order>), OrderError> {
    let NewOrder { item, quantity } = new;
    let order = Order { id: Uuid::now_v7(), shop: caller.shop.clone(), item, quantity, status: "placed".into() };
    let mut tx = shop.pool.begin().await?;
    caller.orders(&shop).place(&mut tx, &order).await?;
    tx.commit().await?;
    Ok((StatusCode::CREATED, Json(order)))
}

async fn change(
    State(shop): State<Shop>,
    caller: Caller,
    Path(id): Path<Uuid>,
    Json(change): Json<Change>,
) -> Result<Json<Order>, OrderError> {
    let mut tx = shop.pool.begin().await?;
    let change = |order: &mut Order| {
        order.quantity = change.quantity;
        Ok(())
    };
    let order = caller.orders(&shop).update_with(&mut tx, &caller.shop, id, change).await?;
    tx.commit().await?;
    Ok(Json(order))
}

async fn ship(State(shop): State<Shop>, caller: Caller, Path(id): Path<Uuid>) -> Result<Json<Order>, OrderError> {
    let mut tx = shop.pool.begin().await?;
    let order = caller.orders(&shop).ship(&mut tx, &caller.shop, id).await?;
    tx.commit().await?;
    Ok(Json(order))
}

async fn cancel(State(shop): State<Shop>, caller: Caller, Path(id): Path<Uuid>) -> Result<StatusCode, OrderError> {
    let mut tx = shop.pool.begin().await?;
    caller.orders(&shop).cancel(&mut tx, &caller.shop, id).await?;
    tx.commit().await?;
    Ok(StatusCode::NO_CONTENT)
}

/// An error drops the transaction: neither row nor event is there.
impl IntoResponse for OrderError {
    fn into_response(self) -> Response {
        match self {
            Self::NotFound => (StatusCode::NOT_FOUND, "there is no such order\n").into_response(),
            Self::ShippedAlready => (StatusCode::CONFLICT, "the order was shipped already\n").into_response(),
            Self::Database(error) => {
                tracing::error!("{error:#}");
                (StatusCode::INTERNAL_SERVER_ERROR, "the order could not be written, try again\n").into_response()
            }
        }
    }
}
