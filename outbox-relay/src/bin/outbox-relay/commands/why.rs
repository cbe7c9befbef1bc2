//! `outbox-relay why`: why something is not being published, and what to do.

use std::fmt::Write as _;

use crate::adapter;
use crate::exit::{Exit, Failure};
use crate::printable::{printable, printable_json, without_secrets};
use crate::problem::{Place, Problems};
use crate::settings::Database;
use crate::why::{Answer, answers};

/// Answers for one subscription or for all.
pub(crate) async fn execute(database: &Database, subscription: Option<&str>, json: bool) -> Result<Exit, Failure> {
    let status = adapter::store(database)?.status().await?;
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
    let answers = answers(&status, subscription);
    if json {
        let line = serde_json::to_string(&answers).map_err(|error| Failure::Output(error.into()))?;
        super::print(&format!("{}\n", printable_json(&line)))?;
    } else {
        super::print(&render(&answers))?;
    }
    Ok(Exit::Done)
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
