//! Context: what holds for every event of a transaction.
//!
//! An adapter's `with_context` gives a handle that stamps each event it writes, in the transaction itself and in every
//! savepoint of it. What an event says itself stands.

mod headers;
mod trace;

use std::borrow::Cow;
use std::fmt;

use self::headers::Headers;
use crate::capture::NewEvent;
use crate::event::Event;

/// The header that names the span an event was caused in, by [W3C Trace Context](https://www.w3.org/TR/trace-context/).
pub const TRACEPARENT: &str = "traceparent";

/// The header of vendors' additions to [`TRACEPARENT`].
pub const TRACESTATE: &str = "tracestate";

/// The header whose value all events of one business case share.
pub const CORRELATION_ID: &str = "correlationid";

/// The header that names the event or request which an event is the consequence of.
pub const CAUSATION_ID: &str = "causationid";

/// Whose data it is, who acts, and which headers every event of a transaction carries; empty by default.
///
/// Where an event brings a tenant, an actor or a header of the same name, its own stands. An event whose own headers are
/// not a JSON object keeps them as they are, without those of the context: the transaction goes on, and the relay sets
/// such an event aside with its reason.
///
/// With the feature `opentelemetry` each event also carries the trace context of the span it is captured in, unless the
/// context or the event brings a [`TRACEPARENT`].
///
/// # Examples
///
/// ```
/// use outbox_core::{Context, NewEvent};
///
/// let context = Context::new().tenant("acme").actor("ann").correlation_id("order-7").header("region", "eu");
/// let event = context.stamp(NewEvent::new("shop.orders", "7"));
/// assert_eq!(event.tenant_id.as_deref(), Some("acme"));
/// assert_eq!(event.headers.as_deref(), Some(r#"{"correlationid":"order-7","region":"eu"}"#));
/// ```
#[derive(Clone, Default, PartialEq, Eq)]
#[must_use]
pub struct Context {
    tenant: Option<String>,
    actor: Option<String>,
    headers: Headers,
}

impl Context {
    /// A context that adds nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets whose data it is.
    pub fn tenant(mut self, tenant: impl Into<String>) -> Self {
        self.tenant = Some(tenant.into());
        self
    }

    /// Sets who acts.
    pub fn actor(mut self, actor: impl Into<String>) -> Self {
        self.actor = Some(actor.into());
        self
    }

    /// Sets [`CORRELATION_ID`].
    pub fn correlation_id(self, id: impl Into<String>) -> Self {
        self.header(CORRELATION_ID, id)
    }

    /// Sets [`CAUSATION_ID`].
    pub fn causation_id(self, id: impl Into<String>) -> Self {
        self.header(CAUSATION_ID, id)
    }

    /// Says that what follows is a consequence of an event: its id becomes [`CAUSATION_ID`], and [`CORRELATION_ID`] is
    /// taken over from it. Where it has none, its id begins one.
    pub fn caused_by(self, cause: &Event) -> Self {
        let id = cause.event_id.to_string();
        let correlation = cause.header(CORRELATION_ID).unwrap_or_else(|| id.clone());
        self.causation_id(id).correlation_id(correlation)
    }

    /// Sets [`TRACEPARENT`], as it came with the request.
    ///
    /// A value that is not one is ignored, as its standard asks for: a caller's broken header is no reason to fail, and
    /// passed on it would break the trace of everybody behind.
    pub fn traceparent(self, value: impl Into<String>) -> Self {
        self.header(TRACEPARENT, value)
    }

    /// Sets [`TRACESTATE`], which goes along with a traceparent and never alone; an empty one stands for none.
    pub fn tracestate(self, value: impl Into<String>) -> Self {
        self.header(TRACESTATE, value)
    }

    /// Sets a header; [`TRACEPARENT`] and [`TRACESTATE`], in any case, as the methods of their names do.
    pub fn header(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        let (name, value) = (trace::in_lower_case(name.into()), value.into());
        match name.as_str() {
            TRACEPARENT if !trace::is_traceparent(&value) => {}
            TRACESTATE if value.is_empty() => self.headers.remove(TRACESTATE),
            _ => self.headers.set(name, &value),
        }
        self
    }

    /// The context as it is at this moment: with the feature `opentelemetry`, and if it has no traceparent of its own,
    /// that of the current span is added.
    ///
    /// An adapter calls it once per call of its own, before the first await.
    pub fn now(&self) -> Cow<'_, Self> {
        #[cfg(feature = "opentelemetry")]
        if !self.headers.has(TRACEPARENT)
            && let Some((parent, state)) = trace::current()
        {
            return Cow::Owned(self.clone().traceparent(parent).tracestate(state));
        }
        Cow::Borrowed(self)
    }

    /// The event with what it does not say itself.
    pub fn stamp<'a>(&'a self, event: NewEvent<'a>) -> NewEvent<'a> {
        NewEvent {
            tenant_id: event.tenant_id.or_else(|| self.tenant.as_deref().map(Cow::Borrowed)),
            actor: event.actor.or_else(|| self.actor.as_deref().map(Cow::Borrowed)),
            headers: self.headers.beside(event.headers),
            ..event
        }
    }
}

/// Shows the names of the headers alone: their values may be anything, secrets too.
impl fmt::Debug for Context {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<_> = self.headers.names().collect();
        f.debug_struct("Context")
            .field("tenant", &self.tenant)
            .field("actor", &self.actor)
            .field("headers", &names)
            .finish()
    }
}

#[cfg(test)]
mod tests;
