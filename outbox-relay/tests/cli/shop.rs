//! A folder with a database, and the program called in it.
#![expect(clippy::unwrap_used, reason = "what goes wrong here ends the test that asked for it")]

use std::io::{BufRead as _, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use sqlx::{AssertSqlSafe, Connection as _, SqliteConnection};
use tempfile::TempDir;

/// Nothing here takes a tenth of it.
const DEADLINE: Duration = Duration::from_mins(1);

/// A folder with `shop.db` in it, to which `DATABASE_URL` leads.
pub(crate) struct Shop {
    folder: TempDir,
    runtime: tokio::runtime::Runtime,
}

/// How a call of the program ended.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Shop {
    /// A folder without a database.
    pub(crate) fn empty() -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        Self { folder: TempDir::new().unwrap(), runtime }
    }

    /// A database with the outbox tables and no events.
    pub(crate) fn open() -> Self {
        let shop = Self::empty();
        shop.call(&["migrate"]).expect_code(0);
        shop
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.path(name)).unwrap()
    }

    /// The names of the files in the folder, sorted; without those that SQLite keeps beside a database in use.
    pub(crate) fn files(&self) -> Vec<String> {
        let entries = std::fs::read_dir(self.folder.path()).unwrap();
        let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let mut names: Vec<_> = names.filter(|name| !name.starts_with("shop.db-")).collect();
        names.sort();
        names
    }

    /// Runs statements on `shop.db`, which is made if there is none.
    pub(crate) fn sql(&self, statements: &str) {
        let url = format!("sqlite:{}?mode=rwc", self.path("shop.db").display());
        self.runtime.block_on(async {
            let mut connection = SqliteConnection::connect(&url).await.unwrap();
            sqlx::raw_sql(AssertSqlSafe(statements.to_owned())).execute(&mut connection).await.unwrap();
            connection.close().await.unwrap();
        });
    }

    /// The texts of the only column that a query has.
    pub(crate) fn texts(&self, query: &'static str) -> Vec<String> {
        let url = format!("sqlite:{}", self.path("shop.db").display());
        self.runtime.block_on(async {
            let mut connection = SqliteConnection::connect(&url).await.unwrap();
            sqlx::query_scalar(query).fetch_all(&mut connection).await.unwrap()
        })
    }

    /// Takes the right to write, which others wait for until the connection is dropped.
    pub(crate) fn begin_writing(&self) -> SqliteConnection {
        let url = format!("sqlite:{}", self.path("shop.db").display());
        self.runtime.block_on(async {
            let mut connection = SqliteConnection::connect(&url).await.unwrap();
            sqlx::query("BEGIN IMMEDIATE").execute(&mut connection).await.unwrap();
            connection
        })
    }

    /// Inserts one event by the contract for other languages.
    pub(crate) fn event(&self, topic: &str, key: &str, payload: &str) {
        self.sql(&format!(
            "INSERT INTO outbox_event (topic, event_key, payload) VALUES ('{topic}', '{key}', '{payload}')"
        ));
    }

    /// The program, in this folder and an environment without settings but `DATABASE_URL`.
    pub(crate) fn program(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_outbox-relay"));
        command.env_clear().env("DATABASE_URL", "sqlite:shop.db").current_dir(self.folder.path()).args(arguments);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    /// Calls the program and waits for its end.
    pub(crate) fn call(&self, arguments: &[&str]) -> Ended {
        ended(&mut self.program(arguments))
    }

    /// The `sequence` of each event that one run until empty publishes with these arguments.
    pub(crate) fn published(&self, arguments: &[&str]) -> Vec<u64> {
        let run = ["run", "--publisher", "stdout", "--until-empty"];
        let ended = self.call(&[&run[..], arguments].concat()).expect_code(0);
        ended.lines().iter().map(|event| event["sequence"].as_str().unwrap().parse().unwrap()).collect()
    }

    /// The status of the only subscription.
    pub(crate) fn subscription(&self) -> serde_json::Value {
        let ended = self.call(&["status", "--json"]).expect_code(0);
        let [status] = &ended.lines()[..] else { panic!("not one line: {}", ended.stdout) };
        status["subscriptions"][0].clone()
    }
}

/// Calls a program and waits for its end.
pub(crate) fn ended(command: &mut Command) -> Ended {
    let output = command.output().unwrap();
    Ended {
        code: output.status.code(),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}

impl Ended {
    #[track_caller]
    pub(crate) fn expect_code(self, code: i32) -> Self {
        assert_eq!(self.code, Some(code), "stdout: {}\nstderr: {}", self.stdout, self.stderr);
        self
    }

    /// Standard output as JSON Lines.
    pub(crate) fn lines(&self) -> Vec<serde_json::Value> {
        self.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    /// Standard output as one JSON document.
    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.stdout).unwrap()
    }

    /// The lines of standard error that begin with `error:`.
    pub(crate) fn errors(&self) -> Vec<&str> {
        self.stderr.lines().filter(|line| line.starts_with("error:")).collect()
    }
}

/// The `position` of each event in JSON Lines.
pub(crate) fn positions(lines: &str) -> Vec<u64> {
    let position = |line| serde_json::from_str::<serde_json::Value>(line).unwrap()["position"].as_u64().unwrap();
    lines.lines().map(position).collect()
}

/// A program that is still running; killed when a test ends early.
pub(crate) struct Running(pub(crate) Child);

impl Running {
    pub(crate) fn start(command: &mut Command) -> Self {
        Self(command.spawn().unwrap())
    }

    pub(crate) fn terminate(&self) {
        self.signal(rustix::process::Signal::TERM);
    }

    /// What Ctrl-C does.
    pub(crate) fn interrupt(&self) {
        self.signal(rustix::process::Signal::INT);
    }

    fn signal(&self, signal: rustix::process::Signal) {
        let process = rustix::process::Pid::from_child(&self.0);
        rustix::process::kill_process(process, signal).unwrap();
    }

    /// Reads standard error until a line holds the text, and returns it.
    pub(crate) fn wait_for_log(&mut self, text: &str) -> String {
        let stderr = self.0.stderr.take().unwrap();
        let mut lines = BufReader::new(stderr).lines();
        let found = lines.find_map(|line| line.ok().filter(|line| line.contains(text)));
        let line = found.unwrap_or_else(|| panic!("the log ended without `{text}`"));
        // The rest must be read too, or the program waits for room in the pipe.
        std::thread::spawn(move || lines.for_each(drop));
        line
    }

    pub(crate) fn wait(&mut self) -> ExitStatus {
        let mut status = None;
        until("the program ends", || {
            status = self.0.try_wait().unwrap();
            status.is_some()
        });
        status.unwrap()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Looks again and again until it is so.
#[track_caller]
pub(crate) fn until(what: &str, mut so: impl FnMut() -> bool) {
    let begin = Instant::now();
    while !so() {
        assert!(begin.elapsed() < DEADLINE, "waited too long until {what}");
        std::thread::park_timeout(Duration::from_millis(5));
    }
}
