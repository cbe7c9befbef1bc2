//! Lets writers wake a relay by `NOTIFY`, which they send only while the sequence `outbox_wake` says that one sleeps.
//!
//! The sequence holds the time until which a relay sleeps, by the server's clock: a relay that died does not leave writers
//! telling for ever. Not larger than zero: somebody was told already, and is awake.

use std::collections::BTreeSet;
use std::time::Duration;

use async_trait::async_trait;
use outbox_core::source::Holder;
use outbox_core::wake::{Armed, Wake, WakeMode, Waking};
use outbox_core::{Names, StoreError};
use sqlx::postgres::types::Oid;
use sqlx::postgres::{PgArguments, PgListener, PgNotification, PgRow, Postgres};
use sqlx::query::Query;
use sqlx::{Row, SqlStr};

use super::address::Address;
use super::connection::{CALL, Link, bounded, statement};
use super::fault::{store_error, unavailable};
use super::source::holder;

const SESSION: &str = outbox_core::sql::postgres::STORE_SESSION;
const READY: &str = outbox_core::sql::postgres::WAKE_READY;
const ANCHOR: &str = outbox_core::sql::postgres::SOURCE_ANCHOR;
const EVIDENCE: &str = outbox_core::sql::postgres::SOURCE_EVIDENCE;
const ARM: &str = outbox_core::sql::postgres::WAKE_ARM;
const DISARM: &str = outbox_core::sql::postgres::WAKE_DISARM;

/// How long an answer may take before the connection counts as lost: a relay sleeps meanwhile.
const ANSWER: Duration = Duration::from_secs(2);

/// Why a relay is not told.
pub(super) struct Reason {
    pub(super) found: String,
    /// What to do about it.
    pub(super) remedy: String,
    /// Whether it is meant to be so unless the settings say otherwise.
    pub(super) by_choice: bool,
}

/// The relay's end of the channel.
struct PgWake {
    listener: PgListener,
    channel: String,
    arm: SqlStr,
    disarm: SqlStr,
    evidence: SqlStr,
    database: Oid,
    tables: Vec<Oid>,
    started: i64,
    /// The largest value that was told.
    told: i64,
}

/// Opens a connection that is told, unless it must not be or never would be.
pub(super) async fn wake(address: &Address, names: &Names, mode: WakeMode) -> Result<Waking, StoreError> {
    if mode == WakeMode::Poll {
        return Ok(Waking::Polling("the settings say so".to_owned()));
    }
    let mut link = Link::open(address, CALL).await?;
    if let Some(Reason { found, remedy, .. }) = reason_to_poll(&mut link, names, mode).await? {
        return Ok(Waking::Polling(format!("{found}; {remedy}")));
    }
    Ok(Waking::Told(Box::new(PgWake::open(address, names, &mut link).await?)))
}

/// Why a relay is not told over this link.
pub(super) async fn reason_to_poll(
    link: &mut Link,
    names: &Names,
    mode: WakeMode,
) -> Result<Option<Reason>, StoreError> {
    let reason = |found: String, remedy: String, by_choice| Ok(Some(Reason { found, remedy, by_choice }));
    if link.is_pooled() {
        let found = "a pooler hands out a connection for each transaction, over which nobody is told anything";
        let remedy = "point the relay at the database itself, or at a pooler in session mode";
        return reason(found.to_owned(), remedy.to_owned(), false);
    }
    let ready = link.one(CALL, sqlx::query(statement(names, READY))).await?;
    if !ready.try_get::<bool, _>("may_arm").map_err(store_error)? {
        let remedy: String = ready.try_get("remedy").map_err(store_error)?;
        let found = "this user may not change the sequence by which writers are asked to tell";
        return reason(found.to_owned(), format!("as the owner of the tables run: {remedy}"), false);
    }
    let prepared: i32 = ready.try_get("prepared").map_err(store_error)?;
    if prepared == 0 || mode == WakeMode::Notify {
        return Ok(None);
    }
    let found =
        format!("max_prepared_transactions is {prepared}, and a transaction that has told a relay cannot be prepared");
    reason(found, "if no writer of events prepares its transaction, write wake = \"notify\"".to_owned(), true)
}

impl PgWake {
    async fn open(address: &Address, names: &Names, link: &mut Link) -> Result<Self, StoreError> {
        let anchor = link.one(CALL, sqlx::query(statement(names, ANCHOR))).await?;
        let ready = link.one(CALL, sqlx::query(statement(names, READY))).await?;
        let channel: String = ready.try_get("channel").map_err(store_error)?;
        let mut wake = Self {
            listener: bounded(CALL, address.listener(&channel)).await?,
            channel,
            arm: statement(names, ARM),
            disarm: statement(names, DISARM),
            evidence: statement(names, EVIDENCE),
            database: anchor.try_get("database").map_err(store_error)?,
            tables: anchor.try_get("tables").map_err(store_error)?,
            started: anchor.try_get("started").map_err(store_error)?,
            told: 0,
        };
        let limit = (ANSWER + Duration::from_secs(5)).as_millis().to_string();
        wake.one(sqlx::query(SESSION).bind(limit)).await?;
        wake.one(sqlx::query(statement(names, READY))).await?;
        Ok(wake)
    }

    async fn one(&mut self, query: Query<'_, Postgres, PgArguments>) -> Result<PgRow, StoreError> {
        bounded(ANSWER, query.fetch_one(&mut self.listener)).await
    }

    fn heard(&mut self, notification: &PgNotification) {
        // A coordinator of prepared transactions tells without a value.
        self.told = self.told.max(notification.payload().parse().unwrap_or(0));
    }
}

#[async_trait]
impl Wake for PgWake {
    async fn arm(&mut self, length: Duration) -> Result<Armed, StoreError> {
        let armed = self.one(sqlx::query(self.arm.clone()).bind(length.as_secs_f64())).await?;
        if armed.try_get::<&str, _>("channel").map_err(store_error)? != self.channel {
            return Err(unavailable("the outbox was made anew"));
        }
        Ok(Armed {
            continued: armed.try_get::<Option<bool>, _>("continued").map_err(store_error)? == Some(true),
            last_position: armed.try_get("last_position").map_err(store_error)?,
        })
    }

    async fn writers(&mut self) -> Result<BTreeSet<Holder>, StoreError> {
        let query = sqlx::query(self.evidence.clone()).bind(true).bind(self.database).bind(self.tables.clone());
        let row = self.one(query).await?;
        let holders: Option<Vec<String>> = row.try_get("holders").map_err(store_error)?;
        if row.try_get::<bool, _>("standby").map_err(store_error)?
            || row.try_get::<i64, _>("started").map_err(store_error)? != self.started
        {
            return Err(unavailable("the server was restarted, or has become a standby"));
        }
        Ok(holders.unwrap_or_default().iter().map(|name| holder(name)).collect())
    }

    async fn told(&mut self) -> Result<(), StoreError> {
        match self.listener.try_recv().await.map_err(store_error)? {
            Some(notification) => {
                self.heard(&notification);
                Ok(())
            }
            None => Err(unavailable("the connection to the database was lost")),
        }
    }

    async fn disarm(&mut self) -> Result<(), StoreError> {
        while let Some(notification) = self.listener.next_buffered() {
            self.heard(&notification);
        }
        if self.told > 0 {
            let query = sqlx::query(self.disarm.clone()).bind(self.told);
            bounded(ANSWER, query.fetch_optional(&mut self.listener)).await?;
            self.told = 0;
        }
        Ok(())
    }
}
