use outbox_core::{Store, StoreErrorKind};
use outbox_sqlx::{MigrateError, Names, PgStore};

use crate::database::{TestDatabase, execute};

async fn tables(database: &TestDatabase, pattern: &str) -> i64 {
    let sql = "SELECT count(*) FROM pg_class JOIN pg_namespace n ON n.oid = relnamespace
        WHERE relkind IN ('r', 'p', 'S') AND nspname || '.' || relname LIKE $1";
    sqlx::query_scalar(sql).bind(pattern).fetch_one(&mut database.session().await).await.unwrap()
}

#[tokio::test]
async fn twice_changes_nothing() {
    let database = TestDatabase::empty().await;
    assert!(database.owner.migrate(8).await.unwrap().changed());
    assert_eq!(tables(&database, "public.outbox\\_event\\__").await, 8);
    assert!(!database.owner.migrate(8).await.unwrap().changed());
    assert_eq!(database.owner.check().await.unwrap().name, database.name());
}

#[tokio::test]
async fn several_at_once_make_the_tables_once() {
    let database = TestDatabase::empty().await;
    let (a, b, c) = tokio::join!(database.owner.migrate(8), database.owner.migrate(8), database.owner.migrate(8));
    let changed = [a, b, c].into_iter().map(Result::unwrap).filter(|migrated| migrated.changed()).count();
    assert_eq!(changed, 1);
}

#[tokio::test]
async fn schema_prefix_and_fewer_segments() {
    let database = TestDatabase::empty().await;
    let names = Names::new(Some("shop"), Some("ob_")).unwrap();
    let store = database.store_with(names.clone());
    assert!(store.migrate(1).await.unwrap().changed());
    assert_eq!(tables(&database, "shop.ob\\_event\\__").await, 1);
    assert_eq!(tables(&database, "%.outbox%").await, 0);
    assert!(!store.migrate(1).await.unwrap().changed());
    store.check().await.unwrap();
    let log = store.status().await.unwrap().log;
    assert_eq!((log.segments.len(), log.segments[0].state), (1, "current"));
    let mut session = database.session().await;
    execute(&mut session, "INSERT INTO shop.ob_event (topic, event_key, payload) VALUES ('t', 'k', '1')").await;
    let mut source = store.source(&outbox_core::Filter::default()).await.unwrap();
    assert_eq!(source.last_position().await.unwrap(), 1);
}

#[tokio::test]
async fn the_printed_migration_is_the_one_that_runs() {
    let database = TestDatabase::empty().await;
    let names = Names::new(Some("shop"), None).unwrap();
    let mut session = database.session().await;
    execute(&mut session, &format!("BEGIN; {} COMMIT", PgStore::migration(&names, 3))).await;
    assert!(!database.store_with(names).migrate(3).await.unwrap().changed());
}

#[tokio::test]
async fn a_number_of_segments_that_cannot_be_is_refused() {
    let database = TestDatabase::empty().await;
    for segments in [0, 9] {
        let error = database.owner.migrate(segments).await.unwrap_err();
        assert!(
            matches!(&error, MigrateError::Store(error) if error.kind() == StoreErrorKind::Precondition),
            "{error}"
        );
    }
}

#[tokio::test]
async fn tables_of_the_first_revision_are_brought_up_to_date_for_all_who_may_write() {
    let database = TestDatabase::empty().await;
    let mut session = database.session().await;
    let writer = format!("writer_{}", database.name());
    let first = outbox_core::sql::postgres::MIGRATE;
    execute(&mut session, &format!("BEGIN; {first} COMMIT; CREATE ROLE {writer}")).await;
    execute(&mut session, &format!("GRANT SELECT ON SEQUENCE outbox_segment TO {writer}")).await;
    let error = database.owner.check().await.unwrap_err();
    assert!(error.to_string().contains("revision 1"), "{error}");
    assert!(database.owner.migrate(8).await.unwrap().changed());
    assert!(!database.owner.migrate(8).await.unwrap().changed());
    database.owner.check().await.unwrap();
    let may = format!("SELECT has_sequence_privilege('{writer}', 'outbox_wake', 'SELECT')");
    let may: bool = sqlx::query_scalar(sqlx::AssertSqlSafe(may)).fetch_one(&mut session).await.unwrap();
    assert!(may);
    execute(&mut session, &format!("DROP OWNED BY {writer}; DROP ROLE {writer}")).await;
}

/// A migration that met a lock would else queue for it, and everybody who comes later behind it.
#[tokio::test]
async fn a_migration_gives_way_to_whoever_holds_a_lock_and_keeps_nobody_waiting() {
    let database = TestDatabase::empty().await;
    let first = outbox_core::sql::postgres::MIGRATE;
    execute(&mut database.session().await, &format!("BEGIN; {first} COMMIT")).await;
    // A relay of the first revision that looks at its checkpoints, and a writer.
    let mut at_work = database.session().await;
    execute(&mut at_work, "BEGIN; SELECT FROM outbox_checkpoint; SELECT FROM outbox_relay").await;
    let insert = "INSERT INTO outbox_event (topic, event_key, payload) VALUES ('t', 'k', '{}')";
    let mut writer = database.session().await;
    execute(&mut writer, &format!("BEGIN; {insert}")).await;
    let migration = tokio::spawn({
        let owner = database.owner.clone();
        async move { owner.migrate(8).await }
    });
    let mut watching = database.session().await;
    let refused = "SELECT xact_rollback FROM pg_stat_database WHERE datname = current_database()";
    let rollbacks = async |session: &mut _| sqlx::query_scalar::<_, i64>(refused).fetch_one(session).await.unwrap();
    let before = rollbacks(&mut watching).await;
    while rollbacks(&mut watching).await < before + 3 {
        // It has met the lock; others read and write as if it were not there.
        let claim = "SET lock_timeout = '1s'; UPDATE outbox_relay SET seen_at = seen_at; UPDATE outbox_checkpoint SET epoch = epoch";
        execute(&mut watching, claim).await;
        execute(&mut watching, insert).await;
    }
    assert!(!migration.is_finished(), "the lock is still held");
    execute(&mut at_work, "COMMIT").await;
    assert!(migration.await.unwrap().unwrap().changed());
    execute(&mut writer, "COMMIT").await;
    database.owner.check().await.unwrap();
}

/// The trigger locks the log against writers, for a moment in which there is none.
#[tokio::test]
async fn a_trigger_is_made_and_removed_between_writers_and_keeps_none_waiting() {
    let database = TestDatabase::migrated().await;
    let insert = "INSERT INTO outbox_event (topic, event_key, payload) VALUES ('t', 'k', '{}')";
    let (mut writer, mut other) = (database.writer().await, database.writer().await);
    execute(&mut other, "SET lock_timeout = '1s'").await;
    for wanted in [true, false] {
        execute(&mut writer, &format!("BEGIN; {insert}")).await;
        let changing = tokio::spawn({
            let owner = database.owner.clone();
            async move { owner.set_wake_trigger(wanted).await }
        });
        for _ in 0..200 {
            execute(&mut other, insert).await;
        }
        assert!(!changing.is_finished(), "a writer is still at work");
        execute(&mut writer, "COMMIT").await;
        assert!(changing.await.unwrap().unwrap());
    }
}

#[tokio::test]
async fn tables_of_a_newer_version_are_left_alone() {
    let database = TestDatabase::migrated().await;
    execute(&mut database.session().await, "UPDATE outbox_meta SET value = '99' WHERE name = 'schema_version'").await;
    let error = database.owner.migrate(2).await.unwrap_err();
    assert!(matches!(&error, MigrateError::Newer { found, known: 1 } if found == "99"), "{error}");
    let error = database.store.check().await.unwrap_err();
    assert_eq!(error.kind(), StoreErrorKind::Precondition);
    assert!(error.to_string().contains("newer build"), "{error}");
}
