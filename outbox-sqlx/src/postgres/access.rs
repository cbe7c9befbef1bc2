//! What a user must be allowed, and what the tables must be, each refused with the statement that mends it.

use outbox_core::doctor::{Finding, Verdict};
use outbox_core::{Names, StoreError};
use sqlx::Row;
use sqlx::postgres::PgRow;

use super::connection::{CALL, Link, statement};
use super::fault::{precondition, store_error};
use crate::refusal::refuse_without;

const PRIVILEGES: &str = outbox_core::sql::postgres::STORE_PRIVILEGES;
const ROW_SECURITY: &str = outbox_core::sql::postgres::STORE_ROW_SECURITY;
const SHAPE: &str = outbox_core::sql::postgres::STORE_SHAPE;

/// What somebody needs privileges for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Purpose {
    /// To publish, and to write down how far that has come.
    Relay,
    /// To read every table.
    Status,
    /// To read the log.
    Reading,
}

impl Purpose {
    /// The word of `store_privileges.sql`.
    fn word(self) -> &'static str {
        match self {
            Self::Relay => "relay",
            Self::Status => "operator",
            Self::Reading => "reader",
        }
    }
}

/// Refuses a user that lacks a privilege, or from whom a policy may hide rows.
pub(super) async fn check_access(link: &mut Link, names: &Names, purpose: Purpose) -> Result<(), StoreError> {
    check_privileges(link, names, purpose).await?;
    check_row_security(link, names).await
}

/// Refuses a user that lacks a privilege.
async fn check_privileges(link: &mut Link, names: &Names, purpose: Purpose) -> Result<(), StoreError> {
    let missing = missing(&privileges(link, names, purpose).await?)?;
    if missing.is_empty() { Ok(()) } else { Err(lacking(&missing)) }
}

/// What `doctor` thinks of the user's privileges, and whether they suffice to look any further.
pub(super) async fn examine_privileges(link: &mut Link, names: &Names) -> Result<(Finding, bool), StoreError> {
    let rows = privileges(link, names, Purpose::Relay).await?;
    let missing = missing(&rows)?;
    if missing.is_empty() {
        return Ok((Finding::ok("privileges", "this user has what a relay needs"), true));
    }
    let finding = Finding::refused("privileges", &lacking(&missing));
    if check_privileges(link, names, Purpose::Status).await.is_err() {
        return Ok((finding, false));
    }
    // Whoever may write nothing at all is not meant to relay.
    let writes: Vec<bool> =
        rows.iter().map(|row| row.try_get("writes")).collect::<Result<_, _>>().map_err(store_error)?;
    if writes.contains(&true) {
        return Ok((finding, true));
    }
    let found = "this user may look on, and not relay".to_owned();
    Ok((Finding { verdict: Verdict::Warning, found, ..finding }, true))
}

async fn privileges(link: &mut Link, names: &Names, purpose: Purpose) -> Result<Vec<PgRow>, StoreError> {
    link.all(CALL, sqlx::query(statement(names, PRIVILEGES)).bind(purpose.word())).await
}

fn missing(rows: &[PgRow]) -> Result<Vec<String>, StoreError> {
    let missing = rows.iter().map(|row| row.try_get("missing")).collect::<Result<Vec<Option<String>>, _>>();
    Ok(missing.map_err(store_error)?.into_iter().flatten().collect())
}

fn lacking(missing: &[String]) -> StoreError {
    precondition(format!("the user lacks privileges; as the owner of the tables run: {}", missing.join("; ")))
}

/// Refuses a user from whom a policy may hide rows.
pub(super) async fn check_row_security(link: &mut Link, names: &Names) -> Result<(), StoreError> {
    let rows = link.all(CALL, sqlx::query(statement(names, ROW_SECURITY))).await?;
    if rows.is_empty() {
        return Ok(());
    }
    let (tables, mut remedies) = (texts(&rows, "table_name")?, texts(&rows, "remedy")?);
    remedies.dedup();
    Err(precondition(format!(
        "row level security may hide rows of {} from this user, which would lose events; run: {}",
        tables.join(", "),
        remedies.join("; ")
    )))
}

/// Refuses a log that `migrate` did not make, which has the name by chance, and one whose other tables somebody dropped.
pub(super) async fn check_shape(link: &mut Link, names: &Names) -> Result<(), StoreError> {
    let log = names.quoted("event").replace('"', "");
    let Some(row) = link.optional(CALL, sqlx::query(statement(names, SHAPE))).await? else {
        return Err(precondition(format!(
            "the table {log} is missing; restore it, or run `outbox-relay migrate` under another prefix"
        )));
    };
    let kind: String = row.try_get("kind").map_err(store_error)?;
    let missing: Option<String> = row.try_get("missing").map_err(store_error)?;
    let absent: String = row.try_get("absent").map_err(store_error)?;
    let wrong = match (kind.as_str(), missing) {
        ("p", None) => return refuse_without(&absent.replace('"', "")),
        (_, Some(columns)) => format!("it lacks the columns {columns}, or has them in other types"),
        ("v" | "m", None) => "it is a view".to_owned(),
        (_, None) => "it is not partitioned, so nothing could ever be removed from it".to_owned(),
    };
    Err(precondition(format!(
        "{log} is not the log that `outbox-relay migrate` makes: {wrong}; set another schema or prefix and run `outbox-relay migrate`"
    )))
}

fn texts(rows: &[PgRow], column: &str) -> Result<Vec<String>, StoreError> {
    rows.iter().map(|row| row.try_get(column)).collect::<Result<_, _>>().map_err(store_error)
}
