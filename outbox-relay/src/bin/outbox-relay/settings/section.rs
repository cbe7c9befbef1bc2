//! One group of settings, wherever it is written.

use crate::problem::{Placed, Problems};

/// One group of settings, such as `[relay]`, as texts by key.
pub(crate) trait Section {
    /// The text of a key, if it was given.
    fn text(&mut self, key: &'static str, problems: &mut Problems) -> Option<Placed<String>>;

    /// The digits of a key that is a number, if it was given.
    fn number(&mut self, key: &'static str, problems: &mut Problems) -> Option<Placed<String>> {
        self.text(key, problems)
    }

    /// The texts of a key that is a list.
    fn list(&mut self, key: &'static str, problems: &mut Problems) -> Vec<Placed<String>>;

    /// The group within this one; where groups do not nest, the same one.
    fn group<'s>(&'s mut self, key: &'static str, problems: &mut Problems) -> Option<Box<dyn Section + 's>>;

    /// Refuses what nobody asked for.
    fn finish(&mut self, problems: &mut Problems) {
        let _ = problems;
    }
}
