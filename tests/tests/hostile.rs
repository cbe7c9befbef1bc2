//! Hostile identifiers through every entry of the program: they find nothing and change nothing.

use std::env;
use std::process::{Command, Output, Stdio};

use outbox_tests::database::Owned;
use sqlx::{Connection as _, Executor as _, PgConnection, SqliteConnection};
use tempfile::TempDir;

/// What identifiers are made of.
const PARTS: [&str; 30] = [
    "'",
    "\"",
    "`",
    ";",
    "--",
    "/*",
    "*/",
    "\\",
    "%",
    "_",
    "*",
    "?",
    "[",
    "]",
    "$$",
    "${x}",
    "$(id)",
    "{}",
    "\u{1b}[2J",
    "\u{1b}]0;x\u{7}",
    "\u{9b}31m",
    "\r",
    "\n",
    "\u{202e}",
    "\u{200b}",
    "ä你😀",
    " OR 1=1 ",
    "; DROP TABLE outbox_event; --",
    "select",
    "outbox_event",
];

/// So many are tried on each database, at each entry by turns.
const COUNT: usize = 500;

/// Flags whose value is compared with what is in the log or kept beside it, with a command that takes them.
const VALUES: [(&str, &[&str]); 9] = [
    ("--tenant", &["events", "show"]),
    ("--table", &["events", "stats"]),
    ("--topic", &["events", "export", "--format", "csv"]),
    ("--key", &["events", "show", "--json"]),
    ("--since-last", &["events", "export", "--format", "cdc-json"]),
    ("--output", &["events", "export", "--format", "jsonl"]),
    ("--name", &["run", "--publisher", "null", "--until-empty"]),
    ("--topic", &["run", "--publisher", "null", "--until-empty"]),
    ("--operation", &["events", "stats", "--json"]),
];

/// Flags and variables that say where the tables are, and what else is read before them; the empty one is a bare word.
const PLACES: [&str; 10] = [
    "",
    "--schema",
    "--prefix",
    "--format",
    "OUTBOX_DATABASE_SCHEMA",
    "OUTBOX_DATABASE_PREFIX",
    "OUTBOX_DATABASE_URL",
    "OUTBOX_DATABASE_URL_FILE",
    "OUTBOX_RELAY_LEASE",
    "OUTBOX_TENANT",
];

/// Settings of the file, with a command that reads them.
const SETTINGS: [(&str, &[&str]); 6] = [
    ("[database]\nschema = ID", &["events", "show"]),
    ("[database]\nprefix = ID", &["events", "show"]),
    ("[database]\nurl = ID", &["events", "show"]),
    ("[relay]\nname = ID", &["run", "--publisher", "null", "--until-empty"]),
    ("[[subscription]]\nname = ID\npublisher.url = \"null\"", &["run", "--until-empty"]),
    (
        "[[subscription]]\nname = \"a\"\nfilter = { topics = [ID], tenants = [ID], tables = [ID] }\npublisher.url = \"null\"",
        &["run", "--until-empty"],
    ),
];

/// A database with the outbox and one event in it, and a folder to work in.
struct Shop {
    url: String,
    /// The same for a user that may relay, and no more.
    relay_url: String,
    folder: TempDir,
    _owned: Option<Owned>,
}

impl Shop {
    async fn on_sqlite() -> Self {
        Self::at("sqlite:shop.db", "sqlite:shop.db".to_owned(), None).await
    }

    async fn on_postgres() -> Self {
        let owned = Owned::on_shared_server().await.expect("a database can be created");
        let database = owned.database().clone();
        let shop = Self::at(database.url(), database.relay_url(), Some(owned)).await;
        database.make_users().await.expect("users can be made");
        shop
    }

    async fn at(url: &str, relay_url: String, owned: Option<Owned>) -> Self {
        let shop = Self {
            url: url.to_owned(),
            relay_url,
            folder: TempDir::new().expect("there is a folder for temporary files"),
            _owned: owned,
        };
        let migrate = ["migrate", "--segments", "1", "--database-url", url];
        assert_eq!(run(&mut shop.program(&migrate)).status.code(), Some(0));
        shop.ask("INSERT INTO outbox_event (topic, event_key, payload) VALUES ('a', 'k', '{}') RETURNING 'done'").await;
        shop
    }

    fn is_sqlite(&self) -> bool {
        self.url.starts_with("sqlite:")
    }

    fn program(&self, arguments: &[&str]) -> Command {
        let program =
            env::var("OUTBOX_RELAY_BIN").expect("run `cargo xtask test`: it builds the program this test needs");
        let mut command = Command::new(program);
        command
            .env_clear()
            .env("DATABASE_URL", &self.relay_url)
            .current_dir(&self.folder)
            .args(arguments)
            .stdin(Stdio::null());
        command
    }

    /// The only text that a statement gives.
    async fn ask(&self, statement: &'static str) -> String {
        if self.is_sqlite() {
            let url = format!("sqlite:{}", self.folder.path().join("shop.db").display());
            let mut connection = SqliteConnection::connect(&url).await.expect("the database opens");
            sqlx::query_scalar(statement).fetch_one(&mut connection).await.expect("the statement is right")
        } else {
            let mut connection = PgConnection::connect(&self.url).await.expect("the database answers");
            connection.execute("SET search_path = public").await.expect("the schema is there");
            sqlx::query_scalar(statement).fetch_one(&mut connection).await.expect("the statement is right")
        }
    }

    /// Every table with its columns, and how many events there are.
    async fn contents(&self) -> String {
        self.ask(if self.is_sqlite() {
            "SELECT (SELECT group_concat(sql, ';') FROM sqlite_master) || (SELECT count(*) FROM outbox_event)"
        } else {
            "SELECT (SELECT string_agg(concat_ws('.', table_schema, table_name, column_name), ';' ORDER BY 1)
                     FROM information_schema.columns WHERE table_schema NOT IN ('information_schema', 'pg_catalog'))
                 || (SELECT count(*) FROM outbox_event)"
        })
        .await
    }
}

fn run(program: &mut Command) -> Output {
    program.output().expect("the program can be started")
}

fn identifiers() -> impl Iterator<Item = String> {
    let mut random = fastrand::Rng::with_seed(7);
    (0..COUNT).map(move |_| {
        let parts = random.usize(1..8);
        let identifier: String = (0..parts).map(|_| PARTS[random.usize(..PARTS.len())]).collect();
        if random.u8(..) < 16 { identifier.repeat(20) } else { identifier }
    })
}

/// Calls the program with each identifier, and looks at what it says and does.
async fn attack(shop: Shop) {
    let before = shop.contents().await;
    for (turn, identifier) in identifiers().enumerate() {
        let output = run(&mut program(&shop, turn, &identifier));
        assert!(matches!(output.status.code(), Some(0 | 2)), "{identifier:?}: {output:?}");
        for said in [output.stdout, output.stderr] {
            let said = String::from_utf8(said).expect("what the program says is text");
            assert!(!said.contains(|c: char| c.is_control() && c != '\n'), "{identifier:?}: {said:?}");
        }
    }
    assert_eq!(shop.contents().await, before);
}

/// The program with the identifier at the entry whose turn it is.
fn program(shop: &Shop, turn: usize, identifier: &str) -> Command {
    const FLAGS: usize = VALUES.len();
    const WITH_PLACES: usize = FLAGS + PLACES.len();
    match turn % (WITH_PLACES + SETTINGS.len()) {
        entry @ ..FLAGS => value(shop, VALUES[entry], identifier),
        entry @ FLAGS..WITH_PLACES => place(shop, PLACES[entry - FLAGS], identifier),
        entry => setting(shop, SETTINGS[entry - WITH_PLACES], identifier),
    }
}

fn value(shop: &Shop, (flag, command): (&str, &[&str]), identifier: &str) -> Command {
    // A file may be called almost anything, but here not be in another folder.
    let value = if flag == "--output" { identifier.replace('/', "|") } else { identifier.to_owned() };
    let mut program = shop.program(command);
    program.arg(format!("{flag}={value}"));
    program
}

fn place(shop: &Shop, place: &str, identifier: &str) -> Command {
    let mut program = shop.program(&["events", "export"]);
    match place {
        "" => program.arg(identifier),
        flag if flag.starts_with("--") => program.arg(format!("{flag}={identifier}")),
        variable => program.env(variable, identifier),
    };
    if place != "--format" {
        program.arg("--format=json");
    }
    program
}

fn setting(shop: &Shop, (setting, command): (&str, &[&str]), identifier: &str) -> Command {
    let text = setting.replace("ID", &serde_json::to_string(identifier).expect("a text is JSON"));
    std::fs::write(shop.folder.path().join("relay.toml"), text).expect("the folder can be written");
    let mut program = shop.program(command);
    program.args(["--config", "relay.toml"]);
    if setting.contains("\nurl") {
        program.env_remove("DATABASE_URL");
    }
    program
}

#[tokio::test]
async fn hostile_identifiers_find_nothing_on_sqlite() {
    attack(Shop::on_sqlite().await).await;
}

#[tokio::test]
async fn hostile_identifiers_find_nothing_on_postgres() {
    attack(Shop::on_postgres().await).await;
}
