//! The change log written out: for people, and in the formats other programs read.

mod cdc;
mod chosen;
mod content;
mod csv;
mod database_file;
mod difference;
mod flow;
mod format;
mod json;
mod listing;
mod progress;
mod row;
pub(crate) mod stats;
mod target;
mod value;

pub(crate) use chosen::chosen;
pub(crate) use format::Format;
pub(crate) use json::object;
pub(crate) use listing::Listing;
pub(crate) use progress::Progress;
pub(crate) use target::Target;

#[cfg(test)]
mod tests;
