//! `outbox-relay migrate`: creates the outbox tables, and the roles that may use them.

use outbox_core::schema::{self, MAX_SEGMENTS};
use outbox_core::{StoreError, StoreErrorKind};
use outbox_sqlx::Migrated;
use serde::Serialize;

use crate::adapter;
use crate::arguments::{Global, Migrate};
use crate::exit::{Exit, Failure};
use crate::settings::{Database, Kind};

/// The form of the JSON.
#[derive(Serialize)]
struct Told {
    changed: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    roles: Option<[String; 3]>,
}

/// Creates the tables, or shows the SQL that would.
pub(crate) async fn execute(flags: &Migrate, database: &Database, global: &Global) -> Result<Exit, Failure> {
    if flags.roles && database.kind == Kind::Sqlite {
        return Err(no_roles().into());
    }
    let segments = flags.segments.unwrap_or(MAX_SEGMENTS);
    if flags.print {
        super::print(&shown(flags, database, segments))?;
        return Ok(Exit::Done);
    }
    adapter::refuse_another_instance(database).await?;
    let migrated = adapter::migrate(database, segments).await?;
    let resized = match flags.segments {
        Some(segments) if migrated != Migrated::Created => adapter::resize(database, segments).await?,
        _ => false,
    };
    if flags.roles {
        adapter::create_roles(database).await?;
    }
    let trigger = match flags.wake_trigger() {
        Some(wanted) => adapter::set_wake_trigger(database, wanted).await?,
        None => false,
    };
    let roles = flags.roles.then(|| schema::ROLES.map(|role| database.names.role(role)));
    if global.json {
        let told = Told { changed: migrated.changed() || resized || trigger, roles };
        let line = serde_json::to_string(&told).map_err(|error| Failure::Output(error.into()))?;
        super::print(&format!("{line}\n"))?;
    } else if !global.quiet {
        super::print(&said(flags, database, migrated, resized))?;
        if let Some(roles) = roles {
            super::print(&format!("the roles {} may do what they need\n", roles.join(", ")))?;
        }
        super::print(&said_of_trigger(flags, database, trigger))?;
    }
    Ok(Exit::Done)
}

fn no_roles() -> StoreError {
    let message = "SQLite has no roles; let the permissions of the file and its folder say who may write";
    StoreError::new(StoreErrorKind::Precondition, message)
}

fn shown(flags: &Migrate, database: &Database, segments: u8) -> String {
    match (database.kind, flags.wake_trigger()) {
        (Kind::Postgres, _) if flags.roles => schema::postgres_roles(&database.names),
        (Kind::Postgres, None) => schema::postgres(&database.names, segments),
        (Kind::Postgres, Some(wanted)) => schema::postgres_wake_trigger(&database.names, wanted),
        (Kind::Sqlite, _) => schema::sqlite(&database.names),
    }
}

fn said_of_trigger(flags: &Migrate, database: &Database, changed: bool) -> String {
    let what = match (flags.wake_trigger(), database.kind, changed) {
        (None, ..) => return String::new(),
        (Some(_), Kind::Sqlite, _) => "SQLite needs no trigger to wake a relay",
        (Some(true), _, true) => "writers in plain SQL wake a relay from now on",
        (Some(true), _, false) => "writers in plain SQL wake a relay already",
        (Some(false), _, true) => "writers in plain SQL wake no relay any more",
        (Some(false), _, false) => "writers in plain SQL wake no relay",
    };
    format!("{what}\n")
}

fn said(flags: &Migrate, database: &Database, migrated: Migrated, resized: bool) -> String {
    let plain = |name| database.names.quoted(name).replace('"', "");
    let tables = format!("{} and the other {} tables", plain("event"), plain(""));
    let tables = match migrated {
        Migrated::Created => return format!("created {tables}\n"),
        Migrated::Upgraded { from } => {
            format!("brought {tables} from revision {from} to revision {}", schema::REVISION)
        }
        Migrated::Nothing => format!("{tables} are up to date"),
    };
    let segments = match (flags.segments, database.kind) {
        (Some(segments), Kind::Postgres) if resized => format!("; the log uses {segments} segments now"),
        (Some(_), Kind::Sqlite) => "; SQLite has no segments".to_owned(),
        _ => String::new(),
    };
    format!("{tables}{segments}\n")
}
