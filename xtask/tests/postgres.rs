//! A private server's life: it starts, answers, survives a crash with its data, is followed by a standby, and leaves
//! neither a process nor a folder behind.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use xtask::postgres::{BIN_VARIABLE, Binaries, Cluster, ClusterOptions, StopMode};

fn query(cluster: &Cluster, sql: &str) -> String {
    let output = cluster.bin("psql").args(["-XAtc", sql]).output().expect("psql starts");
    assert!(output.status.success(), "{sql}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("psql prints UTF-8").trim().to_owned()
}

fn process_of(cluster: &Cluster) -> PathBuf {
    let pid_file =
        fs::read_to_string(cluster.data_folder().join("postmaster.pid")).expect("a running server has a pid file");
    Path::new("/proc").join(pid_file.lines().next().expect("the pid file's first line is the pid"))
}

/// Waits for what is certain to come; a minute is the sign that it does not.
#[expect(clippy::disallowed_methods, reason = "processes that are nobody's children, and their files, send no signal")]
fn until(what: &str, mut done: impl FnMut() -> bool) {
    let start = Instant::now();
    while !done() {
        assert!(start.elapsed() < Duration::from_mins(1), "{what} did not come");
        thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn a_cluster_starts_restarts_and_leaves_nothing() {
    let cluster = Cluster::start(ClusterOptions::default().set("max_connections", "20")).unwrap();
    assert_eq!(query(&cluster, "SHOW max_connections"), "20");
    assert_eq!(query(&cluster, "SHOW wal_level"), "logical");
    assert_eq!(query(&cluster, "SHOW max_prepared_transactions"), "64");
    assert_eq!(query(&cluster, "SHOW fsync"), "on");
    assert_eq!(query(&cluster, "SHOW server_encoding"), "UTF8");
    let by_socket =
        cluster.bin("psql").arg("-h").arg(cluster.socket_folder()).args(["-c", "SELECT 1"]).output().unwrap();
    assert!(by_socket.status.success(), "{by_socket:?}");

    cluster.create_database("shop").unwrap();
    assert!(cluster.create_database("shop").unwrap_err().to_string().contains("already exists"));
    let by_url = cluster.binaries().command("psql").arg(cluster.url("shop")).args(["-c", "SELECT 1"]).output().unwrap();
    assert!(by_url.status.success(), "{by_url:?}");

    let (port, started) = (cluster.port(), query(&cluster, "SELECT pg_postmaster_start_time()"));
    query(&cluster, "CREATE TABLE kept AS SELECT 7 AS n");
    cluster.restart_immediate().unwrap();
    assert_eq!(query(&cluster, "SELECT n FROM kept"), "7");
    assert_ne!(query(&cluster, "SELECT pg_postmaster_start_time()"), started);
    cluster.stop(StopMode::Fast).unwrap();
    assert!(!cluster.bin("psql").args(["-c", "SELECT 1"]).output().unwrap().status.success());
    cluster.start_again().unwrap();
    assert_eq!(query(&cluster, "SELECT n FROM kept"), "7");
    assert_eq!(cluster.port(), port);

    let (process, folder) = (process_of(&cluster), cluster.socket_folder().to_owned());
    assert!(process.exists() && folder.exists());
    drop(cluster);
    assert!(!folder.exists());
    // A process that has ended keeps its entry until the machine's first process takes note of it.
    until("the end of the server", || !process.exists());
}

#[test]
fn a_standby_follows_and_refuses_writes() {
    let primary = Cluster::start(ClusterOptions::default()).unwrap();
    let standby = primary.standby().unwrap();
    assert_ne!(standby.port(), primary.port());
    assert_eq!(query(&standby, "SELECT pg_is_in_recovery()"), "t");
    query(&primary, "CREATE TABLE followed AS SELECT 7 AS n");
    until("the table on the standby", || query(&standby, "SELECT to_regclass('followed') IS NOT NULL") == "t");
    let refused = standby.bin("psql").args(["-c", "CREATE TABLE mine ()"]).output().unwrap();
    assert!(String::from_utf8_lossy(&refused.stderr).contains("read-only transaction"), "{refused:?}");

    let folders = [primary.socket_folder().to_owned(), standby.socket_folder().to_owned()];
    drop((primary, standby));
    assert!(folders.iter().all(|folder| !folder.exists()));
}

#[test]
fn pgbench_talks_to_a_cluster() {
    let cluster = Cluster::start(ClusterOptions::default().set("fsync", "off")).unwrap();
    let set_up = cluster.bin("pgbench").args(["-i", "-q", "-s", "1"]).output().unwrap();
    assert!(set_up.status.success(), "{set_up:?}");
    assert_eq!(query(&cluster, "SELECT count(*) FROM pgbench_accounts"), "100000");
}

/// The name of the variable that turns [`a_killed_process_takes_its_server_along`]'s second run into the victim.
const VICTIM: &str = "XTASK_TEST_VICTIM";

#[test]
fn a_killed_process_takes_its_server_along() {
    if let Some(answer) = std::env::var_os(VICTIM) {
        let cluster = Cluster::start(ClusterOptions::default()).unwrap();
        let found = format!("{}\n{}\n", process_of(&cluster).display(), cluster.socket_folder().display());
        let answer = PathBuf::from(answer);
        fs::write(answer.with_extension("new"), found).unwrap();
        fs::rename(answer.with_extension("new"), answer).unwrap();
        loop {
            thread::park();
        }
    }
    let notes = tempfile::tempdir().unwrap();
    let answer = notes.path().join("answer");
    let mut victim = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "a_killed_process_takes_its_server_along"])
        .env(VICTIM, &answer)
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    until("the victim's server", || answer.exists());
    victim.kill().unwrap();
    victim.wait().unwrap();
    for path in fs::read_to_string(&answer).unwrap().lines() {
        until("the end of the server and its folder", || !Path::new(path).exists());
    }
}

#[test]
fn a_server_that_refuses_its_settings_says_why_and_leaves_no_folder() {
    let parent = tempfile::Builder::new().prefix("x").tempdir_in("/tmp").unwrap();
    fs::set_permissions(parent.path(), std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let options = ClusterOptions { parent: Some(parent.path().to_owned()), ..ClusterOptions::default() };
    let error = Cluster::start(options.set("wal_level", "sideways")).unwrap_err();
    assert!(format!("{error:#}").contains("sideways"), "{error:#}");
    assert_eq!(fs::read_dir(parent.path()).unwrap().count(), 0);
}

#[test]
fn a_path_too_long_for_a_socket_is_refused() {
    let parent = tempfile::Builder::new().prefix(&"long".repeat(20)).tempdir_in("/tmp").unwrap();
    let options = ClusterOptions { parent: Some(parent.path().to_owned()), ..ClusterOptions::default() };
    let error = Cluster::start(options).unwrap_err().to_string();
    assert!(error.ends_with("is too long to hold a socket, choose a shorter one"), "{error}");
}

#[test]
fn the_variable_for_the_programs_is_named_when_it_is_of_no_use() {
    let folder = tempfile::tempdir().unwrap();
    let error = Binaries::within(folder.path()).unwrap_err().to_string();
    assert!(
        error.contains("does not hold postgres, initdb, pg_ctl, pg_basebackup, psql, createdb, pgbench"),
        "{error}"
    );
    assert_eq!(BIN_VARIABLE, "OUTBOX_TEST_POSTGRES_BIN");
}
