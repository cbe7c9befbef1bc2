//! What may be wrong with the file and the outbox in it.

use std::path::Path;

use outbox_core::StoreError;
use outbox_core::doctor::{Finding, Verdict};
use sqlx::sqlite::{SqliteConnection, SqliteRow};
use sqlx::{Connection, Row};

use super::connection::{BEGIN_WRITE, CALL, WALK, bounded, open, statement};
use super::store::SqliteStore;

const CHECKS: &str = outbox_core::sql::sqlite::DOCTOR_OUTBOX;

/// A write-ahead log beyond this many bytes is one that no checkpoint could shorten for a long time.
const LARGE_WAL: u64 = 64 << 20;

/// Looks at the file, then, if the tables are there, at the outbox.
pub(super) async fn examine(store: &SqliteStore) -> Result<Vec<Finding>, StoreError> {
    let mut findings = Vec::new();
    let inspected = store.inspected().await;
    match inspected {
        Ok((mut connection, database)) => {
            findings.push(Finding::ok("library", format!("SQLite {}", database.server_version)));
            findings.push(Finding::ok("tables", "there, in the version this build knows"));
            findings.extend(checks(&mut connection, store).await?);
        }
        Err(error) => findings.push(Finding::told("tables", "", Err(error))?),
    }
    if store.options.get_filename().exists() {
        findings.push(writable(store).await?);
        findings.push(log_size(store.options.get_filename()));
    }
    Ok(findings)
}

async fn checks(connection: &mut SqliteConnection, store: &SqliteStore) -> Result<Vec<Finding>, StoreError> {
    let finding = |row: &SqliteRow| {
        let verdict: String = row.try_get("verdict")?;
        Ok(Finding {
            check: row.try_get("name")?,
            verdict: Verdict::parse(&verdict),
            found: row.try_get("found")?,
            remedy: row.try_get("remedy")?,
        })
    };
    let rows = async {
        let rows = sqlx::query(statement(&store.names, CHECKS)).fetch_all(connection).await?;
        rows.iter().map(finding).collect()
    };
    bounded(WALK, rows).await
}

/// Whether a relay could write its checkpoints: a write that is taken back.
async fn writable(store: &SqliteStore) -> Result<Finding, StoreError> {
    let mut connection = open(&store.options).await?;
    let written = bounded(CALL, async { connection.begin_with(BEGIN_WRITE).await?.rollback().await }).await;
    // That it cannot be written to is the answer, not a failure to ask.
    Ok(written.map_or_else(
        |error| {
            Finding::failed(
                "writable",
                error.to_string(),
                "see who else has the file open, and who may write to its folder",
            )
        },
        |()| Finding::ok("writable", "file and folder"),
    ))
}

fn log_size(file: &Path) -> Finding {
    let mut name = file.as_os_str().to_owned();
    name.push("-wal");
    let bytes = std::fs::metadata(name).map_or(0, |wal| wal.len());
    let mut finding = Finding::ok("write-ahead log", format!("{} MiB", bytes >> 20));
    if bytes > LARGE_WAL {
        finding.verdict = Verdict::Warning;
        finding.remedy =
            Some("somebody reads in one long transaction, so that the log cannot be taken in; end it".into());
    }
    finding
}
