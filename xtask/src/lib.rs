//! Private servers for tests: found on this machine or fetched, started in folders of their own, gone afterwards.
//!
//! The tests, the benches and the `cargo xtask` commands all start their servers here, so that a server behaves the same
//! whoever asks for it. Nothing is installed system-wide and no container engine is needed.

pub mod postgres;

/// The name of the variable that tells where the relays of earlier revisions are, as a list of paths.
pub const EARLIER_VARIABLE: &str = "OUTBOX_EARLIER_RELAYS";
