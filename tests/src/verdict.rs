//! The line that a run ends with.

use std::fmt;
use std::process::Command;
use std::time::Duration;

use crate::oracle::Findings;

/// How a scenario went.
#[derive(Clone, Debug)]
pub struct Verdict {
    /// What was done, in a few words.
    pub name: &'static str,
    /// How many faults were made.
    pub faults: u64,
    /// How many of them the relay came through.
    pub survived: u64,
    /// What the oracle found.
    pub findings: Findings,
    /// How many repeats the faults excuse.
    pub bound: u64,
    /// The seed of all choices.
    pub seed: u64,
    /// How long it took.
    pub wall: Duration,
    /// Figures worth keeping.
    pub notes: Vec<String>,
}

impl Verdict {
    /// Every fault was survived, nothing was lost or swapped, and repeats are within their bound.
    pub fn is_clean(&self) -> bool {
        self.survived == self.faults && self.findings.is_clean(self.bound)
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { faults, survived, findings, bound, seed, wall, .. } = self;
        write!(f, "faults={faults} survived={survived} {findings} (≤ bound {bound}) {}", circumstances(*seed, *wall))
    }
}

/// What every line ends with: how to repeat it, what ran, and how long.
pub fn circumstances(seed: u64, wall: Duration) -> String {
    format!("seeds={seed} commit={} wall={}s", commit(), wall.as_secs())
}

/// The commit that ran, marked where files differ from it.
fn commit() -> String {
    let output = Command::new("git").args(["describe", "--always", "--dirty", "--exclude=*"]).output();
    let name = output.ok().filter(|output| output.status.success());
    let name = name.map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned());
    name.unwrap_or_else(|| "unknown".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_has_the_form_of_the_reports() {
        let mut verdict = Verdict {
            name: "kills",
            faults: 200,
            survived: 200,
            findings: Findings { repeated: 31, ..Findings::default() },
            bound: 200_000,
            seed: 7,
            wall: Duration::from_millis(61_900),
            notes: Vec::new(),
        };
        let expected = format!(
            "faults=200 survived=200 lost=0 reordered=0 dup=31 (≤ bound 200000) seeds=7 commit={} wall=61s",
            commit()
        );
        assert_eq!(verdict.to_string(), expected);
        assert!(verdict.is_clean());
        verdict.survived -= 1;
        assert!(!verdict.is_clean());
    }
}
