//! What `cleanup` removes, and what it says.

use crate::shop::Shop;

/// Three events, the first of them a month old, all published to `default`.
fn published() -> Shop {
    let shop = Shop::open();
    for _ in 0..3 {
        shop.event("a", "k", "{}");
    }
    assert_eq!(shop.published(&[]), [1, 2, 3]);
    shop.sql(
        "UPDATE outbox_event SET occurred_at = strftime('%Y-%m-%dT%H:%M:%f', 'now', '-30 days') || '000Z' WHERE position = 1",
    );
    shop
}

fn told(shop: &Shop, arguments: &[&str]) -> serde_json::Value {
    let ended = shop.call(&[&["cleanup", "--json"], arguments].concat()).expect_code(0);
    let [told] = &ended.lines()[..] else { panic!("not one line: {}", ended.stdout) };
    told.clone()
}

#[test]
fn what_is_old_and_passed_goes_once() {
    let shop = published();
    let dry = told(&shop, &["--dry-run"]);
    assert_eq!((&dry["version"], &dry["dry_run"]), (&1.into(), &true.into()));
    assert_eq!(
        (&dry["segments"][0]["outcome"], &dry["segments"][0]["events"]),
        (&"would_be_emptied".into(), &1.into())
    );
    let done = told(&shop, &[]);
    assert_eq!((&done["segments"][0]["outcome"], &done["segments"][0]["events"]), (&"emptied".into(), &1.into()));
    let again = told(&shop, &[]);
    assert_eq!((&again["segments"][0]["outcome"], &again["segments"][0]["reason"]), (&"kept".into(), &"young".into()));
    assert_eq!(shop.published(&["--name", "other"]), [2, 3], "a new subscription begins with what is left");
}

#[test]
fn people_read_why_something_is_kept() {
    let shop = published();
    shop.sql("INSERT INTO outbox_checkpoint (subscription, partition_id, position) VALUES ('late', 0, 0)");
    let shown = shop.call(&["cleanup"]).expect_code(0).stdout;
    let expected = "attention: events older than they need be kept stay: `late` is at position 0 only\n";
    assert!(shown.starts_with("SEGMENT") && shown.ends_with(expected), "{shown}");
    assert!(shown.lines().all(|line| line.chars().count() <= 100), "{shown}");
    let status = shop.call(&["status"]).expect_code(0).stdout;
    assert!(status.contains("segment 0 cannot be emptied: events older than they need be kept stay"), "{status}");
    shop.sql("DELETE FROM outbox_checkpoint WHERE subscription = 'late'");
    shop.call(&["cleanup"]).expect_code(0);
    assert!(!shop.call(&["status"]).expect_code(0).stdout.contains("cannot be emptied"));
}

#[test]
fn retention_of_zero_removes_what_everybody_has_passed() {
    let shop = published();
    shop.event("a", "k", "{}");
    std::fs::write(shop.path("relay.toml"), "[retention]\nkeep = \"0s\"\n").unwrap();
    assert_eq!(told(&shop, &["--config", "relay.toml"])["segments"][0]["events"], 3);
    assert_eq!(shop.published(&[]), [4]);
}

#[test]
fn records_of_what_was_given_up_go_with_retention() {
    let shop = Shop::open();
    shop.event("a", "k", "{");
    shop.call(&["run", "--publisher", "stdout", "--until-empty"]).expect_code(4);
    let skip =
        ["dead-letters", "skip", "--subscription", "default", "--key", "k", "--reason", "a test", "--actor", "ann"];
    shop.call(&skip).expect_code(0);
    std::fs::write(shop.path("relay.toml"), "[retention]\nkeep = \"0s\"\n").unwrap();
    shop.sql("UPDATE outbox_meta SET value = '1' WHERE name = 'floor'");
    assert_eq!(told(&shop, &[])["letters"], 0, "seven days unless said otherwise");
    assert_eq!(told(&shop, &["--config", "relay.toml", "--dry-run"])["letters"], 1);
    let shown = shop.call(&["cleanup", "--config", "relay.toml"]).expect_code(0).stdout;
    assert!(shown.contains("1 dead letter given up long ago removed\n"), "{shown}");
    assert_eq!(told(&shop, &["--config", "relay.toml"])["letters"], 0);
}

#[test]
fn events_removed_by_hand_before_they_were_read_are_exit_3() {
    let shop = published();
    shop.event("a", "k", "{}");
    shop.sql("DELETE FROM outbox_event; UPDATE outbox_meta SET value = '4' WHERE name = 'floor'");
    let failed = shop.call(&["run", "--publisher", "stdout", "--until-empty"]).expect_code(3);
    let [error] = failed.errors()[..] else { panic!("{}", failed.stderr) };
    assert!(error.contains("`default` is at position 3, and events up to 4 were removed"), "{error}");
    assert_eq!(shop.published(&["--name", "anew"]), [0_u64; 0]);
}

#[test]
fn an_outbox_that_is_not_there_is_exit_2() {
    let shop = Shop::empty();
    assert!(shop.call(&["cleanup"]).expect_code(2).stderr.contains("run `outbox-relay migrate`"));
}
