//! A web service that writes a row and its event in one transaction, with the relay embedded in it.
//!
//! ```text
//! POST /orders ─► one transaction: row + event ─► commit ─► embedded relay ─► publisher
//! ```
//!
//! [`order`] holds the row, its events and the repository that writes both; [`service`] the HTTP side.

pub mod order;
pub mod service;
