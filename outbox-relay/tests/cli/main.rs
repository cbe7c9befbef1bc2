//! The program as scripts and people use it: its real binary, on SQLite files of their own.

mod cleanup;
mod exit_codes;
mod run;
mod shop;
mod status;
mod usage;
