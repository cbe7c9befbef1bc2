//! After a restore or a copy: `repair`, `adopt`, and the instance that is expected.

use crate::shop::{Running, Shop, until};

const RUN: [&str; 4] = ["run", "--publisher", "stdout", "--until-empty"];

/// A database whose log was set back to its first event, and got another one since.
fn set_back() -> Shop {
    let shop = Shop::open();
    for _ in 0..3 {
        shop.event("a", "k", "{}");
    }
    assert_eq!(shop.published(&[]), [1, 2, 3]);
    shop.sql(
        "DELETE FROM outbox_event WHERE position > 1; UPDATE sqlite_sequence SET seq = 1 WHERE name = 'outbox_event'",
    );
    shop.event("a", "k", "{}");
    shop
}

fn instance(shop: &Shop) -> String {
    let status = shop.call(&["status", "--json"]).expect_code(0).json();
    status["database"]["instance"].as_str().unwrap_or_default().to_owned()
}

#[test]
fn a_sound_outbox_needs_no_repair() {
    let shop = Shop::open();
    shop.event("a", "k", "{}");
    shop.published(&[]);
    for how in ["--plan", "--apply"] {
        assert!(shop.call(&["repair", how]).expect_code(0).stdout.starts_with("nothing to repair"));
    }
    let told = shop.call(&["repair", "--plan", "--json"]).expect_code(0).json();
    let expected = serde_json::json!({
        "version": 1, "applied": false, "readers": [], "positions": null, "floor": null, "doubles": 0
    });
    assert_eq!(told, expected);
    assert_eq!(shop.texts("SELECT name FROM outbox_meta WHERE name LIKE 'repair:%'"), Vec::<String>::new());
}

#[test]
fn what_is_broken_is_told_then_mended_then_published() {
    let shop = set_back();
    let stopped = shop.call(&RUN).expect_code(3);
    assert!(stopped.stdout.is_empty() && stopped.stderr.contains("run `outbox-relay repair --plan`"), "{stopped:?}");

    let plan = shop.call(&["repair", "--plan"]).expect_code(3).stdout;
    for told in [
        "default: it has read up to position 3, and positions up to 2 only were given out\n",
        "  it would go back from position 3 to 1\n",
        "  2 events of those it read last are missing here",
        "positions would be raised from 2 to 3",
        "nothing was changed",
    ] {
        assert!(plan.contains(told), "`{told}` is not in {plan}");
    }
    let told = shop.call(&["repair", "--plan", "--json"]).expect_code(3).json();
    let reader = &told["readers"][0];
    assert_eq!((&reader["subscription"], &reader["back_to"]), (&"default".into(), &1.into()), "{told}");
    assert_eq!(told["positions"], serde_json::json!({"from": 2, "to": 3}));
    let why = shop.call(&["why"]).expect_code(0).stdout;
    assert!(why.contains("the log is not the one it knows") && why.contains("repair --plan"), "{why}");

    let done = shop.call(&["repair", "--apply", "--reason", "a restore", "--actor", "ops"]).expect_code(0).stdout;
    assert!(done.contains("it went back from position 3 to 1") && !done.contains("nothing was changed"), "{done}");
    let told = shop.texts("SELECT value FROM outbox_meta WHERE name LIKE 'repair:20%'");
    assert_eq!(told, ["default/0 from 3 back to 1, positions from 2 raised to 3 by ops: a restore"]);
    shop.event("a", "k", "{}");
    assert_eq!(shop.published(&[]), [2, 4], "position 3 is not given out twice");
}

#[test]
fn a_repair_waits_until_the_relay_is_stopped() {
    let shop = set_back();
    shop.sql("UPDATE outbox_checkpoint SET position = 1, proof = ''");
    let mut relay = Running::start(&mut shop.program(&["run", "--publisher", "null"]));
    until("the relay has read everything", || shop.subscription()["partitions"][0]["position"] == 2);
    shop.sql("UPDATE outbox_event SET event_id = '0190a1b2-0000-7000-8000-000000000000' WHERE position = 2");
    let plan = shop.call(&["repair", "--plan"]).expect_code(3).stdout;
    assert!(plan.contains("works it: stop it first"), "{plan}");
    let refused = shop.call(&["repair", "--apply"]).expect_code(2);
    assert!(refused.stderr.contains("stop it first"), "{}", refused.stderr);
    relay.terminate();
    relay.wait();
    shop.call(&["repair", "--apply"]).expect_code(0);
}

#[test]
fn a_repair_is_refused_without_sense() {
    let shop = set_back();
    for (arguments, told) in [
        (&["repair"][..], "--plan"),
        (&["repair", "--plan", "--apply"], "cannot be used with"),
        (&["repair", "--plan", "--subscription", "billing"], "there is no subscription `billing`; there is default"),
        (&["repair", "--apply", "--reason", " "], "--reason: is empty"),
        (&["adopt", "--actor", "\u{1b}[2J"], "--actor: is empty, or holds control characters"),
    ] {
        let refused = shop.call(arguments).expect_code(2);
        assert!(refused.stderr.contains(told), "{}", refused.stderr);
    }
    shop.call(&["repair", "--plan"]).expect_code(3);
}

#[test]
fn a_copy_publishes_nothing_until_it_is_adopted() {
    let shop = Shop::open();
    shop.event("a", "k", "{}");
    shop.published(&[]);
    shop.event("a", "k", "{}");
    std::fs::copy(shop.path("shop.db"), shop.path("copy.db")).unwrap();
    let copied = [&RUN[..], &["--database-url", "sqlite:copy.db"]].concat();
    let refused = shop.call(&copied).expect_code(3);
    assert_eq!(refused.stdout, "");
    assert!(
        refused.stderr.contains("looks like a copy; if it is meant to publish, run `outbox-relay adopt`"),
        "{}",
        refused.stderr
    );
    let status = shop.call(&["status", "--database-url", "sqlite:copy.db"]).expect_code(0).stdout;
    let (original, copy) = (shop.path("shop.db"), shop.path("copy.db"));
    let (original, copy) = (original.canonicalize().unwrap(), copy.canonicalize().unwrap());
    assert!(status.contains(&format!("worked at: sqlite:{}\n", original.display())), "{status}");
    assert!(status.contains(&format!("not worked at sqlite:{}: ", copy.display())), "{status}");

    let adopted = shop.call(&["adopt", "--database-url", "sqlite:copy.db", "--reason", "moved"]).expect_code(0).stdout;
    let expected =
        format!("worked so far: sqlite:{}\nfrom now on also: sqlite:{}\n", original.display(), copy.display());
    assert_eq!(adopted, expected);
    assert_eq!(shop.call(&copied).expect_code(0).lines().len(), 1);
    assert_eq!(shop.published(&[]), [2], "the original goes on");
}

#[test]
fn another_instance_than_expected_is_exit_3_and_both_are_told() {
    let shop = Shop::open();
    shop.event("a", "k", "{}");
    let mine = instance(&shop);
    let other = "0190a1b2-3c4d-7e5f-8a9b-0c1d2e3f4a5b";
    std::fs::write(shop.path("relay.toml"), format!("[database]\nexpect_instance = \"{other}\"\n")).unwrap();
    let by_flag = shop.call(&[&RUN[..], &["--expect-instance", other]].concat());
    let by_file = shop.call(&[&RUN[..], &["--config", "relay.toml"]].concat());
    let by_variable = crate::shop::ended(shop.program(&RUN).env("OUTBOX_DATABASE_EXPECT_INSTANCE", other));
    let cleanup = shop.call(&["cleanup", "--expect-instance", other]);
    let repair = shop.call(&["repair", "--plan", "--expect-instance", other]);
    let migrate = shop.call(&["migrate", "--expect-instance", other]);
    let events = shop.call(&["events", "show", "--expect-instance", other]);
    for refused in [by_flag, by_file, by_variable, cleanup, repair, migrate, events] {
        let refused = refused.expect_code(3);
        assert!(refused.stderr.contains(other) && refused.stderr.contains(&mine), "{}", refused.stderr);
    }
    assert_eq!(
        shop.call(&["status", "--expect-instance", other, "--json"]).expect_code(0).json()["database"]["instance"],
        mine.as_str()
    );
    shop.sql("DELETE FROM outbox_meta WHERE name = 'revision'");
    let older = shop.call(&["migrate", "--expect-instance", other]).expect_code(3);
    assert!(older.stderr.contains(&mine), "whatever revision it has: {}", older.stderr);
    shop.sql(&format!("INSERT INTO outbox_meta VALUES ('revision', '{}')", outbox_core::schema::REVISION));
    let elsewhere = ["migrate", "--expect-instance", other, "--database-url", "sqlite:new.db"];
    assert!(shop.call(&elsewhere).expect_code(0).stdout.starts_with("created"), "there is none to be another");
    let wrong = shop.call(&[&RUN[..], &["--expect-instance", "shop"]].concat()).expect_code(2);
    assert!(wrong.stderr.contains("--expect-instance: `shop` is not an instance"), "{}", wrong.stderr);
    assert_eq!(shop.published(&["--config", "relay.toml", "--expect-instance", &mine.to_uppercase()]), [1]);

    let adopted = shop.call(&["adopt", "--new-instance", "--json"]).expect_code(0).json();
    assert_eq!((&adopted["instance_before"], &adopted["instance"]), (&mine.into(), &instance(&shop).into()));
}
