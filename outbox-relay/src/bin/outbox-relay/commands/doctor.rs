//! `outbox-relay doctor`: what is wrong with the database and the outbox in it, and what to do about it.

use std::fmt::Write as _;
use std::io::IsTerminal as _;

use outbox_core::doctor::{Finding, Verdict};

use crate::adapter;
use crate::exit::{Exit, Failure};
use crate::logging::colours;
use crate::paint::Tone;
use crate::printable::{printable, printable_json, without_secrets};
use crate::settings::Database;

/// The width of the names of checks.
const NAME: usize = 22;

/// Shows what was looked at; fails if something is not as it must be.
pub(crate) async fn execute(database: &Database, json: bool) -> Result<Exit, Failure> {
    let store = adapter::store(database)?;
    let mut findings = store.examine().await?;
    // What keeps the tables from being read is among the findings already.
    if let (Some(_), Ok(Some(found))) = (database.expect_instance, adapter::instance(database).await) {
        findings.push(match adapter::check_instance(&found, database) {
            Ok(()) => Finding::ok("expected instance", "the one the configuration expects"),
            Err(error) => Finding::refused("expected instance", &error),
        });
    }
    if json {
        let line = serde_json::to_string(&findings).map_err(|error| Failure::Output(error.into()))?;
        super::print(&format!("{}\n", printable_json(&line)))?;
    } else {
        super::print(&render(&findings, colours(std::io::stdout().is_terminal())))?;
    }
    let failed = findings.iter().any(|finding| finding.verdict == Verdict::Failed);
    Ok(if failed { Exit::Failed } else { Exit::Done })
}

fn render(findings: &[Finding], coloured: bool) -> String {
    let mut out = String::new();
    for finding in findings {
        line(&mut out, finding, coloured);
    }
    let count = |verdict| findings.iter().filter(|finding| finding.verdict == verdict).count();
    let (all, failed, warnings) = (findings.len(), count(Verdict::Failed), count(Verdict::Warning));
    _ = if failed + warnings == 0 {
        writeln!(out, "\nall {all} checks are well")
    } else {
        writeln!(out, "\n{all} checks, {failed} failed, {warnings} with a warning")
    };
    out
}

fn line(out: &mut String, finding: &Finding, coloured: bool) {
    let (word, tone) = match finding.verdict {
        Verdict::Ok => ("ok", Tone::Green),
        Verdict::Warning => ("warning", Tone::Yellow),
        Verdict::Failed => ("failed", Tone::Red),
    };
    let tone = if coloured { tone } else { Tone::Plain };
    let word = tone.paint(&format!("{word:<8}"));
    let text = |text: &str| printable(&without_secrets(text)).into_owned();
    _ = writeln!(out, "{word} {:<NAME$} {}", text(&finding.check), text(&finding.found));
    if let Some(remedy) = &finding.remedy {
        _ = writeln!(out, "{:8} {:<NAME$} → {}", "", "", text(remedy));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_remedy_stands_below_what_it_mends() {
        let findings = [
            Finding::ok("primary", "the server takes writes"),
            Finding::failed("positions", "cache 20\x1b[2J", "ALTER SEQUENCE s CACHE 1"),
        ];
        let expected = "\
ok       primary                the server takes writes
failed   positions              cache 20\\u{1b}[2J
                                → ALTER SEQUENCE s CACHE 1

2 checks, 1 failed, 0 with a warning
";
        assert_eq!(render(&findings, false), expected);
        assert!(render(&findings, true).contains("\x1b[31mfailed"));
    }
}
