//! After a break: what is broken is said, mended in one step, and nothing that the log holds is lost.

#![expect(missing_docs, reason = "the name of a behaviour says what holds")]

use std::collections::BTreeSet;

use outbox_core::continuity::{Mender, Plan, Signature};
use outbox_core::doctor::Verdict;
use outbox_core::{Store, StoreErrorKind};
use uuid::Uuid;

use super::changelog::whole_log;
use super::continuity::{checkpointed, ends_for_continuity, is_continuity, running};
use super::export::exported;
use super::log::{SUBSCRIPTION, drain, events, relay, subscription, write};
use super::sink::Sink;
use super::waiting::within;
use super::{Backend, SqlBackend};

/// Who mends in the tests.
#[must_use]
pub fn signature() -> Signature {
    Signature { actor: "tester".into(), reason: Some("a test".into()) }
}

/// What makes another log of a log while nobody sees it.
const REPLACED: &str = "UPDATE outbox_event SET event_id = '0190a1b2-0000-7000-8000-000000000000' WHERE position = 4";

async fn mender<B: Backend>(backend: &B) -> Box<dyn Mender> {
    backend.store().mender().await.unwrap().unwrap()
}

/// Repairs; the owner first grants whoever mends what the refusal says it lacks.
async fn repaired<B: SqlBackend>(backend: &B, mender: &mut dyn Mender, subscription: Option<&str>) -> Plan {
    // To raise positions is one grant, and to move events another.
    for _ in 0..2 {
        match mender.repair(subscription, &signature()).await {
            Ok(plan) => return plan,
            Err(refused) => {
                let text = refused.to_string();
                let (_, grant) =
                    text.split_once("as the owner of the tables run: ").unwrap_or_else(|| panic!("{text}"));
                backend.admin(grant).await;
            }
        }
    }
    mender.repair(subscription, &signature()).await.unwrap()
}

/// Asserts that everything the log holds was published.
async fn assert_all_published<B: Backend>(backend: &B, sink: &Sink, damage: &str) {
    let published: BTreeSet<Uuid> = sink.taken().iter().map(|event| event.event_id).collect();
    for event in events(backend).await {
        assert!(published.contains(&event.event_id), "{damage}: position {} is lost", event.position);
    }
}

pub async fn every_damage_is_noticed_and_mended<B: SqlBackend>(_: &B) {
    for (damage, writable) in B::DAMAGES {
        is_noticed_and_mended(&B::create().await, damage, *writable).await;
    }
}

async fn is_noticed_and_mended<B: SqlBackend>(backend: &B, damage: &str, writable: bool) {
    let (sink, store, running) = running(backend).await;
    checkpointed(backend, 5).await;
    backend.admin(damage).await;
    store.break_connections();
    ends_for_continuity(running).await;
    if writable {
        write(backend, &["k"], 6, 7).await;
    }
    assert_eq!(sink.taken().len(), 5, "{damage}: nothing is published");
    let drained = async || drain(relay(backend.store()).subscription(subscription(sink.clone()))).await;
    let refused = drained().await;
    assert!(refused.as_ref().unwrap_err().to_string().contains("run `outbox-relay repair --plan`"), "{damage}");
    is_continuity(refused);

    let mut mender = mender(backend).await;
    let plan = mender.plan(None).await.unwrap();
    assert_eq!(plan.readers.len(), 1, "{damage}: {plan:?}");
    is_continuity(drained().await);
    let done = repaired(backend, &mut *mender, None).await;
    assert_eq!((done.readers[0].back_to, done.positions), (plan.readers[0].back_to, plan.positions), "{damage}");
    assert!(mender.plan(None).await.unwrap().is_empty(), "{damage}: once is enough");
    let told = backend.ask("SELECT max(value) FROM outbox_meta WHERE name LIKE 'repair:%'").await.unwrap();
    assert!(told.ends_with(" by tester: a test") && told.contains("billing/0 from 5 back to "), "{told}");

    drained().await.unwrap();
    write(backend, &["k"], 8, 9).await;
    drained().await.unwrap();
    assert_all_published(backend, &sink, damage).await;
    let last = events(backend).await.last().unwrap().position;
    assert!(last > 6, "{damage}: position {last} was given out twice");
}

pub async fn nothing_is_mended_under_a_relay_at_work<B: SqlBackend>(backend: &B) {
    let (sink, _, running) = running(backend).await;
    checkpointed(backend, 5).await;
    backend.admin(REPLACED).await;
    let mut mender = mender(backend).await;
    let plan = mender.plan(None).await.unwrap();
    assert_eq!(plan.readers[0].owner.as_deref(), Some("relay-a"));
    let refused = mender.repair(None, &signature()).await.unwrap_err();
    assert_eq!(refused.kind(), StoreErrorKind::Precondition);
    assert!(refused.to_string().contains("relay `relay-a` works subscription `billing`; stop it first"), "{refused}");
    within("the relay to stop", running.stop()).await.unwrap();
    let mut mender = self::mender(backend).await;
    assert!(!mender.plan(None).await.unwrap().is_empty(), "nothing was changed");
    repaired(backend, &mut *mender, None).await;
    drain(relay(backend.store()).subscription(subscription(sink.clone()))).await.unwrap();
    assert_all_published(backend, &sink, REPLACED).await;
    assert_eq!(sink.taken().len(), 6, "the one event that was not read there");
}

pub async fn an_export_by_name_is_mended_too<B: SqlBackend>(backend: &B) {
    write(backend, &["k"], 1, 5).await;
    let log = whole_log(backend);
    assert_eq!(exported(&log, Some("daily")).await.0, [1, 2, 3, 4, 5]);
    backend.admin(B::SET_BACK).await;
    write(backend, &["k"], 6, 7).await;
    let mut export = log.export(Some("daily")).await.unwrap();
    let refused = within("the first page", export.next()).await.unwrap_err();
    assert_eq!(refused.kind(), StoreErrorKind::Continuity);
    export.abandon().await;
    let plan = repaired(backend, &mut *mender(backend).await, None).await;
    assert_eq!((plan.readers[0].subscription.as_str(), plan.readers[0].back_to), ("export:daily", 1));
    assert_eq!(exported(&log, Some("daily")).await.0, [2, 3]);
}

pub async fn only_the_named_subscription_is_mended<B: SqlBackend>(backend: &B) {
    write(backend, &["k"], 1, 5).await;
    let sink = Sink::new();
    drain(relay(backend.store()).subscription(subscription(sink.clone()))).await.unwrap();
    exported(&whole_log(backend), Some("daily")).await;
    backend.admin(B::SET_BACK).await;
    let mut mender = mender(backend).await;
    assert_eq!(mender.plan(None).await.unwrap().readers.len(), 2);
    repaired(backend, &mut *mender, Some(SUBSCRIPTION)).await;
    let left = mender.plan(None).await.unwrap();
    assert_eq!(left.readers.iter().map(|reader| reader.subscription.as_str()).collect::<Vec<_>>(), ["export:daily"]);
    write(backend, &["k"], 6, 7).await;
    drain(relay(backend.store()).subscription(subscription(sink.clone()))).await.unwrap();
    assert_all_published(backend, &sink, B::SET_BACK).await;
}

pub async fn a_place_where_nobody_worked_is_refused_until_it_is_adopted<B: SqlBackend>(backend: &B) {
    let sink = Sink::new();
    write(backend, &["k"], 1, 3).await;
    drain(relay(backend.store()).subscription(subscription(sink.clone()))).await.unwrap();
    // So it looks from a copy: the rows are those of the original.
    backend.admin("UPDATE outbox_meta SET name = 'address:elsewhere' WHERE name LIKE 'address:%'").await;
    backend.admin("UPDATE outbox_meta SET value = 'another' WHERE name = 'server'").await;
    write(backend, &["k"], 4, 4).await;
    let refused = drain(relay(backend.store()).subscription(subscription(sink.clone()))).await;
    let text = refused.as_ref().unwrap_err().to_string();
    assert!(text.contains("at elsewhere so far") && text.contains("run `outbox-relay adopt`"), "{text}");
    is_continuity(refused);
    assert_eq!(sink.taken().len(), 3, "a copy publishes nothing");

    let mut mender = mender(backend).await;
    let adoption = mender.adopt(false, &signature()).await.unwrap();
    assert_eq!((adoption.before, adoption.instance), (vec!["elsewhere".to_owned()], adoption.instance_before));
    let by = backend.ask(&format!("SELECT value FROM outbox_meta WHERE name = 'address:{}'", adoption.address)).await;
    assert!(by.unwrap().ends_with("Z by tester: a test"));
    drain(relay(backend.store()).subscription(subscription(sink.clone()))).await.unwrap();
    assert_eq!(sink.taken().len(), 4);
    let known = mender.examine().await.unwrap();
    assert_eq!((known.addresses.len(), known.refused), (2, None));
}

pub async fn another_way_to_the_same_server_needs_no_adoption<B: SqlBackend>(backend: &B) {
    let sink = Sink::new();
    write(backend, &["k"], 1, 3).await;
    drain(relay(backend.store()).subscription(subscription(sink.clone()))).await.unwrap();
    backend.admin("UPDATE outbox_meta SET name = 'address:elsewhere' WHERE name LIKE 'address:%'").await;
    write(backend, &["k"], 4, 4).await;
    drain(relay(backend.store()).subscription(subscription(sink.clone()))).await.unwrap();
    assert_eq!(sink.taken().len(), 4);
    assert_eq!(mender(backend).await.examine().await.unwrap().addresses.len(), 2);
}

pub async fn a_new_instance_is_another_outbox<B: SqlBackend>(backend: &B) {
    let instance = async || Uuid::try_parse(&backend.store().check().await.unwrap().instance).unwrap();
    let drained = async |expected: Uuid| {
        let relay = relay(backend.store()).expect_instance(expected).subscription(subscription(Sink::new()));
        drain(relay).await
    };
    let before = instance().await;
    drained(before).await.unwrap();
    let (_, _, running) = running(backend).await;
    let mut mender = mender(backend).await;
    let refused = mender.adopt(true, &signature()).await.unwrap_err();
    assert!(refused.to_string().contains("stop it first"), "{refused}");
    within("the relay to stop", running.stop()).await.unwrap();

    backend.admin("INSERT INTO outbox_meta (name, value) VALUES ('address:original', 'now')").await;
    let mut mender = self::mender(backend).await;
    let adoption = mender.adopt(true, &signature()).await.unwrap();
    let after = instance().await;
    assert_eq!((adoption.instance_before, adoption.instance), (before.to_string(), after.to_string()));
    assert_ne!(before, after);
    assert_eq!(mender.examine().await.unwrap().addresses, [adoption.address], "it gives the original up");
    let left = "SELECT CAST(count(*) AS text) FROM outbox_meta WHERE name LIKE 'left:20%Z:original'";
    assert_eq!(backend.ask(left).await.as_deref(), Some("1"), "and keeps that on record");
    let refused = drained(before).await;
    let text = refused.as_ref().unwrap_err().to_string();
    assert!(text.contains(&before.to_string()) && text.contains(&after.to_string()), "{text}");
    is_continuity(refused);
    drained(after).await.unwrap();
}

pub async fn doctor_and_status_tell_how_it_stands<B: SqlBackend>(backend: &B) {
    let of = async |check: &str| {
        let findings = backend.store().examine().await.unwrap();
        findings.into_iter().find(|finding| finding.check == check).unwrap()
    };
    let (_, _, running) = running(backend).await;
    checkpointed(backend, 5).await;
    within("the relay to stop", running.stop()).await.unwrap();
    assert_eq!(of("continuity billing").await.verdict, Verdict::Ok);
    let known = backend.store().status().await.unwrap().continuity.unwrap();
    assert_eq!(of("address").await.found, known.address);
    assert_eq!(of("instance").await.found, backend.store().check().await.unwrap().instance);
    assert_eq!((known.addresses, known.readers[0].broken.clone()), (vec![known.address], None));

    backend.admin(REPLACED).await;
    backend.admin("UPDATE outbox_meta SET name = 'address:elsewhere' WHERE name LIKE 'address:%'").await;
    backend.admin("UPDATE outbox_meta SET value = 'another' WHERE name = 'server'").await;
    let (reader, place) = (of("continuity billing").await, of("address").await);
    assert_eq!((reader.verdict, place.verdict), (Verdict::Failed, Verdict::Failed));
    assert!(reader.found.contains("position 4 holds another event"), "{reader:?}");
    assert!(reader.remedy.unwrap().contains("repair --plan") && place.remedy.unwrap().contains("adopt"));
    let known = backend.store().status().await.unwrap().continuity.unwrap();
    assert!(known.refused.is_some() && known.readers[0].broken.is_some());
}
