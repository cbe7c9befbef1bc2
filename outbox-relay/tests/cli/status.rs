//! What `status` shows.

use crate::shop::{Running, Shop, until};

#[test]
fn the_json_is_one_line_with_the_fields_of_the_contract() {
    let shop = Shop::open();
    shop.event("a", "k", "{}");
    shop.published(&[]);
    let ended = shop.call(&["status", "--json"]).expect_code(0);
    let [status] = &ended.lines()[..] else { panic!("not one line: {}", ended.stdout) };
    let keys = |value: &serde_json::Value| value.as_object().unwrap().keys().cloned().collect::<Vec<_>>();
    assert_eq!(keys(status), ["continuity", "database", "log", "relays", "subscriptions", "version"]);
    assert_eq!(status["version"], 1);
    assert_eq!(keys(&status["database"]), ["instance", "kind", "server_version"]);
    assert_eq!(keys(&status["log"]), ["bytes", "first_position", "last_position", "segments"]);
    let subscription = &status["subscriptions"][0];
    assert_eq!(
        keys(subscription),
        [
            "holes",
            "lag_events",
            "lag_seconds",
            "last_error",
            "name",
            "parked_events",
            "parked_keys",
            "partitions",
            "publisher",
            "state"
        ]
    );
    assert_eq!(keys(&subscription["partitions"][0]), ["epoch", "open", "owner", "partition", "position"]);
    assert_eq!((&status["log"]["first_position"], &status["log"]["last_position"]), (&1.into(), &1.into()));
}

#[test]
fn people_see_who_works_what() {
    let shop = Shop::open();
    assert!(shop.call(&["status"]).expect_code(0).stdout.contains("no subscription has run yet"));
    let _relay = Running::start(&mut shop.program(&["run", "--publisher", "null", "--name", "billing"]));
    shop.event("a", "k", "{}");
    let mut text = String::new();
    until("the relay is seen to have published", || {
        text = shop.call(&["status"]).expect_code(0).stdout;
        let words: Vec<_> =
            text.lines().find(|line| line.starts_with("billing")).unwrap_or("").split_whitespace().collect();
        words.get(2) == Some(&"0") && words.get(4) == Some(&"1")
    });
    assert!(text.contains("alive") && text.contains("null"), "{text}");
    assert!(!text.contains('\x1b') && text.lines().all(|line| line.chars().count() <= 100), "{text}");
}

#[test]
fn control_characters_from_the_database_do_not_reach_the_terminal() {
    let shop = Shop::open();
    shop.event("a", "k", "{}");
    shop.published(&[]);
    shop.sql("UPDATE outbox_lease SET last_error = 'x' || char(27) || '[2J' || char(155) || 'y', publisher = char(13)");
    for arguments in [&["status"][..], &["status", "--json"]] {
        let shown = shop.call(arguments).expect_code(0).stdout;
        assert!(!shown.contains(|c: char| c.is_control() && c != '\n'), "{shown:?}");
    }
}
