//! The commands, one file each.

use std::io::Write as _;

use crate::exit::Failure;

pub(crate) mod adopt;
pub(crate) mod cleanup;
pub(crate) mod dead_letters;
pub(crate) mod doctor;
pub(crate) mod events;
pub(crate) mod migrate;
pub(crate) mod pause;
pub(crate) mod repair;
pub(crate) mod replay;
pub(crate) mod run;
pub(crate) mod status;
pub(crate) mod why;

/// Writes a result to standard output.
fn print(text: &str) -> Result<(), Failure> {
    let mut stdout = std::io::stdout().lock();
    stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()).map_err(Failure::Output)
}
