//! What lies between open positions and is nobody's to do here.
//!
//! To a share of a third of the keys two of three positions are foreign, and each of its open positions would be a range of its
//! own: a checkpoint of ten thousand ranges, for every partition. But an open range does no harm where it covers what is not
//! the share's, for whoever reads that again passes it over again. So ranges are joined over positions that were seen and were
//! not due. One that was due and is done is never covered, for it would be published again; nor is a missing one, for it would
//! have to be buried again.

use std::collections::VecDeque;
use std::ops::RangeInclusive;

use outbox_core::{Position, PositionSet};

/// What lies further apart stays apart: cleanup leaves alone whatever an open range covers.
const NEAR: Position = 1_000;

/// Where joining is harmless.
#[derive(Debug)]
pub(super) struct Gaps {
    /// Due positions, ascending, each with the last one before it that was due or missing; only where others lie between.
    barriers: VecDeque<(Position, Position)>,
    /// The last position that was due or missing.
    barrier: Position,
    /// The last position seen.
    seen: Position,
}

impl Gaps {
    /// Of a stream of which nothing is known up to this position.
    pub(super) fn new(unknown: Position) -> Self {
        Self { barriers: VecDeque::new(), barrier: unknown, seen: unknown }
    }

    /// Notes the next row of a read, in position order, and whether it is due. One that filled a hole changes nothing.
    pub(super) fn follow(&mut self, position: Position, due: bool) {
        if position <= self.seen {
            return;
        }
        if position > self.seen + 1 {
            self.barrier = position - 1;
        }
        self.seen = position;
        if due {
            if position > self.barrier + 1 {
                self.barriers.push_back((position, self.barrier));
            }
            self.barrier = position;
        }
    }

    /// The open positions as fewer ranges, ascending. One pass over both: there may be as many of them as the window holds.
    pub(super) fn join(&mut self, open: &PositionSet) -> Vec<RangeInclusive<Position>> {
        let mut joined: Vec<RangeInclusive<Position>> = Vec::new();
        let mut barriers = std::mem::take(&mut self.barriers).into_iter().peekable();
        for range in open.ranges() {
            let (start, end) = (*range.start(), *range.end());
            while barriers.next_if(|(position, _)| *position < start).is_some() {}
            let barrier = barriers.next_if(|(position, _)| *position == start).map(|(_, barrier)| barrier);
            self.barriers.extend(barrier.map(|barrier| (start, barrier)));
            match joined.last_mut() {
                Some(last) if start - last.end() <= NEAR && barrier.is_some_and(|barrier| barrier <= *last.end()) => {
                    *last = *last.start()..=end;
                }
                _ => joined.push(range.clone()),
            }
        }
        joined
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(positions: &[Position]) -> PositionSet {
        positions.iter().map(|each| *each..=*each).collect()
    }

    fn joined(gaps: &mut Gaps, open: &[Position]) -> String {
        gaps.join(&set(open)).into_iter().collect::<PositionSet>().to_string()
    }

    /// Follows positions, of which these are due.
    fn followed(positions: impl IntoIterator<Item = Position>, due: &[Position]) -> Gaps {
        let mut gaps = Gaps::new(0);
        positions.into_iter().for_each(|each| gaps.follow(each, due.contains(&each)));
        gaps
    }

    #[test]
    fn foreign_positions_are_covered_and_done_ones_are_not() {
        let due = [2, 5, 8, 9, 14];
        assert_eq!(joined(&mut followed(1..=20, &due), &due), "{[2,14]}");
        assert_eq!(joined(&mut followed(1..=20, &due), &[2, 8, 9, 14]), "{[2,2],[8,14]}");
        assert_eq!(joined(&mut followed(1..=20, &due), &[5]), "{[5,5]}");
    }

    #[test]
    fn nothing_is_covered_that_is_missing_or_unknown_or_far_away() {
        let missing = (1..=20).filter(|each| *each != 4);
        assert_eq!(joined(&mut followed(missing, &[2, 6]), &[2, 6]), "{[2,2],[6,6]}");
        let mut gaps = Gaps::new(5);
        (3..=9).for_each(|each| gaps.follow(each, [3, 8].contains(&each)));
        assert_eq!(joined(&mut gaps, &[3, 8]), "{[3,3],[8,8]}");
        let due = [1, 2 + NEAR];
        assert_eq!(followed(1..=2 + NEAR, &due).join(&set(&due)).len(), 2);
    }

    #[test]
    fn what_is_no_longer_open_is_forgotten() {
        let due = [2, 5, 8];
        let mut gaps = followed(1..=10, &due);
        assert_eq!(joined(&mut gaps, &[8]), "{[8,8]}");
        assert_eq!(gaps.barriers, [(8, 5)]);
        gaps.follow(11, true);
        assert_eq!(joined(&mut gaps, &[8, 11]), "{[8,11]}");
    }
}
