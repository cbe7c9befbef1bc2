//! Puts the relay program to the torture: a load nobody here wrote, an oracle that judges what came out, and readers
//! that are wrong on purpose, which the oracle must catch.
//!
//! [`load`] lets pgbench change counters and write events by the plain-SQL contract while sessions are killed;
//! [`relay_process`] runs the program and kills it; [`oracle`] compares the program's file with the database;
//! [`readers`] are the controls; [`roles`] has the users with one role each; [`scenario`] puts these together, for the tests in short and for the `torture` program
//! at length. [`mod@conformance`] is what every backend must do, written once.

pub mod conformance;
pub mod database;
pub mod guide;
pub mod load;
pub mod oracle;
pub mod output;
pub mod proxy;
pub mod readers;
pub mod recorder;
pub mod relay_process;
pub mod roles;
pub mod scenario;
pub mod small_disk;
pub mod verdict;
