//! The outbox on SQLite: one writer at a time, so positions come in commit order and nothing is ever missing between them.

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
mod filter;
mod lease;
mod mender;
mod migrate;
mod partitions;
mod place;
mod row;
mod source;
mod status;
mod store;
mod wake;

pub use capture::SqliteOutbox;
pub use store::SqliteStore;
