//! What every part has in common: a connection of its own, its statements, and a bound on each call.

use std::future::Future;
use std::time::Duration;

use outbox_core::{Names, StoreError};
use sqlx::postgres::{PgArguments, PgConnection, PgQueryResult, PgRow, Postgres};
use sqlx::query::Query;
use sqlx::{AssertSqlSafe, ConnectOptions, Connection, SqlSafeStr, SqlStr};

use super::address::Address;
use super::fault::{store_error, unavailable};

/// How long it may take to connect, and how long a small statement may take.
pub(super) const CALL: Duration = Duration::from_secs(10);
/// How long a read of the log may take.
pub(super) const READ: Duration = Duration::from_secs(30);
/// How long a statement may take that walks the log.
pub(super) const WALK: Duration = Duration::from_mins(5);

/// PostgreSQL's code of a statement that was ended, by a person or by its limit.
const CANCELED: &str = "57014";

const BEGIN: &str = outbox_core::sql::postgres::STORE_BEGIN;
const SESSION: &str = outbox_core::sql::postgres::STORE_SESSION;

/// Renders a statement under `names`. The one place where text becomes a statement: `Names` holds nothing but word
/// characters.
pub(super) fn statement(names: &Names, sql: &'static str) -> SqlStr {
    // cloned, so that each use shares the text: the connection finds its prepared statement by it
    AssertSqlSafe(names.render(sql)).into_sql_str().clone()
}

/// As [`statement`], about one segment.
pub(super) fn segment_statement(names: &Names, sql: &'static str, segment: i16) -> SqlStr {
    assembled(names.render_for_segment(sql, segment))
}

/// As [`statement`], for a text put together from the project's own files.
pub(super) fn assembled(sql: String) -> SqlStr {
    AssertSqlSafe(sql).into_sql_str().clone()
}

/// A statement that is run once in a long while: behind a pooler one that was prepared would be left behind.
pub(super) fn once<'q>(statement: SqlStr) -> Query<'q, Postgres, PgArguments> {
    sqlx::query(statement).persistent(false)
}

/// A connection of one part, gone for good after the first error.
///
/// A call that was given up may still be answered: what comes next over the same connection would wait for that.
pub(super) struct Link {
    connection: Option<PgConnection>,
    /// Behind a pooler: what each transaction begins with. Else the session was told once.
    begin: Option<SqlStr>,
    settings: Vec<String>,
}

impl Link {
    /// Connects, and makes the session independent of what the role or the database has set. `longest` is the longest
    /// call to come: what runs on for nobody is ended by the server a little later.
    pub(super) async fn open(address: &Address, longest: Duration) -> Result<Self, StoreError> {
        let mut connection = bounded(CALL, address.options().connect()).await?;
        let begin = address.is_pooled(&mut connection).await?.then(|| assembled(String::new()));
        let mut link = Self { connection: Some(connection), begin, settings: Vec::new() };
        link.limit(longest + Duration::from_secs(5)).await?;
        Ok(link)
    }

    /// Lets the server end each statement to come after so long.
    pub(super) async fn limit(&mut self, longest: Duration) -> Result<(), StoreError> {
        let longest = longest.as_millis().to_string();
        if self.begin.is_none() {
            return self.one(CALL, sqlx::query(SESSION).bind(longest)).await.map(drop);
        }
        let session = SESSION.replace("$1", &format!("'{longest}'"));
        match self.settings.first_mut() {
            Some(first) => *first = session,
            None => self.settings.push(session),
        }
        self.begin_with_settings();
        Ok(())
    }

    /// Sets what a file of settings says, for good.
    pub(super) async fn set(&mut self, settings: &'static str) -> Result<(), StoreError> {
        if self.begin.is_none() {
            return self.one(CALL, sqlx::query(settings)).await.map(drop);
        }
        self.settings.push(settings.to_owned());
        self.begin_with_settings();
        Ok(())
    }

    /// Whether each call is a transaction of its own, and whatever was set or prepared before it is gone.
    pub(super) fn is_pooled(&self) -> bool {
        self.begin.is_some()
    }

    fn begin_with_settings(&mut self) {
        let local = self.settings.iter().map(|settings| settings.replace(", false)", ", true)"));
        self.begin = Some(assembled(std::iter::once(BEGIN.to_owned()).chain(local).collect::<Vec<_>>().join(";\n")));
    }

    /// Runs a statement that gives one row; `None` where the server ended it at its limit.
    pub(super) async fn one_in_time(
        &mut self,
        limit: Duration,
        query: Query<'_, Postgres, PgArguments>,
    ) -> Result<Option<PgRow>, StoreError> {
        let query = self.prepared(query);
        self.call(limit, async |connection| match query.fetch_one(connection).await {
            Err(sqlx::Error::Database(error)) if error.code().as_deref() == Some(CANCELED) => Ok(None),
            answer => answer.map(Some),
        })
        .await
    }

    /// Runs a statement that gives one row.
    pub(super) async fn one(
        &mut self,
        limit: Duration,
        query: Query<'_, Postgres, PgArguments>,
    ) -> Result<PgRow, StoreError> {
        let query = self.prepared(query);
        self.call(limit, async |connection| query.fetch_one(connection).await).await
    }

    /// Runs a statement that gives one row or none.
    pub(super) async fn optional(
        &mut self,
        limit: Duration,
        query: Query<'_, Postgres, PgArguments>,
    ) -> Result<Option<PgRow>, StoreError> {
        let query = self.prepared(query);
        self.call(limit, async |connection| query.fetch_optional(connection).await).await
    }

    /// Runs a statement that gives any number of rows.
    pub(super) async fn all(
        &mut self,
        limit: Duration,
        query: Query<'_, Postgres, PgArguments>,
    ) -> Result<Vec<PgRow>, StoreError> {
        let query = self.prepared(query);
        self.call(limit, async |connection| query.fetch_all(connection).await).await
    }

    /// Runs a statement that gives no row.
    pub(super) async fn run(
        &mut self,
        limit: Duration,
        query: Query<'_, Postgres, PgArguments>,
    ) -> Result<PgQueryResult, StoreError> {
        let query = self.prepared(query);
        self.call(limit, async |connection| query.execute(connection).await).await
    }

    /// The statement, to be prepared once where a session lasts, and each time where none does.
    pub(super) fn prepared<'q>(&self, query: Query<'q, Postgres, PgArguments>) -> Query<'q, Postgres, PgArguments> {
        query.persistent(!self.is_pooled())
    }

    /// Does something with the connection, for no longer than `limit`.
    pub(super) async fn call<T>(
        &mut self,
        limit: Duration,
        work: impl AsyncFnOnce(&mut PgConnection) -> Result<T, sqlx::Error>,
    ) -> Result<T, StoreError> {
        // Taken out until it is known to be good: a future dropped halfway leaves nothing behind to go on with.
        let Some(mut connection) = self.connection.take() else {
            return Err(unavailable("the connection to the database was given up; open a new one"));
        };
        let answer = match self.begin.clone() {
            None => bounded(limit, work(&mut connection)).await?,
            Some(begin) => bounded(limit, in_transaction(&mut connection, begin, work)).await?,
        };
        self.connection = Some(connection);
        Ok(answer)
    }
}

/// Does something in a transaction that begins with all settings, so that all of it is done by one session.
async fn in_transaction<T>(
    connection: &mut PgConnection,
    begin: SqlStr,
    work: impl AsyncFnOnce(&mut PgConnection) -> Result<T, sqlx::Error>,
) -> Result<T, sqlx::Error> {
    let mut tx = connection.begin_with(begin).await?;
    let answer = work(&mut tx).await?;
    tx.commit().await?;
    Ok(answer)
}

/// Awaits the database no longer than `limit`.
pub(super) async fn bounded<T>(
    limit: Duration,
    call: impl Future<Output = Result<T, sqlx::Error>>,
) -> Result<T, StoreError> {
    let answer = tokio::time::timeout(limit, call).await;
    let late = || unavailable(format!("the database did not answer within {} s", limit.as_secs()));
    answer.map_err(|_| late())?.map_err(store_error)
}
