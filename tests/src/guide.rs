//! The guides under `docs/guides` whose examples need a relay or a database, compiled and run.

/// See `docs/guides/testing.md`.
#[cfg(doctest)]
#[doc = include_str!("../../docs/guides/testing.md")]
pub struct Testing;

/// See `docs/guides/keys-and-order.md`.
#[cfg(doctest)]
#[doc = include_str!("../../docs/guides/keys-and-order.md")]
pub struct KeysAndOrder;
