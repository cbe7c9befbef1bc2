//! The statements of each database, from the `.sql` files, for the adapters.
//!
//! They stand in this crate so that every adapter of a database says the same. [`Names`](crate::Names) puts other names
//! into them.

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
        CAPTURE_INSERT = "capture_insert",
        CAPTURE_INSERT_ALL = "capture_insert_all",
        CHECKPOINT_CLAIM = "checkpoint_claim",
        CHECKPOINT_CREATE = "checkpoint_create",
        CHECKPOINT_FORGIVE = "checkpoint_forgive",
        CHECKPOINT_LOCK = "checkpoint_lock",
        CHECKPOINT_LOST = "checkpoint_lost",
        CHECKPOINT_RECORD = "checkpoint_record",
        CHECKPOINT_RECORDED = "checkpoint_recorded",
        CHECKPOINT_SAVE = "checkpoint_save",
        CLEANUP_EMPTY = "cleanup_empty",
        CLEANUP_EXPECT = "cleanup_expect",
        CLEANUP_HOLDERS = "cleanup_holders",
        CLEANUP_LAST = "cleanup_last",
        CLEANUP_NEWEST = "cleanup_newest",
        CLEANUP_NOTE = "cleanup_note",
        CLEANUP_NOTED = "cleanup_noted",
        CLEANUP_OWED = "cleanup_owed",
        CLEANUP_PRIVILEGES = "cleanup_privileges",
        CLEANUP_READERS = "cleanup_readers",
        CLEANUP_SEGMENTS = "cleanup_segments",
        CLEANUP_SESSION = "cleanup_session",
        CLEANUP_TURN = "cleanup_turn",
        LEASE_ACQUIRE = "lease_acquire",
        LEASE_RELEASE = "lease_release",
        LEASE_RENEW = "lease_renew",
        LEASE_TAKE_OVER = "lease_take_over",
        MIGRATE = "migrate",
        MIGRATE_LOCK = "migrate_lock",
        MIGRATE_SEGMENT = "migrate_segment",
        MIGRATE_USED = "migrate_used",
        SOURCE_ANCHOR = "source_anchor",
        SOURCE_EVIDENCE = "source_evidence",
        SOURCE_FLOOR = "source_floor",
        SOURCE_FLUSH = "source_flush",
        SOURCE_FLUSHED = "source_flushed",
        SOURCE_GAPS = "source_gaps",
        SOURCE_LAST_POSITION = "source_last_position",
        SOURCE_PROOF = "source_proof",
        SOURCE_READ = "source_read",
        SOURCE_READ_OPEN = "source_read_open",
        SOURCE_SESSION = "source_session",
        SOURCE_SINCE = "source_since",
        STATUS_HOLDERS = "status_holders",
        STATUS_LAG = "status_lag",
        STATUS_LOG = "status_log",
        STATUS_RELAYS = "status_relays",
        STATUS_SEGMENTS = "status_segments",
        STATUS_SUBSCRIPTIONS = "status_subscriptions",
        STORE_META = "store_meta",
        STORE_POSITION = "store_position",
        STORE_PRIVILEGES = "store_privileges",
        STORE_SERVER = "store_server",
        STORE_SESSION = "store_session",
    }
}

/// The statements of SQLite.
pub mod sqlite {
    statements! { "sqlite":
        CAPTURE_INSERT = "capture_insert",
        CHECKPOINT_CLAIM = "checkpoint_claim",
        CHECKPOINT_CREATE = "checkpoint_create",
        CHECKPOINT_FORGIVE = "checkpoint_forgive",
        CHECKPOINT_NEWER = "checkpoint_newer",
        CHECKPOINT_RECORD = "checkpoint_record",
        CHECKPOINT_RECORDED = "checkpoint_recorded",
        CHECKPOINT_SAVE = "checkpoint_save",
        CLEANUP_CANDIDATES = "cleanup_candidates",
        CLEANUP_FLOOR = "cleanup_floor",
        CLEANUP_NOTE = "cleanup_note",
        CLEANUP_NOTED = "cleanup_noted",
        CLEANUP_READERS = "cleanup_readers",
        CLEANUP_REMOVE = "cleanup_remove",
        CLEANUP_SEGMENT = "cleanup_segment",
        LEASE_ACQUIRE = "lease_acquire",
        LEASE_ANNOUNCE = "lease_announce",
        LEASE_FORGET_SILENT = "lease_forget_silent",
        LEASE_LEAVE = "lease_leave",
        LEASE_OWNER = "lease_owner",
        LEASE_RELEASE = "lease_release",
        LEASE_RENEW = "lease_renew",
        LEASE_TAKE_OVER = "lease_take_over",
        MIGRATE = "migrate",
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
    }
}
