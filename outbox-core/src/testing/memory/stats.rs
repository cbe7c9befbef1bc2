//! Counts the events.

use std::collections::BTreeMap;
use std::ops::Bound::{Excluded, Unbounded};

use super::Tables;
use crate::event::{Event, Position};
use crate::filter::Filter;
use crate::store::Count;

impl Tables {
    pub(super) fn stats(&self, after: Position, filter: &Filter) -> Vec<Count> {
        let mut counts: BTreeMap<_, Count> = BTreeMap::new();
        let above = self.events.range((Excluded(after), Unbounded)).map(|(_, event)| event);
        for event in above.filter(|event| filter.passes(event)) {
            let operation = event.operation.map(|operation| operation.as_str().to_owned());
            let kind = (operation, event.aggregate_type.clone(), event.topic.clone(), event.tenant_id.clone());
            counts.entry(kind).and_modify(|count| add(count, event)).or_insert_with(|| first(event));
        }
        counts.into_values().collect()
    }
}

fn first(event: &Event) -> Count {
    Count {
        operation: event.operation.map(|operation| operation.as_str().to_owned()),
        table: event.aggregate_type.clone(),
        topic: event.topic.clone(),
        tenant: event.tenant_id.clone(),
        events: 1,
        first: Some(event.occurred_at),
        last: Some(event.occurred_at),
    }
}

fn add(count: &mut Count, event: &Event) {
    count.events += 1;
    count.first = count.first.min(Some(event.occurred_at));
    count.last = count.last.max(Some(event.occurred_at));
}
