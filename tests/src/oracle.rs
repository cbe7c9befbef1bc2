//! Judges what came out against what was committed.
//!
//! Each business transaction raises the counter of a key and writes an event that tells the new value. So the first
//! appearances of a key's versions must read 1, 2, 3, … up to the counter: a missing one is lost, one that comes after
//! a later one is reordered, one that comes again is repeated, one that the database does not hold is a ghost. What an
//! operator gave up must not come at all, and what is marked as a replay must have come before. Nothing else is trusted,
//! neither positions nor times.

use std::collections::{HashMap, HashSet};
use std::fmt;

use uuid::Uuid;

/// How many findings are kept in words.
const EXAMPLES: usize = 10;

/// One event as it came out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sighting {
    /// The key.
    pub key: String,
    /// The counter's value that the event tells.
    pub version: u64,
    /// The event's id.
    pub id: Uuid,
    /// The event's position.
    pub position: u64,
    /// Whether it is marked as sent once more because somebody asked for it.
    pub replayed: bool,
}

/// What the database holds in the end.
#[derive(Clone, Debug, Default)]
pub struct Truth {
    /// The counter of each key that was ever raised.
    pub counters: HashMap<String, u64>,
    /// How many positions were drawn.
    pub positions: u64,
    /// Versions of keys that an operator gave up.
    pub given_up: HashSet<(String, u64)>,
}

impl Truth {
    /// How many events were committed.
    pub fn events(&self) -> u64 {
        self.counters.values().sum()
    }

    /// How many of a hundred positions were drawn for events that were never committed.
    pub fn dead_percent(&self) -> u64 {
        self.positions.saturating_sub(self.events()) * 100 / self.positions.max(1)
    }
}

/// Remembers every sighting.
#[derive(Debug, Default)]
pub struct Oracle {
    keys: HashMap<String, Key>,
    ids: HashSet<Uuid>,
    positions: HashSet<u64>,
    findings: Findings,
}

#[derive(Debug, Default)]
struct Key {
    seen: HashMap<u64, Uuid>,
    highest: u64,
    position: u64,
}

impl Oracle {
    /// Takes the next sighting, in the order in which they came out.
    pub fn observe(&mut self, sighting: Sighting) {
        let Sighting { key: name, version, id, position, replayed } = sighting;
        self.positions.insert(position);
        let key = self.keys.entry(name.clone()).or_default();
        match key.seen.insert(version, id) {
            Some(earlier) if earlier == id && replayed => self.findings.replayed += 1,
            Some(earlier) if earlier == id => self.findings.repeated += 1,
            Some(earlier) => {
                let text = format!("{name} version {version} came as {earlier} and as {id}");
                note(&mut self.findings.ghosts, &mut self.findings.examples, text);
            }
            None => {
                if replayed {
                    let text = format!("{name} version {version} is marked as a replay and never came before");
                    note(&mut self.findings.ghosts, &mut self.findings.examples, text);
                }
                if !self.ids.insert(id) {
                    let text = format!("{name} version {version} has the id {id} of another event");
                    note(&mut self.findings.ghosts, &mut self.findings.examples, text);
                }
                if version < key.highest || position <= key.position {
                    let text = format!(
                        "{name} version {version} at {position} came after version {} at {}",
                        key.highest, key.position
                    );
                    note(&mut self.findings.reordered, &mut self.findings.examples, text);
                }
                key.highest = key.highest.max(version);
                key.position = key.position.max(position);
            }
        }
    }

    /// Takes a line that is not a whole event.
    pub fn observe_torn(&mut self, line: &str) {
        let text = format!("torn line: {}", line.chars().take(120).collect::<String>());
        note(&mut self.findings.torn, &mut self.findings.examples, text);
    }

    /// Where every event stood that was seen, in no order.
    pub fn positions(&self) -> Vec<i64> {
        self.positions.iter().filter_map(|position| i64::try_from(*position).ok()).collect()
    }

    /// How many different events were seen.
    pub fn seen(&self) -> usize {
        self.ids.len()
    }

    /// Compares everything seen with what the database holds.
    pub fn judge(mut self, truth: &Truth) -> Findings {
        for (name, &counter) in &truth.counters {
            let seen = self.keys.get(name).map(|key| &key.seen);
            for version in 1..=counter {
                let came = seen.is_some_and(|seen| seen.contains_key(&version));
                let given_up = truth.given_up.contains(&(name.clone(), version));
                if !came && !given_up {
                    let text = format!("{name} version {version} of {counter} is lost");
                    note(&mut self.findings.lost, &mut self.findings.examples, text);
                }
                if came && given_up {
                    let text = format!("{name} version {version} came although it was given up");
                    note(&mut self.findings.ghosts, &mut self.findings.examples, text);
                }
            }
        }
        for (name, key) in &self.keys {
            let counter = truth.counters.get(name).copied().unwrap_or(0);
            for version in key.seen.keys().filter(|&&version| version == 0 || version > counter) {
                let text = format!("{name} version {version} was never committed, its counter stands at {counter}");
                note(&mut self.findings.ghosts, &mut self.findings.examples, text);
            }
        }
        self.findings
    }
}

fn note(count: &mut u64, examples: &mut Vec<String>, text: String) {
    *count += 1;
    if examples.len() < EXAMPLES {
        examples.push(text);
    }
}

/// What was found wrong.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Findings {
    /// Committed events that never came out.
    pub lost: u64,
    /// First appearances that came after a later one of their key.
    pub reordered: u64,
    /// Events that came out again.
    pub repeated: u64,
    /// Events that came out again because somebody asked for it, and are marked so.
    pub replayed: u64,
    /// Events that came out and are not in the database.
    pub ghosts: u64,
    /// Lines that are not a whole event.
    pub torn: u64,
    /// The first few findings in words; repeats are only counted.
    pub examples: Vec<String>,
}

impl Findings {
    /// Adds what was found in another reader's output; its examples are left out.
    pub fn add(&mut self, other: &Self) {
        self.lost += other.lost;
        self.reordered += other.reordered;
        self.repeated += other.repeated;
        self.replayed += other.replayed;
        self.ghosts += other.ghosts;
        self.torn += other.torn;
    }

    /// Nothing is wrong but for at most this many repeats.
    pub fn is_clean(&self, repeats: u64) -> bool {
        self.lost + self.reordered + self.ghosts + self.torn == 0 && self.repeated <= repeats
    }
}

impl fmt::Display for Findings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "lost={} reordered={}", self.lost, self.reordered)?;
        if self.ghosts + self.torn > 0 {
            write!(f, " ghosts={} torn={}", self.ghosts, self.torn)?;
        }
        if self.replayed > 0 {
            write!(f, " replayed={}", self.replayed)?;
        }
        // Last, for a bound of theirs may follow.
        write!(f, " dup={}", self.repeated)
    }
}

#[cfg(test)]
mod tests;
