//! Limits of the relay.

use std::ops::RangeInclusive;
use std::time::Duration;

use outbox_core::WakeMode;

use super::section::Section;
use crate::problem::{Placed, Problems};
use crate::quantity;

/// What one source says of the relay, and then what counts.
#[derive(Debug, Default)]
pub(crate) struct RelayLayer {
    name: Option<Placed<String>>,
    lease: Option<Placed<Duration>>,
    poll_max: Option<Placed<Duration>>,
    window_events: Option<Placed<u64>>,
    window_bytes: Option<Placed<u64>>,
    shutdown_timeout: Option<Placed<Duration>>,
    wake: Option<Placed<WakeMode>>,
}

/// Limits of the relay; `None` leaves the library's default.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Relay {
    /// Its name: a successor of the same name on the same host takes over at once.
    pub(crate) name: Option<String>,
    /// The length of its leases.
    pub(crate) lease: Option<Duration>,
    /// The longest pause between two reads of a quiet outbox.
    pub(crate) poll_max: Option<Duration>,
    /// At most so many events between read and acknowledgement.
    pub(crate) window_events: Option<usize>,
    /// At most so many bytes between read and acknowledgement.
    pub(crate) window_bytes: Option<u64>,
    /// How long a shutdown waits for what is in flight.
    pub(crate) shutdown_timeout: Option<Duration>,
    /// Whether writers wake it.
    pub(crate) wake: Option<WakeMode>,
}

impl RelayLayer {
    /// Takes one source's words.
    pub(crate) fn read(section: &mut dyn Section, problems: &mut Problems) -> Self {
        let mut duration = |key, range: RangeInclusive<Duration>| {
            section.text(key, problems)?.parse(problems, |text| within(&range, text))
        };
        let (second, hour) = (Duration::from_secs(1), Duration::from_hours(1));
        let lease = duration("lease", second..=hour);
        let poll_max = duration("poll_max", Duration::from_millis(1)..=hour);
        let shutdown_timeout = duration("shutdown_timeout", Duration::ZERO..=24 * hour);
        let wake = section.text("wake", problems).and_then(|wake| wake.parse(problems, wake_mode));
        Self {
            wake,
            name: section.text("name", problems).and_then(|name| name.parse(problems, name_of_anything)),
            lease,
            poll_max,
            shutdown_timeout,
            window_events: section.number("window_events", problems).and_then(|n| n.parse(problems, quantity::count)),
            window_bytes: section
                .text("window_bytes", problems)
                .and_then(|n| n.parse(problems, quantity::positive_size)),
        }
    }
}

impl Relay {
    /// Takes each setting from the first layer that has it.
    pub(crate) fn resolve(layers: [RelayLayer; 3], problems: &mut Problems) -> Self {
        let mut relay = Self::default();
        for layer in layers {
            relay.name = relay.name.or(layer.name.map(|name| name.value));
            relay.lease = relay.lease.or(layer.lease.map(|lease| lease.value));
            relay.poll_max = relay.poll_max.or(layer.poll_max.map(|poll| poll.value));
            relay.shutdown_timeout = relay.shutdown_timeout.or(layer.shutdown_timeout.map(|timeout| timeout.value));
            relay.wake = relay.wake.or(layer.wake.map(|wake| wake.value));
            relay.window_bytes = relay.window_bytes.or(layer.window_bytes.map(|bytes| bytes.value));
            if relay.window_events.is_none()
                && let Some(events) = layer.window_events
            {
                match usize::try_from(events.value) {
                    Ok(count) if count <= MOST_EVENTS => relay.window_events = Some(count),
                    _ => problems
                        .at(&events.place, format!("{} is too large; write at most {MOST_EVENTS}", events.value)),
                }
            }
        }
        relay
    }
}

/// A window of more events than this is a mistyped number.
const MOST_EVENTS: usize = 10_000_000;

fn wake_mode(text: &str) -> Result<WakeMode, String> {
    match text {
        "auto" => Ok(WakeMode::Auto),
        "poll" => Ok(WakeMode::Poll),
        "notify" => Ok(WakeMode::Notify),
        _ => Err(format!("`{text}` is no way to be woken; write auto, poll or notify")),
    }
}

fn within(range: &RangeInclusive<Duration>, text: &str) -> Result<Duration, String> {
    let duration = quantity::duration(text)?;
    if range.contains(&duration) {
        return Ok(duration);
    }
    Err(format!("`{text}` is out of range; write {:?} to {:?}", range.start(), range.end()))
}

/// A name that a person and a terminal can live with.
pub(super) fn name_of_anything(name: &str) -> Result<String, String> {
    if name.trim().is_empty() {
        return Err("the name is empty; write one".to_owned());
    }
    if name.chars().any(char::is_control) || name.chars().count() > 200 {
        return Err(
            "the name holds control characters or is longer than 200 characters; write a shorter, plain one".into()
        );
    }
    Ok(name.to_owned())
}
