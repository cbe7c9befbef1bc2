//! The progress of a long export, on standard error.

use std::io::IsTerminal as _;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use outbox_relay::changelog;

use crate::logging::colours;

/// What is done before that shows no bar.
const LONG: Duration = Duration::from_millis(500);

/// A bar that appears when an export takes long and somebody is there to see it.
pub(crate) struct Progress {
    bar: ProgressBar,
    begun: Instant,
    is_wanted: bool,
}

impl Progress {
    /// No bar yet.
    pub(crate) fn new(quiet: bool) -> Self {
        let is_wanted = !quiet && std::io::stderr().is_terminal();
        Self { bar: ProgressBar::hidden(), begun: Instant::now(), is_wanted }
    }

    /// Shows how far the export is.
    pub(crate) fn show(&mut self, progress: changelog::Progress, events: u64) {
        if !self.is_wanted || self.begun.elapsed() < LONG {
            return;
        }
        if self.bar.is_hidden() {
            self.bar.set_draw_target(ProgressDrawTarget::stderr());
            self.bar.set_style(style());
        }
        self.bar.set_length(progress.total);
        self.bar.set_position(progress.done);
        self.bar.set_message(format!("{events} events"));
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}

fn style() -> ProgressStyle {
    let template = if colours(true) {
        "{bar:40.cyan/blue.dim} {percent:>3} %  {msg}, {eta} left"
    } else {
        "{bar:40} {percent:>3} %  {msg}, {eta} left"
    };
    // The template is checked by a test: where it is wrong, the bar looks plain.
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar()).progress_chars("━╸─")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_sees_a_bar_of_a_short_export() {
        let mut progress = Progress::new(false);
        progress.is_wanted = true;
        progress.show(changelog::Progress { done: 1, total: 2 }, 1);
        assert!(progress.bar.is_hidden() && progress.bar.length().is_none());
    }
}
