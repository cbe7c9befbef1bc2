//! What a migration did, the same on every database.

/// What a migration did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Migrated {
    /// The tables were there, and up to date.
    Nothing,
    /// There were none.
    Created,
    /// They were of an older revision, and are of [`outbox_core::schema::REVISION`] now.
    Upgraded {
        /// The revision they had.
        from: u32,
    },
}

impl Migrated {
    /// Whether anything changed.
    pub fn changed(self) -> bool {
        self != Self::Nothing
    }
}
