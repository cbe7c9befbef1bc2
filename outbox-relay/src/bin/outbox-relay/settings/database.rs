//! Which database, and where its outbox tables are.

use std::fmt;

use outbox_core::Names;
use uuid::Uuid;

use super::environment::Environment;
use super::secret::SecretFrom;
use super::section::Section;
use crate::printable::without_secrets;
use crate::problem::{Placed, Problems};

/// What one source says of the database.
#[derive(Default)]
pub(crate) struct DatabaseLayer {
    url: Option<Placed<String>>,
    url_file: Option<Placed<String>>,
    schema: Option<Placed<String>>,
    prefix: Option<Placed<String>>,
    expect_instance: Option<Placed<Uuid>>,
}

/// The databases of this version.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// PostgreSQL.
    Postgres,
    /// SQLite.
    Sqlite,
}

/// The database and where its outbox tables are.
pub(crate) struct Database {
    /// Which kind.
    pub(crate) kind: Kind,
    /// Its URL, a secret.
    pub(crate) url: String,
    /// Schema and prefix.
    pub(crate) names: Names,
    /// The one outbox that is worked, whatever the URL leads to.
    pub(crate) expect_instance: Option<Uuid>,
}

/// Shows the URL without its secrets.
impl fmt::Debug for Database {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} in {:?} {}", self.names, self.kind, without_secrets(&self.url))
    }
}

impl DatabaseLayer {
    /// Takes one source's words.
    pub(crate) fn read(section: &mut dyn Section, problems: &mut Problems) -> Self {
        let layer = Self {
            url: section.text("url", problems),
            url_file: section.text("url_file", problems),
            schema: section.text("schema", problems),
            prefix: section.text("prefix", problems),
            expect_instance: section.text("expect_instance", problems).and_then(|id| id.parse(problems, instance)),
        };
        if let (Some(url), Some(url_file)) = (&layer.url, &layer.url_file) {
            problems.at(&url.place, format!("two database URLs, the other at {}; leave one out", url_file.place));
        }
        layer
    }

    /// `DATABASE_URL`, which many programs share.
    pub(crate) fn fallback(environment: &Environment) -> Self {
        Self { url: environment.get("DATABASE_URL"), ..Self::default() }
    }
}

impl Database {
    /// Takes each setting from the first layer that has it.
    pub(crate) fn resolve(
        layers: [DatabaseLayer; 4],
        environment: &Environment,
        problems: &mut Problems,
    ) -> Option<Self> {
        let (mut url, mut schema, mut prefix, mut expect_instance) = (None, None, None, None);
        for layer in layers {
            url = url.or(SecretFrom::either(layer.url, layer.url_file));
            schema = schema.or(layer.schema);
            prefix = prefix.or(layer.prefix);
            expect_instance = expect_instance.or(layer.expect_instance);
        }
        let names = names(schema.as_ref(), prefix.as_ref(), problems);
        let Some(url) = url else {
            problems.add(
                "no database; give --database-url URL (such as sqlite:shop.db or postgres://host/database), or set \
                 OUTBOX_DATABASE_URL",
            );
            return None;
        };
        let url = url.read(environment, problems)?;
        let kind = url.clone().parse(problems, kind)?.value;
        if let (Kind::Sqlite, Some(schema)) = (kind, schema) {
            problems.at(&schema.place, "SQLite has no schemas; leave it out, or write a prefix");
        }
        let expect_instance = expect_instance.map(|id: Placed<Uuid>| id.value);
        Some(Self { kind, url: url.value, names: names?, expect_instance })
    }
}

fn names(schema: Option<&Placed<String>>, prefix: Option<&Placed<String>>, problems: &mut Problems) -> Option<Names> {
    let text = |name: Option<&Placed<String>>| name.map(|name| name.value.clone());
    for (schema, prefix) in [(schema, None), (None, prefix)] {
        if let (Err(error), Some(name)) =
            (Names::new(text(schema).as_deref(), text(prefix).as_deref()), schema.or(prefix))
        {
            problems.at(&name.place, error.to_string());
        }
    }
    Names::new(text(schema).as_deref(), text(prefix).as_deref()).ok()
}

fn instance(text: &str) -> Result<Uuid, String> {
    let say = || format!("`{text}` is not an instance; write the id that `outbox-relay status` shows");
    Uuid::try_parse(text).map_err(|_| say())
}

/// Reads the scheme alone, and shows nothing of an unknown one: it may be a part of a password.
fn kind(url: &str) -> Result<Kind, String> {
    match url.split_once(':').map(|(scheme, _)| scheme.to_ascii_lowercase()).as_deref() {
        Some("postgres" | "postgresql") => Ok(Kind::Postgres),
        Some("sqlite") => Ok(Kind::Sqlite),
        Some(scheme @ ("mysql" | "mariadb")) => {
            Err(format!("`{scheme}:` is not in this version; it has postgres: and sqlite:"))
        }
        _ => Err("not a database URL; write postgres://host/database or sqlite:path".to_owned()),
    }
}
