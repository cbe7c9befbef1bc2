//! Private servers for tests: found on this machine or fetched, started in folders of their own, gone afterwards.
//!
//! The tests, the benches and the `cargo xtask` commands all start their servers here, so that a server behaves the same
//! whoever asks for it. Nothing is installed system-wide and no container engine is needed.

pub mod postgres;
