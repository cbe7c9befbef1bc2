//! The outbox on PostgreSQL, against a server that `OUTBOX_TEST_POSTGRES_URL` names.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

mod capture;
mod checkpoint;
mod database;
mod doctor;
mod holes;
mod lease;
mod migrate;
mod source;
mod start;
mod status;
mod store;
#[cfg(all(feature = "chrono", feature = "decimal", feature = "json"))]
mod types;
