//! A subscription: one independent reader of the outbox.

use std::sync::Arc;
use std::time::Duration;

use outbox_core::{Filter, Publisher, Start};

use crate::retry::Retry;

/// How long a call of the publisher may take where nothing else was said.
const CALL_TIMEOUT: Duration = Duration::from_mins(1);

/// One independent reader of the outbox: its name, filter, publisher and checkpoint.
#[derive(Clone)]
pub struct Subscription {
    pub(crate) name: String,
    pub(crate) publisher: Arc<dyn Publisher>,
    pub(crate) filter: Filter,
    pub(crate) start: Start,
    pub(crate) partitions: Option<u32>,
    pub(crate) strict_order: bool,
    pub(crate) retry: Retry,
    pub(crate) call_timeout: Duration,
}

impl Subscription {
    /// A subscription from the beginning of the log to `publisher`, with all events.
    ///
    /// The name is the key of its checkpoint: under another name it begins anew.
    pub fn new(name: impl Into<String>, publisher: impl Publisher) -> Self {
        Self::shared(name, Arc::new(publisher))
    }

    /// The same with a publisher that is chosen at run time or used elsewhere too.
    pub fn shared(name: impl Into<String>, publisher: Arc<dyn Publisher>) -> Self {
        Self {
            name: name.into(),
            publisher,
            filter: Filter::default(),
            start: Start::default(),
            partitions: None,
            strict_order: false,
            retry: Retry::default(),
            call_timeout: CALL_TIMEOUT,
        }
    }

    /// Which events it wants; default all.
    pub fn filter(mut self, filter: Filter) -> Self {
        self.filter = filter;
        self
    }

    /// The topics it wants, with `*` for any characters and `?` for one; default all.
    pub fn topics<T: Into<String>>(mut self, topics: impl IntoIterator<Item = T>) -> Self {
        self.filter.topics = topics.into_iter().map(Into::into).collect();
        self
    }

    /// Where it begins if it has no checkpoint yet; default [`Start::Beginning`].
    pub fn start(mut self, start: Start) -> Self {
        self.start = start;
        self
    }

    /// Into how many partitions its keys fall, which relays of the same subscription share; 1 to 256. Where nothing is said
    /// here, a subscription keeps the number it has, and a new one has 1.
    ///
    /// Another number than the one it has is asked for when the relay starts, and the one that was asked for last holds;
    /// see [`outbox_core::partition`]. On SQLite one relay works them all.
    pub fn partitions(mut self, partitions: u32) -> Self {
        self.partitions = Some(partitions);
        self
    }

    /// Reads strictly in position order: an open writer then delays every event behind its own. Default off.
    ///
    /// It gives writers of one key that lock nothing in common the order of their positions.
    pub fn strict_order(mut self, strict: bool) -> Self {
        self.strict_order = strict;
        self
    }

    /// How often and how long an event is tried; default [`Retry::default`].
    pub fn retry(mut self, retry: Retry) -> Self {
        self.retry = retry;
        self
    }

    /// How long one call of the publisher may take, after which it is given up and made again; default 1 minute.
    ///
    /// No event is to blame for that, and none loses an attempt. What the far side did with the call nobody knows: it may
    /// hold the events already, which then come to it again.
    pub fn call_timeout(mut self, limit: Duration) -> Self {
        self.call_timeout = limit;
        self
    }
}
