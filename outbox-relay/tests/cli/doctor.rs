//! What `doctor` and `why` say.

use crate::shop::{Running, Shop, until};

/// The findings that are not as they must be, as `check: remedy`.
fn complaints(shop: &Shop, code: i32) -> Vec<String> {
    let ended = shop.call(&["doctor", "--json"]).expect_code(code);
    let findings = ended.lines().remove(0);
    let findings = findings.as_array().expect("a list");
    assert!(findings.iter().all(|finding| finding["found"].is_string()));
    let text = |finding: &serde_json::Value, field: &str| finding[field].as_str().unwrap_or_default().to_owned();
    let wrong = findings.iter().filter(|finding| finding["verdict"] != "ok");
    wrong.map(|finding| format!("{}: {}", text(finding, "check"), text(finding, "remedy"))).collect()
}

#[test]
fn a_fresh_outbox_has_nothing_to_complain_of() {
    let shop = Shop::open();
    assert_eq!(complaints(&shop, 0), Vec::<String>::new());
    let told = shop.call(&["doctor"]).expect_code(0).stdout;
    assert!(told.ends_with("checks are well\n") && !told.contains('\x1b'), "{told}");
}

#[test]
fn what_is_wrong_is_told_with_its_remedy() {
    let shop = Shop::empty();
    let complaint = &complaints(&shop, 1)[0];
    assert!(complaint.starts_with("tables: run `outbox-relay migrate`"), "{complaint}");

    let shop = Shop::open();
    shop.event("a", "k", "{}");
    shop.published(&[]);
    shop.sql(
        "CREATE TABLE child (position INTEGER REFERENCES outbox_event (position));
         CREATE TRIGGER mine AFTER INSERT ON outbox_event BEGIN SELECT 1; END;
         INSERT INTO outbox_dead_letter (subscription, partition_id, position, event_id, event_key, topic, state, reason,
             attempts) VALUES ('s', 0, 1, 'id', 'k', 'a', 'blocked', 'no', 1)",
    );
    let complaints = complaints(&shop, 1);
    let checks: Vec<_> = complaints.iter().map(|complaint| complaint.split_once(':').unwrap().0).collect();
    assert_eq!(checks, ["foreign keys", "triggers", "relays", "dead letters"], "{complaints:?}");
}

#[test]
fn an_export_is_no_relay() {
    let shop = Shop::open();
    shop.event("a", "k", "{}");
    shop.call(&["events", "export", "--format", "jsonl", "--since-last", "nightly"]).expect_code(0);
    assert_eq!(complaints(&shop, 0), Vec::<String>::new());
    assert!(!shop.call(&["status"]).expect_code(0).stdout.contains("export:"));
}

#[test]
fn why_names_the_cause_and_what_to_do() {
    let shop = Shop::open();
    let told = |arguments: &[&str]| shop.call(arguments).expect_code(0).stdout;
    assert!(told(&["why"]).starts_with("no subscription has run yet"));
    shop.event("a", "k", "{}");
    shop.published(&[]);
    let why = told(&["why", "--subscription", "default"]);
    assert!(why.contains("no relay works it") && why.contains("→ start `outbox-relay run`"), "{why}");

    let _relay = Running::start(&mut shop.program(&["run", "--publisher", "null"]));
    until("the relay is seen to have nothing to do", || told(&["why"]).contains("nothing waits"));
    let json = shop.call(&["why", "--json"]).expect_code(0).lines().remove(0);
    assert_eq!((&json[0]["subject"], &json[0]["is_well"]), (&"subscription default".into(), &true.into()));

    let unknown = shop.call(&["why", "--subscription", "billing"]).expect_code(2).stderr;
    assert!(unknown.contains("there is no subscription `billing`; there is default"), "{unknown}");
}

#[test]
fn the_partitions_of_a_subscription_are_told_together() {
    let shop = Shop::open();
    shop.event("a", "k", "{}");
    let run = ["run", "--publisher", "null", "--partitions", "8", "--until-empty"];
    let log = shop.call(&run).expect_code(0).stderr;
    let taken: Vec<_> = log.lines().filter(|line| line.contains("lease of ")).collect();
    assert!(taken.len() == 1 && taken[0].contains("lease of partitions 0-7 taken"), "{log}");
    let told = shop.call(&["doctor"]).expect_code(0).stdout;
    assert_eq!(told.matches("continuity default").count(), 1, "{told}");
}
