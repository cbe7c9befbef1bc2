//! What a relay tells of itself as metrics, through the facade of the [`metrics`] crate.
//!
//! Install a recorder, such as that of `metrics-exporter-prometheus`, before the relay starts: it takes hold of its metrics
//! then. Without one they cost next to nothing. The program serves them on `/metrics` by itself.
//!
//! [`names`] holds every name, `docs/metrics.md` says what each answers. A label never holds a payload, a key, a topic or a
//! secret: there are as many series as subscriptions and words of this crate, whatever is published.
//!
//! Most are recorded once a batch. Lag and parked keys are known to the database alone, which is asked when somebody reads
//! them: see [`Observer`](crate::Observer).

pub mod names;
mod recorded;
mod subscription;

use metrics::{Counter, Gauge, Histogram, Key, Label, Level, Metadata, Unit, with_recorder};

pub(crate) use recorded::{
    Operation, cleaned, cleaning_troubled, database_error, identified, observed, publish_error, started, woken,
};
pub(crate) use subscription::SubscriptionMetrics;

/// Where the facade is told that a metric comes from.
const METADATA: Metadata<'static> = Metadata::new("outbox_relay", Level::INFO, Some("outbox_relay"));

/// One metric.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Metric {
    /// Its name.
    pub name: &'static str,
    /// How its values are to be read.
    pub kind: Kind,
    /// What is counted or measured.
    pub unit: Unit,
    /// The names of its labels, in order.
    pub labels: &'static [&'static str],
    /// What it says, in one sentence.
    pub help: &'static str,
}

/// How values of a metric are to be read.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Kind {
    /// Grows while the relay runs.
    Counter,
    /// Goes up and down.
    Gauge,
    /// Counts measurements by size; with the upper ends of the classes that suit it.
    Histogram(&'static [f64]),
}

impl Metric {
    pub(crate) fn counter(&self, values: &[&str]) -> Counter {
        with_recorder(|recorder| recorder.register_counter(&self.key(values), &METADATA))
    }

    pub(crate) fn gauge(&self, values: &[&str]) -> Gauge {
        with_recorder(|recorder| recorder.register_gauge(&self.key(values), &METADATA))
    }

    pub(crate) fn histogram(&self, values: &[&str]) -> Histogram {
        with_recorder(|recorder| recorder.register_histogram(&self.key(values), &METADATA))
    }

    fn key(&self, values: &[&str]) -> Key {
        debug_assert_eq!(self.labels.len(), values.len(), "{} has the labels {:?}", self.name, self.labels);
        let labels = self.labels.iter().zip(values).map(|(name, value)| Label::new(*name, (*value).to_owned()));
        Key::from_parts(self.name, labels.collect::<Vec<_>>())
    }
}

/// Tells the recorder what each metric means. A relay does it when it starts.
pub fn describe() {
    with_recorder(|recorder| {
        for Metric { name, kind, unit, help, .. } in names::ALL {
            let (name, unit) = ((*name).into(), Some(*unit));
            match kind {
                Kind::Counter => recorder.describe_counter(name, unit, (*help).into()),
                Kind::Gauge => recorder.describe_gauge(name, unit, (*help).into()),
                Kind::Histogram(_) => recorder.describe_histogram(name, unit, (*help).into()),
            }
        }
    });
}

#[cfg(test)]
mod tests;
