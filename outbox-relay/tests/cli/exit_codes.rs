//! How the program ends when it does not end well.

use std::io::Read as _;
use std::process::Stdio;

use crate::shop::{Running, Shop, ended};

const RUN: [&str; 4] = ["run", "--publisher", "stdout", "--until-empty"];

/// Events that no pipe holds.
const MUCH: &str = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 50)
    INSERT INTO outbox_event (topic, event_key, payload) SELECT 'a', i, json_quote(hex(zeroblob(50000))) FROM n";

#[test]
fn a_missing_database_or_schema_is_exit_2_and_names_migrate() {
    let shop = Shop::empty();
    for arguments in [&RUN[..], &["run", "--publisher", "null"], &["status"]] {
        let refused = shop.call(arguments).expect_code(2);
        assert!(refused.stderr.contains("run `outbox-relay migrate`"), "{}", refused.stderr);
        assert!(!shop.path("shop.db").exists(), "asking makes no file");
    }
    shop.sql("CREATE TABLE orders (id INTEGER PRIMARY KEY)");
    for arguments in [&RUN[..], &["run", "--publisher", "null"], &["status"]] {
        let refused = shop.call(arguments).expect_code(2);
        let [error] = refused.errors()[..] else { panic!("{}", refused.stderr) };
        assert!(error.contains("run `outbox-relay migrate`"), "{error}");
    }
}

#[test]
fn an_outbox_that_lost_a_table_is_exit_2_and_told_by_doctor_with_exit_1() {
    for table in ["outbox_lease", "outbox_event"] {
        let shop = Shop::open();
        shop.sql(&format!("DROP TABLE {table}"));
        let missing = format!("{table} is missing");
        for arguments in [&RUN[..], &["migrate"], &["status"]] {
            let refused = shop.call(arguments).expect_code(2);
            assert!(refused.stderr.contains(&format!("{missing}; restore it from a backup")), "{}", refused.stderr);
        }
        let told = shop.call(&["doctor"]).expect_code(1);
        assert!(told.stdout.contains(&missing), "{}", told.stdout);
    }
}

#[test]
fn a_file_that_may_only_be_read_is_shown_and_not_published() {
    let shop = Shop::open();
    shop.event("a", "tea", "{}");
    for url in ["sqlite:shop.db?mode=ro", "sqlite:shop.db?immutable=1"] {
        let call = |arguments: &[&str]| ended(shop.program(arguments).env("DATABASE_URL", url));
        for arguments in [&RUN[..], &["run", "--publisher", "null"], &["cleanup"]] {
            let refused = call(arguments).expect_code(2);
            assert!(refused.stderr.contains("read-only"), "{url}: {}", refused.stderr);
        }
        for arguments in [&["events", "show"][..], &["events", "show", "--json"]] {
            let shown = call(arguments).expect_code(0);
            assert!(shown.stdout.contains("tea"), "{url}: {}", shown.stdout);
        }
        call(&["events", "stats"]).expect_code(0);
        call(&["status"]).expect_code(0);
        call(&["why"]).expect_code(0);
        assert!(call(&["doctor"]).expect_code(1).stdout.contains("read-only"));
    }
}

#[test]
fn a_file_that_cannot_be_made_is_exit_2() {
    for url in ["sqlite:none.db?mode=ro", "sqlite:no/such/folder/shop.db"] {
        let shop = Shop::empty();
        let refused = ended(shop.program(&["migrate"]).env("DATABASE_URL", url)).expect_code(2);
        let [error] = refused.errors()[..] else { panic!("{}", refused.stderr) };
        assert!(error.contains("cannot be made") && error.contains("folder") && error.contains("mode=ro"), "{error}");
        assert_eq!(shop.files(), Vec::<String>::new());
    }
}

#[test]
fn doctor_tells_another_instance_from_the_one_that_is_expected() {
    let shop = Shop::open();
    let expected = "[database]\nexpect_instance = \"0190163d-8694-739b-aea5-966c26f8ad90\"\n";
    std::fs::write(shop.path("relay.toml"), expected).unwrap();
    let told = shop.call(&["doctor", "--config", "relay.toml"]).expect_code(1);
    let line = told.stdout.lines().find(|line| line.contains("expected instance")).unwrap_or_default();
    assert!(line.starts_with("failed") && line.contains("0190163d-8694-739b-aea5-966c26f8ad90"), "{}", told.stdout);
}

#[test]
fn tables_of_another_version_are_exit_2() {
    let shop = Shop::open();
    shop.sql("UPDATE outbox_meta SET value = '99' WHERE name = 'schema_version'");
    for arguments in [&RUN[..], &["migrate"], &["status"]] {
        let refused = shop.call(arguments).expect_code(2);
        assert!(refused.stderr.contains("99"), "{}", refused.stderr);
    }
}

#[test]
fn an_unwritable_file_is_exit_2() {
    let shop = Shop::open();
    std::fs::create_dir(shop.path("folder")).unwrap();
    for url in ["file:no/such/folder/out.jsonl", "file:folder", "file:shop.db/x"] {
        let refused = shop.call(&["run", "--publisher", url]).expect_code(2);
        let [error] = refused.errors()[..] else { panic!("{}", refused.stderr) };
        assert!(error.contains(&url["file:".len()..]), "{error}");
    }
}

#[test]
fn a_database_that_cannot_be_opened_is_exit_1_after_the_timeout() {
    let shop = Shop::empty();
    std::fs::create_dir(shop.path("shop.db")).unwrap();
    shop.call(&["status"]).expect_code(1);
    let failed = shop.call(&[&RUN[..], &["--timeout", "300ms"]].concat()).expect_code(1);
    let [error] = failed.errors()[..] else { panic!("{}", failed.stderr) };
    assert!(error.contains("no progress for 300ms"), "{error}");
    assert!(failed.stderr.contains("could not be opened"), "{}", failed.stderr);
}

#[test]
fn a_log_that_was_put_back_is_exit_3() {
    let shop = Shop::open();
    for _ in 0..3 {
        shop.event("a", "k", "{}");
    }
    shop.call(&RUN).expect_code(0);
    shop.sql("DELETE FROM outbox_event; UPDATE sqlite_sequence SET seq = 0 WHERE name = 'outbox_event'");
    shop.event("a", "k", "{}");
    let failed = shop.call(&RUN).expect_code(3);
    assert_eq!(failed.stdout, "", "nothing is published from a log that is not known");
    assert!(failed.stderr.contains("help: "), "{}", failed.stderr);
}

#[test]
fn an_event_that_will_not_pass_is_exit_4_and_holds_up_its_key_only() {
    let shop = Shop::open();
    shop.event("a", "bad", "{canary");
    shop.event("a", "bad", "{}");
    shop.event("a", "good", "{}");
    let blocked = shop.call(&RUN).expect_code(4);
    assert_eq!(
        blocked.lines().iter().map(|event| event["partitionkey"].as_str().unwrap()).collect::<Vec<_>>(),
        ["good"]
    );
    assert!(!blocked.stderr.contains("canary"), "{}", blocked.stderr);

    let subscription = shop.subscription();
    assert_eq!(
        (&subscription["parked_events"], &subscription["parked_keys"]),
        (&2.into(), &1.into()),
        "{subscription}"
    );
    let table = shop.call(&["status"]).expect_code(0).stdout;
    assert!(table.contains("2 events of 1 key will not pass, or wait behind one that does not\n"), "{table}");

    shop.call(&RUN).expect_code(4);
    std::fs::write(shop.path("mended.json"), "{}").unwrap();
    let requeue = ["dead-letters", "requeue", "--subscription", "default", "--key", "bad", "--payload", "mended.json"];
    shop.call(&requeue).expect_code(0);
    assert_eq!(shop.published(&[]), [1, 2], "once mended, the key goes on in order");
    assert_eq!(shop.subscription()["parked_events"], 0);
}

#[test]
fn where_the_policy_is_to_block_a_restart_tries_again() {
    let shop = Shop::open();
    std::fs::write(
        shop.path("relay.toml"),
        "[[subscription]]\nname = \"default\"\npublisher.url = \"stdout\"\nretry.then = \"block\"\n",
    )
    .unwrap();
    shop.event("a", "bad", "{canary");
    shop.event("a", "bad", "{}");
    let run = ["run", "--config", "relay.toml", "--until-empty"];
    shop.call(&run).expect_code(4);
    let reason = shop.subscription()["last_error"].as_str().unwrap().to_owned();
    assert!(reason.contains("payload is not JSON") && !reason.contains("canary"), "{reason}");
    shop.sql("UPDATE outbox_event SET payload = '{}' WHERE position = 1");
    assert_eq!(shop.call(&run).expect_code(0).lines().len(), 2);
    assert_eq!(shop.subscription()["parked_events"], 0);
}

#[test]
fn a_closed_pipe_ends_with_exit_1_and_one_line() {
    let shop = Shop::open();
    shop.sql(MUCH);
    for arguments in [&RUN[..], &["status"], &["status", "--json"], &["migrate", "--print"]] {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let failed = ended(shop.program(arguments).stdout(Stdio::from(writer))).expect_code(1);
        assert_eq!(failed.errors().len(), 1, "{}", failed.stderr);
        assert!(!failed.stderr.contains("panicked"), "{}", failed.stderr);
    }
}

#[test]
fn a_full_disk_behind_standard_output_is_exit_1_with_its_cause() {
    let shop = Shop::open();
    for arguments in [&["events", "show"][..], &["events", "show", "--json"], &["status"], &["why"]] {
        let full = std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
        let failed = ended(shop.program(arguments).stdout(Stdio::from(full))).expect_code(1);
        assert!(
            failed.stderr.starts_with("error: standard output cannot be written\n  caused by: No space"),
            "{failed:?}"
        );
    }
}

#[test]
fn standard_output_that_cannot_be_written_is_exit_2() {
    let shop = Shop::open();
    shop.event("a", "k", "{}");
    std::fs::write(shop.path("out.jsonl"), "").unwrap();
    let read_only = std::fs::File::open(shop.path("out.jsonl")).unwrap();
    let refused = ended(shop.program(&RUN).stdout(Stdio::from(read_only))).expect_code(2);
    assert!(refused.stderr.contains("standard output is closed or not writable"), "{}", refused.stderr);
    assert_eq!(shop.published(&[]), [1], "nothing was acknowledged");
}

#[test]
fn standard_output_in_a_file_holds_whole_lines_before_and_after_a_full_disk() {
    let shop = Shop::open();
    shop.sql(
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 50)
         INSERT INTO outbox_event (topic, event_key, payload) SELECT 'a', i, '{}' FROM n",
    );
    // Far above the size of the database, to which the limit applies as well.
    let limit = 2 << 20;
    let before = "{}\n".repeat((limit - 2000) / 3);
    std::fs::write(shop.path("out.jsonl"), format!("{before}{{\"torn")).unwrap();
    let append = || std::fs::OpenOptions::new().append(true).open(shop.path("out.jsonl")).unwrap();

    let mut full = std::process::Command::new("/bin/sh");
    let script = "trap '' XFSZ; ulimit -f \"$(($1 / 512))\"; shift; exec \"$@\"";
    let program = shop.program(&[]);
    full.args(["-c", script, "sh", &limit.to_string()]).arg(program.get_program()).args(RUN);
    full.args(["--timeout", "300ms"]).env_clear().env("DATABASE_URL", "sqlite:shop.db");
    full.current_dir(shop.path("")).stdin(Stdio::null()).stdout(Stdio::from(append())).stderr(Stdio::piped());
    let failed = ended(&mut full).expect_code(1);
    assert!(failed.stderr.contains("standard output cannot be written"), "{}", failed.stderr);
    assert_eq!(shop.read("out.jsonl"), before);

    ended(shop.program(&RUN).stdout(Stdio::from(append()))).expect_code(0);
    let text = shop.read("out.jsonl");
    let events = text.strip_prefix(&before).unwrap();
    assert_eq!(events.lines().filter(|line| line.ends_with("\"data\":{}}")).count(), 50, "{events}");
}

#[test]
fn a_second_signal_ends_at_once_with_exit_130() {
    let shop = Shop::open();
    shop.sql(MUCH);
    let mut relay = Running::start(&mut shop.program(&["run", "--publisher", "stdout"]));
    let mut first = [0; 1];
    relay.0.stdout.as_mut().unwrap().read_exact(&mut first).unwrap();
    // Nobody reads on, so what is in flight cannot be finished.
    relay.terminate();
    relay.wait_for_log("stopping");
    relay.terminate();
    assert_eq!(relay.wait().code(), Some(130));
}
