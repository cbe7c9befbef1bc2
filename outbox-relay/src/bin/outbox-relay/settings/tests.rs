use clap::Parser as _;
use outbox_core::{OnMaxDisk, Operation, Start};
use outbox_relay::Then;

use super::*;
use crate::arguments::Arguments;

/// Reads settings from a command line, variables and the text of a file, which the line refers to as `FILE`.
fn read(line: &str, variables: &[(&str, &str)], file: &str) -> Result<Settings, Vec<String>> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("relay.toml");
    std::fs::write(&path, file).unwrap();
    let path = path.to_str().unwrap();
    let words = line.split_whitespace().map(|word| if word == "FILE" { path } else { word });
    let arguments = Arguments::parse_from(std::iter::once("outbox-relay").chain(words));
    let environment = variables.iter().map(|(name, value)| (name.into(), value.into())).collect();
    Settings::read(&arguments.global, &arguments.command, &environment)
        .map_err(|problems| problems.iter().map(|problem| problem.to_string().replace(path, "relay.toml")).collect())
}

const RUN: &str = "run --database-url sqlite:a.db --publisher null";

#[test]
fn flag_then_variable_then_shared_variable_then_file() {
    let file = "[database]\nurl = \"sqlite:file\"\nprefix = \"f_\"\n[relay]\nlease = \"9s\"\nname = \"f\"\nwindow_events = 0x10\n";
    let outbox = ("OUTBOX_DATABASE_URL", "sqlite:variable");
    let shared = ("DATABASE_URL", "sqlite:shared");
    let url = |line: &str, variables: &[_]| read(line, variables, file).unwrap().database.url;
    assert_eq!(url("status --config FILE --database-url sqlite:flag", &[outbox, shared]), "sqlite:flag");
    assert_eq!(url("status --config FILE", &[outbox, shared]), "sqlite:variable");
    assert_eq!(url("status --config FILE", &[shared]), "sqlite:shared");
    assert_eq!(url("status --config FILE", &[("DATABASE_URL", "")]), "sqlite:file");

    let settings = read("run --publisher null --lease 7s --config FILE", &[("OUTBOX_RELAY_NAME", "v")], file).unwrap();
    assert_eq!(settings.relay.lease, Some(Duration::from_secs(7)));
    assert_eq!((settings.relay.name.as_deref(), settings.relay.window_events), (Some("v"), Some(16)));
    assert_eq!(settings.database.names.to_string(), "f_*");
}

#[test]
fn a_whole_file_is_understood() {
    let file = r#"
        [database]
        url = "env:SHOP_URL"
        schema = "shop"
        [relay]
        name = "host-a"
        lease = "5s"
        poll_max = "2s"
        window_events = 10000
        window_bytes = "16MiB"
        shutdown_timeout = "20s"
        wake = "notify"
        [[subscription]]
        name = "billing"
        start = "time:2026-01-31T12:00:00+01:00"
        partitions = 1
        envelope = "cloudevents"
        order = "strict"
        filter = { topics = ["shop.*"], tables = ["orders"], tenants = [], operations = ["insert", "delete"] }
        publisher = { url = "file:out.jsonl" }
        retry = { first = "200ms", max = "10s", attempts = 5, budget = "2h", then = "block", max_parked = 500, max_parked_keys = 90 }
        call_timeout = "5s"
        [[subscription]]
        name = "audit"
        start = "position:7"
        publisher.url = "stdout"
    "#;
    let settings = read("run --config FILE", &[("SHOP_URL", "postgres://db/shop")], file).unwrap();
    assert_eq!((settings.database.kind, settings.database.url.as_str()), (Kind::Postgres, "postgres://db/shop"));
    let [billing, audit] = &settings.subscriptions[..] else { panic!("{settings:?}") };
    assert_eq!(settings.relay.wake, Some(outbox_core::WakeMode::Notify));
    assert_eq!(billing.filter.operations, [Operation::Insert, Operation::Delete]);
    assert_eq!(
        (&billing.filter.topics[..], &billing.filter.tables[..]),
        (&["shop.*".to_owned()][..], &["orders".to_owned()][..])
    );
    assert!(billing.strict_order && !audit.strict_order);
    assert_eq!(billing.retry.budget, Duration::from_hours(2));
    assert_eq!((billing.retry.then, billing.retry.max_parked), (Then::Block, 500));
    assert_eq!((billing.retry.max_parked_keys, audit.retry.max_parked_keys), (90, 10_000));
    assert_eq!((audit.retry.then, audit.call_timeout), (Then::Park, None));
    assert_eq!(billing.call_timeout, Some(Duration::from_secs(5)));
    assert_eq!(billing.start, Start::Time(time::macros::datetime!(2026-01-31 11:00 UTC)));
    assert_eq!((audit.start, &audit.publisher.value), (Start::Position(7), &PublisherUrl::Stdout));
}

#[test]
fn one_subscription_from_flags() {
    let line =
        format!("{RUN} --topic a.* --topic b --tenant t --operation update --start now --until-empty --timeout 5s");
    let settings = read(&line, &[], "").unwrap();
    let [only] = &settings.subscriptions[..] else { panic!("{settings:?}") };
    assert_eq!((only.name.value.as_str(), only.start), ("default", Start::Now));
    assert_eq!(
        (&only.filter.topics[..], &only.filter.tenants[..]),
        (&["a.*".to_owned(), "b".to_owned()][..], &["t".to_owned()][..])
    );
    assert_eq!(settings.until_empty, Some(Duration::from_secs(5)));
    assert_eq!(read(RUN, &[], "").unwrap().until_empty, None);
    let wake = |line: &str| read(line, &[("OUTBOX_RELAY_WAKE", "auto")], "").unwrap().relay.wake;
    assert_eq!(wake(&format!("{RUN} --wake poll")), Some(outbox_core::WakeMode::Poll));
    assert_eq!(wake(RUN), Some(outbox_core::WakeMode::Auto));
}

/// What is wrong with a file, line by line.
fn problems(file: &str) -> Vec<String> {
    read("run --config FILE", &[], file).unwrap_err()
}

#[test]
fn everything_wrong_is_told_at_once_each_at_its_line() {
    let file = "\
[database]
url = 7
scema = \"x\"
[relay]
lease = \"5\"
window_events = \"ten\"
window_bytes = \"0B\"
wake = \"auot\"
[retention]
keep = \"a week\"
[[subscription]]
nam = \"a\"
partitions = 800
order = \"locked\"
envelope = \"raw\"
start = \"yesterday\"
filter = { topic = [\"x\"], operations = [\"upsert\"] }
publisher = { url = \"kafka://ann:canary@host\" }
retry = { first = \"1m\", max = \"1s\", then = \"drop\" }
[subscriptions]
";
    let problems = problems(file);
    for expected in [
        "relay.toml:2: `url` is a text, not an integer",
        "relay.toml:3: unknown key `scema`; the nearest is `schema`; [database] has",
        "relay.toml:5: `5` is not a duration; write a whole number with its unit, such as 100ms",
        "relay.toml:6: `window_events` is a number, not a string; write it without quotes",
        "relay.toml:7: 0 leaves no room; write 16MiB",
        "relay.toml:8: `auot` is no way to be woken; write auto, poll or notify",
        "relay.toml:10: `a week` is not a duration; write a whole number with its unit",
        "relay.toml:11: [[subscription]] has no `name`; write one",
        "relay.toml:12: unknown key `nam`; the nearest is `name`; [[subscription]] has",
        "relay.toml:13: 800 partitions cannot be; write 1 to 256",
        "relay.toml:14: `locked` is not an order; write key, lock or strict",
        "relay.toml:15: `raw` is not in this version; write cloudevents",
        "relay.toml:16: `yesterday` is not a start; write beginning, now, position:N",
        "relay.toml:17: unknown key `topic`; the nearest is `topics`; `filter` has topics, tables, tenants, operations",
        "relay.toml:17: `upsert` is not an operation; write insert, update, delete or snapshot",
        "relay.toml:18: `kafka:` is not in this version; it publishes to stdout, file:PATH and null",
        "relay.toml:19: retry.first (60s) is longer than retry.max (1s)",
        "relay.toml:19: `drop` is not an end of retries; write park, skip or block",
        "relay.toml:20: unknown key `subscriptions`; the nearest is `subscription`",
        "no database; give --database-url URL",
    ] {
        assert!(problems.iter().any(|problem| problem.starts_with(expected)), "{expected}\nin {problems:#?}");
    }
    assert_eq!(problems.len(), 20, "{problems:#?}");
    assert!(!problems.concat().contains("canary"));
}

/// Expects a problem that begins like this, and no secret in any.
#[track_caller]
fn refused(line: &str, variables: &[(&str, &str)], file: &str, expected: &str) {
    let problems = read(line, variables, file).unwrap_err();
    let found = problems.iter().any(|problem| problem.starts_with(expected));
    assert!(found, "{line}: {problems:#?}");
    assert!(!problems.concat().contains("canary"), "{problems:#?}");
}

#[test]
fn retention_is_read_and_each_mistake_told() {
    let line = "cleanup --config FILE --database-url postgres://db/shop";
    let retention = |file: &str, variables: &[_]| read(line, variables, file).unwrap().retention;
    assert_eq!(retention("", &[]), Retention::default());
    let all =
        "[retention]\nkeep = \"0s\"\nsegments = 3\nmax_disk = \"1GiB\"\non_max_disk = \"archive\"\narchive = \"/a\"\n";
    let expected = Retention {
        keep: Duration::ZERO,
        segments: 3,
        max_disk: 1 << 30,
        on_max_disk: OnMaxDisk::Archive("/a".into()),
        ..Retention::default()
    };
    assert_eq!(retention(all, &[]), expected);
    assert_eq!(retention(all, &[("OUTBOX_RETENTION_KEEP", "1h")]).keep, Duration::from_hours(1));
    assert_eq!(retention("[retention]\non_max_disk = \"cut\"", &[]).on_max_disk, OnMaxDisk::Cut);
    for (written, expected) in [
        ("keep = \"7\"", "relay.toml:2: `7` is not a duration; write a whole number with its unit"),
        ("keep = 7", "relay.toml:2: `keep` is a text, not an integer; write it in quotes, such as \"7d\""),
        ("kep = \"7d\"", "relay.toml:2: unknown key `kep`; the nearest is `keep`; [retention] has keep, segments"),
        ("segments = 9", "relay.toml:2: `9` segments cannot be; write 1 to 8"),
        ("segments = 0", "relay.toml:2: `0` segments cannot be; write 1 to 8"),
        ("max_disk = \"0B\"", "relay.toml:2: 0 leaves no room"),
        ("on_max_disk = \"drop\"", "relay.toml:2: `drop` is nothing to do; write hold, archive or cut"),
        ("on_max_disk = \"archive\"", "relay.toml:2: `archive` needs a folder beside it"),
        ("archive = \"/a\"", "relay.toml:2: an archive is written where on_max_disk = \"archive\" alone"),
    ] {
        refused(line, &[], &format!("[retention]\n{written}"), expected);
    }
    let told = read("status --config FILE --database-url sqlite:a", &[], all).unwrap().retention;
    assert_eq!(told.keep, Duration::ZERO, "one file of settings for both databases");
}

#[test]
fn subscriptions_that_contradict_one_another_are_refused() {
    let file = "[[subscription]]\nname = \"a\"\npublisher.url = \"file:x\"\n";
    let twice = format!("{file}{}", file.replace(":x", ":./x"));
    let line = "run --config FILE --database-url sqlite:a";
    refused(line, &[], &twice, "relay.toml:5: two subscriptions are called `a`, the other at relay.toml:2");
    refused(line, &[], &twice, "relay.toml:6: two subscriptions write to the same file");
    refused(&format!("{RUN} --config FILE"), &[], file, "--publisher: contradicts");
    refused(&format!("{line} --start now"), &[], file, "--start: belongs to");
    refused(&format!("{line} --topic x"), &[], "", "--topic: needs --publisher");
    refused(line, &[], "", "no subscription; give one by flags");
    refused(&format!("{RUN} --name= "), &[], "", "--name: the name is empty");
    refused(&format!("{RUN} --window-events 0"), &[], "", "--window-events: `0` is not a count");
    refused(&format!("{RUN} --until-empty --timeout 0s"), &[], "", "--timeout: `0s` is no time at all");
}

#[test]
fn databases_that_cannot_be_are_refused() {
    for (flags, expected) in [
        ("--database-url sqlite:a --database-url-file b", "--database-url: two database URLs"),
        ("--database-url sqlite:a --schema s", "--schema: SQLite has no schemas"),
        ("--database-url sqlite:a --prefix a-b", "--prefix: `a-b` cannot be a prefix"),
        ("--database-url mysql://ann:canary@host/x", "--database-url: `mysql:` is not in this version"),
        ("--database-url canary", "--database-url: not a database URL; write postgres://"),
        ("--database-url-file /no/such/file", "--database-url-file: cannot read"),
    ] {
        refused(&format!("status {flags}"), &[], "", expected);
    }
}

#[test]
fn variables_that_nobody_reads_or_that_are_wrong_are_refused() {
    for (name, value, expected) in [
        ("OUTBOX_DATABASE_ULR", "canary", "unknown variable; the nearest is OUTBOX_DATABASE_URL"),
        ("OUTBOX_RELAY_LEASES", "canary", "unknown variable; the nearest is OUTBOX_RELAY_LEASE"),
        ("OUTBOX_RELAY_LEASE", "10ms", "`10ms` is out of range; write 1s to 3600s"),
        ("OUTBOX_RELAY_WINDOW_EVENTS", "-1", "`-1` is not a count"),
        ("OUTBOX_RELAY_WAKE", "always", "`always` is no way to be woken"),
    ] {
        refused(RUN, &[(name, value)], "", &format!("{name}: {expected}"));
    }
}

#[test]
fn files_that_cannot_be_read_are_refused() {
    for (file, expected) in [
        ("[database]\nurl = \"env:NOT_SET\"", "relay.toml:2: the environment variable NOT_SET is not set"),
        ("[database\nurl", "relay.toml:1: not TOML: "),
        ("[relay]\nlease = \"5s\"\nlease = \"6s\"", "relay.toml:3: not TOML: "),
        ("subscription = 3", "relay.toml:1: write [[subscription]] in double brackets"),
        ("relay = 3", "relay.toml:1: `relay` is a section; write [relay]"),
    ] {
        refused("status --config FILE", &[], file, expected);
    }
    refused("status --config /no/such/file", &[], "", "--config: cannot read `/no/such/file`: ");
}

#[test]
fn rubbish_never_panics() {
    for file in [
        "\0",
        "[[",
        "=",
        "a=",
        "[[subscription]]\n[[subscription]]",
        "subscription = 3",
        "[database]\nurl = \"\\ud800\"",
        "\u{feff}[relay]",
    ] {
        let _ = read("run --config FILE", &[], file);
    }
    assert!(read("status --config FILE --database-url sqlite:a", &[], "\u{feff}[relay]\nlease = \"5s\"").is_ok());
}

#[test]
fn the_file_in_the_documentation_says_the_defaults() {
    let file = include_str!("../../../../../docs/relay.toml").replace("/var/lib/shop/", "");
    let settings = read("run --config FILE", &[("DATABASE_URL", "sqlite:a.db")], &file).unwrap();
    assert_eq!(settings.subscriptions.len(), 1);
    assert_eq!(settings.relay.lease, Some(Duration::from_secs(5)));
}

#[test]
fn a_timeout_counts_with_until_empty_only() {
    let until_empty = |flags: &str| read(&format!("{RUN} {flags}"), &[], "").unwrap().until_empty;
    assert_eq!(until_empty("--until-empty --timeout 5s"), Some(Duration::from_secs(5)));
    assert_eq!(until_empty("--until-empty"), Some(Duration::from_mins(1)));
    assert_eq!(until_empty("--timeout 5s"), None);
}

#[test]
fn a_selection_is_read_from_flags_and_the_tenant_from_the_environment() {
    let events = |line: &str, variables: &[_]| {
        read(&format!("events {line} --database-url sqlite:a.db"), variables, "").map(|settings| settings.selection)
    };
    let tenant = ("OUTBOX_TENANT", "south");
    let given = "show --tenant a --tenant b --table t --topic x.* --key k --operation delete --since 2026-01-01 --until \
                 2026-01-02 --after 7 --last 3";
    let selection = events(given, &[tenant]).unwrap();
    let filter = &selection.filter;
    assert_eq!((&filter.tenants[..], &filter.tables[..]), (&["a".into(), "b".into()][..], &["t".into()][..]));
    assert_eq!((&filter.topics[..], &filter.keys[..]), (&["x.*".into()][..], &["k".into()][..]));
    assert_eq!(filter.operations, [Operation::Delete]);
    assert_eq!(filter.since, Some(time::macros::datetime!(2026-01-01 00:00 UTC)));
    assert_eq!(filter.until, Some(time::macros::datetime!(2026-01-02 00:00 UTC)));
    assert_eq!((selection.after, selection.last), (7, 3));

    let selection = events("stats", &[tenant]).unwrap();
    assert_eq!((&selection.filter.tenants[..], selection.after, selection.last), (&["south".into()][..], 0, 10));
    let selection = events("export --format cdc-json --since-last hourly", &[]).unwrap();
    assert_eq!(selection.filter.operations, [Operation::Insert, Operation::Update, Operation::Delete]);
    assert_eq!(selection.since_last.as_deref(), Some("hourly"));
    assert_eq!(events("export --json", &[]).unwrap().format, crate::events::Format::Json);

    let problems = events("show --since soon --until never --last x --after y --operation z", &[]).unwrap_err();
    assert_eq!(problems.len(), 5, "all at once: {problems:?}");
    let misspelt = events("show", &[("OUTBOX_TENNANT", "south")]).unwrap_err();
    assert!(misspelt[0].contains("the nearest is OUTBOX_TENANT"), "{misspelt:?}");
}

#[test]
fn metrics_are_served_on_loopback_unless_something_else_is_said() {
    let metrics = |line: &str, variables: &[_], file: &str| read(line, variables, file).unwrap().metrics;
    let served = |line: &str, variables: &[_], file: &str| {
        metrics(line, variables, file).map(|metrics| (metrics.address.to_string(), metrics.asked_for))
    };
    let at = |address: &str, asked_for| Some((address.to_owned(), asked_for));
    let file = "[metrics]\nlisten = \"127.0.0.1:3\"\n";
    let with_file = &format!("{RUN} --config FILE");
    let variable = ("OUTBOX_METRICS_LISTEN", "[::1]:2");
    assert_eq!(served(RUN, &[], ""), at("127.0.0.1:8269", false));
    assert_eq!(served(with_file, &[], file), at("127.0.0.1:3", true));
    assert_eq!(served(with_file, &[variable], file), at("[::1]:2", true));
    assert_eq!(served(&format!("{with_file} --metrics localhost:1"), &[variable], file), at("127.0.0.1:1", true));
    assert_eq!(served(&format!("{with_file} --metrics off"), &[variable], file), None);
    assert_eq!(served(&format!("{RUN} --until-empty"), &[], ""), None);
    assert_eq!(served(&format!("{RUN} --until-empty --metrics 127.0.0.1:0"), &[], ""), at("127.0.0.1:0", true));
    let token = "[metrics]\nlisten = \"0.0.0.0:1\"\ntoken = \"env:SECRET\"";
    let of_all = metrics(with_file, &[("SECRET", "0123456789abcdef")], token).unwrap();
    assert!(of_all.token.is_some() && !format!("{of_all:?}").contains("0123456789abcdef"), "{of_all:?}");
    // Only `run` serves, so nobody else needs to be allowed to read the token.
    assert!(metrics("status --config FILE --database-url sqlite:a", &[], token).is_none());
}

#[test]
fn metrics_that_cannot_be_served_are_refused() {
    for (flag, expected) in [
        (
            "everywhere",
            "--metrics: `everywhere` is not an address to listen on; write 127.0.0.1:8269, [::1]:8269 or off",
        ),
        ("8269", "--metrics: `8269` is not an address"),
        ("0.0.0.0:1", "--metrics: 0.0.0.0:1 can be reached from elsewhere; write metrics.token_file = "),
        ("[::ffff:10.0.0.1]:1", "--metrics: [::ffff:10.0.0.1]:1 can be reached from elsewhere"),
    ] {
        refused(&format!("{RUN} --metrics {flag}"), &[], "", expected);
    }
    assert!(read(&format!("{RUN} --metrics [::ffff:127.0.0.1]:1"), &[], "").is_ok());
    let line = &format!("{RUN} --config FILE");
    for (written, expected) in [
        ("token = \"canary\"", "relay.toml:2: the token is shorter than 16 characters"),
        ("token = \"canary with a space\"", "relay.toml:2: the token is shorter than 16 characters, or holds one"),
        ("token = \"env:NOT_SET\"", "relay.toml:2: the environment variable NOT_SET is not set"),
        ("token_file = \"/no/such/file\"", "relay.toml:2: cannot read `/no/such/file`"),
        ("token = \"canary\"\ntoken_file = \"x\"", "relay.toml:2: two tokens, the other at relay.toml:3"),
        ("lisen = \"off\"", "relay.toml:2: unknown key `lisen`; the nearest is `listen`; [metrics] has listen, token"),
        ("listen = 8269", "relay.toml:2: `listen` is a text, not an integer; write it in quotes, such as \"127.0"),
    ] {
        refused(line, &[], &format!("[metrics]\n{written}"), expected);
        refused(&format!("{line} --until-empty"), &[], &format!("[metrics]\n{written}"), expected);
    }
    refused(
        RUN,
        &[("OUTBOX_METRICS_LISTN", "canary")],
        "",
        "OUTBOX_METRICS_LISTN: unknown variable; the nearest is OUTBOX_METRICS_LISTEN",
    );
}
