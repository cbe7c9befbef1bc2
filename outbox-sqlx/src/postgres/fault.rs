//! What an error of the driver means. Texts hold the server's message and never its detail, which may show values.

use outbox_core::{StoreError, StoreErrorKind};
use sqlx::error::DatabaseError;
use sqlx::postgres::PgDatabaseError;

use StoreErrorKind::{Fenced, Precondition, Unavailable};

/// Something a person must change first.
pub(super) fn precondition(message: impl Into<String>) -> StoreError {
    StoreError::new(Precondition, message)
}

/// Something that may be different later.
pub(super) fn unavailable(message: impl Into<String>) -> StoreError {
    StoreError::new(Unavailable, message)
}

/// Another relay holds a newer epoch.
pub(super) fn fenced(subscription: &str, epoch: i64) -> StoreError {
    StoreError::new(
        Fenced,
        format!("subscription `{subscription}` is another relay's by now: epoch {epoch} is out of date"),
    )
}

/// Maps an error of the driver. The driver's own value is not kept as the cause: its debug form shows the detail.
pub(super) fn store_error(error: sqlx::Error) -> StoreError {
    match error {
        sqlx::Error::Database(error) => refused(error.as_ref()),
        sqlx::Error::Io(cause) => unavailable("the connection to the database failed").caused_by(cause),
        sqlx::Error::Tls(cause) => unavailable(format!(
            "no TLS connection to the database: {cause}; check `sslmode` and `sslrootcert` in the database URL"
        )),
        sqlx::Error::Configuration(_) => {
            precondition("the options of the database connection are not understood; check its URL")
        }
        sqlx::Error::ColumnDecode { .. }
        | sqlx::Error::ColumnNotFound(_)
        | sqlx::Error::Decode(_)
        | sqlx::Error::RowNotFound => precondition(
            "a table of the outbox is not as `outbox-relay migrate` made it; compare it with `outbox-relay migrate --print`",
        ),
        sqlx::Error::Encode(_) | sqlx::Error::InvalidArgument(_) => {
            precondition("a value cannot be sent to the database")
        }
        other => unavailable(format!("the connection to the database failed: {other}")),
    }
}

/// What the server's code means; see PostgreSQL's appendix of error codes.
fn refused(error: &dyn DatabaseError) -> StoreError {
    let code = error.code().unwrap_or_default();
    let message = error.message();
    let hint = match code.as_ref() {
        "42501" if routine(error) == Some("check_enable_rls") => {
            "policies must hide no row from a relay; `outbox-relay doctor` names the table and the remedy"
        }
        "28P01" | "28000" => "check user, password and pg_hba.conf",
        "3D000" => "create the database, or mend its name in the URL",
        "42501" if routine(error) == Some("CreateRole") => {
            "let somebody who has CREATEROLE run what `outbox-relay migrate --roles --print` shows"
        }
        "42501" => "grant the missing privilege, which `outbox-relay doctor` names",
        "42P01" | "3F000" => "run `outbox-relay migrate` on this database, with the schema and prefix the relay uses",
        "42703" => {
            "a table of the outbox's is not as `outbox-relay migrate` makes it; compare it with `outbox-relay migrate --print`, or \
             set another schema or prefix"
        }
        "42P07" => "a table of that name is there already; set another schema or prefix",
        "42704" => "check that the server is PostgreSQL 14 or newer",
        "25006" => "the database is read-only; point the relay at the primary",
        _ => "",
    };
    let text = if hint.is_empty() {
        format!("the database refused a statement: {message} (code {code})")
    } else {
        format!("the database refused a statement: {message} (code {code}); {hint}")
    };
    StoreError::new(kind(&code), text)
}

/// The place in the server's code, which tells apart what has one code, whatever the language of the text.
fn routine(error: &dyn DatabaseError) -> Option<&str> {
    error.try_downcast_ref::<PgDatabaseError>().and_then(PgDatabaseError::routine)
}

fn kind(code: &str) -> StoreErrorKind {
    // A class at a time: connection, resources, operator, system and internal errors, rollbacks, locks, wrong state.
    const PASSING: [&str; 8] = ["08", "25", "40", "53", "55", "57", "58", "XX"];
    if PASSING.iter().any(|class| code.starts_with(class)) { Unavailable } else { Precondition }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_have_the_kind_a_relay_can_act_on() {
        for code in ["57P01", "57P03", "57014", "53300", "08006", "25006", "40001", "40P01", "55P03", "58030"] {
            assert_eq!(kind(code), Unavailable, "{code}");
        }
        for code in ["28P01", "28000", "3D000", "42501", "42P01", "42P07", "22021"] {
            assert_eq!(kind(code), Precondition, "{code}");
        }
    }
}
