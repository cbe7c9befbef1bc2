//! The progress of a long export, on standard error.

use std::io::IsTerminal as _;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use outbox_relay::changelog;

use crate::logging::colours;

/// What is done before that shows no bar.
const LONG: Duration = Duration::from_millis(500);

/// A bar that appears when an export takes long and somebody is there to see it.
pub(crate) struct Progress {
    bar: ProgressBar,
    is_wanted: bool,
}

impl Progress {
    /// No bar yet.
    pub(crate) fn new(quiet: bool) -> Self {
        let is_wanted = !quiet && std::io::stderr().is_terminal();
        Self { bar: ProgressBar::hidden(), is_wanted }
    }

    /// Shows how far the export is.
    pub(crate) fn show(&mut self, progress: changelog::Progress, events: u64) {
        if !self.is_wanted || self.bar.elapsed() < LONG {
            return;
        }
        if self.bar.is_hidden() {
            self.bar.set_draw_target(ProgressDrawTarget::stderr());
            self.bar.set_style(style(colours(true)));
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

fn style(coloured: bool) -> ProgressStyle {
    // A test sees that the template is understood; without it the bar is a plain one.
    let style = ProgressStyle::with_template(&template(coloured)).unwrap_or_else(|_| ProgressStyle::default_bar());
    style.progress_chars("━╸─")
}

fn template(coloured: bool) -> String {
    let bar = if coloured { "{bar:40.cyan/blue.dim}" } else { "{bar:40}" };
    format!("{bar} {{percent:>3}} %  {{msg}}, {{eta}} left")
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

    #[test]
    fn the_template_is_understood() {
        for coloured in [true, false] {
            assert!(ProgressStyle::with_template(&template(coloured)).is_ok(), "{}", template(coloured));
        }
    }
}
