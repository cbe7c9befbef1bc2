//! Programs under `examples/` show the library at work; this crate holds nothing but them and what they print with.

mod terminal;

pub use terminal::Terminal;

/// Compiles and runs the example of the README.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
pub struct Readme;
