//! The change log: what the outbox holds, for people and for programs that read it once in a while.
//!
//! ```no_run
//! use outbox_core::Filter;
//! use outbox_relay::ChangeLog;
//!
//! # async fn example(store: impl outbox_core::Store) -> Result<(), outbox_core::StoreError> {
//! let filter = Filter { tables: vec!["orders".into()], ..Filter::default() };
//! let log = ChangeLog::new(store, filter);
//! for row in log.last(10).await? {
//!     println!("{row:?}");
//! }
//!
//! let mut export = log.export(Some("nightly")).await?;
//! while let Some(page) = export.next().await? {
//!     // … write the page, and sync it …
//! #   drop(page);
//! }
//! export.finish().await?;
//! # Ok(())
//! # }
//! ```
//!
//! It is one more reader of [`Store::source`], beside the relay's subscriptions: rows come in position order and only when
//! they are durable, no transaction stays open between pages, and an event whose transaction commits after later ones is
//! shown when it appears. Rows that cannot become events are shown with their reason.
//!
//! [`ChangeLog::last`], [`ChangeLog::tail`] and [`ChangeLog::stats`] write nothing: a user who may read the log and
//! `outbox_meta` can use them. [`ChangeLog::export`] keeps what it reads from being removed, and so needs what a relay needs.

mod claim;
mod export;
mod newest;
mod setbacks;
mod tail;
mod walk;

use std::sync::Arc;

use outbox_core::{Clock, Filter, Position, Store, StoreError};

pub use export::{Export, Exported, Progress};
pub use outbox_core::source::{Row, Unreadable};
pub use outbox_core::store::Count;
pub use tail::Tail;

use crate::clock::SystemClock;

/// The events of one outbox that pass a filter.
#[derive(Clone)]
pub struct ChangeLog {
    store: Arc<dyn Store>,
    filter: Filter,
    after: Position,
    clock: Arc<dyn Clock>,
}

impl ChangeLog {
    /// The events of `store` that pass `filter`.
    pub fn new(store: impl Store, filter: Filter) -> Self {
        Self::shared(Arc::new(store), filter)
    }

    /// The same of a store that is chosen at run time or used elsewhere too.
    pub fn shared(store: Arc<dyn Store>, filter: Filter) -> Self {
        Self { store, filter, after: 0, clock: Arc::new(SystemClock) }
    }

    /// Leaves out everything up to this position; default 0. An export by name begins there the first time, and later
    /// where it ended.
    pub fn after(mut self, position: Position) -> Self {
        self.after = position.max(0);
        self
    }

    /// The clock that pauses and leases go by; default [`SystemClock`].
    pub fn clock(mut self, clock: impl Clock) -> Self {
        self.clock = Arc::new(clock);
        self
    }

    /// The newest `count` events, oldest first.
    ///
    /// Goes back from the end of the log, a few thousand positions a statement, until there are enough: events that are rare
    /// in a long log take their time. Holds `count` events and about 1 MiB.
    ///
    /// # Errors
    ///
    /// [`StoreError`] as for [`Store::inspect`].
    pub async fn last(&self, count: usize) -> Result<Vec<Row>, StoreError> {
        self.store.inspect().await?;
        let mut source = self.store.source(&self.filter).await?;
        let to = source.last_position().await?;
        newest::newest(source.as_mut(), self.after, to, count).await
    }

    /// The newest `count` events, then what comes.
    ///
    /// # Errors
    ///
    /// [`StoreError`] as for [`Store::inspect`].
    pub async fn tail(&self, count: usize) -> Result<Tail, StoreError> {
        self.store.inspect().await?;
        Tail::begin(self, count).await
    }

    /// Everything up to the end of the log, or only what is new since the last export of that name.
    ///
    /// While it runs cleanup removes nothing that is still to come. A name keeps it from doing so between exports too, until
    /// the row `export:NAME` of `outbox_checkpoint` is removed. An event that committed only after the last export of the
    /// name is in the next one, once; under another filter than the last time, what was left out then stays out.
    ///
    /// A lease of 30 s is renewed by a task of the current tokio runtime, which must not be kept busy for longer.
    ///
    /// # Errors
    ///
    /// [`StoreError`] as for [`Store::check`]; [`Unavailable`](outbox_core::StoreErrorKind::Unavailable) while another export of
    /// the name is at work, which the text names; [`Continuity`](outbox_core::StoreErrorKind::Continuity) when the log is not
    /// the one the name was exported from, or events were removed from it that the name had not seen.
    pub async fn export(&self, name: Option<&str>) -> Result<Export, StoreError> {
        self.store.check().await?;
        Export::begin(self, name).await
    }

    /// Counts the events by table, topic, tenant and operation, in that order.
    ///
    /// One statement that reads all of the log above [`ChangeLog::after`], for 5 minutes at most: no writer waits, but cleanup
    /// does, and PostgreSQL's vacuum removes no row of any table that went meanwhile.
    ///
    /// # Errors
    ///
    /// [`StoreError`] as for [`Store::inspect`].
    pub async fn stats(&self) -> Result<Vec<Count>, StoreError> {
        self.store.inspect().await?;
        let mut counts = self.store.stats(self.after, &self.filter).await?;
        counts.sort_by(|one, other| {
            let key = |count: &Count| {
                (count.table.clone(), count.topic.clone(), count.tenant.clone(), count.operation.clone())
            };
            key(one).cmp(&key(other))
        });
        Ok(counts)
    }
}
