//! `outbox-relay why`: why something is not being published, and what to do.

use std::fmt::Write as _;

use outbox_core::dead_letter::State;
use outbox_core::status::Status;
use outbox_core::{Store, StoreError};

use crate::adapter;
use crate::exit::{Exit, Failure};
use crate::printable::{printable, printable_json, without_secrets};
use crate::problem::{Place, Problems};
use crate::settings::Database;
use crate::why::{Answer, Letters, answers};

/// Reading so many dead letters takes longer than an answer may.
const MANY: u64 = 20_000;

/// Answers for one subscription or for all.
pub(crate) async fn execute(database: &Database, subscription: Option<&str>, json: bool) -> Result<Exit, Failure> {
    let store = adapter::store(database)?;
    let status = store.status().await?;
    if let Some(name) = subscription
        && !status.subscriptions.iter().any(|known| known.name == name)
    {
        let known: Vec<&str> = status.subscriptions.iter().map(|known| known.name.as_str()).collect();
        let mut problems = Problems::default();
        let message = if known.is_empty() {
            format!("there is no subscription `{name}`: none has run yet")
        } else {
            format!("there is no subscription `{name}`; there is {}", known.join(", "))
        };
        problems.at(&Place::Flag("--subscription".into()), message);
        return Err(problems.into());
    }
    let letters = letters(store.as_ref(), &status, subscription).await?;
    let answers = answers(&status, &letters, subscription);
    if json {
        let line = serde_json::to_string(&answers).map_err(|error| Failure::Output(error.into()))?;
        super::print(&format!("{}\n", printable_json(&line)))?;
    } else {
        super::print(&render(&answers))?;
    }
    Ok(Exit::Done)
}

/// The dead letters of each subscription that is asked about. Of very many none is named: the list has them.
async fn letters(store: &dyn Store, status: &Status, subscription: Option<&str>) -> Result<Letters, StoreError> {
    let mut found = Letters::new();
    let asked = |name: &str| subscription.is_none_or(|asked| asked == name);
    for of in status.subscriptions.iter().filter(|of| asked(&of.name) && (1..MANY).contains(&of.parked_events)) {
        let mut letters = store.desk().await?.letters(&of.name, None).await?;
        letters.retain(|letter| matches!(letter.state, State::Parked | State::Blocked));
        found.insert(of.name.clone(), letters);
    }
    Ok(found)
}

fn render(answers: &[Answer]) -> String {
    if answers.is_empty() {
        return "no subscription has run yet: start one with `outbox-relay run`\n".to_owned();
    }
    let text = |text: &str| printable(&without_secrets(text)).into_owned();
    let mut out = String::new();
    for answer in answers {
        _ = writeln!(out, "{}", text(&answer.subject));
        for reason in &answer.reasons {
            _ = writeln!(out, "  {}", text(&reason.what));
            if let Some(remedy) = &reason.remedy {
                _ = writeln!(out, "    → {}", text(remedy));
            }
        }
    }
    out
}
