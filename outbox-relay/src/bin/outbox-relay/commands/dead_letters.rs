//! `outbox-relay dead-letters`: what will not pass, and what is to become of it.

use std::fmt::Write as _;

use outbox_core::Position;
use outbox_core::dead_letter::{Letter, State};
use outbox_core::source::Row;
use outbox_relay::dead_letters::{By, Which, discard, list, requeue, skip};
use serde::Serialize;
use serde_json::value::RawValue;

use crate::adapter;
use crate::arguments::{ByFlags, DeadLetters, WhichFlags};
use crate::events;
use crate::exit::{Exit, Failure};
use crate::moment;
use crate::printable::{printable, printable_json, printable_text, without_secrets};
use crate::problem::{Place, Problems};
use crate::settings::Database;
use crate::table::{align_right, table, write};

/// The form of a letter in JSON.
#[derive(Serialize)]
struct Told<'l> {
    position: Position,
    event_id: String,
    key: &'l str,
    topic: &'l str,
    state: &'static str,
    reason: &'l str,
    attempts: u32,
    first_failed_at: String,
    last_failed_at: String,
    decision: Option<&'static str>,
    settled_by: Option<&'l str>,
    settled_reason: Option<&'l str>,
    settled_at: Option<String>,
    failed_again: bool,
    readable: bool,
    corrected: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    event: Option<Box<RawValue>>,
}

/// Does what was asked for.
pub(crate) async fn execute(command: &DeadLetters, database: &Database, json: bool) -> Result<Exit, Failure> {
    let store = adapter::store(database)?;
    // Whoever may read the tables may look.
    let looks = matches!(command, DeadLetters::List { .. } | DeadLetters::Show { .. });
    let found = if looks { store.inspect().await? } else { store.check().await? };
    adapter::check_instance(&found.instance, database)?;
    let store = store.as_ref();
    let (which, positions, what) = match command {
        DeadLetters::List { subscription, key, position } => {
            let which = which(key.as_ref(), *position);
            let letters = list(store, &subscription.subscription, which.as_ref()).await?;
            return shown(&letters, json);
        }
        DeadLetters::Show { subscription, key, position } => {
            let of = &subscription.subscription;
            let letters = list(store, of, which(key.as_ref(), *position).as_ref()).await?;
            // Of a key the one that is to be decided about.
            let Some(letter) = letters.iter().find(|letter| letter.state.does_not_pass()).or(letters.first()) else {
                return Err(refused("--key", "there is no such dead letter".into()));
            };
            // A blocked one is no copy: its event is in the log.
            let is_copy = letter.state != State::Blocked;
            let copy = if is_copy { store.desk().await?.copy(of, letter.position).await? } else { None };
            return show(letter, copy, json);
        }
        DeadLetters::Requeue { which: flags, payload } => {
            let payload = payload.as_deref().map(read).transpose()?;
            let which = meant(flags)?;
            (flags, requeue(store, &flags.of.subscription, &which, payload, &by(&flags.by)).await?, "requeued")
        }
        DeadLetters::Skip { which: flags } => {
            (flags, skip(store, &flags.of.subscription, &meant(flags)?, &by(&flags.by)).await?, "skipped")
        }
        DeadLetters::Discard { which: flags } => {
            (flags, discard(store, &flags.of.subscription, &meant(flags)?, &by(&flags.by)).await?, "discarded")
        }
    };
    decided(&which.of.subscription, &positions, what, json)
}

fn which(key: Option<&String>, position: Option<Position>) -> Option<Which> {
    key.map(|key| Which::Key(key.clone())).or(position.map(Which::Position))
}

fn meant(flags: &WhichFlags) -> Result<Which, Failure> {
    which(flags.key.as_ref(), flags.position).ok_or_else(|| refused("--key", "write a key, or a position".into()))
}

/// Who decides and why.
pub(super) fn by(flags: &ByFlags) -> By {
    By { actor: flags.actor.clone(), reason: flags.reason.clone() }
}

fn refused(flag: &str, message: String) -> Failure {
    let mut problems = Problems::default();
    problems.at(&Place::Flag(flag.into()), message);
    problems.into()
}

fn read(file: &str) -> Result<Vec<u8>, Failure> {
    std::fs::read(file).map_err(|error| refused("--payload", format!("{file} cannot be read: {error}")))
}

fn decided(subscription: &str, positions: &[Position], what: &str, json: bool) -> Result<Exit, Failure> {
    if json {
        let told = serde_json::json!({ "subscription": subscription, what: positions });
        super::print(&format!("{}\n", printable_json(&told.to_string())))?;
    } else {
        let listed: Vec<_> = positions.iter().map(ToString::to_string).collect();
        let positions = if positions.len() == 1 { "position" } else { "positions" };
        super::print(&format!("{what}: {positions} {} of {}\n", listed.join(", "), printable(subscription)))?;
    }
    Ok(Exit::Done)
}

fn told(letter: &Letter) -> Told<'_> {
    Told {
        position: letter.position,
        event_id: letter.event_id.to_string(),
        key: &letter.key,
        topic: &letter.topic,
        state: letter.state.as_str(),
        reason: &letter.reason,
        attempts: letter.attempts,
        first_failed_at: moment::precise(letter.first_failed_at),
        last_failed_at: moment::precise(letter.last_failed_at),
        decision: letter.decision().map(State::as_str),
        settled_by: letter.settled_by.as_deref(),
        settled_reason: letter.settled_reason.as_deref(),
        settled_at: letter.settled_at.map(moment::precise),
        failed_again: letter.has_failed_again(),
        readable: letter.readable,
        corrected: letter.corrected,
        event: None,
    }
}

fn shown(letters: &[Letter], json: bool) -> Result<Exit, Failure> {
    if json {
        let letters: Vec<_> = letters.iter().map(told).collect();
        let text = serde_json::to_string(&letters).map_err(|error| Failure::Output(error.into()))?;
        super::print(&format!("{}\n", printable_json(&text)))?;
    } else {
        super::print(&render(letters))?;
    }
    Ok(Exit::Done)
}

fn text(text: &str) -> String {
    printable(&without_secrets(text)).into_owned()
}

fn render(letters: &[Letter]) -> String {
    if letters.is_empty() {
        return "no dead letters\n".into();
    }
    let mut rows = table(["POSITION", "STATE", "KEY", "TOPIC", "ATTEMPTS", "SINCE", "REASON", "DECIDED"]);
    align_right(&mut rows, [0, 4]);
    for letter in letters {
        rows.add_row([
            letter.position.to_string(),
            letter.state.to_string(),
            text(&letter.key),
            text(&letter.topic),
            letter.attempts.to_string(),
            moment::seconds(letter.first_failed_at),
            text(&letter.reason),
            text(&decision(letter)),
        ]);
    }
    let mut out = String::new();
    write(&mut out, &rows, None);
    out.trim_start_matches('\n').to_owned()
}

/// What was decided, by whom and why, such as `skipped by ann: sent by hand`.
fn decision(letter: &Letter) -> String {
    let Some(decision) = letter.decision() else { return "-".to_owned() };
    let by = letter.settled_by.as_ref().map_or_else(String::new, |actor| format!(" by {actor}"));
    let why = letter.settled_reason.as_ref().map_or_else(String::new, |reason| format!(": {reason}"));
    let again = if letter.has_failed_again() { " (failed again)" } else { "" };
    format!("{decision}{by}{why}{again}")
}

fn show(letter: &Letter, copy: Option<Row>, json: bool) -> Result<Exit, Failure> {
    let mut event = Vec::new();
    let copy = match copy {
        Some(Row::Event(event)) => Some(event),
        Some(Row::Unreadable(row)) => row.copy,
        _ => None,
    };
    if let Some(copy) = &copy {
        events::object(copy, &mut event).map_err(|error| Failure::Output(error.into()))?;
    }
    let output = |error: serde_json::Error| Failure::Output(error.into());
    let object = if event.is_empty() { None } else { Some(serde_json::from_slice(&event).map_err(output)?) };
    let told = Told { event: object, ..told(letter) };
    if json {
        let line = serde_json::to_string(&told).map_err(output)?;
        super::print(&format!("{}\n", printable_json(&line)))?;
        return Ok(Exit::Done);
    }
    let mut out = String::new();
    for (name, value) in [
        ("position", told.position.to_string()),
        ("event id", told.event_id),
        ("key", text(told.key)),
        ("topic", text(told.topic)),
        ("state", told.state.to_owned()),
        ("reason", text(told.reason)),
        ("attempts", told.attempts.to_string()),
        ("first failed", told.first_failed_at),
        ("last failed", told.last_failed_at),
        ("decided", text(&decision(letter))),
        ("corrected", if told.corrected { "yes".into() } else { "no".into() }),
    ] {
        _ = writeln!(out, "{name:<14}{value}");
    }
    if let Some(payload) = copy.as_ref().and_then(|copy| copy.payload.as_ref()) {
        let payload = String::from_utf8_lossy(payload.as_bytes());
        _ = writeln!(out, "\n{}", printable_text(&payload));
    }
    super::print(&out)?;
    Ok(Exit::Done)
}
