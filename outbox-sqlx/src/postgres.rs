//! The outbox on PostgreSQL: positions are drawn before commit, so what is missing between them may still appear.

mod capture;
#[cfg(feature = "testing")]
mod captured;
mod changelog;
mod checkpoint;
mod cleanup;
mod connection;
mod dead_letter;
mod desk;
mod doctor;
mod fault;
mod filter;
mod lease;
mod migrate;
mod partitions;
mod row;
mod source;
mod start;
mod status;
mod store;

pub use capture::PgOutbox;
pub use store::PgStore;
