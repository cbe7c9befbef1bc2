//! When to look again at a log that showed nothing new.

use std::time::Duration;

/// After a look that brought nothing the next one comes so much later, and each further one later by twice as much.
const FIRST: Duration = Duration::from_millis(1);

/// While holes are open the log is looked at so often at least.
pub(crate) const HOLES_AT_MOST: Duration = Duration::from_millis(100);

/// Pauses that double while nothing comes.
#[derive(Debug)]
pub(crate) struct Polling {
    next: Duration,
    at_most: Duration,
}

impl Polling {
    pub(crate) fn new(at_most: Duration) -> Self {
        Self { next: FIRST, at_most }
    }

    /// Something came.
    pub(crate) fn reset(&mut self) {
        self.next = FIRST;
    }

    /// How long to wait after a look that brought nothing.
    pub(crate) fn pause(&mut self, holes: bool) -> Duration {
        let at_most = if holes { HOLES_AT_MOST.min(self.at_most) } else { self.at_most };
        let pause = self.next.min(at_most);
        self.next = (pause * 2).min(at_most);
        pause
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_a_limit_that_is_shorter_while_holes_are_open() {
        let mut polling = Polling::new(Duration::from_millis(300));
        let mut pauses =
            |holes| std::iter::repeat_with(|| polling.pause(holes).as_millis()).take(10).collect::<Vec<_>>();
        assert_eq!(pauses(false), [1, 2, 4, 8, 16, 32, 64, 128, 256, 300]);
        assert_eq!(pauses(true), [100; 10]);
        polling.reset();
        assert_eq!(polling.pause(true), FIRST);
    }
}
