//! The outbox on PostgreSQL (feature `postgres`) and SQLite (feature `sqlite`), through sqlx.
//!
//! Capture writes with the caller's own open transaction: `PgOutbox` and `SqliteOutbox`. A relay reads through
//! `PgStore` and `SqliteStore`. Both databases have the same files: `capture`, `migrate`, `source`, `checkpoint`,
//! `lease`, `cleanup`, `store`, `status`. The feature `testing` lets a test ask an open transaction what it captured.

#[cfg(any(feature = "postgres", feature = "sqlite"))]
mod claims;
mod error;
mod migrated;
#[cfg(any(feature = "postgres", feature = "sqlite"))]
mod number;
#[cfg(feature = "postgres")]
mod postgres;
#[cfg(any(feature = "postgres", feature = "sqlite"))]
mod refusal;
#[cfg(feature = "sqlite")]
mod sqlite;

pub use error::{AppendError, MigrateError};
pub use migrated::Migrated;
pub use outbox_core::Names;
#[cfg(feature = "postgres")]
pub use postgres::{PgOutbox, PgStore};
#[cfg(feature = "sqlite")]
pub use sqlite::{SqliteOutbox, SqliteStore};
