//! Colours, where the reader is a terminal that wants them.

/// How a text is to look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Tone {
    /// As the terminal writes.
    #[default]
    Plain,
    /// Less bright than the rest.
    Faint,
    /// Brighter than the rest.
    Strong,
    /// New, or well.
    Green,
    /// Changed, or worth a look.
    Yellow,
    /// Gone, or wrong.
    Red,
    /// Neither of them.
    Cyan,
}

impl Tone {
    /// The text in this tone.
    pub(crate) fn paint(self, text: &str) -> String {
        let code = match self {
            Self::Plain => return text.to_owned(),
            Self::Faint => "2",
            Self::Strong => "1",
            Self::Green => "32",
            Self::Yellow => "33",
            Self::Red => "31",
            Self::Cyan => "36",
        };
        format!("\x1b[{code}m{text}\x1b[0m")
    }
}
