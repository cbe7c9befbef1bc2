//! What `run` serves: metrics, and whether it is well.

mod client;
mod exposition;

use std::net::TcpListener;

use rustix::fs::{CWD, RenameFlags};

use self::client::Client;
use self::exposition::Exposition;
use crate::shop::{Running, Shop, ended, until};

const RUN: [&str; 5] = ["run", "--publisher", "file:out.jsonl", "--metrics", "127.0.0.1:0"];

/// A relay at work, and somebody who reads its pages.
fn serving(shop: &Shop, arguments: &[&str]) -> (Running, Client) {
    let mut relay = Running::start(&mut shop.program(arguments));
    let client = Client::of(&relay.wait_for_log("metrics on http://"));
    (relay, client)
}

/// The metrics, once this series has that value.
#[track_caller]
fn metrics_when(client: &Client, series: &str, value: f64) -> Exposition {
    let mut exposition = Exposition::default();
    until(&format!("{series} is {value}"), || {
        exposition = Exposition::parse(&client.get("/metrics").body);
        exposition.value(series) == Some(value)
    });
    exposition
}

#[test]
fn metrics_tell_what_was_published_and_hold_no_payload() {
    let shop = Shop::open();
    shop.event("canary-topic", "canary-key", "{\"canary\":1}");
    shop.event("canary-topic", "canary-key", "{\"canary\":2}");
    shop.event("other", "canary-key", "{\"canary\":3}");
    let (_relay, client) = serving(&shop, &[&RUN[..], &["--name", "billing", "--topic", "canary-*"]].concat());
    let metrics = metrics_when(&client, "outbox_events_published_total{subscription=\"billing\"}", 2.0);
    for (series, value) in [
        ("outbox_events_read_total{subscription=\"billing\",row=\"event\"}", 2.0),
        ("outbox_events_read_total{subscription=\"billing\",row=\"filtered\"}", 1.0),
        ("outbox_events_parked_total{subscription=\"billing\"}", 0.0),
        ("outbox_lease_held{subscription=\"billing\"}", 1.0),
        ("outbox_leases_taken_total{subscription=\"billing\"}", 1.0),
        ("outbox_publish_errors_total{subscription=\"billing\",kind=\"unavailable\"}", 0.0),
        ("outbox_window_events{subscription=\"billing\"}", 10_000.0),
    ] {
        assert_eq!(metrics.value(series), Some(value), "{series}");
    }
    let answered = client.get("/metrics");
    assert_eq!(answered.header("content-type"), Some("text/plain; version=0.0.4; charset=utf-8"));
    assert!(!answered.body.contains("canary"), "{}", answered.body);
    let known: Vec<_> = outbox_relay::metrics::names::ALL.iter().map(|metric| metric.name).collect();
    assert!(metrics.families().all(|family| known.contains(&family)), "{:?}", metrics.families().collect::<Vec<_>>());
}

#[test]
fn lag_and_parked_keys_are_those_of_the_first_reading() {
    let shop = Shop::open();
    shop.event("a", "bad", "{canary");
    shop.event("a", "good", "{}");
    shop.call(&["run", "--publisher", "stdout", "--until-empty"]).expect_code(4);
    let (_relay, client) = serving(&shop, &RUN);
    let metrics = metrics_when(&client, "outbox_parked_keys{subscription=\"default\"}", 1.0);
    let value = |name: &str| metrics.value(&format!("{name}{{subscription=\"default\"}}"));
    assert_eq!(value("outbox_parked_events"), Some(1.0));
    assert_eq!((value("outbox_lag_events"), value("outbox_lag_seconds")), (Some(0.0), Some(0.0)));
}

#[test]
fn a_relay_at_work_is_healthy_and_ready_and_so_is_one_that_waits() {
    let shop = Shop::open();
    let (_first, worker) = serving(&shop, &RUN);
    until("the first is ready", || worker.get("/readyz").status == 200);
    assert_eq!(
        worker.get("/healthz").body,
        "{\"healthy\":true}
"
    );
    let (_second, waiting) = serving(&shop, &RUN);
    until("the second waits", || waiting.get("/readyz").status == 200);
    let metrics = Exposition::parse(&waiting.get("/metrics").body);
    assert_eq!(metrics.value("outbox_lease_held{subscription=\"default\"}"), Some(0.0));
    assert_eq!(worker.get("/readyz").body, "{\"ready\":true}\n");
}

#[test]
fn without_its_database_a_relay_lives_and_is_not_ready() {
    let shop = Shop::open();
    // Whoever closes a database last writes everything into its one file.
    shop.sql("SELECT 1");
    let aside = shop.path("aside.db");
    std::fs::rename(shop.path("shop.db"), &aside).unwrap();
    std::fs::create_dir(shop.path("shop.db")).unwrap();
    let (_relay, client) = serving(&shop, &RUN);
    let failed = "outbox_database_errors_total{operation=\"lease\",kind=\"unavailable\"}";
    until("a failure is counted", || Exposition::parse(&client.get("/metrics").body).value(failed) > Some(0.0));
    let unready = client.get("/readyz");
    assert_eq!((unready.status, unready.header("content-type")), (503, Some("application/json")));
    let body: serde_json::Value = serde_json::from_str(&unready.body).unwrap();
    assert_eq!((&body["ready"], &body["reasons"][0]["subscription"]), (&false.into(), &"default".into()), "{body}");
    assert!(body["reasons"][0]["reason"].as_str().unwrap().contains("the database does not answer"), "{body}");
    assert_eq!(client.get("/healthz").status, 200);

    // In one step: a database that is not there at all would end the relay.
    rustix::fs::renameat_with(CWD, &aside, CWD, shop.path("shop.db"), RenameFlags::EXCHANGE).unwrap();
    until("it is ready", || client.get("/readyz").status == 200);
}

#[cfg(feature = "postgres")]
#[test]
fn the_password_of_a_database_shows_nowhere() {
    let shop = Shop::empty();
    let url = "postgres://ann:canary@127.0.0.1:1/shop?sslmode=disable";
    let (_relay, client) = serving(&shop, &[&RUN[..], &["--database-url", url]].concat());
    until("the relay has started", || client.get("/readyz").body.contains("does not answer"));
    for path in ["/metrics", "/healthz", "/readyz", "/canar"] {
        let said = client.get(path);
        assert!(!format!("{said:?}").contains("canary"), "{said:?}");
    }
}

#[test]
fn other_paths_and_methods_are_told_what_there_is() {
    let shop = Shop::open();
    let (_relay, client) = serving(&shop, &RUN);
    let unknown = client.get("/");
    assert_eq!((unknown.status, unknown.body.as_str()), (404, "there are /metrics, /healthz and /readyz\n"));
    for method in ["POST", "PUT", "DELETE", "OPTIONS"] {
        let refused = client.say(&format!("{method} /metrics HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n"));
        assert_eq!((refused.status, refused.header("allow")), (405, Some("GET, HEAD")), "{method}");
    }
    assert_eq!(client.say("HEAD /healthz HTTP/1.1\r\nHost: x\r\n\r\n").body, "");
    assert_eq!(client.say("GET /healthz?x=1 HTTP/1.0\r\n\r\n").status, 200);
    assert_eq!(client.say(&format!("GET /metrics HTTP/1.1\r\nX: {}\r\n\r\n", "x".repeat(20_000))).status, 431);
    assert_eq!(client.say("nonsense\r\n\r\n").status, 400);
}

#[test]
fn beyond_loopback_every_page_asks_for_the_token() {
    let shop = Shop::open();
    std::fs::write(shop.path("token"), "canary-0123456789\n").unwrap();
    let arguments = ["run", "--publisher", "null", "--metrics", "0.0.0.0:0", "-vv"];
    let refused = shop.call(&arguments).expect_code(2);
    assert!(refused.stderr.contains("metrics.token_file"), "{}", refused.stderr);

    let mut relay = Running::start(
        shop.program(&arguments).env("OUTBOX_METRICS_TOKEN_FILE", "token").stdout(std::process::Stdio::null()),
    );
    let client = Client::of(&relay.wait_for_log("metrics on http://"));
    for path in ["/metrics", "/healthz", "/readyz", "/"] {
        let shown = |authorization: &str| client.say(&format!("GET {path} HTTP/1.1\r\n{authorization}\r\n"));
        for wrong in [
            "",
            "Authorization: Bearer \r\n",
            "Authorization: Bearer canary-0123456788\r\n",
            "Authorization: Basic canary-0123456789\r\n",
            "Authorization: canary-0123456789\r\n",
        ] {
            let refused = shown(wrong);
            assert_eq!((refused.status, refused.header("www-authenticate")), (401, Some("Bearer")), "{path} {wrong}");
            assert!(!refused.body.contains("canary"), "{}", refused.body);
        }
        let right = shown("Authorization: bearer canary-0123456789\r\n");
        assert!(right.status != 401 && !right.body.contains("canary"), "{path}: {right:?}");
    }
}

#[test]
fn an_address_that_is_taken_is_refused_where_it_was_asked_for() {
    let shop = Shop::open();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    for (flags, variable) in [(&["--metrics", address.as_str()][..], ""), (&["--until-empty"], address.as_str())] {
        let arguments = [&["run", "--publisher", "null"], flags].concat();
        let refused = ended(shop.program(&arguments).env("OUTBOX_METRICS_LISTEN", variable)).expect_code(2);
        let [error] = refused.errors()[..] else { panic!("{}", refused.stderr) };
        assert!(error.contains(&address) && error.contains("--metrics"), "{error}");
    }
}

#[test]
fn a_default_address_that_is_taken_keeps_no_relay_from_publishing() {
    let shop = Shop::open();
    let start = |name: &str| {
        let mut relay =
            Running::start(&mut shop.program(&["run", "--publisher", &format!("file:{name}"), "--name", name]));
        let said = relay.wait_for_log("metrics");
        (relay, said)
    };
    let (_first, said) = start("a");
    // The first may have found it taken by another test, or has it now itself.
    let second = (!said.contains("no metrics: 127.0.0.1:8269 is not free")).then(|| start("b"));
    let name = second.as_ref().map_or("a", |(_, said)| {
        assert!(said.contains("no metrics: 127.0.0.1:8269 is not free"), "{said}");
        "b"
    });
    shop.event("a", "k", "{}");
    until("it publishes all the same", || {
        std::fs::read_to_string(shop.path(name)).is_ok_and(|lines| !lines.is_empty())
    });
}

#[test]
fn a_run_that_is_to_end_serves_what_was_asked_for_alone() {
    let shop = Shop::open();
    let said = |flags: &[&str]| shop.call(&[&["run", "--publisher", "null"], flags].concat()).expect_code(0).stderr;
    assert!(!said(&["--until-empty"]).contains("metrics"));
    assert!(said(&["--until-empty", "--metrics", "127.0.0.1:0"]).contains("metrics on http://127.0.0.1:"));
}

#[test]
fn clients_that_say_nothing_delay_nobody_for_long() {
    let shop = Shop::open();
    let (_relay, client) = serving(&shop, &RUN);
    let mut silent: Vec<_> = (0..40).map(|_| client.connect()).collect();
    let mut slow: Vec<_> = silent.split_off(20);
    for connection in &mut slow {
        connection.send("GET /metrics HTTP/1.1\r\nX-Slow: ");
    }
    shop.event("a", "k", "{}");
    until("the relay publishes", || {
        std::fs::read_to_string(shop.path("out.jsonl")).is_ok_and(|lines| !lines.is_empty())
    });
    // All places are theirs until they are thrown out.
    assert_eq!(client.get("/healthz").status, 200);
    assert!(silent.into_iter().all(|connection| connection.end().is_empty()), "nothing was asked, nothing is answered");
}
