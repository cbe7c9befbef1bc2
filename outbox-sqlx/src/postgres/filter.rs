//! A filter as the statements take it that read the log.

use outbox_core::sql::reading;
use outbox_core::{Filter, Names, Operation};
use sqlx::SqlStr;
use sqlx::postgres::{PgArguments, Postgres};
use sqlx::query::Query;
use time::OffsetDateTime;

use super::connection::assembled;

const FILTER: &str = outbox_core::sql::postgres::SOURCE_FILTER;
const PORTION: &str = outbox_core::sql::postgres::SOURCE_PORTION;

/// The lists and times of a filter.
pub(super) struct FilterValues {
    topics: Vec<String>,
    tables: Vec<String>,
    keys: Vec<String>,
    tenants: Vec<String>,
    operations: Vec<&'static str>,
    since: Option<OffsetDateTime>,
    until: Option<OffsetDateTime>,
}

impl FilterValues {
    /// `None` where every event passes.
    pub(super) fn new(filter: &Filter) -> Option<Self> {
        let values = || Self {
            topics: filter.topics_as_like(),
            tables: filter.tables.clone(),
            keys: filter.keys.clone(),
            tenants: filter.tenants.clone(),
            operations: filter.operations.iter().copied().map(Operation::as_str).collect(),
            since: filter.since,
            until: filter.until,
        };
        (!filter.is_empty()).then(values)
    }

    /// Adds the values after those of the statement itself.
    pub(super) fn bind<'q>(&self, query: Query<'q, Postgres, PgArguments>) -> Query<'q, Postgres, PgArguments> {
        let query = query.bind(&self.topics).bind(&self.tables).bind(&self.keys).bind(&self.tenants);
        query.bind(&self.operations).bind(self.since).bind(self.until)
    }
}

/// A statement that reads the log, with the condition of a filter where there is one.
pub(super) fn reading_statement(names: &Names, sql: &'static str, filter: Option<&FilterValues>) -> SqlStr {
    assembled(reading(&names.render(sql), filter.map(|_| FILTER), None))
}

/// The same for a reader that works some of the partitions.
pub(super) fn portion_statement(names: &Names, sql: &'static str, filter: Option<&FilterValues>) -> SqlStr {
    assembled(reading(&names.render(sql), filter.map(|_| FILTER), Some(PORTION)))
}
