//! What each role may do, and what it may not.

#![expect(missing_docs, reason = "the name of a behaviour says what holds")]

use std::time::Duration;

use outbox_core::doctor::Verdict;
use outbox_core::{Names, Store, StoreErrorKind};
use outbox_relay::RelayError;
use outbox_sqlx::PgStore;
use sqlx::postgres::PgConnectOptions;
use sqlx::{AssertSqlSafe, ConnectOptions};

use super::cleanup::{at_once, left, pass};
use super::log::{drain, numbered, relay, subscription, write};
use super::postgres::Postgres;
use super::sink::Sink;
use super::waiting::{eventually, within};
use super::{Backend, SqlBackend};

/// PostgreSQL's code of a missing privilege.
const DENIED: &str = "42501";

/// Every privilege on a table, a sequence or a column that a role has.
const GRANTED: &str = "SELECT string_agg(entry, E'\\n' ORDER BY entry) FROM (
    SELECT format('%s %s: %s', grantee::regrole, relname, string_agg(privilege_type, ' ' ORDER BY privilege_type)) AS entry
    FROM pg_class, aclexplode(relacl) WHERE grantee::regrole::text LIKE 'outbox%' GROUP BY grantee, relname
    UNION ALL
    SELECT format('%s %s (%s): %s', grantee::regrole, attrelid::regclass, string_agg(attname, ' ' ORDER BY attnum), privilege_type)
    FROM pg_attribute, aclexplode(attacl) WHERE grantee::regrole::text LIKE 'outbox%' GROUP BY grantee, attrelid, privilege_type
) AS entries";

const EXPECTED: &str = "\
outbox_operator outbox_checkpoint: SELECT
outbox_operator outbox_dead_letter: SELECT
outbox_operator outbox_event: SELECT
outbox_operator outbox_event_position_seq: SELECT
outbox_operator outbox_lease: SELECT
outbox_operator outbox_meta: SELECT
outbox_operator outbox_relay: SELECT
outbox_operator outbox_segment: SELECT
outbox_operator outbox_wake: SELECT
outbox_relay outbox_checkpoint: DELETE INSERT SELECT UPDATE
outbox_relay outbox_dead_letter: DELETE INSERT SELECT UPDATE
outbox_relay outbox_event: SELECT
outbox_relay outbox_event_0: SELECT TRUNCATE
outbox_relay outbox_event_1: SELECT TRUNCATE
outbox_relay outbox_event_2: SELECT TRUNCATE
outbox_relay outbox_event_3: SELECT TRUNCATE
outbox_relay outbox_event_4: SELECT TRUNCATE
outbox_relay outbox_event_5: SELECT TRUNCATE
outbox_relay outbox_event_6: SELECT TRUNCATE
outbox_relay outbox_event_7: SELECT TRUNCATE
outbox_relay outbox_event_position_seq: SELECT
outbox_relay outbox_lease: DELETE INSERT SELECT UPDATE
outbox_relay outbox_meta: INSERT SELECT UPDATE
outbox_relay outbox_relay: DELETE INSERT SELECT UPDATE
outbox_relay outbox_segment: SELECT UPDATE
outbox_relay outbox_wake: SELECT UPDATE
outbox_writer outbox_event (event_id topic event_key event_type aggregate_type operation payload old_payload payload_binary \
old_payload_binary content_type headers tenant_id actor schema_version occurred_at): INSERT
outbox_writer outbox_segment: SELECT
outbox_writer outbox_wake: SELECT";

pub async fn each_role_has_what_it_needs_and_no_more(backend: &Postgres) {
    assert_eq!(backend.ask(GRANTED).await.unwrap(), EXPECTED);
    PgStore::from_options(backend.owner().clone(), Names::default()).create_roles().await.unwrap();
    assert_eq!(backend.ask(GRANTED).await.unwrap(), EXPECTED, "twice changes nothing");
}

/// Runs each statement, of which the server must deny every one.
async fn denied(user: &PgConnectOptions, statements: &[&str]) {
    let mut session = user.connect().await.unwrap();
    for statement in statements {
        let answer = sqlx::raw_sql(AssertSqlSafe(*statement)).execute(&mut session).await;
        let error = answer.expect_err(statement);
        let code = error.as_database_error().and_then(|error| error.code().map(String::from));
        assert_eq!(code.as_deref(), Some(DENIED), "{statement}: {error}");
    }
}

pub async fn no_role_can_do_the_work_of_another(backend: &Postgres) {
    write(backend, &["k"], 1, 1).await;
    let everything = [
        "UPDATE outbox_event SET payload = '{}'",
        "DELETE FROM outbox_event",
        "TRUNCATE outbox_event",
        "DROP TABLE outbox_event",
        "ALTER TABLE outbox_event DISABLE TRIGGER ALL",
        "INSERT INTO outbox_event_1 (segment, topic, event_key) VALUES (1, 't', 'k')",
        "DELETE FROM outbox_meta",
        "SELECT setval('outbox_event_position_seq', 1)",
    ];
    let books = [
        "INSERT INTO outbox_checkpoint (subscription, partition_id, position) VALUES ('s', 0, 1)",
        "UPDATE outbox_lease SET epoch = 0",
        "DELETE FROM outbox_relay",
        "INSERT INTO outbox_meta VALUES ('a', 'b')",
        "UPDATE outbox_meta SET value = '0'",
        "DELETE FROM outbox_dead_letter",
        "SELECT setval('outbox_segment', 1, true)",
        "TRUNCATE outbox_event_0",
    ];
    let append = "INSERT INTO outbox_event (topic, event_key, payload) VALUES ('t', 'k', '{}')";
    let business = ["SELECT FROM orders", "INSERT INTO orders VALUES ('1', 1)", "UPDATE orders SET total = 0", append];
    let looks = ["event", "checkpoint", "lease", "relay", "dead_letter", "meta", "event_0", "event_position_seq"]
        .map(|table| format!("SELECT FROM outbox_{table}"));
    let looks: Vec<&str> = looks.iter().map(String::as_str).collect();
    let given = [
        "INSERT INTO outbox_event (topic, event_key, position) OVERRIDING SYSTEM VALUE VALUES ('t', 'k', 9)",
        "INSERT INTO outbox_event (topic, event_key, segment) VALUES ('t', 'k', 3)",
        "INSERT INTO outbox_event (topic, event_key, transaction_id) VALUES ('t', 'k', '1')",
        "INSERT INTO outbox_event (topic, event_key) VALUES ('t', 'k') RETURNING position",
    ];
    denied(backend.writer(), &[&everything[..], &books, &looks, &given].concat()).await;
    denied(backend.relay(), &[&everything[..], &business].concat()).await;
    denied(backend.onlooker(), &[&everything[..], &books, &business].concat()).await;
    assert_eq!(left(backend).await, [1]);
}

pub async fn an_onlooker_is_told_what_it_lacks_to_look_on(backend: &Postgres) {
    let store = backend.operator();
    let findings = store.examine().await.unwrap();
    let privileges = findings.iter().find(|finding| finding.check == "privileges").unwrap();
    assert_eq!(privileges.verdict, Verdict::Warning, "{findings:?}");
    assert!(privileges.remedy.as_ref().is_some_and(|remedy| remedy.contains("GRANT INSERT")), "{privileges:?}");
    assert!(findings.iter().all(|finding| finding.verdict != Verdict::Failed), "{findings:?}");
    let refused = store.check().await.unwrap_err().to_string();
    assert!(refused.contains("GRANT") && refused.contains("outbox_checkpoint"), "{refused}");

    backend.admin("REVOKE SELECT ON outbox_lease FROM outbox_operator").await;
    let user = backend.onlooker().get_username();
    let error = store.status().await.unwrap_err();
    assert_eq!(error.kind(), StoreErrorKind::Precondition);
    let grant = format!("GRANT SELECT ON outbox_lease TO {user}");
    assert!(error.to_string().ends_with(&grant), "{error}");
    backend.admin(&grant).await;
    store.status().await.unwrap();
}

pub async fn a_relay_that_lacks_one_privilege_fails_the_examination(backend: &Postgres) {
    backend.admin("REVOKE INSERT ON outbox_dead_letter FROM outbox_relay").await;
    let store = PgStore::from_options(backend.relay().clone(), Names::default());
    let findings = store.examine().await.unwrap();
    let privileges = findings.iter().find(|finding| finding.check == "privileges").unwrap();
    assert_eq!(privileges.verdict, Verdict::Failed, "{privileges:?}");
    assert!(privileges.remedy.as_ref().is_some_and(|remedy| remedy.contains("GRANT INSERT ON outbox_dead_letter")));
}

/// The status tells which grant is missing, and all goes on when it is given.
pub async fn privileges_taken_from_a_relay_at_work_are_named_and_waited_for(backend: &Postgres) {
    let sink = Sink::new();
    let running = relay(backend.store()).lease(Duration::from_secs(1)).subscription(subscription(sink.clone()));
    let running = running.start().await.unwrap();
    let mut written = 0;
    for (privilege, table) in [("SELECT", "outbox_event"), ("UPDATE", "outbox_checkpoint")] {
        written += 1;
        write(backend, &["a"], written, written).await;
        sink.until_taken(usize::try_from(written).unwrap()).await;
        backend.admin(&format!("REVOKE {privilege} ON {table} FROM outbox_relay")).await;
        written += 1;
        write(backend, &["a"], written, written).await;
        let grant = format!("GRANT {privilege} ON {table} TO {}", backend.relay().get_username());
        let told = async || backend.store().status().await.unwrap().subscriptions[0].last_error.clone();
        eventually("the status to name it", told, |error| error.as_ref().is_some_and(|error| error.contains(&grant)))
            .await;
        backend.admin(&grant).await;
        sink.until_taken(usize::try_from(written).unwrap()).await;
    }
    // Without its lease it publishes nothing, and has nowhere to write that.
    backend.admin("REVOKE UPDATE ON outbox_lease FROM outbox_relay").await;
    write(backend, &["a"], 5, 5).await;
    let lease = "SELECT (expires_at < clock_timestamp())::text FROM outbox_lease";
    eventually("the lease to end", async || backend.ask(lease).await, |over| over.as_deref() == Some("true")).await;
    backend.admin("GRANT UPDATE ON outbox_lease TO outbox_relay").await;
    sink.until_taken(5).await;
    within("the relay to stop", running.stop()).await.unwrap();
    let by_key = sink.by_key();
    let mut numbers = by_key["a"].clone();
    numbers.dedup();
    assert_eq!(numbers, numbered(&["a"], 1, 5)["a"]);
}

pub async fn a_relay_without_privileges_does_not_start(backend: &Postgres) {
    let store = PgStore::from_options(backend.writer().clone(), Names::default());
    let refused = relay(store).subscription(subscription(Sink::new())).start().await;
    let Err(RelayError::Store(error)) = refused else { panic!("{:?}", refused.map(drop)) };
    assert_eq!(error.kind(), StoreErrorKind::Precondition);
    let user = backend.writer().get_username();
    assert!(error.to_string().contains(&format!("GRANT SELECT ON outbox_event TO {user}")), "{error}");
}

/// The owner of the tables need be no administrator; only to make a role that is missing takes one.
pub async fn an_owner_that_may_make_no_roles_grants_to_those_that_are_there(backend: &Postgres) {
    let owner = backend.give_to_a_plain_owner().await;
    let store = PgStore::from_options(owner.clone(), Names::default());
    store.create_roles().await.unwrap();
    assert_eq!(backend.ask(GRANTED).await.unwrap(), EXPECTED);
    let names = Names::new(None, Some("other_")).unwrap();
    backend.admin(&format!("GRANT CREATE ON SCHEMA public TO {}", owner.get_username())).await;
    let other = PgStore::from_options(owner, names);
    other.migrate(1).await.unwrap();
    let error = other.create_roles().await.unwrap_err().to_string();
    assert!(error.contains("permission denied to create role") && error.contains("CREATEROLE"), "{error}");
}

/// Under another schema and prefix the roles have the prefix, and serve as well.
pub async fn roles_of_other_names_serve_as_well(backend: &Postgres) {
    let (outbox, store) = backend.another(Names::new(Some("shop"), Some("ob_")).unwrap()).await;
    let mut tx = backend.begin().await;
    outbox.append(&mut tx, &super::log::event("k", 1)).await.unwrap();
    tx.commit().await.unwrap();
    let sink = Sink::new();
    drain(relay(store.clone()).subscription(subscription(sink.clone()))).await.unwrap();
    assert_eq!(sink.by_key(), numbered(&["k"], 1, 1));
    let report = outbox_relay::cleanup::clean(&store, &at_once(), false).await.unwrap();
    assert_eq!(report.segments[0].outcome, outbox_relay::cleanup::Outcome::Emptied, "{report:?}");
    assert_eq!(store.status().await.unwrap().subscriptions.len(), 1);
    pass(backend, &at_once()).await;
}

/// Whoever copies them from the page gets what it says.
pub async fn the_statements_of_the_guide_run_as_they_stand(backend: &Postgres) {
    let guide = include_str!("../../../docs/guides/privileges.md");
    let users = backend.guide_user("").get_username().to_owned();
    for statements in guide.split("```sql\n").skip(1).filter_map(|rest| rest.split("```").next()) {
        backend.admin(&statements.replace("shop_", &users)).await;
    }
    let append = "INSERT INTO outbox_event (topic, event_key, payload, tenant_id) VALUES ('t', 'k', '{}', 'eu')";
    let mut session = backend.guide_user("app").connect().await.unwrap();
    sqlx::raw_sql(append).execute(&mut session).await.expect_err("another tenant's");
    sqlx::raw_sql("SET shop.tenant = 'eu'").execute(&mut session).await.unwrap();
    sqlx::raw_sql(append).execute(&mut session).await.unwrap();
    let as_user = |user: &str| PgStore::from_options(backend.guide_user(user), Names::default());
    let sink = Sink::new();
    drain(relay(as_user("relay")).subscription(subscription(sink.clone()))).await.unwrap();
    assert_eq!(sink.taken().len(), 1);
    assert_eq!(as_user("support").status().await.unwrap().subscriptions[0].lag_events, Some(0));
}
