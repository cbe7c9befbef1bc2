//! One measured drain, and what is made of many figures.

use std::process;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};

use crate::processor;
use crate::report::Table;

/// Measures a drain from now on.
pub(crate) struct Meter {
    postmaster: Option<u32>,
    start: Instant,
    server: Duration,
    client: Duration,
}

impl Meter {
    /// `postmaster` is the first process of the server that is drained, if there is one.
    pub(crate) fn start(postmaster: Option<u32>) -> Result<Self> {
        Ok(Self {
            server: server_time(postmaster)?,
            client: processor::of_process(process::id())?,
            postmaster,
            start: Instant::now(),
        })
    }

    /// Ends it: notes speed and processor time, and fails if not every event came.
    pub(crate) fn stop(self, table: &mut Table, variant: &'static str, wanted: i64, drained: i64) -> Result<()> {
        let wall = self.start.elapsed();
        ensure!(drained == wanted, "{variant}: {wanted} events waited and {drained} came");
        #[expect(clippy::cast_precision_loss, reason = "counts of events are far below 2^52")]
        let events = drained as f64;
        table.record(variant, "events/s", events / wall.as_secs_f64());
        let each = |time: Duration| time.as_secs_f64() * 1e6 / events;
        if self.postmaster.is_some() {
            table.record(variant, "server µs/event", each(server_time(self.postmaster)?.saturating_sub(self.server)));
        }
        table.record(
            variant,
            "client µs/event",
            each(processor::of_process(process::id())?.saturating_sub(self.client)),
        );
        Ok(())
    }
}

fn server_time(postmaster: Option<u32>) -> Result<Duration> {
    postmaster.map_or(Ok(Duration::ZERO), processor::of_server)
}

/// The value below which `share` of the figures lie; the median for one half.
pub(crate) fn quantile(figures: &[f64], share: f64) -> f64 {
    let mut sorted = figures.to_vec();
    sorted.sort_by(f64::total_cmp);
    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "an index far below 2^52, and never negative"
    )]
    let rank = ((sorted.len() as f64 * share).ceil() as usize).max(1) - 1;
    sorted.get(rank).copied().unwrap_or(f64::NAN)
}

/// The median of the figures.
pub(crate) fn median(figures: &[f64]) -> f64 {
    quantile(figures, 0.5)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_figures_that_occurred() {
        let figures = [4.0, 1.0, 3.0, 2.0];
        let found = [0.0, 0.5, 0.75, 0.99, 1.0].map(|share| quantile(&figures, share).to_string());
        assert_eq!(found, ["1", "2", "3", "4", "4"]);
        assert!(median(&[]).is_nan());
    }
}
