//! What the program refuses on PostgreSQL, with which exit code, and what it tells the operator to do.

use std::env;
use std::process::{Child, Command, Output};

use outbox_tests::conformance::waiting::eventually;
use outbox_tests::database::Owned;
use sqlx::{AssertSqlSafe, Connection as _, Executor as _, PgConnection};
use uuid::Uuid;
use xtask::postgres::{Cluster, ClusterOptions};

/// A database on the run's shared server.
struct Shop {
    owned: Owned,
    /// Where it is, for the owner of the tables.
    url: String,
    name: String,
}

impl Shop {
    async fn new() -> Self {
        let owned = Owned::on_shared_server().await.expect("a database can be created");
        let url = owned.database().url().to_owned();
        let name = url.rsplit_once('/').expect("the URL names a database").1.to_owned();
        Self { owned, url, name }
    }

    /// With the outbox tables, and a user for each role.
    async fn migrated() -> Self {
        let shop = Self::new().await;
        assert_eq!(relay(&["migrate", "--roles", "--quiet", "--database-url", &shop.url]).status.code(), Some(0));
        shop.make_users().await;
        shop
    }

    async fn sql(&self, statements: &str) {
        let mut connection = PgConnection::connect(&self.url).await.expect("the database answers");
        connection.execute(AssertSqlSafe(statements.to_owned())).await.expect("the statements are right");
    }

    /// Makes a user for each role; both who relay and who look on see other users' sessions.
    async fn make_users(&self) {
        self.owned.database().make_users().await.expect("users can be made");
        self.sql(&format!("GRANT pg_read_all_stats TO {0}_relay, {0}_operator", self.name)).await;
    }

    /// Where it is, for a user that may look on.
    fn operator(&self) -> String {
        self.of(&format!("{}_operator", self.name))
    }

    /// The same place for another user.
    fn of(&self, user: &str) -> String {
        self.url.replacen("postgres@", &format!("{user}@"), 1)
    }

    /// Runs the relay until empty, as a user that may relay, and returns its exit code with what it said.
    fn run(&self, more: &[&str]) -> (Option<i32>, String) {
        run_at(&self.owned.database().relay_url(), more)
    }
}

fn run_at(url: &str, more: &[&str]) -> (Option<i32>, String) {
    let fixed = ["run", "--quiet", "--database-url", url, "--publisher", "null", "--until-empty"];
    said(&relay(&[&fixed[..], more].concat()))
}

fn program() -> Command {
    Command::new(env::var("OUTBOX_RELAY_BIN").expect("run `cargo xtask test`: it builds the relay this test needs"))
}

fn relay(arguments: &[&str]) -> Output {
    program().args(arguments).output().expect("the relay can be started")
}

fn said(output: &Output) -> (Option<i32>, String) {
    (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
}

/// The exit code is 2, and the message names each of these.
fn assert_refused((code, message): (Option<i32>, String), names: &[&str]) {
    assert_eq!(code, Some(2), "{message}");
    for name in names {
        assert!(message.contains(name), "`{name}` is not in: {message}");
    }
}

#[tokio::test]
async fn missing_tables_name_the_command_that_makes_them() {
    let shop = Shop::new().await;
    assert_refused(run_at(&shop.url, &[]), &["outbox-relay migrate"]);
}

#[tokio::test]
async fn tables_of_a_later_version_need_a_newer_program() {
    let shop = Shop::migrated().await;
    shop.sql("UPDATE outbox_meta SET value = '99' WHERE name = 'schema_version'").await;
    assert_refused(shop.run(&[]), &["99", "newer"]);
}

#[tokio::test]
async fn a_sequence_that_hands_out_positions_in_bulk_is_refused_with_the_remedy() {
    let shop = Shop::migrated().await;
    shop.sql("ALTER TABLE outbox_event ALTER COLUMN position SET CACHE 10").await;
    assert_refused(shop.run(&[]), &["CACHE 1"]);
}

#[tokio::test]
async fn a_role_without_privileges_is_told_which() {
    let shop = Shop::migrated().await;
    let role = format!("{}_role", shop.name);
    shop.sql(&format!("CREATE ROLE {role} LOGIN")).await;
    let url = shop.of(&role);
    let output = relay(&["run", "--quiet", "--database-url", &url, "--publisher", "null", "--until-empty"]);
    assert_refused(said(&output), &["GRANT"]);
    shop.sql(&format!("DROP OWNED BY {role}; DROP ROLE {role}")).await;
}

#[tokio::test]
async fn a_wrong_password_is_not_shown() {
    let shop = Shop::migrated().await;
    let url = shop.of("nobody_of_this_name:canary-secret");
    let output = relay(&["run", "--database-url", &url, "--publisher", "null", "--until-empty"]);
    let (code, message) = said(&output);
    assert_eq!(code, Some(2), "{message}");
    assert!(!message.contains("canary"), "{message}");
}

#[tokio::test]
async fn a_server_that_is_not_there_is_given_up_after_the_timeout() {
    let port = std::net::TcpListener::bind("127.0.0.1:0")
        .expect("a port is free")
        .local_addr()
        .expect("it has a number")
        .port();
    let url = format!("postgres://postgres@127.0.0.1:{port}/shop");
    let (code, message) = said(&relay(&[
        "run",
        "--quiet",
        "--database-url",
        &url,
        "--publisher",
        "null",
        "--until-empty",
        "--timeout",
        "1s",
    ]));
    assert_eq!(code, Some(1), "{message}");
    assert!(message.contains("no progress"), "{message}");
}

#[tokio::test]
async fn a_read_only_database_is_retried_not_refused() {
    let shop = Shop::migrated().await;
    shop.sql(&format!("ALTER DATABASE {} SET default_transaction_read_only = on", shop.name)).await;
    let (code, message) = shop.run(&["--timeout", "1s"]);
    assert_eq!(code, Some(1), "{message}");
    assert!(message.contains("read-only"), "{message}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_standby_is_refused_because_it_shows_too_little() {
    let (primary, standby) = tokio::task::block_in_place(|| {
        let primary = Cluster::start(ClusterOptions::default()).expect("a server can be started");
        let url = primary.url("postgres");
        assert_eq!(relay(&["migrate", "--quiet", "--database-url", &url]).status.code(), Some(0));
        let standby = primary.standby().expect("a standby can be made");
        (primary, standby)
    });
    let url = standby.url("postgres");
    let output = relay(&["run", "--quiet", "--database-url", &url, "--publisher", "null", "--until-empty"]);
    assert_refused(said(&output), &["standby", "primary"]);
    let (code, wrong) = complaints(&url);
    assert_eq!(code, Some(1));
    assert!(wrong.iter().any(|told| told.contains("primary")), "{wrong:?}");
    drop((standby, primary));
}

#[tokio::test]
async fn older_tables_are_brought_up_to_date_with_as_many_segments_as_are_asked_for() {
    let shop = Shop::new().await;
    shop.sql(&format!("BEGIN; {} COMMIT", outbox_core::sql::postgres::MIGRATE)).await;
    let mut writer = PgConnection::connect(&shop.url).await.expect("the database answers");
    let insert = "INSERT INTO outbox_event (topic, event_key, payload) VALUES ('t', 'k', '{}')";
    // Nobody who writes meanwhile is waited for, nor waits.
    writer.execute(AssertSqlSafe(format!("SET lock_timeout = '50ms'; BEGIN; {insert}"))).await.expect("it may write");
    let output = relay(&["migrate", "--segments", "4", "--database-url", &shop.url]);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let told = String::from_utf8_lossy(&output.stdout).into_owned();
    let wanted = "brought outbox_event and the other outbox_ tables from revision 1 to revision 3; the log uses 4 segments now\n";
    assert_eq!(told, wanted);
    writer.execute(AssertSqlSafe(format!("{insert}; COMMIT"))).await.expect("it may go on");
    shop.make_users().await;
    let (code, message) = shop.run(&[]);
    assert_eq!(code, Some(0), "{message}");
}

#[tokio::test]
async fn the_number_of_segments_changes_and_cleanup_names_who_is_in_the_way() {
    let shop = Shop::new().await;
    let migrate = |segments: &str| {
        let output = relay(&["migrate", "--segments", segments, "--database-url", &shop.url]);
        assert_eq!(output.status.code(), Some(0), "{output:?}");
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    assert!(migrate("2").starts_with("created"));
    assert!(migrate("4").ends_with("the log uses 4 segments now\n"));
    assert!(migrate("4").ends_with("are up to date\n"));
    shop.make_users().await;
    shop.sql(
        "INSERT INTO outbox_event (topic, event_key, payload, occurred_at) VALUES ('t', 'k', '{}', now() - interval '30 days');
         INSERT INTO outbox_checkpoint (subscription, partition_id, position) VALUES ('billing', 0, 1);
         SELECT setval('outbox_segment', 3, true)",
    )
    .await;
    let blocks_emptying = |complaint: &String| complaint.starts_with("emptying: ");
    assert!(!complaints(&shop.url).1.iter().any(blocks_emptying), "nothing is in the way");
    shop.sql("UPDATE outbox_checkpoint SET position = 0").await;
    assert!(complaints(&shop.url).1.iter().any(blocks_emptying), "billing has not passed it");
    shop.sql("UPDATE outbox_checkpoint SET position = 1").await;
    let mut reading = PgConnection::connect(&shop.url).await.expect("the database answers");
    reading
        .execute("SET application_name = 'report'; BEGIN; SELECT count(*) FROM outbox_event_0")
        .await
        .expect("the log can be read");
    let cleanup = |more: &[&str]| {
        let output = relay(&[&["cleanup", "--database-url", &shop.owned.database().relay_url()], more].concat());
        assert_eq!(output.status.code(), Some(0), "{output:?}");
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    let shown = cleanup(&[]);
    assert!(shown.contains("it is locked by pid") && shown.contains("report"), "{shown}");
    // Who reads for less than a second only passes by.
    let why = async || why(&shop);
    let named =
        |why: &String| why.contains("segment 0 cannot be emptied: it is locked by pid") && why.contains("report");
    let why = eventually("why to name the reader", why, named).await;
    assert!(why.contains("SELECT pg_terminate_backend("), "{why}");
    drop(reading);
    let mut told = String::new();
    while !told.contains(r#""outcome":"emptied""#) {
        told = cleanup(&["--json"]);
    }
    assert!(told.starts_with(r#"{"version":1,"dry_run":false,"#), "{told}");
}

fn why(shop: &Shop) -> String {
    String::from_utf8_lossy(&relay(&["why", "--database-url", &shop.operator()]).stdout).into_owned()
}

/// A program that is ended with this value.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[tokio::test]
async fn why_names_the_session_that_keeps_a_position_open() {
    let shop = Shop::migrated().await;
    let mut open = shop.owned.database().connect_as_writer().await.expect("the writer may connect");
    let insert = "INSERT INTO outbox_event (topic, event_key, payload) VALUES ('t', 'k', '{}')";
    open.execute("SET application_name = 'import'; BEGIN").await.expect("it may write");
    open.execute(insert).await.expect("it may write");
    let pid: i32 = sqlx::query_scalar("SELECT pg_backend_pid()").fetch_one(&mut open).await.expect("it answers");
    let mut other = shop.owned.database().connect_as_writer().await.expect("the writer may connect");
    other.execute(insert).await.expect("it may write");
    let url = shop.owned.database().relay_url();
    let arguments =
        ["run", "--quiet", "--metrics", "off", "--lease", "1s", "--database-url", &url, "--publisher", "null"];
    let _running = Running(program().args(arguments).spawn().expect("the relay can be started"));
    let named = |why: &String| why.contains(&format!("pid {pid}")) && why.contains("import");
    let told = eventually("why to name the writer", async || why(&shop), named).await;
    assert!(told.contains(&format!("SELECT pg_terminate_backend({pid})")), "{told}");
    open.execute("COMMIT").await.expect("it may commit");
    eventually("why to be well again", async || why(&shop), |why| !why.contains("import")).await;
}

/// What `doctor` finds wrong, as `check: remedy`, and its exit code.
fn complaints(url: &str) -> (Option<i32>, Vec<String>) {
    let output = relay(&["doctor", "--json", "--database-url", url]);
    let findings: serde_json::Value = serde_json::from_slice(&output.stdout).expect("doctor writes JSON");
    let wrong = findings.as_array().expect("a list").iter().filter(|finding| finding["verdict"] != "ok");
    let told = |finding: &serde_json::Value| {
        format!("{}: {}", finding["check"].as_str().unwrap_or_default(), finding["remedy"].as_str().unwrap_or_default())
    };
    (output.status.code(), wrong.map(told).collect())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_does_not_sync_fails_the_examination() {
    for setting in ["fsync", "full_page_writes"] {
        let careless = ClusterOptions::default().set(setting, "off");
        let server = tokio::task::block_in_place(|| Cluster::start(careless)).expect("a server can be started");
        let url = server.url("postgres");
        assert_eq!(relay(&["migrate", "--quiet", "--database-url", &url]).status.code(), Some(0));
        assert_eq!(
            complaints(&url),
            (
                Some(1),
                vec!["crash safety: set both to on: without them a crash may take back what was published".to_owned()]
            )
        );
    }
}

#[tokio::test]
async fn doctor_names_what_is_wrong_and_the_statement_that_mends_it() {
    let shop = Shop::new().await;
    let (code, wrong) = complaints(&shop.url);
    assert_eq!(code, Some(1));
    assert!(
        wrong.iter().any(|complaint| complaint.starts_with("tables: ") && complaint.contains("migrate")),
        "{wrong:?}"
    );

    assert_eq!(relay(&["migrate", "--quiet", "--database-url", &shop.url]).status.code(), Some(0));
    assert_eq!(complaints(&shop.url), (Some(0), Vec::new()));

    shop.sql(
        "ALTER SEQUENCE outbox_event_position_seq CACHE 20;
         CREATE TABLE child (position bigint REFERENCES outbox_event_0 (position));
         CREATE PUBLICATION everything FOR ALL TABLES;
         REVOKE EXECUTE ON FUNCTION query_to_xml FROM PUBLIC",
    )
    .await;
    let (code, wrong) = complaints(&shop.url);
    assert_eq!(code, Some(1));
    let remedies = ["positions: ", "foreign keys: ", "publications: ", "writers: "].map(|check| {
        let found = wrong.iter().find_map(|complaint| complaint.strip_prefix(check));
        found.unwrap_or_else(|| panic!("nothing of {check}{wrong:?}")).to_owned()
    });
    shop.sql(&remedies.join(";")).await;
    assert_eq!(complaints(&shop.url), (Some(0), Vec::new()), "the remedies mend it");
}

#[tokio::test]
async fn a_table_that_somebody_dropped_is_named_by_all() {
    for (dropped, check, remedy) in [
        ("TABLE outbox_dead_letter", "tables: ", "backup"),
        ("TABLE outbox_meta", "tables: ", "backup"),
        ("SEQUENCE outbox_wake", "version: ", "CREATE SEQUENCE"),
    ] {
        let shop = Shop::migrated().await;
        shop.sql(&format!("DROP {dropped}")).await;
        let name = dropped.split_once(' ').unwrap().1;
        let says = [name, "is missing", remedy];
        assert_refused(shop.run(&[]), &says);
        for command in ["migrate", "status"] {
            assert_refused(said(&relay(&[command, "--quiet", "--database-url", &shop.url])), &says);
        }
        let (code, wrong) = complaints(&shop.url);
        assert_eq!(code, Some(1));
        assert!(wrong.iter().any(|told| told.starts_with(check) && told.contains(remedy)), "{wrong:?}");
    }
}

#[tokio::test]
async fn a_user_who_may_not_clean_is_told_what_to_grant_and_relays_all_the_same() {
    let shop = Shop::migrated().await;
    let user = format!("relay_{}", Uuid::now_v7().simple());
    shop.sql(&format!(
        "CREATE ROLE {user} LOGIN PASSWORD 'canary'; GRANT SELECT ON ALL TABLES IN SCHEMA public TO {user};
         GRANT INSERT, UPDATE, DELETE ON outbox_checkpoint, outbox_lease, outbox_relay, outbox_dead_letter TO {user};
         GRANT INSERT, UPDATE ON outbox_meta TO {user};
         GRANT SELECT ON ALL SEQUENCES IN SCHEMA public TO {user};
         INSERT INTO outbox_event (topic, event_key, payload) VALUES ('t', 'k', '{{}}')"
    ))
    .await;
    let url = shop.of(&format!("{user}:canary"));
    let refused = said(&relay(&["cleanup", "--database-url", &url]));
    assert!(!refused.1.contains("canary"), "{}", refused.1);
    assert_refused(refused, &["GRANT TRUNCATE ON outbox_event_0", "GRANT UPDATE ON SEQUENCE outbox_segment"]);
    let run = ["run", "--quiet", "--database-url", &url, "--publisher", "null", "--until-empty"];
    assert_eq!(said(&relay(&run)), (Some(0), String::new()));
    shop.sql(&format!("DROP OWNED BY {user}; DROP ROLE {user}")).await;
}

#[tokio::test]
async fn doctor_tells_a_user_without_privileges_what_to_grant() {
    let shop = Shop::migrated().await;
    let role = &shop.name;
    shop.sql(&format!("CREATE ROLE {role} LOGIN; GRANT SELECT ON outbox_event, outbox_meta TO {role}")).await;
    let url = shop.of(role);
    let (code, wrong) = complaints(&url);
    assert_eq!(code, Some(1));
    let grants =
        wrong.iter().find_map(|complaint| complaint.strip_prefix("privileges: ")).expect("privileges are missing");
    let grants = grants.split_once(": ").expect("statements follow").1;
    shop.sql(grants).await;
    assert_eq!(complaints(&url).0, Some(0), "the grants suffice");
    shop.sql(&format!("DROP OWNED BY {role}; DROP ROLE {role}")).await;
}

#[tokio::test]
async fn each_command_runs_as_the_user_whose_role_allows_it() {
    let shop = Shop::new().await;
    let call = |user: &str, arguments: &[&str]| {
        let url = shop.of(user);
        relay(&[arguments, &["--database-url", &url]].concat())
    };
    let said = String::from_utf8(call("postgres", &["migrate", "--roles"]).stdout).expect("it is text");
    assert!(said.ends_with("the roles outbox_writer, outbox_relay, outbox_operator may do what they need\n"), "{said}");
    let json = String::from_utf8(call("postgres", &["migrate", "--roles", "--json"]).stdout).expect("it is text");
    assert_eq!(json, "{\"changed\":false,\"roles\":[\"outbox_writer\",\"outbox_relay\",\"outbox_operator\"]}\n");
    let shown = String::from_utf8(call("postgres", &["migrate", "--roles", "--print"]).stdout).expect("it is text");
    shop.sql(&shown).await;

    let users = ["writer", "relay", "operator"].map(|role| format!("{}_{role}", shop.name));
    for (user, role) in users.iter().zip(["writer", "relay", "operator"]) {
        shop.sql(&format!("CREATE ROLE {user} LOGIN; GRANT outbox_{role} TO {user}")).await;
    }
    let [writer, relaying, operator] = &users;
    let as_writer = shop.of(writer);
    let mut session = PgConnection::connect(&as_writer).await.expect("the writer may connect");
    let insert = "INSERT INTO outbox_event (topic, event_key, payload) VALUES ('t', 'k', '{}')";
    session.execute(insert).await.expect("the writer may write");
    drop(session);

    let run = ["run", "--publisher", "null", "--until-empty"];
    let export = ["events", "export", "--format", "jsonl"];
    for arguments in [&run[..], &["cleanup"], &export] {
        let allowed = call(relaying, arguments);
        assert_eq!(allowed.status.code(), Some(0), "{arguments:?}: {allowed:?}");
    }
    for arguments in [&["status"][..], &["why"], &["doctor"], &["events", "show"], &["events", "stats"]] {
        let allowed = call(operator, arguments);
        assert_eq!(allowed.status.code(), Some(0), "{arguments:?}: {allowed:?}");
        let denied = call(writer, arguments);
        let expected = if arguments == ["doctor"] { 1 } else { 2 };
        assert_eq!(denied.status.code(), Some(expected), "{arguments:?}: {denied:?}");
        assert!(format!("{denied:?}").contains("GRANT SELECT ON"), "{denied:?}");
    }
    for (user, arguments) in [(operator, &run[..]), (operator, &export), (operator, &["cleanup"]), (writer, &run)] {
        assert_refused(self::said(&call(user, arguments)), &["GRANT", user]);
    }
}
