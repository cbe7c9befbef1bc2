//! The program as scripts and people use it: its real binary, on SQLite files of their own.

#![expect(clippy::disallowed_methods, reason = "it watches a program, which sends no signal")]

mod cleanup;
mod dead_letters;
mod doctor;
mod events;
mod events_export;
mod exit_codes;
mod mending;
#[cfg(feature = "serve")]
mod metrics;
mod run;
mod shop;
mod status;
mod usage;
