//! `events export`: its formats, its files, and the name under which it goes on.

use std::io::Read as _;
use std::os::unix::fs::PermissionsExt;
use std::process::Stdio;

use serde_json::{Value, json};

use crate::events::shop;
use crate::shop::{Running, Shop, ended, positions, until};

/// So much that no pipe holds it.
const MUCH: &str = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 3000)
    INSERT INTO outbox_event (topic, event_key, payload) SELECT 'a', i, json_quote(hex(zeroblob(500))) FROM n";

fn exported(shop: &Shop, arguments: &[&str]) -> String {
    shop.call(&[&["events", "export"], arguments].concat()).expect_code(0).stdout
}

#[test]
fn every_format_has_its_form() {
    let shop = shop();
    let jsonl = exported(&shop, &["--format", "jsonl"]);
    assert_eq!(positions(&jsonl), [1, 2, 3, 4, 5, 6]);
    let objects: Vec<Value> = jsonl.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    for arguments in [&["--format", "json"][..], &["--json"]] {
        assert_eq!(serde_json::from_str::<Vec<Value>>(&exported(&shop, arguments)).unwrap(), objects);
    }
    let csv = exported(&shop, &["--format", "csv", "--operation", "update"]);
    assert_eq!(
        csv,
        "position,event_id,occurred_at,operation,table,topic,event_type,key,tenant_id,actor,transaction_id,schema_version,\
         before,after,payload,headers\n\
         2,01930000-0000-7000-8000-000000000002,2026-01-02T12:00:00.000000Z,update,orders,shop.orders,,o-1,north,bob,,,\
         \"{\"\"id\"\":1,\"\"status\"\":\"\"new\"\"}\",\"{\"\"id\"\":1,\"\"status\"\":\"\"paid\"\"}\",,\n"
    );
}

#[test]
fn cdc_json_is_exactly_its_contract() {
    let shop = shop();
    shop.sql("UPDATE outbox_event SET transaction_id = '77' WHERE position = 2");
    let changes: Value = serde_json::from_str(&exported(&shop, &["--format", "cdc-json"])).unwrap();
    let change = |id: u64, kind: &str, old: Value, new: Value, timestamp: &str, transaction: Value| {
        json!({"event_id": id, "change_type": kind, "table_name": "orders", "row_key": "o-1", "old_values": old,
            "new_values": new, "tenant_id": "north", "timestamp": timestamp, "transaction_id": transaction})
    };
    let (new, paid) = (json!("{\"id\":1,\"status\":\"new\"}"), json!("{\"id\":1,\"status\":\"paid\"}"));
    let expected = json!([
        change(1, "Insert", Value::Null, new.clone(), "2026-01-01 12:00:00", Value::Null),
        change(2, "Update", new, paid.clone(), "2026-01-02 12:00:00", json!("77")),
        {"event_id": 3, "change_type": "Insert", "table_name": "users", "row_key": "u-1", "old_values": null,
            "new_values": "{\"id\":1}", "tenant_id": "south", "timestamp": "2026-01-03 12:00:00", "transaction_id": null},
        change(5, "Delete", paid, Value::Null, "2026-01-05 12:00:00", Value::Null),
    ]);
    assert_eq!(changes, expected, "no domain event and no snapshot");
    assert_eq!(exported(&shop, &["--format", "cdc-json", "--table", "none"]), "[]\n");
}

#[test]
fn a_file_is_there_whole_or_not_at_all() {
    let shop = shop();
    let export = ["events", "export", "--format", "jsonl", "--output", "out.jsonl"];
    let ended = shop.call(&export).expect_code(0);
    assert_eq!((ended.stdout.as_str(), ended.stderr.as_str()), ("", "exported 6 events to out.jsonl\n"));
    assert_eq!(positions(&shop.read("out.jsonl")).len(), 6);
    assert_eq!(shop.files(), ["out.jsonl", "shop.db"]);

    // Replaced as a whole, behind a link too, and with the permissions it had.
    std::fs::set_permissions(shop.path("out.jsonl"), PermissionsExt::from_mode(0o640)).unwrap();
    std::os::unix::fs::symlink("out.jsonl", shop.path("link")).unwrap();
    let quiet =
        shop.call(&["events", "export", "-q", "--format", "jsonl", "--output", "link", "--after", "4"]).expect_code(0);
    assert_eq!(quiet.stderr, "");
    assert_eq!(positions(&shop.read("out.jsonl")), [5, 6]);
    let mode = std::fs::metadata(shop.path("out.jsonl")).unwrap().permissions().mode();
    assert_eq!((mode & 0o777, shop.path("link").is_symlink()), (0o640, true));
    exported(&shop, &["--format", "jsonl", "--output", "/dev/null"]);
    assert!(!std::fs::metadata("/dev/null").unwrap().is_file(), "a device is written to, not replaced");
}

#[test]
fn the_summary_names_what_was_left_out() {
    let shop = shop();
    let summary = |arguments: &[&str]| {
        let arguments = [&["events", "export", "--format", "jsonl", "--output", "/dev/null"], arguments].concat();
        ended(shop.program(&arguments).env("OUTBOX_TENANT", "acme")).expect_code(0).stderr
    };
    assert_eq!(summary(&[]), "exported 0 events of tenant 'acme' to /dev/null\n");
    assert_eq!(
        summary(&["--tenant", "north", "--table", "orders", "--since", "2026-01-02", "--after", "1"]),
        "exported 2 events of tenant 'north', table 'orders' since 2026-01-02 00:00:00 after position 1 to /dev/null\n"
    );
}

#[test]
fn what_cannot_be_written_is_exit_2_before_anything_is_read() {
    let shop = shop();
    std::fs::create_dir(shop.path("folder")).unwrap();
    std::fs::write(shop.path("kept.json"), "kept").unwrap();
    std::fs::set_permissions(shop.path("kept.json"), PermissionsExt::from_mode(0o444)).unwrap();
    for (output, why) in [
        ("folder", "it is a folder"),
        ("no/such/out.json", "No such file or directory"),
        ("shop.db/out.json", "Not a directory"),
        ("kept.json", "it is read-only"),
        ("", "name a file"),
        ("missing.db", "it is the database that is exported; name another file"),
        ("folder/../missing.db-wal", "it is the database that is exported; name another file"),
    ] {
        // A database that nobody could read: it is not asked.
        let arguments = ["events", "export", "--format", "json", "--since-last", "a", "--output", output];
        let refused = ended(shop.program(&arguments).env("DATABASE_URL", "sqlite:missing.db")).expect_code(2);
        let [error] = refused.errors()[..] else { panic!("{}", refused.stderr) };
        assert!(error.starts_with("error: --output: ") && error.contains(why), "{error}");
    }
    let read_only = std::fs::File::open(shop.path("kept.json")).unwrap();
    let export = ["events", "export", "--format", "json", "--since-last", "a"];
    let refused = ended(shop.program(&export).stdout(Stdio::from(read_only))).expect_code(2);
    assert!(refused.stderr.contains("error: standard output is closed or not writable"), "{}", refused.stderr);
    assert_eq!(shop.read("kept.json"), "kept");
    assert_eq!(shop.files(), ["folder", "kept.json", "shop.db"]);
}

#[test]
fn the_database_that_is_exported_is_not_written_to() {
    let shop = shop();
    std::os::unix::fs::symlink("shop.db", shop.path("link.db")).unwrap();
    std::fs::hard_link(shop.path("shop.db"), shop.path("other.db")).unwrap();
    let outputs = ["shop.db", "./shop.db", "link.db", "other.db", "shop.db-wal", "shop.db-shm", "shop.db-journal"];
    // Whether what SQLite keeps beside the file is there already or not.
    for are_there in [false, true] {
        for part in outputs.iter().filter(|output| output.starts_with("shop.db-") && are_there) {
            std::fs::OpenOptions::new().append(true).create(true).open(shop.path(part)).unwrap();
        }
        for (url, output) in outputs.iter().flat_map(|output| [("sqlite:shop.db", output), ("sqlite:link.db", output)])
        {
            let arguments = ["events", "export", "--format", "json", "--output", output];
            let refused = ended(shop.program(&arguments).env("DATABASE_URL", url)).expect_code(2);
            let why = "it is the database that is exported; name another file";
            assert_eq!(refused.stderr, format!("error: --output: cannot write `{output}`: {why}\n"), "{url}");
        }
    }
    assert_eq!(exported(&shop, &["--format", "jsonl"]).lines().count(), 6, "it is as it was");
}

#[test]
fn an_export_by_name_goes_on_where_the_last_one_ended() {
    let shop = shop();
    let hourly = |output: &str| {
        let arguments = ["--format", "jsonl", "--since-last", "hourly", "--output", output];
        exported(&shop, &arguments);
        positions(&shop.read(output))
    };
    assert_eq!(hourly("1.jsonl"), [1, 2, 3, 4, 5, 6]);
    assert_eq!(hourly("2.jsonl"), [0_u64; 0], "nothing is new");
    shop.event("a", "k", "{}");
    assert_eq!(hourly("3.jsonl"), [7]);
    assert_eq!(
        positions(&exported(&shop, &["--format", "jsonl", "--since-last", "other"])).len(),
        7,
        "each name by itself"
    );
    assert_eq!(positions(&exported(&shop, &["--format", "jsonl"])).len(), 7, "without a name always all");
}

#[test]
fn an_export_that_does_not_arrive_moves_no_name() {
    let shop = Shop::open();
    shop.sql(MUCH);
    let hourly = ["events", "export", "--format", "jsonl", "--since-last", "hourly"];
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let failed = ended(shop.program(&hourly).stdout(Stdio::from(writer))).expect_code(1);
    let [error] = failed.errors()[..] else { panic!("{}", failed.stderr) };
    assert!(error.contains("standard output cannot be written; the export is not complete"), "{error}");
    assert_eq!(traces(&shop)[..2], [[""; 0]; 2], "its claim is given back");
    assert_eq!(positions(&shop.call(&hourly).expect_code(0).stdout).len(), 3000);

    // Without a name nobody misses the rest.
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let peeked = ended(shop.program(&hourly[..4]).stdout(Stdio::from(writer))).expect_code(0);
    assert_eq!(peeked.stderr, "");
    assert_eq!(traces(&shop)[2], ["export:hourly at 3000"], "the hold is gone");
}

#[test]
fn an_export_that_is_refused_gives_its_claim_back() {
    let shop = shop();
    let hourly = ["events", "export", "--format", "jsonl", "--since-last", "hourly"];
    shop.call(&hourly).expect_code(0);
    // A log begun anew, which the first read finds; the row that cannot be read is found before any.
    let anew = "DELETE FROM outbox_event; UPDATE sqlite_sequence SET seq = 0 WHERE name = 'outbox_event'; ";
    let spoiled = "UPDATE outbox_checkpoint SET open_positions = 'canary'";
    for (damage, code) in [(anew.to_owned() + MUCH, 3), (spoiled.to_owned(), 2)] {
        shop.sql(&damage);
        shop.call(&hourly).expect_code(code);
        assert_eq!(traces(&shop)[..2], [[""; 0]; 2], "{damage}");
    }
}

/// What exports have left in the database: leases that still run, processes at work, and rows that keep events in place.
fn traces(shop: &Shop) -> [Vec<String>; 3] {
    [
        "SELECT subscription FROM outbox_lease WHERE expires_at > (julianday('now') - 2440587.5) * 86400.0",
        "SELECT relay_name FROM outbox_relay",
        "SELECT subscription || ' at ' || position FROM outbox_checkpoint",
    ]
    .map(|sql| shop.texts(sql))
}

#[test]
fn a_signal_ends_an_export_without_a_trace() {
    let shop = Shop::open();
    shop.sql(MUCH);
    for (arguments, kept) in [
        (&["--format", "jsonl"][..], &[][..]),
        (&["--format", "jsonl", "--since-last", "hourly"], &["export:hourly at 0"]),
    ] {
        let mut export = Running::start(&mut shop.program(&[&["events", "export"], arguments].concat()));
        let mut stdout = export.0.stdout.take().unwrap();
        stdout.read_exact(&mut [0; 1]).unwrap();
        // What nobody reads holds it up, with its claim.
        assert_eq!(traces(&shop).map(|rows| rows.len()), [1, 1, 1], "{:?}", traces(&shop));
        export.terminate();
        export.wait_for_log("stopping");
        stdout.read_to_end(&mut Vec::new()).unwrap();
        assert_eq!(export.wait().code(), Some(1));
        assert_eq!(traces(&shop), [&[][..], &[], kept], "{arguments:?}");
    }
    let all = exported(&shop, &["--format", "jsonl", "--since-last", "hourly"]);
    assert_eq!(positions(&all).len(), 3000, "the name has not moved");
}

#[test]
fn a_signal_ends_an_export_that_waits_for_its_claim() {
    let shop = shop();
    let arguments = ["events", "export", "--format", "jsonl", "--since-last", "hourly", "--output", "out.jsonl"];
    // The name cannot be looked up while somebody else writes, so the export stands still at its beginning.
    let writer = shop.begin_writing();
    let mut export = Running::start(&mut shop.program(&arguments));
    until("the export has begun", || shop.files().iter().any(|name| name.starts_with(".outbox-export-")));
    export.terminate();
    export.wait_for_log("stopping");
    drop(writer);
    assert_eq!(export.wait().code(), Some(1));
    assert_eq!(shop.files(), ["shop.db"]);
    assert_eq!(traces(&shop)[..2], [[""; 0]; 2]);
    exported(&shop, &arguments[2..]);
    assert_eq!(positions(&shop.read("out.jsonl")).len(), 6, "the name has not moved");
}

#[test]
fn a_second_signal_ends_an_export_that_nobody_reads() {
    let shop = Shop::open();
    shop.sql(MUCH);
    let mut export = Running::start(&mut shop.program(&["events", "export", "--format", "csv"]));
    let mut first = [0; 1];
    export.0.stdout.as_mut().unwrap().read_exact(&mut first).unwrap();
    export.terminate();
    export.wait_for_log("stopping");
    export.terminate();
    assert_eq!(export.wait().code(), Some(130));
}

#[test]
fn a_row_that_cannot_be_read_is_left_out_and_named() {
    let shop = shop();
    shop.sql("INSERT INTO outbox_event (topic, event_key, payload) VALUES ('a', x'ff', '{\"canary\":1}')");
    for arguments in [&["export", "--format", "jsonl", "-q"][..], &["show", "--json"]] {
        let ended = shop.call(&[&["events"], arguments].concat()).expect_code(0);
        assert!(
            ended.stderr.contains("event_key is not UTF-8") && ended.stderr.contains("position=7"),
            "{}",
            ended.stderr
        );
        assert!(!ended.stdout.contains("canary") && ended.stdout.contains("\"position\":6"), "{}", ended.stdout);
    }
    let table = shop.call(&["events", "show", "--last", "1"]).expect_code(0).stdout;
    assert!(table.contains("position 7") && table.contains("event_key is not UTF-8"), "{table}");
}
