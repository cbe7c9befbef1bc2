//! The tables of the outbox, as SQL that runs as it stands.
//!
//! Hand [`POSTGRES`] or [`SQLITE`] to the migration tool the application has, or let `outbox-relay migrate` run it.

use crate::names::Names;

/// The tables on PostgreSQL, with eight segments and default names.
pub const POSTGRES: &str = crate::sql::postgres::MIGRATE;

/// The tables on SQLite, with default names.
pub const SQLITE: &str = crate::sql::sqlite::MIGRATE;

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

/// The tables on SQLite under other names.
pub fn sqlite(names: &Names) -> String {
    names.render(SQLITE).into_owned()
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
    fn no_default_name_is_left_under_another_prefix() {
        let names = Names::new(None, Some("ob_")).unwrap();
        for sql in [postgres(&names, 8), sqlite(&names)] {
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
