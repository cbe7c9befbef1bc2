//! The statements of each database, from the `.sql` files, for the adapters.
//!
//! They stand in this crate so that every adapter of a database says the same. [`Names`](crate::Names) puts other names
//! into them, [`reading`] the conditions of a reader, [`writing`] the columns of an event.

macro_rules! statements {
    ($folder:literal: $($name:ident = $file:literal),+ $(,)?) => {
        $(
            #[doc = concat!("`", $folder, "/", $file, ".sql`")]
            pub const $name: &str = include_str!(concat!("../sql/", $folder, "/", $file, ".sql"));
        )+
    };
}

/// The statements of PostgreSQL.
pub mod postgres {
    statements! { "postgres":
        CAPTURE_CAPTURED = "capture_captured",
        CAPTURE_INSERT = "capture_insert",
        CAPTURE_INSERT_ALL = "capture_insert_all",
        CAPTURE_LOCK = "capture_lock",
        CHANGELOG_STATS = "changelog_stats",
        CHECKPOINT_ALL = "checkpoint_all",
        CHECKPOINT_CLAIM = "checkpoint_claim",
        CHECKPOINT_CREATE = "checkpoint_create",
        CHECKPOINT_FORGIVE = "checkpoint_forgive",
        CHECKPOINT_FOUND = "checkpoint_found",
        CHECKPOINT_LEASED = "checkpoint_leased",
        CHECKPOINT_LOCK = "checkpoint_lock",
        CHECKPOINT_LOST = "checkpoint_lost",
        CHECKPOINT_PARK = "checkpoint_park",
        CHECKPOINT_QUEUES = "checkpoint_queues",
        CHECKPOINT_RECORD = "checkpoint_record",
        CHECKPOINT_RECORDED = "checkpoint_recorded",
        CHECKPOINT_RESHAPE = "checkpoint_reshape",
        CHECKPOINT_RETURN = "checkpoint_return",
        CHECKPOINT_RULE = "checkpoint_rule",
        CHECKPOINT_RULED = "checkpoint_ruled",
        CHECKPOINT_SAVE = "checkpoint_save",
        CHECKPOINT_SHUT = "checkpoint_shut",
        CHECKPOINT_SWEEP = "checkpoint_sweep",
        CHECKPOINT_TAKE = "checkpoint_take",
        CHECKPOINT_VACANT = "checkpoint_vacant",
        CLEANUP_EMPTY = "cleanup_empty",
        CLEANUP_EXPECT = "cleanup_expect",
        CLEANUP_FORGET = "cleanup_forget",
        CLEANUP_HOLDERS = "cleanup_holders",
        CLEANUP_LAST = "cleanup_last",
        CLEANUP_LETTERS = "cleanup_letters",
        CLEANUP_NEWEST = "cleanup_newest",
        CLEANUP_NOTE = "cleanup_note",
        CLEANUP_NOTED = "cleanup_noted",
        CLEANUP_OWED = "cleanup_owed",
        CLEANUP_PRIVILEGES = "cleanup_privileges",
        CLEANUP_READERS = "cleanup_readers",
        CLEANUP_SEGMENTS = "cleanup_segments",
        CLEANUP_SESSION = "cleanup_session",
        CLEANUP_TURN = "cleanup_turn",
        CONTINUITY_ADDRESS = "continuity_address",
        CONTINUITY_CLUSTER = "continuity_cluster",
        CONTINUITY_DOUBLES = "continuity_doubles",
        CONTINUITY_FENCE = "continuity_fence",
        CONTINUITY_FOUND = "continuity_found",
        CONTINUITY_LOCK = "continuity_lock",
        CONTINUITY_LOG = "continuity_log",
        CONTINUITY_MOVE = "continuity_move",
        CONTINUITY_NOTE = "continuity_note",
        CONTINUITY_PLACE = "continuity_place",
        CONTINUITY_RAISE = "continuity_raise",
        CONTINUITY_READERS = "continuity_readers",
        CONTINUITY_RETIRE = "continuity_retire",
        CONTINUITY_SET = "continuity_set",
        CONTINUITY_SET_BACK = "continuity_set_back",
        DESK_AT_WORK = "desk_at_work",
        DESK_COPY = "desk_copy",
        DESK_DECIDE = "desk_decide",
        DESK_KNOWN = "desk_known",
        DESK_LETTERS = "desk_letters",
        DESK_PAUSE = "desk_pause",
        DESK_REPLAYING = "desk_replaying",
        DESK_RESUME = "desk_resume",
        DESK_SUBSCRIPTIONS = "desk_subscriptions",
        DESK_TELL = "desk_tell",
        DOCTOR_CLOCK = "doctor_clock",
        DOCTOR_OUTBOX = "doctor_outbox",
        DOCTOR_SERVER = "doctor_server",
        LEASE_ACQUIRE = "lease_acquire",
        LEASE_GIVE_BACK = "lease_give_back",
        LEASE_RELEASE = "lease_release",
        LEASE_RENEW = "lease_renew",
        LEASE_TAKE_OVER = "lease_take_over",
        MIGRATE = "migrate",
        MIGRATE_2 = "migrate_2",
        MIGRATE_3 = "migrate_3",
        MIGRATE_IMPATIENT = "migrate_impatient",
        MIGRATE_LOCK = "migrate_lock",
        MIGRATE_SEGMENT = "migrate_segment",
        MIGRATE_USED = "migrate_used",
        ROLES = "roles",
        SOURCE_ANCHOR = "source_anchor",
        SOURCE_EVIDENCE = "source_evidence",
        SOURCE_FILTER = "source_filter",
        SOURCE_FLOOR = "source_floor",
        SOURCE_FLUSH = "source_flush",
        SOURCE_FLUSHED = "source_flushed",
        SOURCE_GAPS = "source_gaps",
        SOURCE_LAST_POSITION = "source_last_position",
        SOURCE_PORTION = "source_portion",
        SOURCE_PROOF = "source_proof",
        SOURCE_READ = "source_read",
        SOURCE_READ_OPEN = "source_read_open",
        SOURCE_SESSION = "source_session",
        SOURCE_SINCE = "source_since",
        STATUS_BACKLOG = "status_backlog",
        STATUS_HOLDERS = "status_holders",
        STATUS_LAG = "status_lag",
        STATUS_LOCKED = "status_locked",
        STATUS_LOG = "status_log",
        STATUS_RELAYS = "status_relays",
        STATUS_SEGMENTS = "status_segments",
        STATUS_SESSION = "status_session",
        STATUS_SUBSCRIPTIONS = "status_subscriptions",
        STORE_BEGIN = "store_begin",
        STORE_META = "store_meta",
        STORE_POSITION = "store_position",
        STORE_PRIVILEGES = "store_privileges",
        STORE_ROW_SECURITY = "store_row_security",
        STORE_SERVER = "store_server",
        STORE_SESSION = "store_session",
        STORE_SHAPE = "store_shape",
        WAKE_ARM = "wake_arm",
        WAKE_DISARM = "wake_disarm",
        WAKE_READY = "wake_ready",
        WAKE_TRIGGER = "wake_trigger",
        WAKE_TRIGGER_REMOVE = "wake_trigger_remove",
        WAKE_TRIGGER_THERE = "wake_trigger_there",
    }
}

/// The statements of SQLite.
pub mod sqlite {
    statements! { "sqlite":
        CAPTURE_CAPTURED = "capture_captured",
        CAPTURE_INSERT = "capture_insert",
        CHANGELOG_STATS = "changelog_stats",
        CHECKPOINT_ALL = "checkpoint_all",
        CHECKPOINT_CLAIM = "checkpoint_claim",
        CHECKPOINT_CREATE = "checkpoint_create",
        CHECKPOINT_FORGIVE = "checkpoint_forgive",
        CHECKPOINT_FOUND = "checkpoint_found",
        CHECKPOINT_LEASED = "checkpoint_leased",
        CHECKPOINT_MORE = "checkpoint_more",
        CHECKPOINT_NEWER = "checkpoint_newer",
        CHECKPOINT_PARK = "checkpoint_park",
        CHECKPOINT_PARTITIONS = "checkpoint_partitions",
        CHECKPOINT_QUEUES = "checkpoint_queues",
        CHECKPOINT_RECORD = "checkpoint_record",
        CHECKPOINT_RECORDED = "checkpoint_recorded",
        CHECKPOINT_REMOVE = "checkpoint_remove",
        CHECKPOINT_RETURN = "checkpoint_return",
        CHECKPOINT_RULE = "checkpoint_rule",
        CHECKPOINT_RULED = "checkpoint_ruled",
        CHECKPOINT_SAVE = "checkpoint_save",
        CHECKPOINT_SWEEP = "checkpoint_sweep",
        CHECKPOINT_SWEEP_LEASES = "checkpoint_sweep_leases",
        CHECKPOINT_TAKE = "checkpoint_take",
        CHECKPOINT_TAKEN = "checkpoint_taken",
        CHECKPOINT_VACANT = "checkpoint_vacant",
        CLEANUP_CANDIDATES = "cleanup_candidates",
        CLEANUP_FLOOR = "cleanup_floor",
        CLEANUP_FORGET = "cleanup_forget",
        CLEANUP_LETTERS = "cleanup_letters",
        CLEANUP_NOTE = "cleanup_note",
        CLEANUP_NOTED = "cleanup_noted",
        CLEANUP_READERS = "cleanup_readers",
        CLEANUP_REMOVE = "cleanup_remove",
        CLEANUP_SEGMENT = "cleanup_segment",
        CONTINUITY_ADDRESS = "continuity_address",
        CONTINUITY_BEGIN = "continuity_begin",
        CONTINUITY_FENCE = "continuity_fence",
        CONTINUITY_FOUND = "continuity_found",
        CONTINUITY_LOG = "continuity_log",
        CONTINUITY_NOTE = "continuity_note",
        CONTINUITY_PLACE = "continuity_place",
        CONTINUITY_RAISE = "continuity_raise",
        CONTINUITY_READERS = "continuity_readers",
        CONTINUITY_RETIRE = "continuity_retire",
        CONTINUITY_SET = "continuity_set",
        CONTINUITY_SET_BACK = "continuity_set_back",
        DESK_AT_WORK = "desk_at_work",
        DESK_COPY = "desk_copy",
        DESK_DECIDE = "desk_decide",
        DESK_KNOWN = "desk_known",
        DESK_LETTERS = "desk_letters",
        DESK_PAUSE = "desk_pause",
        DESK_REPLAYING = "desk_replaying",
        DESK_RESUME = "desk_resume",
        DESK_SUBSCRIPTIONS = "desk_subscriptions",
        DESK_TELL = "desk_tell",
        DOCTOR_OUTBOX = "doctor_outbox",
        DOCTOR_WRITE = "doctor_write",
        LEASE_ACQUIRE = "lease_acquire",
        LEASE_ANNOUNCE = "lease_announce",
        LEASE_FORGET_SILENT = "lease_forget_silent",
        LEASE_GIVE_BACK = "lease_give_back",
        LEASE_LEAVE = "lease_leave",
        LEASE_OWNER = "lease_owner",
        LEASE_RELEASE = "lease_release",
        LEASE_RENEW = "lease_renew",
        LEASE_RULES = "lease_rules",
        LEASE_RUNNING = "lease_running",
        LEASE_TAKE_OVER = "lease_take_over",
        MIGRATE = "migrate",
        MIGRATE_2 = "migrate_2",
        MIGRATE_3 = "migrate_3",
        SOURCE_FILTER = "source_filter",
        SOURCE_FLOOR = "source_floor",
        SOURCE_LAST_POSITION = "source_last_position",
        SOURCE_PROOF = "source_proof",
        SOURCE_READ = "source_read",
        SOURCE_SINCE = "source_since",
        STATUS_BYTES = "status_bytes",
        STATUS_LOG = "status_log",
        STATUS_OLDEST = "status_oldest",
        STATUS_RELAYS = "status_relays",
        STATUS_SUBSCRIPTIONS = "status_subscriptions",
        STORE_META = "store_meta",
        STORE_TABLE = "store_table",
        WAKE_VERSION = "wake_version",
    }
}

/// Stands in a statement where the condition of a filter can be put in.
const WANTED: &str = "/* wanted */ true /* end */";

/// Stands in a statement where the condition of a portion can be put in.
const MINE: &str = " AND /* mine */ true /* end */";

/// Stands in a statement behind the log, where what the condition of a portion needs can be joined.
const HASHED: &str = " /* hashed */";

/// Keeps PostgreSQL from judging a condition more than once a row.
const FENCE: &str = "/* fence */ ORDER BY position OFFSET 0 /* end */";

/// A statement that reads the log, with the conditions of `source_filter.sql` and `source_portion.sql` in it where there are
/// any: one that is always true would cost time on each row. Their parameters come after the statement's own, in this order.
pub fn reading(sql: &str, filter: Option<&str>, portion: Option<&str>) -> String {
    let fence = if filter.or(portion).is_some() { FENCE } else { "" };
    let sql = sql.replace(FENCE, fence);
    let wanted =
        filter.map(|filter| format!("({})", counted_on(between("/* wanted */", filter), last_parameter(&sql))));
    let sql = sql.replace(WANTED, wanted.as_deref().unwrap_or("true"));
    let (mine, hashed) = portion.map_or_else(Default::default, |portion| {
        let mine = counted_on(between("/* mine */", portion), last_parameter(&sql));
        (format!(" AND {mine}"), format!(" {}", between("/* hashed */", portion)))
    });
    sql.replace(MINE, &mine).replace(HASHED, &hashed)
}

/// Stand in the statement that writes an event where further columns and their values can be put in.
const COLUMNS: &str = " /* columns */";
const VALUES: &str = " /* values */";

/// A statement that writes an event, with further columns in it. Their parameters come after the statement's own, in this order.
/// Indentation and lines of comment are left out, in texts that it quotes too.
pub fn writing<'c>(sql: &str, columns: impl IntoIterator<Item = &'c str>) -> String {
    let columns: Vec<_> = columns.into_iter().collect();
    let own = last_parameter(sql);
    let names: String = columns.iter().flat_map(|column| [", ", column]).collect();
    let values = (own + 1..=own + columns.len()).flat_map(|number| [", $".to_owned(), number.to_string()]);
    let sql = sql.replace(COLUMNS, &names).replace(VALUES, &values.collect::<String>());
    // Comments are for who reads the file: driver and server go through the text at every call.
    let lines = sql.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with("--"));
    lines.collect::<Vec<_>>().join("\n")
}

/// What stands between a mark and the end of it.
fn between<'s>(mark: &str, sql: &'s str) -> &'s str {
    let found = sql.split_once(mark).and_then(|(_, rest)| rest.split_once(" /* end */"));
    found.map_or("false", |(found, _)| found.trim_start())
}

/// The highest parameter of a statement, `$3` or `?3`; 0 where it has none.
fn last_parameter(sql: &str) -> usize {
    sql.split(PARAMETER).skip(1).filter_map(|text| split_number(text)?.0.parse().ok()).max().unwrap_or(0)
}

/// The text with each of its parameters raised by `by`.
fn counted_on(sql: &str, by: usize) -> String {
    let mut out = String::with_capacity(sql.len() + 64);
    let mut rest = sql;
    while let Some(at) = rest.find(PARAMETER) {
        let (before, after) = rest.split_at(at + 1);
        out.push_str(before);
        rest = after;
        if let Some((number, after)) = split_number(after)
            && let Ok(number) = number.parse::<usize>()
        {
            out.push_str(&(number + by).to_string());
            rest = after;
        }
    }
    out + rest
}

const PARAMETER: [char; 2] = ['$', '?'];

/// The digits a text begins with, and what follows them.
fn split_number(text: &str) -> Option<(&str, &str)> {
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    (end > 0).then(|| text.split_at(end))
}

#[cfg(test)]
mod tests {
    use super::*;

    const READING: [(&str, &str); 5] = [
        (postgres::SOURCE_READ, postgres::SOURCE_FILTER),
        (postgres::SOURCE_READ_OPEN, postgres::SOURCE_FILTER),
        (postgres::CHANGELOG_STATS, postgres::SOURCE_FILTER),
        (sqlite::SOURCE_READ, sqlite::SOURCE_FILTER),
        (sqlite::CHANGELOG_STATS, sqlite::SOURCE_FILTER),
    ];

    /// A database of another encoding takes the comments too.
    #[test]
    fn what_makes_the_tables_is_plain_ascii() {
        use crate::schema;
        for sql in [schema::POSTGRES, schema::SQLITE, postgres::ROLES, postgres::WAKE_TRIGGER] {
            assert!(sql.is_ascii(), "{:?}", sql.chars().find(|c| !c.is_ascii()));
        }
    }

    #[test]
    fn all_speak_of_one_channel() {
        let writers = [postgres::CAPTURE_INSERT, postgres::CAPTURE_INSERT_ALL, postgres::WAKE_TRIGGER];
        for sql in [postgres::WAKE_READY, postgres::WAKE_ARM].into_iter().chain(writers) {
            assert!(sql.contains("'outbox:' || 'outbox_wake'::regclass::oid"), "{sql}");
        }
    }

    #[test]
    fn columns_take_the_parameters_after_the_statements_own() {
        let sql = writing("INSERT INTO t (a /* columns */) VALUES ($1 /* values */)", ["b", "c"]);
        assert_eq!(sql, "INSERT INTO t (a, b, c) VALUES ($1, $2, $3)");
        let sql = writing(postgres::CAPTURE_INSERT, ["payload"]);
        assert!(sql.contains("event_key, payload)") && sql.ends_with("END, $3, $4)"), "{sql}");
        assert!(!sql.contains("--") && !sql.contains("/*") && !sql.contains("  "), "{sql}");
    }

    #[test]
    fn without_conditions_nothing_of_them_is_left() {
        for (sql, _) in READING {
            let plain = reading(sql, None, None);
            for trace in ["/*", "OFFSET 0 /", "tenant_id = ANY", "GLOB", "sha256", "AND AS"] {
                assert!(!plain.contains(trace), "{trace}: {plain}");
            }
        }
    }

    #[test]
    fn conditions_take_the_parameters_after_the_statements_own() {
        for (sql, filter) in READING {
            let (own, whole) = (last_parameter(sql), reading(sql, Some(filter), None));
            assert!(
                !whole.contains("/* wanted */") && !whole.contains("sha256"),
                "a mark is written otherwise: {whole}"
            );
            assert_eq!(last_parameter(&whole), own + last_parameter(filter));
            assert_eq!(whole.matches(" >= ").count(), sql.matches("/* wanted */").count());
        }
        let marked =
            "a $2 /* wanted */ true /* end */ AND /* mine */ true /* end */ AS wanted FROM log /* hashed */ WHERE b";
        let filter = "/* wanted */ $1 < $12 /* end */";
        let portion = "/* hashed */ JOIN c /* end */ /* mine */ d % $1 = $2 /* end */";
        let expected = "a $2 ($3 < $14) AND d % $15 = $16 AS wanted FROM log JOIN c WHERE b";
        assert_eq!(reading(marked, Some(filter), Some(portion)), expected);
        assert_eq!(reading(marked, None, Some(portion)), "a $2 true AND d % $3 = $4 AS wanted FROM log JOIN c WHERE b");
        assert_eq!(reading(marked, Some(filter), None), "a $2 ($3 < $14) AS wanted FROM log WHERE b");
    }

    #[test]
    fn a_portion_is_judged_once_a_row() {
        for sql in [postgres::SOURCE_READ, postgres::SOURCE_READ_OPEN] {
            let whole = reading(sql, None, Some(postgres::SOURCE_PORTION));
            let joined = sql.matches("AS wanted").count();
            assert_eq!((whole.matches("sha256").count(), whole.matches("% $").count()), (joined, joined), "{whole}");
        }
    }
}
