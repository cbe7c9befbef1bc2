//! What the examples show, in colour where there is one.

use std::io::IsTerminal;

/// Prints lines; colours only on a terminal and only without `NO_COLOR`.
#[derive(Debug, Clone, Copy, Default)]
pub struct Terminal {
    colour: bool,
}

impl Terminal {
    /// Standard output.
    pub fn new() -> Self {
        Self {
            colour: std::io::stdout().is_terminal()
                && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty()),
        }
    }

    /// Prints what comes next.
    pub fn title(&self, text: &str) {
        println!("\n{}", self.paint("1", text));
    }

    /// Prints what a transaction did, and what it wrote.
    pub fn committed(&self, what: &str, wrote: &str) {
        println!("  {}    {what:<30} {}", self.paint("32", "committed"), self.paint("2", wrote));
    }

    /// Prints what a transaction did in vain, and why.
    pub fn rolled_back(&self, what: &str, why: &str) {
        println!("  {}  {what:<30} {}", self.paint("31", "rolled back"), self.paint("2", why));
    }

    /// Prints an event that was published.
    pub fn published(&self, number: usize, key: &str, what: &str) {
        println!("  {}  order {}  {what}", self.paint("36", &number.to_string()), self.paint("1", key));
    }

    /// Prints a publisher's answer, and what it was to.
    pub fn answered(&self, answer: &str, what: &str) {
        let code = match answer {
            "published" => "32",
            "retry" => "33",
            _ => "31",
        };
        println!("  {}  {what}", self.paint(code, &format!("{answer:<9}")));
    }

    /// Prints what it comes to.
    pub fn summary(&self, text: &str) {
        println!("\n{} {text}", self.paint("32", "✓"));
    }

    /// The text in the colour of an ANSI code, such as `1` for bold and `32` for green.
    pub fn paint(&self, code: &str, text: &str) -> String {
        if self.colour { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
    }
}
