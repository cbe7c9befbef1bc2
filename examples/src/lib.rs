//! Programs under `examples/` show the library at work; this crate holds what they share.

mod image;
mod terminal;

pub use image::{changed, fields};
pub use terminal::Terminal;

/// Compiles and runs the example of the README.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
pub struct Readme;
