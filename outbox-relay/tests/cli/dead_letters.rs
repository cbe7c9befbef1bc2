//! What operators do about dead letters, and `pause` and `resume`.

#![expect(clippy::unwrap_used, reason = "what goes wrong here ends the test that asked for it")]

use serde_json::Value;

use crate::shop::{Running, Shop, until};

const RUN: [&str; 4] = ["run", "--publisher", "stdout", "--until-empty"];
const DECISION: [&str; 4] = ["--reason", "sent by hand", "--actor", "ann"];

/// A shop whose key `bad` is parked at its second position, with one event behind it.
fn parked() -> Shop {
    let shop = Shop::open();
    shop.event("a", "good", "{}");
    shop.event("a", "bad", "{canary");
    shop.event("a", "bad", "{}");
    shop.call(&RUN).expect_code(4);
    shop
}

/// Calls `dead-letters` about the default subscription.
fn call(shop: &Shop, arguments: &[&str], code: i32) -> (String, String) {
    let command = ["dead-letters", arguments[0], "--subscription", "default"];
    let ended = shop.call(&[&command, &arguments[1..]].concat()).expect_code(code);
    (ended.stdout, ended.stderr)
}

fn states(shop: &Shop) -> Vec<(i64, String)> {
    let (listed, _) = call(shop, &["list", "--json"], 0);
    let letters: Vec<Value> = serde_json::from_str(&listed).unwrap();
    letters
        .iter()
        .map(|each: &Value| (each["position"].as_i64().unwrap(), each["state"].as_str().unwrap().into()))
        .collect()
}

#[test]
fn letters_are_listed_without_what_they_carry_and_shown_with_it() {
    let shop = parked();
    assert_eq!(states(&shop), [(2, "parked".into()), (3, "waiting".into())]);
    let (table, _) = call(&shop, &["list"], 0);
    assert!(table.starts_with("POSITION  STATE") && table.contains("payload is not JSON"), "{table}");
    assert!(table.lines().next().unwrap().ends_with("DECIDED"), "{table}");
    assert!(!table.contains("canary"), "{table}");
    let (narrowed, _) = call(&shop, &["list", "--key", "bad", "--json"], 0);
    assert_eq!(serde_json::from_str::<Vec<Value>>(&narrowed).unwrap().len(), 2);
    let (shown, _) = call(&shop, &["show", "--position", "2"], 0);
    assert!(shown.contains("state         parked\n") && shown.ends_with("{canary\n"), "{shown}");
    assert_eq!(call(&shop, &["show", "--key", "bad"], 0).0, shown, "the one that is parked");
    let (json, _) = call(&shop, &["show", "--position", "2", "--json"], 0);
    let json: Value = serde_json::from_str(&json).unwrap();
    assert_eq!((&json["event"]["key"], &json["attempts"]), (&"bad".into(), &1.into()), "{json}");
    let why = shop.call(&["why"]).expect_code(0).stdout;
    assert!(why.contains("2 events of 1 key will not pass") && why.contains("dead-letters list"), "{why}");
    assert!(why.contains("position 2 of key `bad`, after 1 attempt: payload is not JSON"), "{why}");
}

#[test]
fn an_event_that_cannot_be_published_is_told_of_without_what_it_carries() {
    let shop = Shop::open();
    shop.event("a", "bad", "{canary");
    let log = shop.call(&["run", "--publisher", "null", "--until-empty"]).expect_code(4).stderr;
    let told = log.lines().find(|line| line.contains("cannot be published")).unwrap_or_else(|| panic!("{log}"));
    assert!(["position=1", "payload is not JSON", "events=1"].iter().all(|each| told.contains(each)), "{told}");
    assert!(!log.contains("canary"), "{log}");
}

#[test]
fn a_mended_event_is_sent_under_its_id_and_its_key_goes_on() {
    let shop = parked();
    std::fs::write(shop.path("mended.json"), r#"{"mended":true}"#).unwrap();
    std::fs::write(shop.path("worse.json"), "{").unwrap();
    let id = shop.texts("SELECT event_id FROM outbox_event WHERE position = 2").remove(0);
    let (_, said) = call(&shop, &["requeue", "--key", "bad", "--payload", "worse.json"], 2);
    assert!(said.contains("the payload is not JSON"), "{said}");
    let (_, said) = call(&shop, &["requeue", "--key", "bad", "--payload", "nowhere.json"], 2);
    assert!(said.contains("--payload: nowhere.json cannot be read"), "{said}");
    let (told, _) = call(&shop, &["requeue", "--key", "bad", "--payload", "mended.json", "--actor", "ann"], 0);
    assert_eq!(told, "requeued: position 2 of default\n");
    let (_, said) = call(&shop, &["requeue", "--key", "bad"], 1);
    assert!(said.contains("requeued already by ann"), "{said}");
    let lines = shop.call(&RUN).expect_code(0).lines();
    assert_eq!(lines.iter().map(|line| line["partitionkey"].as_str().unwrap()).collect::<Vec<_>>(), ["bad"; 2]);
    assert_eq!((lines[0]["id"].as_str().unwrap(), &lines[0]["data"]["mended"]), (id.as_str(), &true.into()));
    assert_eq!(states(&shop), []);
    assert_eq!(call(&shop, &["list"], 0).0, "no dead letters\n");
}

#[test]
fn what_fails_again_says_so() {
    for policy in ["park", "block"] {
        let shop = Shop::open();
        shop.event("a", "bad", "{canary");
        let subscription = "[[subscription]]\nname = \"default\"\npublisher.url = \"stdout\"";
        std::fs::write(shop.path("relay.toml"), format!("{subscription}\nretry.then = \"{policy}\"\n")).unwrap();
        let run = ["run", "--config", "relay.toml", "--until-empty"];
        let decided = |what: &str| {
            let (shown, _) = call(&shop, &["show", "--position", "1"], 0);
            assert!(shown.contains(&format!("decided       {what}\n")), "{policy}: {shown}");
        };
        shop.call(&run).expect_code(4);
        decided("-");
        call(&shop, &["requeue", "--key", "bad", "--actor", "ann", "--reason", "a new version"], 0);
        decided("requeued by ann: a new version");
        shop.call(&run).expect_code(4);
        decided("requeued by ann: a new version (failed again)");
        let (told, _) = call(&shop, &["show", "--position", "1", "--json"], 0);
        assert_eq!(serde_json::from_str::<Value>(&told).unwrap()["failed_again"], true, "{policy}: {told}");
    }
}

#[test]
fn what_is_given_up_needs_a_reason_and_stays_on_record() {
    let shop = parked();
    for command in ["skip", "discard"] {
        let (_, said) = call(&shop, &[command, "--key", "bad", "--reason", "sent by hand"], 2);
        assert!(said.contains("why (reason) and who (actor)"), "{said}");
    }
    let skip = [&["skip", "--key", "bad"][..], &DECISION, &["--json"]].concat();
    let (told, _) = call(&shop, &skip, 0);
    assert_eq!(serde_json::from_str::<Value>(&told).unwrap()["skipped"], serde_json::json!([2]));
    assert_eq!(shop.call(&RUN).expect_code(0).lines().len(), 1, "what waited behind it");
    assert_eq!(states(&shop), [(2, "skipped".into())]);
    let (table, _) = call(&shop, &["list"], 0);
    assert!(table.contains("payload is not JSON") && table.contains("skipped by ann: sent"), "{table}");
    let (listed, _) = call(&shop, &["list", "--json"], 0);
    let letter = serde_json::from_str::<Vec<Value>>(&listed).unwrap().remove(0);
    let decision = ["decision", "settled_by", "settled_reason"].map(|field| letter[field].as_str().unwrap_or_default());
    assert_eq!(decision, ["skipped", "ann", "sent by hand"], "{letter}");
    assert!(letter["reason"].as_str().unwrap().contains("payload is not JSON"), "{letter}");
    let (shown, _) = call(&shop, &["show", "--position", "2"], 0);
    assert!(shown.contains("decided       skipped by ann: sent by hand\n"), "{shown}");
    let (_, said) = call(&shop, &[&["discard", "--position", "2"][..], &DECISION].concat(), 1);
    assert!(said.contains("skipped already by ann"), "{said}");

    let shop = parked();
    let (told, _) = call(&shop, &[&["discard", "--key", "bad"][..], &DECISION].concat(), 0);
    assert_eq!(told, "discarded: positions 2, 3 of default\n");
    shop.event("a", "bad", "{}");
    assert_eq!(shop.call(&RUN).expect_code(0).lines().len(), 1, "the key is free");
}

#[test]
fn what_is_not_there_is_exit_2_with_what_there_is() {
    let shop = parked();
    for (arguments, wanted) in [
        (&["list", "--key", "other"][..], "has no dead letter of key `other`"),
        (&["show", "--position", "9"], "has no dead letter at position 9"),
        (&["requeue"], "required"),
        (&["requeue", "--key", "bad", "--position", "2"], "cannot be used with"),
        (&["requeue", "--key", ""], "name one by its position"),
    ] {
        let (_, said) = call(&shop, arguments, 2);
        assert!(said.contains(wanted), "{said}");
    }
    for command in [&["dead-letters", "list"][..], &["pause"], &["resume"]] {
        let other = [command, &["--subscription", "other"]].concat();
        let said = shop.call(&other).expect_code(2).stderr;
        assert!(said.contains("there is no subscription `other`; there is default"), "{said}");
    }
}

#[test]
fn a_paused_subscription_waits_until_it_is_resumed() {
    let shop = Shop::open();
    shop.event("a", "k", "{}");
    shop.published(&[]);
    let told = shop.call(&["pause", "--subscription", "default", "--reason", "moving", "--actor", "ann"]);
    assert_eq!(told.expect_code(0).stdout, "subscription default is paused\n");
    let again = shop.call(&["pause", "--subscription", "default", "--json"]).expect_code(0).lines().remove(0);
    assert_eq!((&again["paused"], &again["changed"]), (&true.into(), &false.into()));
    let status = shop.subscription();
    assert_eq!((&status["state"], &status["paused"]), (&"paused".into(), &"ann: moving".into()), "nobody works it");
    let why = shop.call(&["why"]).expect_code(0).stdout;
    assert!(why.contains("it is paused (ann: moving)") && why.contains("no relay works it"), "{why}");
    shop.event("a", "k", "{}");
    let mut program = shop.program(&["run", "--publisher", "file:out.jsonl", "--lease", "1s"]);
    let running = Running::start(&mut program);
    until("the pause to be seen", || {
        let status = shop.subscription();
        status["state"] == "paused" && status["partitions"][0]["owner"].is_string()
    });
    let why = shop.call(&["why"]).expect_code(0).stdout;
    assert!(why.contains("it is paused (ann: moving)") && why.contains("outbox-relay resume"), "{why}");
    assert!(shop.call(&["status"]).expect_code(0).stdout.contains("\ndefault:\n  paused (ann: moving)\n"));
    assert!(!shop.path("out.jsonl").exists() || shop.read("out.jsonl").is_empty());
    let told = shop.call(&["resume", "--subscription", "default"]).expect_code(0).stdout;
    assert_eq!(told, "subscription default goes on\n");
    until("the event", || shop.read("out.jsonl").lines().count() == 1);
    assert_eq!(shop.subscription()["paused"], Value::Null);
    // Once the command has returned the relay hands nothing over.
    shop.call(&["pause", "--subscription", "default"]).expect_code(0);
    assert_eq!(shop.subscription()["state"], "paused");
    drop(running);
}

#[test]
fn a_replay_is_marked_and_counted_before() {
    let shop = Shop::open();
    for n in 1..=3 {
        shop.event("a", "k", &n.to_string());
    }
    shop.event("b", "k", "4");
    shop.published(&[]);
    let told = shop.call(&["replay", "--subscription", "default", "--from-position", "2", "--dry-run"]);
    assert_eq!(told.expect_code(0).stdout, "subscription default: 3 events would be sent again, positions 2 to 4\n");
    let replay = ["replay", "--subscription", "default", "--since", "1h", "--topic", "a", "--json"];
    let told = shop.call(&replay).expect_code(0).json();
    assert_eq!((&told["events"], &told["last"]), (&3.into(), &3.into()), "{told}");
    let lines = shop.call(&RUN).expect_code(0).lines();
    assert!(lines.iter().all(|line| line["replayed"] == true), "{lines:?}");
    assert_eq!(lines.iter().map(|line| line["data"].as_u64().unwrap()).collect::<Vec<_>>(), [1, 2, 3]);
    for (arguments, wanted) in [
        (&["--from-position", "0"][..], "positions begin at 1"),
        (&["--since", "soon"], "`soon` is not a time"),
        (&["--since", "1h", "--rate", "fast"], "`fast` is no rate"),
        (&[], "required"),
    ] {
        let refused = shop.call(&[&["replay", "--subscription", "default"], arguments].concat()).expect_code(2);
        assert!(refused.stderr.contains(wanted), "{}", refused.stderr);
    }
}
