//! What the examples show, in colour where there is one.

use std::io::IsTerminal;

/// Prints lines; colours only on a terminal and only without `NO_COLOR`.
pub struct Terminal {
    colour: bool,
}

impl Terminal {
    /// Standard output.
    #[expect(clippy::new_without_default, reason = "it asks the system what standard output is")]
    pub fn new() -> Self {
        Self {
            colour: std::io::stdout().is_terminal()
                && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty()),
        }
    }

    /// A heading.
    pub fn title(&self, text: &str) {
        println!("\n{}", self.paint("1", text));
    }

    /// A transaction that committed.
    pub fn committed(&self, what: &str, wrote: &str) {
        println!("  {}    {what:<30} {}", self.paint("32", "committed"), self.paint("2", wrote));
    }

    /// A transaction that did not.
    pub fn rolled_back(&self, what: &str, why: &str) {
        println!("  {}  {what:<30} {}", self.paint("31", "rolled back"), self.paint("2", why));
    }

    /// An event that came out.
    pub fn published(&self, number: usize, key: &str, what: &str) {
        println!("  {}  order {}  {what}", self.paint("36", &number.to_string()), self.paint("1", key));
    }

    /// A publisher's answer, and what it was to.
    pub fn answered(&self, answer: &str, what: &str) {
        let code = match answer {
            "published" => "32",
            "retry" => "33",
            _ => "31",
        };
        println!("  {}  {what}", self.paint(code, &format!("{answer:<9}")));
    }

    /// The last line.
    pub fn summary(&self, text: &str) {
        println!("\n{} {text}", self.paint("32", "✓"));
    }

    fn paint(&self, code: &str, text: &str) -> String {
        if self.colour { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
    }
}
