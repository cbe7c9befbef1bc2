//! What may be wrong with the file and the outbox in it.

use std::path::Path;

use outbox_core::cleanup::Blocker;
use outbox_core::doctor::{self, Finding, Verdict};
use outbox_core::{Names, StoreError};
use sqlx::sqlite::{SqliteConnection, SqliteRow};
use sqlx::{Connection, Row};

use super::connection::{BEGIN_WRITE, CALL, WALK, bounded, statement};
use super::mender;
use super::status;
use super::store::SqliteStore;

const CHECKS: &str = outbox_core::sql::sqlite::DOCTOR_OUTBOX;
const WRITE: &str = outbox_core::sql::sqlite::DOCTOR_WRITE;

/// A write-ahead log beyond this many bytes is one that no checkpoint could shorten for a long time.
const LARGE_WAL: u64 = 64 << 20;

/// Looks at the file, then, if the tables are there, at the outbox.
pub(super) async fn examine(store: &SqliteStore) -> Result<Vec<Finding>, StoreError> {
    let (mut connection, database) = match store.inspected().await {
        Ok(inspected) => inspected,
        // A file that cannot be opened or read is an answer too.
        Err(error) => return Ok(vec![Finding::refused("tables", &error)]),
    };
    let mut findings = vec![
        Finding::ok("library", format!("SQLite {}", database.server_version)),
        Finding::ok("tables", "there, in the version this build knows"),
    ];
    findings.extend(checks(&mut connection, store).await?);
    let trouble = bounded(CALL, status::trouble(&mut connection, &store.names)).await?;
    findings.push(doctor::emptying(&trouble.map(Blocker::noted).into_iter().collect::<Vec<_>>()));
    findings.extend(mender::examine(&mut connection, &store.names, store.file()).await?.findings());
    let written = can_write(&mut connection, &store.names).await;
    findings.push(
        written
            .map_or_else(|error| Finding::refused("writable", &error), |()| Finding::ok("writable", "file and folder")),
    );
    findings.push(log_size(store.options.get_filename()));
    Ok(findings)
}

async fn checks(connection: &mut SqliteConnection, store: &SqliteStore) -> Result<Vec<Finding>, StoreError> {
    let finding = |row: &SqliteRow| {
        let verdict: String = row.try_get("verdict")?;
        Ok(Finding::of(row.try_get("name")?, &verdict, row.try_get("found")?, row.try_get("remedy")?))
    };
    let rows = async {
        let rows = sqlx::query(statement(&store.names, CHECKS)).fetch_all(connection).await?;
        rows.iter().map(finding).collect()
    };
    bounded(WALK, rows).await
}

/// Whether a relay could write its checkpoints: a write that is taken back.
pub(super) async fn can_write(connection: &mut SqliteConnection, names: &Names) -> Result<(), StoreError> {
    let written = async {
        let mut tx = connection.begin_with(BEGIN_WRITE).await?;
        sqlx::query(statement(names, WRITE)).execute(&mut *tx).await?;
        tx.rollback().await
    };
    bounded(CALL, written).await
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
