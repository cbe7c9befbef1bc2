//! Sets of positions, kept and written as ranges.

use std::fmt;
use std::ops::RangeInclusive;
use std::str::FromStr;

use rangemap::RangeInclusiveSet;

use crate::event::Position;

/// A set of positions as inclusive ranges that neither touch nor overlap.
///
/// Its text is `{[12,15],[20,20]}`: a person can read it, and PostgreSQL casts it to `int8multirange`.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct PositionSet(RangeInclusiveSet<Position>);

impl PositionSet {
    /// The empty set.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a range; an empty one adds nothing.
    pub fn insert(&mut self, range: RangeInclusive<Position>) {
        if !range.is_empty() {
            self.0.insert(range);
        }
    }

    /// Takes a range out; an empty one takes nothing.
    pub fn remove(&mut self, range: RangeInclusive<Position>) {
        if !range.is_empty() {
            self.0.remove(range);
        }
    }

    /// Adds single positions, a run of neighbours at a time.
    pub fn insert_all(&mut self, ascending: impl IntoIterator<Item = Position>) {
        for run in runs(ascending) {
            self.insert(run);
        }
    }

    /// Takes single positions out, a run of neighbours at a time.
    pub fn remove_all(&mut self, ascending: impl IntoIterator<Item = Position>) {
        for run in runs(ascending) {
            self.remove(run);
        }
    }

    /// Whether the position is in the set.
    pub fn contains(&self, position: Position) -> bool {
        self.0.contains(&position)
    }

    /// The ranges, ascending.
    pub fn ranges(&self) -> impl DoubleEndedIterator<Item = &RangeInclusive<Position>> {
        self.0.iter()
    }

    /// The lowest position.
    pub fn first(&self) -> Option<Position> {
        self.0.first().map(|range| *range.start())
    }

    /// The highest range.
    pub fn last_range(&self) -> Option<&RangeInclusive<Position>> {
        self.0.last()
    }

    /// How many ranges it takes.
    pub fn range_count(&self) -> usize {
        self.0.len()
    }

    /// Whether nothing is in it.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// Groups positions that follow one another; out of order input gives more runs, never wrong ones.
fn runs(positions: impl IntoIterator<Item = Position>) -> impl Iterator<Item = RangeInclusive<Position>> {
    let mut positions = positions.into_iter().peekable();
    std::iter::from_fn(move || {
        let first = positions.next()?;
        let mut last = first;
        while let Some(next) = positions.next_if(|next| *next == last + 1) {
            last = next;
        }
        Some(first..=last)
    })
}

impl FromIterator<RangeInclusive<Position>> for PositionSet {
    fn from_iter<I: IntoIterator<Item = RangeInclusive<Position>>>(ranges: I) -> Self {
        let mut set = Self::new();
        for range in ranges {
            set.insert(range);
        }
        set
    }
}

impl fmt::Display for PositionSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("{")?;
        for (index, range) in self.ranges().enumerate() {
            let separator = if index == 0 { "" } else { "," };
            write!(f, "{separator}[{},{}]", range.start(), range.end())?;
        }
        f.write_str("}")
    }
}

impl fmt::Debug for PositionSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The text is not of the form `{[12,15],[20,20]}`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a set of positions such as {{[12,15],[20,20]}}")]
pub struct ParsePositionSetError(String);

impl FromStr for PositionSet {
    type Err = ParsePositionSetError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let bad = || ParsePositionSetError(text.chars().take(80).collect());
        let inner = text.trim().strip_prefix('{').and_then(|rest| rest.strip_suffix('}')).ok_or_else(bad)?;
        if inner.trim().is_empty() {
            return Ok(Self::new());
        }
        inner
            .split("],")
            .map(|part| {
                let (low, high) = part.trim().trim_start_matches('[').trim_end_matches(']').split_once(',')?;
                let (low, high) = (low.trim().parse().ok()?, high.trim().parse().ok()?);
                (low <= high).then_some(low..=high)
            })
            .collect::<Option<Self>>()
            .ok_or_else(bad)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_goes_there_and_back() {
        let set: PositionSet = [12..=15, 20..=20, 16..=17].into_iter().collect();
        assert_eq!(set.to_string(), "{[12,17],[20,20]}");
        assert_eq!("{[12,17],[20,20]}".parse(), Ok(set));
        assert_eq!("{}".parse(), Ok(PositionSet::new()));
    }

    #[test]
    fn rubbish_is_refused() {
        for text in ["", "{", "[1,2]", "{[2,1]}", "{[1]}", "{[1,2],}", "{[a,b]}", "{[1,99999999999999999999]}"] {
            assert!(text.parse::<PositionSet>().is_err(), "{text}");
        }
    }

    #[test]
    fn positions_leave_one_by_one() {
        let mut set = PositionSet::new();
        set.insert_all(1..=10);
        set.remove_all([1, 2, 5, 10]);
        assert_eq!(set.to_string(), "{[3,4],[6,9]}");
    }
}
