//! The guides of `docs/guides`, compiled as documentation tests.

#[doc = include_str!("../../docs/guides/modelling-events.md")]
pub(crate) struct ModellingEvents;

#[doc = include_str!("../../docs/guides/versions.md")]
pub(crate) struct Versions;
