//! What `outbox-relay doctor` looks at: settings, privileges and the state of the outbox, each with its remedy.
//!
//! The checks themselves stand in `doctor_*.sql`, which run as they are in psql and sqlite3; what SQL cannot see an adapter
//! adds.

use serde::Serialize;

use crate::cleanup::Blocker;
use crate::error::{StoreError, StoreErrorKind};

/// One thing that was looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// What was looked at, in two or three words.
    pub check: String,
    /// What is to be thought of it.
    pub verdict: Verdict,
    /// What was found, for people; no payload and no secret.
    pub found: String,
    /// What to do about it; `None` where all is well.
    pub remedy: Option<String>,
}

/// What is to be thought of a finding.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// As it must be.
    Ok,
    /// It works, and may become a trouble.
    Warning,
    /// Events may be lost, or the relay will not run.
    Failed,
}

impl Verdict {
    /// Reads the word of a `doctor_*.sql` file; one that is not known is a failure, so that nobody overlooks it.
    pub fn parse(word: &str) -> Self {
        match word {
            "ok" => Self::Ok,
            "warning" => Self::Warning,
            _ => Self::Failed,
        }
    }
}

impl Finding {
    /// A finding as a `doctor_*.sql` file tells it.
    pub fn of(check: String, verdict: &str, found: String, remedy: Option<String>) -> Self {
        Self { check, verdict: Verdict::parse(verdict), found, remedy }
    }

    /// A finding that all is well.
    pub fn ok(check: impl Into<String>, found: impl Into<String>) -> Self {
        Self { check: check.into(), verdict: Verdict::Ok, found: found.into(), remedy: None }
    }

    /// A finding that something is not as it must be.
    pub fn failed(check: impl Into<String>, found: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { check: check.into(), verdict: Verdict::Failed, found: found.into(), remedy: Some(remedy.into()) }
    }

    /// A refusal as a finding: of its words, what follows the first semicolon is the remedy.
    pub fn refused(check: impl Into<String>, error: &StoreError) -> Self {
        let (found, remedy) = error.with_remedy("see which database it is, and who else has it open");
        Self::failed(check, found, remedy)
    }

    /// What became of a check that refuses what cannot work: `good` where it passed.
    ///
    /// # Errors
    ///
    /// The [`StoreError`] where the database could not be asked.
    pub fn told(check: &str, good: &str, outcome: Result<(), StoreError>) -> Result<Self, StoreError> {
        match outcome {
            Ok(()) => Ok(Self::ok(check, good)),
            Err(error) if error.kind() == StoreErrorKind::Precondition => Ok(Self::refused(check, &error)),
            Err(error) => Err(error),
        }
    }
}

/// The furthest a relay's clock may be from the database's before `doctor` warns: times in logs then mislead, while leases
/// go by the database's clock alone.
pub const CLOCK_SKEW_SECONDS: f64 = 5.0;

/// Compares the database's clock, in seconds since 1970, with this machine's.
pub fn clock(database: f64, here: f64) -> Finding {
    let skew = database - here;
    let found = format!("the database is {:.1} s {}", skew.abs(), if skew < 0.0 { "behind" } else { "ahead" });
    let verdict = if skew.abs() > CLOCK_SKEW_SECONDS { Verdict::Warning } else { Verdict::Ok };
    let remedy = (verdict == Verdict::Warning).then(|| {
        "let both machines keep their clocks by NTP; leases go by the database's, but times in logs will mislead"
            .to_owned()
    });
    Finding { check: "clocks".into(), verdict, found, remedy }
}

/// What keeps the log from being emptied, and what to do about each thing, said once.
pub fn emptying(blocked: &[Blocker]) -> Finding {
    if blocked.is_empty() {
        return Finding::ok("emptying", "nothing is known that stands in its way");
    }
    let mut remedies: Vec<&str> = Vec::new();
    for Blocker { remedy, .. } in blocked {
        if !remedies.contains(&remedy.as_str()) {
            remedies.push(remedy);
        }
    }
    Finding {
        check: "emptying".into(),
        verdict: Verdict::Warning,
        found: blocked.iter().map(|blocker| blocker.what.as_str()).collect::<Vec<_>>().join("; "),
        remedy: Some(remedies.join("; ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_verdict_is_not_overlooked() {
        assert_eq!(
            ["ok", "warning", "failed", "fine"].map(Verdict::parse),
            [Verdict::Ok, Verdict::Warning, Verdict::Failed, Verdict::Failed]
        );
    }

    #[test]
    fn what_to_do_about_several_segments_is_said_once() {
        let blocker = |what: &str, remedy: &str| Blocker { what: what.into(), remedy: remedy.into() };
        let behind = |segment: &str| blocker(segment, "let it catch up");
        let finding = emptying(&[behind("segment 1"), behind("segment 2"), blocker("segment 3", "end it")]);
        assert_eq!((finding.verdict, finding.found.as_str()), (Verdict::Warning, "segment 1; segment 2; segment 3"));
        assert_eq!(finding.remedy.as_deref(), Some("let it catch up; end it"));
        assert_eq!(emptying(&[]).verdict, Verdict::Ok);
    }

    #[test]
    fn clocks_that_differ_are_told() {
        assert_eq!(clock(1000.2, 1000.0).verdict, Verdict::Ok);
        let behind = clock(990.0, 1000.0);
        assert_eq!((behind.verdict, behind.found.as_str()), (Verdict::Warning, "the database is 10.0 s behind"));
        assert!(behind.remedy.is_some());
    }
}
