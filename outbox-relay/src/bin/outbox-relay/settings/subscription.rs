//! A subscription's settings.

use std::time::Duration;

use outbox_core::checkpoint::{RESERVED, is_reserved};
use outbox_core::partition::MAX_PARTITIONS;
use outbox_core::{Filter, Start};
use outbox_relay::{Retry, Then};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::filter;
use super::publisher::PublisherUrl;
use super::relay::name_of_anything;
use super::section::Section;
use crate::problem::{Place, Placed, Problems};
use crate::quantity;

/// A subscription's settings.
#[derive(Debug, Clone)]
pub(crate) struct Subscription {
    /// Its name, with the place it was written at.
    pub(crate) name: Placed<String>,
    /// Where it publishes.
    pub(crate) publisher: Placed<PublisherUrl>,
    /// What it wants.
    pub(crate) filter: Filter,
    /// Where it begins.
    pub(crate) start: Start,
    /// Into how many partitions its keys fall; `None` keeps the number there is.
    pub(crate) partitions: Option<u32>,
    /// Whether it reads in position order.
    pub(crate) strict_order: bool,
    /// When it tries again.
    pub(crate) retry: Retry,
    /// How long a call of its publisher may take.
    pub(crate) call_timeout: Option<Duration>,
}

/// Reads one subscription; every key is looked at even where an earlier one is wrong.
pub(crate) fn read(section: &mut dyn Section, problems: &mut Problems) -> Option<Subscription> {
    let name = section.text("name", problems).and_then(|name| name.parse(problems, name_of_subscription));
    let start = parsed(section, "start", problems, start);
    let strict_order = parsed(section, "order", problems, strict_order);
    let _: Option<Placed<()>> = parsed(section, "envelope", problems, envelope);
    let partitions =
        section.number("partitions", problems).and_then(|partitions| partitions.parse(problems, number_of_partitions));
    let filter = section.group("filter", problems).map(|mut group| {
        let filter = filter::read(&mut *group, problems);
        group.finish(problems);
        filter
    });
    let retry = section.group("retry", problems).map(|mut group| retry(&mut *group, problems));
    let call_timeout = parsed(section, "call_timeout", problems, quantity::positive_duration);
    let publisher = section.group("publisher", problems).and_then(|mut group| {
        let url = group.text("url", problems).and_then(|url| url.parse(problems, PublisherUrl::parse));
        group.finish(problems);
        url
    });
    section.finish(problems);
    Some(Subscription {
        name: name?,
        publisher: publisher?,
        filter: filter.unwrap_or_default(),
        start: start.map(|start| start.value).unwrap_or_default(),
        partitions: partitions.map(|partitions| partitions.value),
        strict_order: strict_order.is_some_and(|strict| strict.value),
        retry: retry.unwrap_or_default(),
        call_timeout: call_timeout.map(|limit| limit.value),
    })
}

fn parsed<T>(
    section: &mut dyn Section,
    key: &'static str,
    problems: &mut Problems,
    parse: impl FnOnce(&str) -> Result<T, String>,
) -> Option<Placed<T>> {
    section.text(key, problems)?.parse(problems, parse)
}

fn name_of_subscription(name: &str) -> Result<String, String> {
    let name = name_of_anything(name)?;
    if is_reserved(&name) { Err(RESERVED.to_owned()) } else { Ok(name) }
}

fn start(text: &str) -> Result<Start, String> {
    let say = |what: &str| {
        format!(
            "`{text}` is not a {what}; write beginning, now, position:N (such as position:1200) or time:RFC3339 (such as time:2026-01-31T12:00:00Z)"
        )
    };
    match text.split_once(':') {
        None if text == "beginning" => Ok(Start::Beginning),
        None if text == "now" => Ok(Start::Now),
        Some(("position", position)) => {
            position.parse().ok().filter(|position| *position >= 0).map(Start::Position).ok_or_else(|| say("position"))
        }
        Some(("time", at)) => OffsetDateTime::parse(at, &Rfc3339).map(Start::Time).map_err(|_| say("time")),
        _ => Err(say("start")),
    }
}

fn strict_order(text: &str) -> Result<bool, String> {
    match text {
        // With `lock` it is the writers who wait for one another; what they have written is read like any other.
        "key" | "lock" => Ok(false),
        "strict" => Ok(true),
        _ => Err(format!("`{text}` is not an order; write key, lock or strict")),
    }
}

fn envelope(text: &str) -> Result<(), String> {
    match text {
        "cloudevents" => Ok(()),
        "debezium" | "raw" => Err(format!("`{text}` is not in this version; write cloudevents")),
        _ => Err(format!("`{text}` is not an envelope; write cloudevents")),
    }
}

fn number_of_partitions(text: &str) -> Result<u32, String> {
    let number = text.parse().ok().filter(|number| (1..=MAX_PARTITIONS).contains(number));
    number.ok_or_else(|| format!("{text} partitions cannot be; write 1 to {MAX_PARTITIONS}"))
}

fn retry(section: &mut dyn Section, problems: &mut Problems) -> Retry {
    let first = parsed(section, "first", problems, quantity::positive_duration);
    let max = parsed(section, "max", problems, quantity::positive_duration);
    let attempts = section.number("attempts", problems).and_then(|n| n.parse(problems, attempts));
    let budget = parsed(section, "budget", problems, quantity::positive_duration);
    let then = parsed(section, "then", problems, then);
    let max_parked = section.number("max_parked", problems).and_then(|n| n.parse(problems, quantity::count));
    let max_parked_keys = section.number("max_parked_keys", problems).and_then(|n| n.parse(problems, quantity::count));
    section.finish(problems);
    let default = Retry::default();
    let place = first.as_ref().or(max.as_ref()).map(|placed| placed.place.clone());
    let retry = Retry {
        first: first.map_or(default.first, |first| first.value),
        max: max.map_or(default.max, |max| max.value),
        attempts: attempts.map_or(default.attempts, |attempts| attempts.value),
        budget: budget.map_or(default.budget, |budget| budget.value),
        then: then.map_or(default.then, |then| then.value),
        max_parked: max_parked.map_or(default.max_parked, |most| most.value),
        max_parked_keys: max_parked_keys.map_or(default.max_parked_keys, |most| most.value),
    };
    if let Some(place) = place.filter(|_| retry.first > retry.max) {
        problems.at(
            &place,
            format!("retry.first ({:?}) is longer than retry.max ({:?}); write it shorter", retry.first, retry.max),
        );
    }
    retry
}

fn attempts(text: &str) -> Result<u32, String> {
    u32::try_from(quantity::count(text)?).map_err(|_| format!("{text} is too large; write at most {}", u32::MAX))
}

fn then(text: &str) -> Result<Then, String> {
    match text {
        "park" => Ok(Then::Park),
        "skip" => Ok(Then::Skip),
        "block" => Ok(Then::Block),
        _ => Err(format!("`{text}` is not an end of retries; write park, skip or block")),
    }
}

/// Refuses subscriptions that would share a checkpoint or a file.
pub(crate) fn refuse_contradictions(subscriptions: &[Subscription], problems: &mut Problems) {
    let at = |place: &Place| place.to_string();
    for (index, later) in subscriptions.iter().enumerate() {
        for earlier in &subscriptions[..index] {
            if earlier.name.value == later.name.value {
                let first = at(&earlier.name.place);
                problems.at(
                    &later.name.place,
                    format!("two subscriptions are called `{}`, the other at {first}", later.name.value),
                );
            }
            let file = later.publisher.value.file_written();
            if file.is_some() && file == earlier.publisher.value.file_written() {
                let first = at(&earlier.publisher.place);
                problems.at(
                    &later.publisher.place,
                    format!("two subscriptions write to the same file, the other at {first}; give each its own"),
                );
            }
        }
    }
}
