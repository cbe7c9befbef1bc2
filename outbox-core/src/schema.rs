//! The tables of the outbox, as SQL that runs as it stands.
//!
//! Hand [`POSTGRES`] or [`SQLITE`] to the migration tool the application has, or let `outbox-relay migrate` run it.
//!
//! ```text
//!  migrate.sql ─► revision 1 ─► migrate_2.sql ─► revision 2 ─► migrate_3.sql ─► revision 3 ─► …
//! ```
//!
//! The *version* of the tables says what relays and writers agree upon; it changes only when an older build can no longer
//! work on them. A *revision* adds to the tables: relays and writers of an older revision work on meanwhile and afterwards,
//! a build asks for the revision it was made for. So an upgrade begins with `migrate` of the new build, and then takes the
//! processes one by one.

use crate::error::{StoreError, StoreErrorKind};
use crate::names::Names;
use crate::store::SCHEMA_VERSION;

/// The revision this build needs at least.
pub const REVISION: u32 = 3;

/// The tables on PostgreSQL, with eight segments and default names.
pub const POSTGRES: &str = concat!(
    include_str!("../sql/postgres/migrate.sql"),
    "\n",
    include_str!("../sql/postgres/migrate_2.sql"),
    "\n",
    include_str!("../sql/postgres/migrate_3.sql"),
);

/// The tables on SQLite, with default names.
pub const SQLITE: &str = concat!(
    include_str!("../sql/sqlite/migrate.sql"),
    "\n",
    include_str!("../sql/sqlite/migrate_2.sql"),
    "\n",
    include_str!("../sql/sqlite/migrate_3.sql"),
);

/// What brings the tables of PostgreSQL from one revision to the next: the first entry from 1 to 2.
const POSTGRES_STEPS: [&str; 2] = [crate::sql::postgres::MIGRATE_2, crate::sql::postgres::MIGRATE_3];

/// What brings the tables of SQLite from one revision to the next.
const SQLITE_STEPS: [&str; 2] = [crate::sql::sqlite::MIGRATE_2, crate::sql::sqlite::MIGRATE_3];

/// The most segments a PostgreSQL outbox has: beyond it small reads become several times dearer.
pub const MAX_SEGMENTS: u8 = 8;

/// The tables on PostgreSQL under other names, with the first `segments` of the eight segments (at least 1).
pub fn postgres(names: &Names, segments: u8) -> String {
    let beyond = |line: &&str| {
        (segments.max(1)..MAX_SEGMENTS)
            .any(|segment| line.starts_with(&format!("CREATE TABLE outbox_event_{segment} ")))
    };
    let rendered = names.render(POSTGRES);
    let kept = POSTGRES.lines().zip(rendered.lines()).filter(|(line, _)| !beyond(line)).map(|(_, rendered)| rendered);
    kept.flat_map(|line| [line, "\n"]).collect()
}

/// What the roles on PostgreSQL are called behind their prefix: who writes events, who relays them, and who looks on.
pub const ROLES: [&str; 3] = ["writer", "relay", "operator"];

/// The roles on PostgreSQL and what each may do to the tables that have these names, as SQL that runs as it stands and
/// changes nothing the second time.
pub fn postgres_roles(names: &Names) -> String {
    let mut sql = names.render(crate::sql::postgres::ROLES).into_owned();
    // Table and role of the relay have one name, and a role belongs to no schema: what stands before it tells which it is.
    for (role, before) in
        ROLES.iter().flat_map(|role| ["TO ", "ROLE ", "GRANT ", "to_regrole('"].map(|before| (role, before)))
    {
        let (table, role) = (names.quoted(role), names.role(role));
        sql = sql.replace(&format!("{before}{table}"), &format!("{before}\"{role}\""));
    }
    sql
}

/// The trigger by which writers in plain SQL wake a relay on PostgreSQL, or what takes it away.
pub fn postgres_wake_trigger(names: &Names, wanted: bool) -> String {
    use crate::sql::postgres::{WAKE_TRIGGER, WAKE_TRIGGER_REMOVE};
    names.render(if wanted { WAKE_TRIGGER } else { WAKE_TRIGGER_REMOVE }).into_owned()
}

/// The tables on SQLite under other names.
pub fn sqlite(names: &Names) -> String {
    names.render(SQLITE).into_owned()
}

/// What brings tables on PostgreSQL of this revision to [`REVISION`], a step for each revision between.
pub fn postgres_upgrade(names: &Names, from: u32) -> Vec<String> {
    upgrade(&POSTGRES_STEPS, names, from)
}

/// What brings tables on SQLite of this revision to [`REVISION`], a step for each revision between.
pub fn sqlite_upgrade(names: &Names, from: u32) -> Vec<String> {
    upgrade(&SQLITE_STEPS, names, from)
}

fn upgrade(steps: &[&'static str], names: &Names, from: u32) -> Vec<String> {
    let done = usize::try_from(from.max(1) - 1).unwrap_or(usize::MAX);
    steps.iter().skip(done).map(|step| names.render(step).into_owned()).collect()
}

/// The revision that the row `revision` of `outbox_meta` tells; the tables of the first have none.
///
/// # Errors
///
/// [`StoreErrorKind::Precondition`] for text that no migration wrote.
pub fn revision(told: Option<&str>) -> Result<u32, StoreError> {
    told.map_or(Ok(1), |text| text.parse().map_err(|_| damaged("revision")))
}

/// Refuses tables that this build cannot work on, by the rows `schema_version` and `revision` of `outbox_meta`.
///
/// # Errors
///
/// [`StoreErrorKind::Precondition`] with what to do about it.
pub fn check(version: Option<&str>, told_revision: Option<&str>) -> Result<(), StoreError> {
    let found: u32 = version.and_then(|version| version.parse().ok()).ok_or_else(|| damaged("schema_version"))?;
    let known = SCHEMA_VERSION;
    if found != known {
        let newer = if found > known { "use a newer build" } else { "run `outbox-relay migrate` of this build" };
        return Err(precondition(format!(
            "the outbox tables have version {found} and this build knows {known}; {newer}"
        )));
    }
    let found = revision(told_revision)?;
    if found < REVISION {
        return Err(precondition(format!(
            "the outbox tables have revision {found} and this build needs {REVISION}; run `outbox-relay migrate` of this \
             build: what runs already works on meanwhile"
        )));
    }
    Ok(())
}

fn damaged(row: &str) -> StoreError {
    precondition(format!("the row `{row}` of the table `meta` is damaged; restore it from a backup"))
}

fn precondition(message: String) -> StoreError {
    StoreError::new(StoreErrorKind::Precondition, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_many_segments_as_asked_for() {
        for segments in 1..=MAX_SEGMENTS {
            let sql = postgres(&Names::default(), segments);
            assert_eq!(sql.matches("PARTITION OF").count(), usize::from(segments));
        }
        assert_eq!(postgres(&Names::default(), 8), POSTGRES);
    }

    #[test]
    fn tables_of_another_version_or_an_older_revision_are_refused_with_what_to_do() {
        let refusal = |version, revision| check(version, revision).unwrap_err().to_string();
        check(Some("1"), Some("3")).unwrap();
        check(Some("1"), Some("99")).unwrap();
        assert!(refusal(Some("1"), None).contains("revision 1 and this build needs 3; run `outbox-relay migrate`"));
        assert!(refusal(Some("2"), Some("2")).contains("newer build"));
        assert!(refusal(Some("0"), Some("2")).contains("run `outbox-relay migrate`"));
        for (version, revision, row) in [(None, Some("2"), "schema_version"), (Some("1"), Some("x"), "revision")] {
            assert!(refusal(version, revision).contains(row));
        }
    }

    #[test]
    fn there_is_a_step_to_each_revision() {
        let steps = usize::try_from(REVISION).unwrap() - 1;
        assert_eq!((POSTGRES_STEPS.len(), SQLITE_STEPS.len()), (steps, steps));
        for (number, (postgres, sqlite)) in (2..).zip(POSTGRES_STEPS.iter().zip(SQLITE_STEPS)) {
            let told = [format!("('revision', '{number}')"), format!("'{number}' WHERE name = 'revision'")];
            for step in [postgres, sqlite] {
                assert!(told.iter().any(|told| step.contains(told)), "{step}");
            }
        }
        assert_eq!(postgres_upgrade(&Names::default(), REVISION), Vec::<String>::new());
        assert_eq!(sqlite_upgrade(&Names::default(), 1).len(), steps);
    }

    #[test]
    fn no_default_name_is_left_under_another_prefix() {
        let names = Names::new(None, Some("ob_")).unwrap();
        let trigger = |wanted| postgres_wake_trigger(&names, wanted);
        for sql in [postgres(&names, 8), sqlite(&names), trigger(true), trigger(false)] {
            assert!(!sql.contains("outbox_"), "{sql}");
        }
    }

    #[test]
    fn roles_have_the_prefix_and_no_schema() {
        let sql = postgres_roles(&Names::new(Some("shop"), Some("ob_")).unwrap());
        assert!(!sql.contains("outbox_"), "{sql}");
        for role in ["writer", "operator"] {
            assert!(!sql.contains(&format!("\"shop\".\"ob_{role}\"")), "{sql}");
        }
        let grant = "DELETE ON \"shop\".\"ob_checkpoint\", \"shop\".\"ob_lease\", \"shop\".\"ob_relay\", \"shop\".\"ob_dead_letter\" TO \"ob_relay\";";
        assert!(sql.contains(grant), "{sql}");
        assert_eq!(postgres_roles(&Names::default()), crate::sql::postgres::ROLES);
    }
}
