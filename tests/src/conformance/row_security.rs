//! Row level security on the outbox's tables: what it may hide from a relay, it hides as if it had been rolled back.

#![expect(missing_docs, reason = "the name of a behaviour says what holds")]

use std::time::Duration;

use outbox_core::checkpoint::Checkpoint;
use outbox_core::doctor::Verdict;
use outbox_core::lease::RelayIdentity;
use outbox_core::{Filter, Names, NewEvent, Store, StoreError, StoreErrorKind};
use outbox_sqlx::PgStore;
use uuid::Uuid;

use super::cleanup::{NOTHING, at_once, left, pass};
use super::log::{drain, everything, numbered, relay, subscription, write};
use super::postgres::Postgres;
use super::segments::removal;
use super::sink::Sink;
use super::waiting::{eventually, within};
use super::{Backend, SqlBackend};

const TABLES: [&str; 7] = [
    "outbox_event",
    "outbox_checkpoint",
    "outbox_lease",
    "outbox_relay",
    "outbox_dead_letter",
    "outbox_meta",
    "outbox_event_0",
];

/// Lets writers append, and others see what is nobody's.
async fn hide(backend: &Postgres, table: &str) {
    let policies = format!(
        "ALTER TABLE {table} ENABLE ROW LEVEL SECURITY;
         CREATE POLICY append ON {table} FOR INSERT TO outbox_writer WITH CHECK (true);
         CREATE POLICY visible ON {table} FOR SELECT TO outbox_relay, outbox_operator USING (false)"
    );
    backend.admin(&policies).await;
}

async fn bypass(backend: &Postgres) {
    for user in [backend.relay(), backend.onlooker()] {
        backend.admin(&format!("ALTER ROLE {} BYPASSRLS", user.get_username())).await;
    }
}

pub async fn policies_that_may_hide_rows_are_refused_with_table_and_remedy(backend: &Postgres) {
    let (relay_user, onlooker) = (backend.relay().get_username(), backend.onlooker().get_username());
    for table in TABLES {
        hide(backend, table).await;
        for (answer, user) in [
            (backend.store().check().await.map(drop), relay_user),
            (backend.store().source(&Filter::default()).await.map(drop), relay_user),
            (backend.store().checkpoints().await.map(drop), relay_user),
            (backend.store().leases().await.map(drop), relay_user),
            (backend.store().status().await.map(drop), onlooker),
            (backend.store().inspect().await.map(drop), onlooker),
        ] {
            let error = answer.unwrap_err();
            assert_eq!(error.kind(), StoreErrorKind::Precondition);
            let (names, ends) = (format!("rows of {table} from"), format!("ALTER ROLE {user} BYPASSRLS"));
            assert!(error.to_string().contains(&names) && error.to_string().ends_with(&ends), "{error}");
        }
        let findings = backend.store().examine().await.unwrap();
        let finding = findings.iter().find(|finding| finding.check == "row security").unwrap();
        assert_eq!(finding.verdict, Verdict::Failed);
        assert!(finding.remedy.as_ref().is_some_and(|remedy| remedy.contains("BYPASSRLS")), "{finding:?}");
        backend.admin(&format!("ALTER TABLE {table} DISABLE ROW LEVEL SECURITY")).await;
        backend.store().check().await.unwrap();
    }
}

/// What was open before a policy came: each answers with an error, and none with less than there is.
pub async fn no_call_of_a_relay_at_work_takes_hidden_rows_for_none(backend: &Postgres) {
    write(backend, &["k"], 1, 3).await;
    let store = backend.store();
    let mut source = store.source(&Filter::default()).await.unwrap();
    let mut checkpoints = store.checkpoints().await.unwrap();
    checkpoints.create("billing", 1, &Checkpoint { position: 3, ..Checkpoint::default() }).await.unwrap();
    let mut leases = store.leases().await.unwrap();
    let mut cleaner = store.cleaner().await.unwrap().unwrap();
    backend.admin("SELECT setval('outbox_segment', 1, true)").await;
    for table in TABLES {
        hide(backend, table).await;
    }
    let says = |error: StoreError| {
        assert_eq!(error.kind(), StoreErrorKind::Precondition, "{error}");
        assert!(error.to_string().contains("row-level security") && error.to_string().contains("doctor"), "{error}");
    };
    says(source.read(&everything()).await.map(drop).unwrap_err());
    says(checkpoints.claim_one("billing", 2).await.map(drop).unwrap_err());
    says(leases.acquire_one(&somebody(), "billing", Duration::from_secs(5)).await.map(drop).unwrap_err());
    says(cleaner.remove(&removal(0, 3)).await.map(drop).unwrap_err());
    let mut checkpoints = without_policies(backend, async || backend.store().checkpoints().await.unwrap()).await;
    let checkpoint = Checkpoint { position: 3, ..Checkpoint::default() };
    says(checkpoints.save_one("billing", 1, &checkpoint).await.unwrap_err());
    let mut cleaner = without_policies(backend, async || backend.store().cleaner().await.unwrap().unwrap()).await;
    says(cleaner.survey().await.map(drop).unwrap_err());
    assert_eq!(backend.ask("SELECT count(*)::text FROM outbox_event").await.as_deref(), Some("3"));
}

async fn without_policies<T>(backend: &Postgres, open: impl AsyncFnOnce() -> T) -> T {
    let all = |what: &str| TABLES.map(|table| format!("ALTER TABLE {table} {what} ROW LEVEL SECURITY;")).concat();
    backend.admin(&all("DISABLE")).await;
    let opened = open().await;
    backend.admin(&all("ENABLE")).await;
    opened
}

fn somebody() -> RelayIdentity {
    RelayIdentity {
        relay_id: Uuid::now_v7(),
        name: "relay-b".into(),
        host: "host-b".into(),
        process_id: 1,
        process_started: String::new(),
    }
}

pub async fn a_relay_waits_behind_new_policies_and_goes_on_once_it_bypasses_them(backend: &Postgres) {
    let sink = Sink::new();
    let running = relay(backend.store()).subscription(subscription(sink.clone())).start().await.unwrap();
    write(backend, &["a"], 1, 2).await;
    sink.until_taken(2).await;
    hide(backend, "outbox_event").await;
    write(backend, &["a"], 3, 5).await;
    let told = async || backend.ask("SELECT max(last_error) FROM outbox_lease").await;
    let remedy = format!("ALTER ROLE {} BYPASSRLS", backend.relay().get_username());
    eventually("the relay to say why", told, |error| error.as_ref().is_some_and(|error| error.contains(&remedy))).await;
    assert_eq!(sink.positions(), [1, 2]);
    bypass(backend).await;
    sink.until_taken(5).await;
    within("the relay to stop", running.stop()).await.unwrap();
    assert_eq!(sink.by_key(), numbered(&["a"], 1, 5));
}

/// Tenants kept apart by policies, a relay and an onlooker that see them all.
pub async fn policies_for_writers_and_a_relay_that_bypasses_them_work_together(backend: &Postgres) {
    for table in TABLES {
        backend.admin(&format!("ALTER TABLE {table} ENABLE ROW LEVEL SECURITY")).await;
    }
    bypass(backend).await;
    let findings = backend.store().examine().await.unwrap();
    let finding = findings.iter().find(|finding| finding.check == "policies of writers").unwrap();
    let (_, policy) = finding.remedy.as_deref().unwrap().split_once(": ").unwrap();
    let mut tx = backend.begin().await;
    let refused = Postgres::append(&mut tx, &super::log::event("k", 1)).await.unwrap_err();
    assert!(format!("{refused:?}").contains("row-level security"), "{refused:?}");
    tx.rollback().await.unwrap();

    backend.admin(policy).await;
    write(backend, &["k"], 1, 3).await;
    backend.admin("DROP POLICY writers_append ON outbox_event").await;
    backend
        .admin("CREATE POLICY tenants ON outbox_event FOR INSERT TO outbox_writer WITH CHECK (tenant_id = 'eu')")
        .await;
    let of = |tenant: &'static str| NewEvent { tenant_id: Some(tenant.into()), ..super::log::event("k", 4) };
    let mut tx = backend.begin().await;
    Postgres::append(&mut tx, &of("eu")).await.unwrap();
    tx.commit().await.unwrap();
    let mut tx = backend.begin().await;
    Postgres::append(&mut tx, &of("us")).await.unwrap_err();
    tx.rollback().await.unwrap();

    let sink = Sink::new();
    drain(relay(backend.store()).subscription(subscription(sink.clone()))).await.unwrap();
    assert_eq!(sink.by_key(), numbered(&["k"], 1, 4));
    assert_eq!(backend.store().status().await.unwrap().subscriptions[0].lag_events, Some(0));
    pass(backend, &at_once()).await;
    assert_eq!(left(backend).await, NOTHING);
}

/// An owner is above the policies of its tables, unless it is told not to be.
pub async fn an_owner_under_forced_policies_is_refused_with_the_remedy(backend: &Postgres) {
    let owner = PgStore::from_options(backend.give_to_a_plain_owner().await, Names::default());
    write(backend, &["k"], 1, 2).await;
    hide(backend, "outbox_event").await;
    owner.check().await.unwrap();
    backend.admin("ALTER TABLE outbox_event FORCE ROW LEVEL SECURITY").await;
    let error = owner.check().await.unwrap_err();
    assert_eq!(error.kind(), StoreErrorKind::Precondition);
    let (_, remedy) = error.to_string().split_once("run: ").map(|(a, b)| (a.to_owned(), b.to_owned())).unwrap();
    assert_eq!(remedy, "ALTER TABLE outbox_event NO FORCE ROW LEVEL SECURITY");
    let refused = relay(owner.clone()).subscription(subscription(Sink::new())).start().await;
    assert!(refused.is_err());
    backend.admin(&remedy).await;
    let sink = Sink::new();
    drain(relay(owner).subscription(subscription(sink.clone()))).await.unwrap();
    assert_eq!(sink.by_key(), numbered(&["k"], 1, 2));
}
