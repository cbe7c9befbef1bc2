//! When the next pass is due.

use std::time::Duration;

use outbox_core::Retention;

use super::report::Report;

/// The shortest pause, and the first.
const SHORTEST: Duration = Duration::from_secs(1);

/// Passes follow fast where the log moves, and ever slower where it does not.
pub(super) struct Pace {
    longest: Duration,
    pause: Duration,
    /// So many bytes are much: the log is looked at again before another segment is full.
    much: u64,
    bytes: u64,
}

impl Pace {
    pub(super) fn new(retention: &Retention) -> Self {
        // What is kept for a short time only is not to lie about for a long one.
        let longest = retention.every.min((retention.keep / 10).max(5 * SHORTEST));
        Self { longest, pause: SHORTEST.min(longest), much: retention.segment_bytes / 8, bytes: 0 }
    }

    /// The pause before the next pass. It is spread, so that the relays of one outbox do not come together.
    pub(super) fn next_pause(&self) -> Duration {
        self.pause.mul_f64(0.75 + fastrand::f64() / 2.0)
    }

    pub(super) fn after(&mut self, report: &Report) {
        let bytes = report.bytes.unwrap_or_default();
        let moved = report.has_changed() || bytes.saturating_sub(self.bytes) > self.much;
        self.bytes = bytes;
        self.pause = if moved { SHORTEST.min(self.longest) } else { (self.pause * 2).min(self.longest) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cleanup::Turn;

    #[test]
    fn a_quiet_log_is_looked_at_ever_less_often() {
        let mut pace = Pace::new(&Retention::default());
        let pauses: Vec<_> = (0..8)
            .map(|_| {
                pace.after(&Report::default());
                pace.pause.as_secs()
            })
            .collect();
        assert_eq!(pauses, [2, 4, 8, 16, 32, 60, 60, 60]);
        for _ in 0..100 {
            assert!((45.0..=75.0).contains(&pace.next_pause().as_secs_f64()));
        }
        pace.after(&Report { turned: Some(Turn { from: 0, to: 1 }), ..Report::default() });
        assert_eq!(pace.pause, SHORTEST);
        pace.after(&Report { bytes: Some(17 << 20), ..Report::default() });
        assert_eq!(pace.pause, SHORTEST, "much was written");
        pace.after(&Report { bytes: Some(18 << 20), ..Report::default() });
        assert_eq!(pace.pause, 2 * SHORTEST);
    }

    #[test]
    fn what_is_not_to_be_kept_is_looked_at_often() {
        let longest = |keep, every| Pace::new(&Retention { keep, every, ..Retention::default() }).longest.as_millis();
        let (minute, hour) = (Duration::from_mins(1), Duration::from_hours(1));
        assert_eq!(longest(Duration::ZERO, minute), 5_000);
        assert_eq!(longest(5 * minute, minute), 30_000);
        assert_eq!(longest(hour, minute), 60_000);
        assert_eq!(longest(hour, Duration::from_millis(20)), 20);
    }
}
