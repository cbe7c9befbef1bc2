//! What the quickstart shows, in colour where there is one.

use std::io::IsTerminal;

/// Prints lines; colours only on a terminal and only without `NO_COLOR`.
pub(crate) struct Terminal {
    colour: bool,
}

impl Terminal {
    pub(crate) fn new() -> Self {
        Self {
            colour: std::io::stdout().is_terminal()
                && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty()),
        }
    }

    pub(crate) fn title(&self, text: &str) {
        println!("\n{}", self.paint("1", text));
    }

    pub(crate) fn committed(&self, what: &str, wrote: &str) {
        println!("  {}    {what:<30} {}", self.paint("32", "committed"), self.paint("2", wrote));
    }

    pub(crate) fn rolled_back(&self, what: &str, why: &str) {
        println!("  {}  {what:<30} {}", self.paint("31", "rolled back"), self.paint("2", why));
    }

    pub(crate) fn published(&self, number: usize, key: &str, what: &str) {
        println!("  {}  order {}  {what}", self.paint("36", &number.to_string()), self.paint("1", key));
    }

    pub(crate) fn summary(&self, text: &str) {
        println!("\n{} {text}", self.paint("32", "✓"));
    }

    fn paint(&self, code: &str, text: &str) -> String {
        if self.colour { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
    }
}
