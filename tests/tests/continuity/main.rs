//! Real servers restored, failed over, copied, upgraded and mistreated, under the relay's program.
//!
//! What must be noticed ends the relay with exit code 3 before it publishes anything; what is harmless must not stop it.

mod breaks;
mod clock;
mod harmless;
mod places;
mod stage;
