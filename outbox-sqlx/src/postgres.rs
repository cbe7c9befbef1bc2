//! The outbox on PostgreSQL: positions are drawn before commit, so what is missing between them may still appear.

mod capture;
mod checkpoint;
mod cleanup;
mod connection;
mod fault;
mod lease;
mod migrate;
mod row;
mod source;
mod start;
mod status;
mod store;

pub use capture::PgOutbox;
pub use store::PgStore;
