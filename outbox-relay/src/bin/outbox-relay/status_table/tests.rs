use outbox_core::continuity::ReaderContinuity;
use outbox_core::status::{DatabaseStatus, HolderStatus, LogStatus, PartitionStatus};

use super::*;

fn status(subscriptions: Vec<SubscriptionStatus>) -> Status {
    Status {
        version: 1,
        database: DatabaseStatus { kind: "postgres", server_version: "15.4".into(), instance: "0190-a".into() },
        log: LogStatus {
            first_position: Some(1),
            last_position: Some(20_431),
            bytes: Some(3 << 20),
            segments: Vec::new(),
        },
        relays: vec![RelayStatus { name: "host-a".into(), state: "alive", seen_seconds_ago: 1.2 }],
        subscriptions,
        continuity: None,
    }
}

#[test]
fn a_person_sees_where_it_was_worked_and_whose_log_is_another() {
    let reader = |broken: Option<&str>| ReaderContinuity {
        subscription: "export:daily".into(),
        partition: 0,
        broken: broken.map(str::to_owned),
    };
    let continuity = Continuity {
        instance: "0190-a".into(),
        addresses: vec!["postgres://a:5432/shop".into(), "postgres://b:5432/shop".into()],
        address: "postgres://c:5432/shop".into(),
        refused: Some("it looks like a copy".into()),
        readers: vec![reader(None), reader(Some("position 7 holds another event"))],
    };
    let text = render(&Status { continuity: Some(continuity), ..status(Vec::new()) }, false);
    assert!(text.contains("worked at: postgres://a:5432/shop, postgres://b:5432/shop\n"), "{text}");
    assert!(text.contains("not worked at postgres://c:5432/shop: it looks like a copy\n"), "{text}");
    assert!(
        text.contains("export:daily: position 7 holds another event; run `outbox-relay repair --plan`\n"),
        "{text}"
    );
}

fn billing() -> SubscriptionStatus {
    let holder = |pid, prepared| HolderStatus {
        pid,
        user: Some("app".into()),
        application: Some("psql".into()),
        age_seconds: Some(240.0),
        prepared,
    };
    SubscriptionStatus {
        name: "billing".into(),
        publisher: Some("file:/var/out.jsonl".into()),
        state: "blocked".into(),
        lag_events: Some(120_431),
        lag_seconds: Some(192.4),
        last_error: Some("payload is not JSON".into()),
        parked_keys: 1,
        parked_events: 2,
        paused: None,
        holes: vec![HoleStatus {
            from: 12,
            to: 15,
            age_seconds: 61.0,
            holders: vec![holder(Some(4711), false), holder(None, true)],
        }],
        partitions: vec![PartitionStatus {
            partition: 0,
            owner: Some("host-a".into()),
            epoch: 3,
            position: 20_000,
            open: "{[12,15],[20,20],[30,31],[40,40],[50,50]}".into(),
        }],
    }
}

#[test]
fn a_person_sees_everything_that_holds_a_subscription_up() {
    let text = render(&status(vec![billing()]), false);
    assert_eq!(
        text,
        "\
postgres 15.4, outbox 0190-a
log: positions 1 to 20431, 3.0 MiB

RELAY   STATE  SEEN
host-a  alive  1s ago

SUBSCRIPTION  STATE       LAG  OLDEST  POSITION  OPEN               OWNER   PUBLISHER
billing       blocked  120431  3m 12s     20000  12-15 20 30-31 +2  host-a  file:/var/out.jsonl

billing:
  2 events of 1 key will not pass, or wait behind one that does not
  last error: payload is not JSON
  positions 12 to 15 are missing for 1m 1s; may still be filled by pid 4711 (user app, psql, open 4m), \
a prepared transaction (user app, psql, open 4m)
"
    );
}

#[test]
fn long_texts_wrap_within_100_columns() {
    let long = SubscriptionStatus {
        name: "a-very-long-name-of-a-subscription-".repeat(3),
        publisher: Some(format!("file:/{}", "folder/".repeat(30))),
        ..billing()
    };
    let text = render(&status(vec![billing(), long]), false);
    let table = text.split("SUBSCRIPTION").nth(1).unwrap().split("\n\n").next().unwrap();
    assert!(table.lines().all(|line| line.chars().count() <= 100), "{text}");
}

#[test]
fn colours_are_for_terminals_and_control_characters_for_nobody() {
    let hostile = SubscriptionStatus {
        name: "b\x1b[2J\u{2060}".into(),
        last_error: Some("a\x1b]0;x\x07\r".into()),
        publisher: Some("http://ann:canary@host/".into()),
        ..billing()
    };
    let plain = render(&status(vec![hostile.clone()]), false);
    assert!(!plain.contains(|c: char| (c.is_control() && c != '\n') || c == '\u{2060}'), "{plain:?}");
    assert!(!plain.contains("canary"));
    let coloured = render(&status(vec![hostile]), true);
    assert!(coloured.contains("\x1b[31mblocked\x1b[0m") && coloured.contains("\x1b[32malive\x1b[0m"), "{coloured:?}");
    assert_eq!(coloured.matches('\x1b').count(), 4);
}
