//! A filter as the statements take it that read the log.

use outbox_core::sql::reading;
use outbox_core::{Filter, Names, StoreError, StoreErrorKind};
use sqlx::SqlStr;
use sqlx::query::Query;
use sqlx::sqlite::{Sqlite, SqliteArguments};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::connection::{assembled, json_list};

const FILTER: &str = outbox_core::sql::sqlite::SOURCE_FILTER;

/// The lists of a filter as JSON arrays, and its times as text; `None` wants all.
#[derive(Debug)]
pub(super) struct FilterValues([Option<String>; 7]);

impl FilterValues {
    /// `None` where every event passes.
    pub(super) fn new(filter: &Filter) -> Result<Option<Self>, StoreError> {
        if filter.is_empty() {
            return Ok(None);
        }
        let operations: Vec<&str> = filter.operations.iter().map(|operation| operation.as_str()).collect();
        Ok(Some(Self([
            list(&filter.topics_as_glob()),
            list(&filter.tables),
            list(&filter.keys),
            list(&filter.tenants),
            list(&operations),
            filter.since.map(time_text).transpose()?,
            filter.until.map(time_text).transpose()?,
        ])))
    }

    /// Adds the values after those of the statement itself.
    pub(super) fn bind<'q>(&'q self, query: Query<'q, Sqlite, SqliteArguments>) -> Query<'q, Sqlite, SqliteArguments> {
        self.0.iter().fold(query, |query, value| query.bind(value.as_deref()))
    }
}

fn list<T: AsRef<str>>(words: &[T]) -> Option<String> {
    let list = || json_list(words.iter().map(|word| serde_json::Value::from(word.as_ref())));
    (!words.is_empty()).then(list)
}

/// A time as SQLite's date functions read it.
pub(super) fn time_text(time: OffsetDateTime) -> Result<String, StoreError> {
    time.format(&Rfc3339).map_err(|error| {
        StoreError::new(StoreErrorKind::Precondition, "the time is outside the years 0 to 9999; write one within them")
            .caused_by(error)
    })
}

/// A statement that reads the log, with the condition of a filter where there is one.
pub(super) fn reading_statement(names: &Names, sql: &'static str, filter: Option<&FilterValues>) -> SqlStr {
    assembled(reading(&names.render(sql), filter.map(|_| FILTER), None))
}
