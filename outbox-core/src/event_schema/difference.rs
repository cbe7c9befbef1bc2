//! One difference between two schemas of one version, and whom it breaks.

/// Who can no longer read what.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Breaks {
    /// A consumer that knows the committed schema, and reads a new event.
    Readers,
    /// A consumer made for the new schema, that replays events from before.
    Replays,
    /// Either of them.
    Both,
    /// Neither: a consumer passes over a field that it does not know, and copes with an optional one that is absent.
    Nobody,
}

impl Breaks {
    /// Whom a change of the allowed values breaks: new values those who read them, lost ones those who replay them.
    pub(super) fn by(is_wider: bool, is_narrower: bool) -> Self {
        match (is_wider, is_narrower) {
            (true, false) => Self::Readers,
            (false, true) => Self::Replays,
            (true, true) => Self::Both,
            (false, false) => Self::Nobody,
        }
    }

    /// The end of a sentence about a field.
    pub(super) fn words(self) -> &'static str {
        match self {
            Self::Readers => "consumers that read it break",
            Self::Replays => "consumers of the new schema break when they replay older events",
            Self::Both => {
                "consumers that read it break, and so do those of the new schema when they replay older events"
            }
            Self::Nobody => "nobody breaks",
        }
    }
}

/// What happened to a field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Difference {
    /// Where it stands in the payload: names with dots between, `[]` for the items of a list, `{}` for the values of a
    /// map; empty for the payload itself.
    pub(super) path: String,
    /// The rest of the sentence that begins with the field.
    pub(super) change: String,
    pub(super) breaks: Breaks,
    /// What to do other than to raise the version.
    pub(super) remedy: &'static str,
}
