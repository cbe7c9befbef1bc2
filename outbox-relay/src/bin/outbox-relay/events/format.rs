//! The formats, and what they share: a document takes events one by one and keeps none of them.

use std::io::{self, Write};

use outbox_core::Event;

use super::csv::Csv;
use super::json::Json;
use super::{cdc, json};
use crate::problem::nearest;

/// How events are written for other programs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Format {
    /// An array of objects.
    #[default]
    Json,
    /// One object a line.
    JsonLines,
    /// The same fields as columns.
    Csv,
    /// An array of inserts, updates and deletes with both images as texts.
    CdcJson,
}

/// The words of `--format`.
const WORDS: [(&str, Format); 4] =
    [("json", Format::Json), ("jsonl", Format::JsonLines), ("csv", Format::Csv), ("cdc-json", Format::CdcJson)];

/// Something that is being written.
pub(crate) trait Document {
    /// Writes one event.
    ///
    /// # Errors
    ///
    /// Whatever the writer below says.
    fn write(&mut self, event: &Event) -> io::Result<()>;

    /// Writes what stands at the end; nothing is held back then.
    ///
    /// # Errors
    ///
    /// Whatever the writer below says.
    fn end(&mut self) -> io::Result<()>;
}

impl Format {
    /// Reads the word of `--format`.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let named = |(word, format)| (word == text).then_some(format);
        WORDS.into_iter().find_map(named).ok_or_else(|| {
            let meant = nearest(text, WORDS.map(|(word, _)| word)).unwrap_or_default();
            format!("`{text}` is not a format; the nearest is `{meant}`; write json, jsonl, csv or cdc-json")
        })
    }

    /// Begins a document on `out`.
    pub(crate) fn document<'o>(self, out: &'o mut dyn Write) -> Box<dyn Document + 'o> {
        match self {
            Self::Json => Box::new(Json::array(out, json::object)),
            Self::JsonLines => Box::new(Json::lines(out, json::object)),
            Self::Csv => Box::new(Csv::new(out)),
            Self::CdcJson => Box::new(Json::array(out, cdc::object)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_format_is_told_with_the_nearest() {
        assert_eq!(Format::parse("cdc-json"), Ok(Format::CdcJson));
        assert!(Format::parse("ndjson").unwrap_err().contains("the nearest is `json`"));
    }
}
