//! The outbox on PostgreSQL: positions are drawn before commit, so what is missing between them may still appear.

mod access;
mod address;
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
mod glance;
mod lease;
mod mender;
mod migrate;
mod partitions;
mod place;
mod row;
mod source;
mod start;
mod status;
mod store;
mod wake;

pub use capture::PgOutbox;
pub use store::PgStore;
