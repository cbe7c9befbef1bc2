//! What one pass did, for people and programs.

use std::path::PathBuf;

use outbox_core::Position;
use outbox_core::cleanup::{Obstacle, Removed, Segment, Survey};
use serde::Serialize;

/// What one pass did, or would do.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Report {
    /// Inserts go on in another segment.
    pub turned: Option<Turn>,
    /// The segments by number; SQLite has one.
    pub segments: Vec<SegmentReport>,
    /// So many dead letters were removed, or would be: those given up long ago, and those of subscriptions that are no more.
    pub letters: u64,
    /// The log's size on disk after the pass, where it is known.
    pub bytes: Option<u64>,
    /// Subscriptions that were cut off.
    pub cut_off: Vec<String>,
    /// The files that hold events removed before somebody had read them.
    pub archived: Vec<PathBuf>,
    /// What somebody should do something about.
    pub trouble: Option<String>,
}

/// Where inserts went, and where they go now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Turn {
    /// The segment that was current.
    pub from: i16,
    /// The segment that is.
    pub to: i16,
}

/// What came of one segment.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct SegmentReport {
    /// Its number.
    pub segment: i16,
    /// What came of it.
    pub outcome: Outcome,
    /// Its size on disk before, where it is known.
    pub bytes: Option<u64>,
    /// The lowest position that was in it.
    pub first_position: Option<Position>,
    /// The highest.
    pub last_position: Option<Position>,
    /// So many events were removed, where they are counted: on SQLite.
    pub events: Option<u64>,
    /// Why it was kept: `current`, `nobody_reads`, `behind`, `owed`, `young`, `locked` or `changing`.
    pub reason: Option<&'static str>,
    /// The same in words, with who or what it is.
    pub blocked_by: Option<String>,
}

/// What came of a segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// There was nothing in it.
    Empty,
    /// Its events were removed; on SQLite those that could be.
    Emptied,
    /// They would be, were this not a dry run.
    WouldBeEmptied,
    /// It stays as it is.
    Kept,
}

impl Report {
    /// Whether anything is different after the pass.
    pub fn has_changed(&self) -> bool {
        self.turned.is_some() || self.segments.iter().any(|segment| segment.outcome == Outcome::Emptied)
    }

    pub(super) fn describe(&mut self, survey: &Survey) {
        self.segments = survey.segments.iter().map(SegmentReport::new).collect();
        self.bytes = survey.bytes();
    }

    /// Notes what came of a segment.
    pub(super) fn note(&mut self, number: i16, removed: Removed, dry_run: bool) {
        let Some(segment) = self.segments.iter_mut().find(|segment| segment.segment == number) else { return };
        match removed {
            Removed::Gone(events) => {
                (segment.reason, segment.blocked_by, segment.events) = (None, None, events);
                segment.outcome = if dry_run { Outcome::WouldBeEmptied } else { Outcome::Emptied };
                self.bytes = self.bytes.map(|bytes| bytes.saturating_sub(segment.bytes.unwrap_or_default()));
            }
            Removed::Kept(obstacle) => segment.keep(&obstacle),
        }
    }

    /// Adds to what somebody should do something about.
    pub(super) fn trouble(&mut self, trouble: String) {
        self.trouble = Some(match self.trouble.take() {
            Some(earlier) => format!("{earlier}; {trouble}"),
            None => trouble,
        });
    }
}

impl SegmentReport {
    fn new(segment: &Segment) -> Self {
        Self {
            segment: segment.number,
            outcome: if segment.ends.is_some() { Outcome::Kept } else { Outcome::Empty },
            bytes: segment.bytes,
            first_position: segment.ends.map(|ends| ends.first),
            last_position: segment.ends.map(|ends| ends.last),
            events: None,
            reason: None,
            blocked_by: None,
        }
    }

    fn keep(&mut self, obstacle: &Obstacle) {
        self.outcome = Outcome::Kept;
        self.reason = Some(obstacle.word());
        self.blocked_by = Some(obstacle.to_string());
    }
}
