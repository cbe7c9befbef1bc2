//! What stands against removing events, and how it is told.

use std::fmt;
use std::time::Duration;

use crate::checkpoint::{EXPORT, HOLD};
use crate::event::Position;
use crate::status::{HolderStatus, age, how_to_end};

/// Why events stay.
#[derive(Debug, Clone, PartialEq)]
pub enum Obstacle {
    /// Inserts go into this segment.
    Current,
    /// No subscription has run yet, and the first may want everything.
    NobodyReads,
    /// A reader has not come that far.
    Behind {
        /// Its name.
        reader: String,
        /// How far it is.
        position: Position,
    },
    /// A reader still owes an event in it.
    Owed {
        /// Its name.
        reader: String,
        /// The first such event.
        position: Position,
    },
    /// Its newest event is to be kept for longer.
    Young {
        /// How old that is.
        seconds: f64,
        /// How old it must be.
        keep: Duration,
    },
    /// Sessions hold locks on it.
    Locked(Vec<HolderStatus>),
    /// A foreign key points at it.
    Referenced,
    /// It changed after it was looked at, or another cleaner is at work: the next pass will see.
    Changing,
}

impl Obstacle {
    /// The word for programs.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Current => "current",
            Self::NobodyReads => "nobody_reads",
            Self::Behind { .. } => "behind",
            Self::Owed { .. } => "owed",
            Self::Young { .. } => "young",
            Self::Locked(_) => "locked",
            Self::Referenced => "referenced",
            Self::Changing => "changing",
        }
    }

    /// Whether time alone removes it, so that nobody has to do anything.
    pub fn passes(&self) -> bool {
        self.remedy().is_none()
    }

    /// What a person may do about it; `None` for what time alone removes.
    pub fn remedy(&self) -> Option<String> {
        match self {
            Self::NobodyReads => Some("start `outbox-relay run`; what a subscription has passed can go".to_owned()),
            Self::Behind { reader, .. } | Self::Owed { reader, .. } => Some(catch_up(reader)),
            Self::Locked(holders) => Some(how_to_end(holders)),
            Self::Referenced => Some("drop it".to_owned()),
            Self::Current | Self::Young { .. } | Self::Changing => None,
        }
    }
}

impl fmt::Display for Obstacle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Current => f.write_str("inserts go into it"),
            Self::NobodyReads => f.write_str("no subscription has run yet, and the first may want every event"),
            Self::Behind { reader, position } => write!(f, "`{reader}` is at position {position} only"),
            Self::Owed { reader, position } => write!(f, "`{reader}` has still to publish position {position}"),
            Self::Young { seconds, keep } => {
                write!(f, "its newest event is {} old and kept for {}", age(*seconds), age(keep.as_secs_f64()))
            }
            Self::Locked(holders) => {
                let holders: Vec<_> = holders.iter().map(ToString::to_string).collect();
                write!(f, "it is locked by {}", holders.join(", "))
            }
            Self::Referenced => {
                f.write_str("a foreign key points at it; `outbox-relay doctor` shows the statement that drops it")
            }
            Self::Changing => f.write_str("it was in use at this moment; the next pass tries again"),
        }
    }
}

/// How a reader that holds up comes to hold up no longer.
fn catch_up(reader: &str) -> String {
    if reader.starts_with(HOLD) {
        return "somebody reads the change log: wait until that has ended; of one that died the hold runs out by itself".to_owned();
    }
    let (more, whose) = match reader.strip_prefix(EXPORT) {
        Some(name) => (format!("run `outbox-relay events export --since-last {name}` again"), "row"),
        None => (format!("let it catch up, and see `outbox-relay why --subscription {reader}`"), "rows"),
    };
    format!("{more}; if nobody ever will, delete its {whose} of the table `checkpoint`")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_obstacle_says_who_and_how_long() {
        let holder = HolderStatus {
            pid: Some(4711),
            user: Some("report".into()),
            application: Some("psql".into()),
            age_seconds: Some(7320.0),
            prepared: false,
        };
        let prepared = HolderStatus { pid: None, user: None, application: None, age_seconds: None, prepared: true };
        for (obstacle, said) in [
            (Obstacle::Behind { reader: "billing".into(), position: 7 }, "`billing` is at position 7 only"),
            (
                Obstacle::Young { seconds: 90_000.0, keep: Duration::from_hours(168) },
                "its newest event is 1d 1h old and kept for 7d",
            ),
            (
                Obstacle::Locked(vec![holder, prepared]),
                "it is locked by pid 4711 (user report, psql, open 2h 2m), a prepared transaction",
            ),
        ] {
            assert_eq!(obstacle.to_string(), said);
        }
    }

    #[test]
    fn each_obstacle_that_does_not_pass_says_what_to_do() {
        let behind = |reader: &str| Obstacle::Behind { reader: reader.into(), position: 7 }.remedy().unwrap();
        assert!(
            behind("billing").contains("why --subscription billing") && behind("billing").contains("delete its rows")
        );
        assert!(
            behind("export:nightly").contains("--since-last nightly")
                && behind("export:nightly").ends_with("`checkpoint`")
        );
        assert!(behind("hold:1").contains("runs out by itself"));
        let prepared =
            HolderStatus { pid: None, user: None, application: Some("it's".into()), age_seconds: None, prepared: true };
        let session = HolderStatus { pid: Some(4711), prepared: false, ..prepared.clone() };
        let locked = Obstacle::Locked(vec![session, prepared]).remedy().unwrap();
        assert!(
            locked.contains("SELECT pg_terminate_backend(4711); COMMIT PREPARED 'it''s' or ROLLBACK PREPARED"),
            "{locked}"
        );
        for passing in [Obstacle::Current, Obstacle::Changing] {
            assert!(passing.passes() && passing.remedy().is_none());
        }
    }
}
