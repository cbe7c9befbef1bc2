//! Help, settings, migration.

use crate::shop::{Shop, ended};

#[test]
fn the_help_of_each_command_has_an_example() {
    let shop = Shop::empty();
    for arguments in [
        &["--help"][..],
        &["migrate", "--help"],
        &["run", "--help"],
        &["status", "--help"],
        &["cleanup", "--help"],
        &["doctor", "--help"],
        &["why", "--help"],
        &["help", "run"],
        &["events", "--help"],
        &["events", "show", "--help"],
        &["events", "tail", "--help"],
        &["events", "stats", "--help"],
        &["events", "export", "--help"],
        &["dead-letters", "--help"],
        &["dead-letters", "list", "--help"],
        &["dead-letters", "show", "--help"],
        &["dead-letters", "requeue", "--help"],
        &["dead-letters", "skip", "--help"],
        &["dead-letters", "discard", "--help"],
        &["pause", "--help"],
        &["resume", "--help"],
        &["replay", "--help"],
    ] {
        let help = shop.call(arguments).expect_code(0);
        assert!(help.stdout.contains("Examples:\n  outbox-relay "), "{}", help.stdout);
        assert!(help.stdout.lines().all(|line| line.chars().count() <= 110), "{}", help.stdout);
        assert_eq!(help.stderr, "");
        // One file for all would hold the last export alone.
        let mut examples =
            help.stdout.lines().filter(|line| line.contains("export") && line.contains("--since-last hourly"));
        assert!(examples.all(|line| line.ends_with("--output \"events-$(date +%Y%m%dT%H).jsonl\"")), "{}", help.stdout);
    }
}

#[test]
fn wrong_usage_is_exit_2_and_shows_no_secret() {
    let shop = Shop::open();
    for arguments in [
        &[][..],
        &["unknown"],
        &["status", "--unknown"],
        &["status", "postgres://ann:canary@host/db"],
        &["postgres://ann:canary@host/db"],
        &["migrate", "--segments", "9"],
        &["migrate", "--roles"],
        &["migrate", "--roles", "--print"],
        &["run", "--publisher", "null", "--timeout", "5"],
        &["run", "--publisher", "https://ann:canary@host/"],
        &["run", "--publisher", "null", "--partitions", "257"],
        &["run", "--publisher", "null", "--envelope", "raw"],
        &["status", "--database-url", "mysql://ann:canary@host/db"],
        &["status", "--database-url", "ann:canary@host/db"],
        &["status", "-q", "-v"],
    ] {
        let refused = shop.call(arguments).expect_code(2);
        assert_eq!(refused.stdout, "", "{arguments:?}");
        assert!(!refused.stderr.is_empty() && !refused.stderr.contains("canary"), "{}", refused.stderr);
    }
}

#[test]
fn a_number_of_partitions_that_cannot_be_is_told_with_those_that_can() {
    let shop = Shop::open();
    for number in ["0", "300", "-1", "many"] {
        let refused = shop.call(&["run", "--publisher", "null", &format!("--partitions={number}")]).expect_code(2);
        assert_eq!(refused.errors(), [format!("error: --partitions: {number} partitions cannot be; write 1 to 256")]);
    }
}

#[test]
fn an_unknown_key_is_told_with_its_line_and_the_nearest_legal_one() {
    let shop = Shop::open();
    std::fs::write(shop.path("relay.toml"), "[relay]\nname = \"a\"\nlese = \"5s\"\npoll_max = \"2\"\n").unwrap();
    let refused = shop.call(&["status", "--config", "relay.toml"]).expect_code(2);
    let [key, value] = refused.errors()[..] else { panic!("{}", refused.stderr) };
    assert!(key.starts_with("error: relay.toml:3: unknown key `lese`; the nearest is `lease`; [relay] has "), "{key}");
    assert!(value.starts_with("error: relay.toml:4: `2` is not a duration; write "), "{value}");
}

#[test]
fn flag_then_outbox_variable_then_database_url_then_file() {
    let shop = Shop::open();
    std::fs::write(shop.path("relay.toml"), "[database]\nurl = \"sqlite:file.db\"\n").unwrap();
    std::fs::write(shop.path("url"), "sqlite:url-file.db\n").unwrap();
    let asked = |arguments: &[&str], variables: &[(&str, &str)]| {
        let mut command = shop.program(&[&["status", "--config", "relay.toml"], arguments].concat());
        let refused = ended(command.env_remove("DATABASE_URL").envs(variables.iter().copied())).expect_code(2);
        assert!(refused.stderr.contains("outbox-relay migrate"), "{}", refused.stderr);
        let name = refused.stderr.split_whitespace().find(|word| word.contains(".db")).unwrap();
        name.trim_end_matches(';').to_owned()
    };
    let outbox = ("OUTBOX_DATABASE_URL", "sqlite:outbox.db");
    let shared = ("DATABASE_URL", "sqlite:shared.db");
    assert_eq!(asked(&["--database-url", "sqlite:flag.db"], &[outbox, shared]), "flag.db");
    assert_eq!(asked(&["--database-url-file", "url"], &[outbox, shared]), "url-file.db");
    assert_eq!(asked(&[], &[outbox, shared]), "outbox.db");
    assert_eq!(asked(&[], &[("OUTBOX_DATABASE_URL_FILE", "url"), shared]), "url-file.db");
    assert_eq!(asked(&[], &[shared]), "shared.db");
    assert_eq!(asked(&[], &[]), "file.db");
}

#[test]
fn a_password_never_shows() {
    let shop = Shop::empty();
    let url = "postgres://ann:canary@127.0.0.1:1/shop?sslmode=disable&password=canary";
    for log in ["text", "json"] {
        for arguments in
            [&["status"][..], &["migrate"], &["run", "--publisher", "null", "--until-empty", "--timeout", "1s"]]
        {
            let flags = ["--database-url", url, "-vv", "--log", log];
            let failed = shop.call(&[arguments, &flags].concat());
            assert_eq!(failed.code, Some(if cfg!(feature = "postgres") { 1 } else { 2 }), "{}", failed.stderr);
            assert!(!format!("{failed:?}").contains("canary"), "{}", failed.stderr);
        }
    }
}

#[test]
fn what_to_write_instead_is_shown_whole() {
    let shop = Shop::empty();
    for (url, hint) in [
        (&["--database-url", "shop"][..], "write postgres://host/database or sqlite:path"),
        (&[], "(such as sqlite:shop.db or postgres://host/database)"),
        #[cfg(feature = "postgres")]
        (&["--database-url", "postgres://[canary"], "write `postgres://host:5432/database`, user and password before"),
    ] {
        let arguments = [&["status"], url].concat();
        let refused = ended(shop.program(&arguments).env_remove("DATABASE_URL")).expect_code(2);
        assert!(refused.stderr.contains(hint) && !refused.stderr.contains("***"), "{}", refused.stderr);
    }
}

#[test]
fn migrating_twice_changes_nothing() {
    let shop = Shop::empty();
    let said = |arguments: &[&str]| shop.call(&[&["migrate"], arguments].concat()).expect_code(0).stdout;
    assert_eq!(said(&[]), "created outbox_event and the other outbox_ tables\n");
    assert_eq!(said(&[]), "outbox_event and the other outbox_ tables are up to date\n");
    assert_eq!(
        said(&["--segments", "3"]),
        "outbox_event and the other outbox_ tables are up to date; SQLite has no segments\n"
    );
    let quiet = shop.call(&["migrate", "--quiet", "--prefix", "quiet_"]).expect_code(0);
    assert_eq!((quiet.stdout.as_str(), quiet.stderr.as_str()), ("", ""));
    assert_eq!(said(&["--quiet", "--prefix", "quiet_"]), "");
    assert_eq!(said(&["--prefix", "quiet_"]), "quiet_event and the other quiet_ tables are up to date\n");
    assert_eq!(shop.call(&["migrate", "--json"]).expect_code(0).stdout, "{\"changed\":false}\n");
    assert_eq!(shop.call(&["migrate", "--json", "--prefix", "ob_"]).expect_code(0).stdout, "{\"changed\":true}\n");
    shop.sql("INSERT INTO ob_event (topic, event_key, payload) VALUES ('a', 'b', '{}')");
    assert_eq!(shop.published(&["--prefix", "ob_"]), [1]);
}

#[test]
fn the_printed_sql_makes_the_tables() {
    let shop = Shop::empty();
    let printed = shop.call(&["migrate", "--print"]).expect_code(0);
    assert!(!shop.path("shop.db").exists(), "printing touches no database");
    shop.sql(&printed.stdout);
    assert_eq!(shop.call(&["migrate", "--json"]).expect_code(0).stdout, "{\"changed\":false}\n");
    let postgres =
        shop.call(&["migrate", "--print", "--segments", "2", "--schema", "s", "--database-url", "postgres://x/y"]);
    assert_eq!(postgres.expect_code(0).stdout.matches("PARTITION OF \"s\".\"outbox_event\"").count(), 2);
}
