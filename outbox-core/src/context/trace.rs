//! W3C Trace Context: what is a `traceparent`, and which is the current one.

use super::{TRACEPARENT, TRACESTATE};

/// The name of a header, in lower case where it is one of the recommendation's: they are the same in every case, and
/// written so.
pub(super) fn in_lower_case(name: String) -> String {
    let own = [TRACEPARENT, TRACESTATE].into_iter().find(|own| name.eq_ignore_ascii_case(own));
    own.map_or(name, str::to_owned)
}

/// Whether the text is a `traceparent` by section 3.2 of the recommendation: version, trace id, parent id and flags in
/// lower-case hexadecimal digits; a later version than 00 may have more behind them.
pub(super) fn is_traceparent(text: &str) -> bool {
    let mut parts = text.splitn(5, '-');
    let mut next = |digits: usize| parts.next().filter(|part| is_hex(part, digits));
    let (Some(version), Some(trace), Some(parent), Some(_flags)) = (next(2), next(32), next(16), next(2)) else {
        return false;
    };
    let is_known = |id: &str| id.bytes().any(|digit| digit != b'0');
    let may_go_on = !matches!(version, "00" | "ff");
    version != "ff" && is_known(trace) && is_known(parent) && (may_go_on || parts.next().is_none())
}

fn is_hex(part: &str, digits: usize) -> bool {
    part.len() == digits && part.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

/// The `traceparent` and `tracestate` of the active OpenTelemetry context, or else of the current `tracing` span.
#[cfg(feature = "opentelemetry")]
pub(super) fn current() -> Option<(String, String)> {
    use opentelemetry::Context;
    use tracing_opentelemetry::OpenTelemetrySpanExt as _;

    Context::map_current(of).or_else(|| of(&tracing::Span::current().context()))
}

#[cfg(feature = "opentelemetry")]
fn of(context: &opentelemetry::Context) -> Option<(String, String)> {
    use opentelemetry::trace::TraceContextExt as _;

    let span = context.span();
    let span = span.span_context();
    let parent = format!("00-{}-{}-{:02x}", span.trace_id(), span.span_id(), span.trace_flags());
    span.is_valid().then(|| (parent, span.trace_state().header()))
}
