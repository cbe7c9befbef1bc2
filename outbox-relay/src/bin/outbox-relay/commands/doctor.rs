//! `outbox-relay doctor`: what is wrong with the database and the outbox in it, and what to do about it.

use std::io::IsTerminal as _;

use outbox_core::doctor::{Finding, Verdict};

use crate::adapter;
use crate::exit::{Exit, Failure};
use crate::logging::colours;
use crate::printable::{printable, printable_json, without_secrets};
use crate::settings::Database;

/// The width of the names of checks.
const NAME: usize = 22;

/// Shows what was looked at; fails if something is not as it must be.
pub(crate) async fn execute(database: &Database, json: bool) -> Result<Exit, Failure> {
    let findings = adapter::store(database)?.examine().await?;
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
    let mut out: String = findings.iter().map(|finding| line(finding, coloured)).collect();
    let count = |verdict| findings.iter().filter(|finding| finding.verdict == verdict).count();
    let (failed, warnings) = (count(Verdict::Failed), count(Verdict::Warning));
    out.push_str(&match (failed, warnings) {
        (0, 0) => format!("\nall {} checks are well\n", findings.len()),
        _ => format!("\n{} checks, {failed} failed, {warnings} with a warning\n", findings.len()),
    });
    out
}

fn line(finding: &Finding, coloured: bool) -> String {
    let (word, code) = match finding.verdict {
        Verdict::Ok => ("ok", "32"),
        Verdict::Warning => ("warning", "33"),
        Verdict::Failed => ("failed", "31"),
    };
    let word = format!("{word:<8}");
    let word = if coloured { format!("\x1b[{code}m{word}\x1b[0m") } else { word };
    let text = |text: &str| printable(&without_secrets(text)).into_owned();
    let mut line = format!("{word} {:<NAME$} {}\n", text(&finding.check), text(&finding.found));
    if let Some(remedy) = &finding.remedy {
        line.push_str(&format!("{:8} {:<NAME$} → {}\n", "", "", text(remedy)));
    }
    line
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
