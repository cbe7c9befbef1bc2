//! What may be wrong with the server and the outbox in it.

use std::time::SystemTime;

use outbox_core::cleanup::Blocker;
use outbox_core::doctor::{self, Finding, Verdict, clock};
use outbox_core::{StoreError, WakeMode};
use sqlx::Row;
use sqlx::postgres::PgRow;

use super::access::{Purpose, check_row_security, examine_privileges};
use super::connection::{CALL, Link, READ, statement};
use super::fault::store_error;
use super::mender;
use super::status;
use super::store::{PgStore, check_version};
use super::wake::{Reason, reason_to_poll};

const SERVER_CHECKS: &str = outbox_core::sql::postgres::DOCTOR_SERVER;
const OUTBOX_CHECKS: &str = outbox_core::sql::postgres::DOCTOR_OUTBOX;
const CLOCK: &str = outbox_core::sql::postgres::DOCTOR_CLOCK;
const SERVER: &str = outbox_core::sql::postgres::STORE_SERVER;

/// Looks at the server first, then, if its tables are there and may be read, at the outbox.
pub(super) async fn examine(mut link: Link, store: &PgStore) -> Result<Vec<Finding>, StoreError> {
    let mut findings = findings(&mut link, sqlx::query(SERVER_CHECKS)).await?;
    findings.push(clocks(&mut link).await?);
    findings.push(Finding::ok("pooler", pooler(link.is_pooled())));
    let tables = tables(&mut link, store).await;
    let are_there = tables.is_ok();
    findings.push(Finding::told("tables", "as this build makes them", tables)?);
    if !are_there {
        return Ok(findings);
    }
    let (privileges, may_read) = examine_privileges(&mut link, &store.names).await?;
    findings.push(privileges);
    let policies = check_row_security(&mut link, &store.names).await;
    let hides = policies.is_err();
    findings.push(Finding::told("row security", "no policy hides a row from this user", policies)?);
    if !may_read || hides {
        return Ok(findings);
    }
    let version = check_version(&mut link, &store.names).await.map(drop);
    let is_known = version.is_ok();
    findings.push(Finding::told("version", "the one this build knows", version)?);
    if is_known {
        findings.push(waking(&mut link, store).await?);
        findings.extend(self::findings(&mut link, sqlx::query(statement(&store.names, OUTBOX_CHECKS))).await?);
        findings.push(emptying(store).await);
        findings.extend(mender::examine(&mut link, &store.names, &store.address()).await?.findings());
    }
    Ok(findings)
}

fn pooler(is_pooled: bool) -> &'static str {
    if is_pooled {
        "one that hands out a connection for each transaction: the relay says with each how it is to be run"
    } else {
        "none, or one that keeps sessions"
    }
}

/// What keeps segments from being emptied.
async fn emptying(store: &PgStore) -> Finding {
    let blocked = async {
        // Over a connection of its own, whose session is made for that look.
        let mut surveying = Link::open(&store.address, READ).await?;
        status::blocked(&mut surveying, &store.names).await
    };
    let named = |(segment, why): (i16, Blocker)| Blocker { what: format!("segment {segment}: {}", why.what), ..why };
    doctor::emptying(&match blocked.await {
        Ok(blocked) => blocked.into_iter().map(named).collect(),
        Err(error) => vec![Blocker::unseen(&error)],
    })
}

/// Whether writers would wake a relay whose settings say nothing of it.
async fn waking(link: &mut Link, store: &PgStore) -> Result<Finding, StoreError> {
    let mut finding = Finding::ok("wake", "writers of the library wake a relay that sleeps");
    if let Some(Reason { found, remedy, by_choice }) = reason_to_poll(link, &store.names, WakeMode::Auto).await? {
        finding.found = format!("a relay polls: {found}");
        finding.remedy = Some(remedy);
        finding.verdict = if by_choice { Verdict::Ok } else { Verdict::Warning };
    }
    Ok(finding)
}

type Query<'q> = sqlx::query::Query<'q, sqlx::Postgres, sqlx::postgres::PgArguments>;

async fn findings(link: &mut Link, query: Query<'_>) -> Result<Vec<Finding>, StoreError> {
    let rows = link.all(READ, query).await?;
    let finding = |row: &PgRow| {
        let verdict: String = row.try_get("verdict")?;
        Ok(Finding::of(row.try_get("name")?, &verdict, row.try_get("found")?, row.try_get("remedy")?))
    };
    rows.iter().map(finding).collect::<Result<_, _>>().map_err(store_error)
}

async fn clocks(link: &mut Link) -> Result<Finding, StoreError> {
    let row = link.one(CALL, sqlx::query(CLOCK)).await?;
    let here = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    Ok(clock(row.try_get(0).map_err(store_error)?, here.as_secs_f64()))
}

async fn tables(link: &mut Link, store: &PgStore) -> Result<(), StoreError> {
    let server = link.one(CALL, sqlx::query(statement(&store.names, SERVER))).await?;
    store.check_tables(link, &server, Purpose::Relay).await
}
