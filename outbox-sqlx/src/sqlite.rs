//! The outbox on SQLite: one writer at a time, so positions come in commit order and nothing is ever missing between them.

mod capture;
mod checkpoint;
mod cleanup;
mod connection;
mod lease;
mod migrate;
mod row;
mod source;
mod status;
mod store;

pub use capture::SqliteOutbox;
pub use store::SqliteStore;
