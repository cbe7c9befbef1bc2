//! What `doctor` finds where something is wrong, each with what to do about it.

use std::collections::BTreeMap;

use outbox_core::Store;
use outbox_core::doctor::{Finding, Verdict};
use outbox_sqlx::PgStore;

use crate::database::{TestDatabase, execute};

const INSERT: &str = "INSERT INTO outbox_event (topic, event_key, payload) VALUES ('t', 'k', '{}')";

async fn findings(store: &PgStore) -> BTreeMap<String, Finding> {
    store.examine().await.unwrap().into_iter().map(|finding| (finding.check.clone(), finding)).collect()
}

/// Whoever looks as `user` does so two hours later: this clock is found before the server's own.
async fn move_the_clock(database: &TestDatabase, user: &str) {
    let sql = format!(
        "CREATE SCHEMA moved; GRANT USAGE ON SCHEMA moved TO {user};
         CREATE FUNCTION moved.clock_timestamp() RETURNS timestamptz LANGUAGE sql VOLATILE AS
             $$ SELECT pg_catalog.clock_timestamp() + interval '2 hours' $$;
         ALTER ROLE {user} SET search_path = moved, pg_catalog, public"
    );
    execute(&mut database.session().await, &sql).await;
}

#[tokio::test]
async fn each_check_finds_what_it_is_there_for() {
    let database = TestDatabase::migrated().await;
    let (name, operator) = (database.name().to_owned(), format!("{}_operator", database.name()));
    assert_eq!(findings(&database.operator).await["sessions are shown"].verdict, Verdict::Warning);
    execute(&mut database.session().await, &format!("GRANT pg_read_all_stats TO {operator}")).await;
    let before = findings(&database.operator).await;
    assert_eq!(before["sessions are shown"].verdict, Verdict::Ok);

    let mut session = database.session().await;
    // Before there are writers, which it would wait for.
    let function = "CREATE FUNCTION nothing() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NULL; END $$";
    execute(&mut session, function).await;
    execute(&mut session, "CREATE TRIGGER of_mine AFTER INSERT ON outbox_event EXECUTE FUNCTION nothing()").await;
    let mut writer = database.session().await;
    execute(&mut writer, &format!("SET application_name = 'import'; BEGIN; {INSERT}")).await;
    let prepared = format!("BEGIN; SELECT FROM pg_class; {INSERT}; PREPARE TRANSACTION 'forgotten-{name}'");
    execute(&mut session, &prepared).await;
    for wrong in [
        // Both segments hold something, so that none is free.
        INSERT,
        "SELECT setval('outbox_segment', 1 - last_value) FROM outbox_segment",
        INSERT,
        "CREATE PUBLICATION elsewhere FOR TABLE outbox_event",
        "INSERT INTO outbox_checkpoint (subscription, partition_id, position) VALUES ('billing', 0, 0)",
        "INSERT INTO outbox_dead_letter (subscription, partition_id, position, event_id, topic, event_key, state, reason, attempts)
         VALUES ('billing', 0, 1, gen_random_uuid(), 't', 'k', 'parked', 'no', 1)",
        // Its parameters differ between versions of the server.
        "DO $$ DECLARE flush regprocedure; BEGIN
            FOR flush IN SELECT oid FROM pg_proc WHERE proname = 'pg_logical_emit_message' LOOP
                EXECUTE format('REVOKE EXECUTE ON FUNCTION %s FROM PUBLIC', flush);
            END LOOP;
        END $$",
    ] {
        execute(&mut session, wrong).await;
    }
    execute(&mut session, &format!("ALTER ROLE {operator} SET default_transaction_read_only = on")).await;
    execute(&mut session, &format!("ALTER ROLE {name}_writer SET synchronous_commit = off")).await;
    move_the_clock(&database, &operator).await;
    let after = findings(&database.operator).await;

    for (check, verdict, found, remedy) in [
        ("writable", Verdict::Failed, "default_transaction_read_only = on", "SET default_transaction_read_only = off"),
        ("commit durability", Verdict::Warning, &format!("on, but off for {name}_writer"), "set it to on"),
        (
            "flush on request",
            Verdict::Failed,
            "pg_logical_emit_message",
            "GRANT EXECUTE ON FUNCTION pg_logical_emit_message",
        ),
        ("long transactions", Verdict::Warning, "import", "pg_terminate_backend"),
        ("prepared transactions", Verdict::Warning, &format!("'forgotten-{name}'"), "ROLLBACK PREPARED"),
        ("triggers", Verdict::Warning, "of_mine on outbox_event", "paid by every business transaction"),
        (
            "publications",
            Verdict::Warning,
            "elsewhere would empty",
            "ALTER PUBLICATION elsewhere SET (publish = 'insert')",
        ),
        ("segments", Verdict::Warning, "2, 0 empty", "no segment is free"),
        ("open writers", Verdict::Warning, "import, open since", "pg_terminate_backend"),
        ("relays", Verdict::Warning, "0 alive", "start `outbox-relay run`"),
        ("dead letters", Verdict::Warning, "1 events of 1 keys", "dead-letters list"),
    ] {
        assert_eq!(before[check].verdict, Verdict::Ok, "{:?}", before[check]);
        let finding = &after[check];
        assert_eq!(finding.verdict, verdict, "{finding:?}");
        assert!(finding.found.contains(found), "{finding:?}");
        assert!(finding.remedy.as_ref().is_some_and(|said| said.contains(remedy)), "{finding:?}");
    }
    execute(&mut session, &format!("ROLLBACK PREPARED 'forgotten-{name}'")).await;

    execute(&mut session, &format!("ALTER DATABASE {name} SET synchronous_commit = off")).await;
    let found = &findings(&database.owner).await["commit durability"].found;
    assert!(found.starts_with("synchronous_commit = off"), "{found}");
}
