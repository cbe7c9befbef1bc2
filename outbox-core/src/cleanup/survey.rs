//! How the log stands, and what follows from it: no database is asked here.

use std::time::Duration;

use super::{DEAD_AFTER, Obstacle, Retention};
use crate::error::StoreError;
use crate::event::Position;
use crate::status::HolderStatus;

/// A segment receives inserts for at least so long, unless it is large, or could be emptied at once: each turn uses an empty
/// one up.
const SHORTEST: Duration = Duration::from_secs(10);

/// How the log stands at one moment.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Survey {
    /// Its segments, by number.
    pub segments: Vec<Segment>,
    /// Everybody who has a claim on it.
    pub readers: Vec<Reader>,
    /// So many of the segments are used; those with higher numbers are emptied and not chosen again.
    pub used: u8,
    /// Whether events are removed one by one, and not by whole segments.
    pub one_by_one: bool,
    /// What the last pass found wrong.
    pub trouble: Option<String>,
}

/// One segment.
#[derive(Debug, Clone, PartialEq)]
pub struct Segment {
    /// Its number.
    pub number: i16,
    /// Its size on disk, where that is known.
    pub bytes: Option<u64>,
    /// Whether inserts go into it.
    pub current: bool,
    /// Its events, if it has any.
    pub ends: Option<Ends>,
    /// Per reader that still owes events in it, the first of them.
    pub owed: Vec<(String, Position)>,
    /// Who holds locks on it, and not only for a moment.
    pub holders: Vec<HolderStatus>,
}

/// The first and the last event of a segment.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Ends {
    /// The lowest position.
    pub first: Position,
    /// The highest.
    pub last: Position,
    /// The age of the event at the lowest position, in seconds; unknown where it has no time.
    pub first_age: Option<f64>,
}

/// A row of `outbox_checkpoint`: a subscription, an export by name, or a hold.
#[derive(Debug, Clone, PartialEq)]
pub struct Reader {
    /// Its name.
    pub name: String,
    /// Everything up to here is done, but for its open positions.
    pub position: Position,
    /// Whether its lease runs.
    pub leased: bool,
    /// How long ago it last wrote a checkpoint or held a lease.
    pub silent_seconds: f64,
    /// Whether it was cut off, and claims nothing any more.
    pub cut_off: bool,
}

impl Reader {
    /// Whether nobody works it, and for long enough that nobody will be back in a moment.
    pub fn is_dead(&self) -> bool {
        !self.leased && self.silent_seconds >= DEAD_AFTER.as_secs_f64()
    }
}

/// What keeps a segment from being emptied.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Blocker {
    /// What it is.
    pub what: String,
    /// What a person may do about it.
    pub remedy: String,
}

impl Blocker {
    /// What the last pass of cleanup noted as wrong; the note names who or what it met, or the settings.
    pub fn noted(trouble: String) -> Self {
        let remedy = "see to what is named; `outbox-relay cleanup` then tries again at once, and says what still stands in its way";
        Self { what: trouble, remedy: remedy.to_owned() }
    }

    /// A segment that could not be looked at; what the error says to do is the remedy.
    pub fn unseen(error: &StoreError) -> Self {
        let (what, remedy) = error.with_remedy("try again, and see the server's log");
        Self { what: format!("it could not be looked at: {what}"), remedy }
    }
}

impl Survey {
    /// The size on disk, where that is known.
    pub fn bytes(&self) -> Option<u64> {
        self.segments.iter().map(|segment| segment.bytes).sum()
    }

    /// The segments with events, oldest first.
    pub fn filled(&self) -> Vec<(&Segment, Ends)> {
        let mut filled: Vec<_> = self.segments.iter().filter_map(|segment| Some((segment, segment.ends?))).collect();
        filled.sort_by_key(|(_, ends)| ends.first);
        filled
    }

    /// Everybody whose claim counts.
    pub fn claims(&self) -> impl Iterator<Item = &Reader> {
        self.readers.iter().filter(|reader| !reader.cut_off)
    }

    /// The readers whose claims keep a segment as it is.
    pub fn pins<'s>(&'s self, segment: &'s Segment) -> impl Iterator<Item = &'s Reader> {
        let last = segment.ends.map(|ends| ends.last);
        self.claims().filter(move |reader| {
            last.is_some_and(|last| reader.position < last) || segment.owed.iter().any(|(name, _)| *name == reader.name)
        })
    }

    /// What stands against emptying a segment, as far as this shows: its age and momentary locks show later.
    pub fn obstacle(&self, segment: &Segment) -> Option<Obstacle> {
        if segment.current && self.segments.len() > 1 {
            return Some(Obstacle::Current);
        }
        let slowest = self.claims().min_by_key(|reader| reader.position);
        let Some(slowest) = slowest else { return Some(Obstacle::NobodyReads) };
        let ends = segment.ends?;
        // One by one, what lies below the slowest may go.
        let needed = if self.one_by_one { ends.first } else { ends.last };
        if slowest.position < needed {
            return Some(Obstacle::Behind { reader: slowest.name.clone(), position: slowest.position });
        }
        self.owed(segment).or_else(|| locked(segment))
    }

    fn owed(&self, segment: &Segment) -> Option<Obstacle> {
        let claimed = |(name, _): &&(String, Position)| self.claims().any(|reader| reader.name == *name);
        let (reader, position) = segment.owed.iter().filter(claimed).min_by_key(|(_, position)| *position)?;
        Some(Obstacle::Owed { reader: reader.clone(), position: *position })
    }

    /// What the status says of a segment: what stands against emptying it and does not pass by itself, and with the oldest what
    /// the last pass found wrong. A current segment is never blocked by its ordinary life.
    pub fn blocked_by(&self, segment: &Segment) -> Option<Blocker> {
        segment.ends?;
        let obstacle = self.obstacle(segment).filter(|_| !segment.current);
        let obstacle = obstacle.and_then(|met| Some(Blocker { remedy: met.remedy()?, what: met.to_string() }));
        let is_oldest = self.filled().first().is_some_and(|(oldest, _)| oldest.number == segment.number);
        let noted = self.trouble.clone().filter(|_| is_oldest).map(Blocker::noted);
        match (obstacle, noted) {
            (Some(obstacle), Some(noted)) => {
                let what = format!("{}; {}", obstacle.what, noted.what);
                Some(Blocker { what, remedy: format!("{}; {}", obstacle.remedy, noted.remedy) })
            }
            (obstacle, noted) => obstacle.or(noted),
        }
    }

    /// Where inserts should go on, as (from, to): the current segment is old or large enough, or not to be used any more.
    pub fn turn(&self, retention: &Retention) -> Option<(i16, i16)> {
        let current = self.segments.iter().find(|segment| segment.current)?;
        let surplus = !self.is_used(current, retention);
        let due = current.ends.is_some_and(|ends| self.is_due(current, ends, retention));
        if surplus || due { Some((current.number, self.free(retention)?)) } else { None }
    }

    /// Where inserts could go on, if there is a segment without events.
    pub fn free(&self, retention: &Retention) -> Option<i16> {
        let free = |segment: &&Segment| !segment.current && segment.ends.is_none() && self.is_used(segment, retention);
        self.segments.iter().find(free).map(|segment| segment.number)
    }

    fn is_due(&self, current: &Segment, ends: Ends, retention: &Retention) -> bool {
        let others = u32::from(self.used.min(retention.segments)).saturating_sub(1).max(1);
        let share = retention.keep / others;
        // An event from a clock that was ahead has a negative age, and need not be kept either where nothing need be.
        let older_than =
            |share: Duration| share.is_zero() || ends.first_age.is_none_or(|age| age >= share.as_secs_f64());
        let done = self.pins(current).next().is_none() && self.claims().next().is_some();
        let large = current.bytes.is_some_and(|bytes| bytes >= retention.segment_bytes);
        large || older_than(share.max(SHORTEST)) || (done && older_than(share))
    }

    fn is_used(&self, segment: &Segment, retention: &Retention) -> bool {
        segment.number < i16::from(self.used.min(retention.segments))
    }
}

fn locked(segment: &Segment) -> Option<Obstacle> {
    if segment.holders.is_empty() { None } else { Some(Obstacle::Locked(segment.holders.clone())) }
}

#[cfg(test)]
mod tests;
