//! A recorder of metrics that a test asks what was recorded, and whether it ever was more than nothing.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use metrics::{
    Counter, CounterFn, Gauge, GaugeFn, Histogram, HistogramFn, Key, KeyName, Metadata, Recorder, SharedString, Unit,
};

/// What was recorded. Clones share it.
#[derive(Debug, Clone, Default)]
pub struct Recorded(Arc<Mutex<BTreeMap<String, Series>>>);

/// One series, by its name and its labels.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Series {
    /// The name of the metric.
    pub name: String,
    /// The names of its labels, in order.
    pub labels: Vec<String>,
    /// Its value now; of measurements the sum.
    pub value: f64,
    /// Its largest value so far.
    pub largest: f64,
}

impl Recorded {
    /// All series, each written as Prometheus does.
    pub fn all(&self) -> BTreeMap<String, Series> {
        self.lock().clone()
    }

    /// The value of a series; `None` where nobody has looked it up.
    pub fn value(&self, series: &str) -> Option<f64> {
        self.lock().get(series).map(|series| series.value)
    }

    /// The largest value that any series of a metric has had.
    pub fn largest(&self, name: &str) -> f64 {
        self.lock().values().filter(|series| series.name == name).fold(0.0, |most, series| most.max(series.largest))
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Series>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn handle(&self, key: &Key) -> Arc<Handle> {
        let labels: Vec<_> = key.labels().map(|label| format!("{}=\"{}\"", label.key(), label.value())).collect();
        let written =
            if labels.is_empty() { key.name().to_owned() } else { format!("{}{{{}}}", key.name(), labels.join(",")) };
        let labels = key.labels().map(|label| label.key().to_owned()).collect();
        let new = || Series { name: key.name().to_owned(), labels, ..Series::default() };
        self.lock().entry(written.clone()).or_insert_with(new);
        Arc::new(Handle { recorded: self.clone(), series: written })
    }
}

impl Recorder for Recorded {
    fn describe_counter(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

    fn describe_gauge(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

    fn describe_histogram(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

    fn register_counter(&self, key: &Key, _: &Metadata<'_>) -> Counter {
        Counter::from_arc(self.handle(key))
    }

    fn register_gauge(&self, key: &Key, _: &Metadata<'_>) -> Gauge {
        Gauge::from_arc(self.handle(key))
    }

    fn register_histogram(&self, key: &Key, _: &Metadata<'_>) -> Histogram {
        Histogram::from_arc(self.handle(key))
    }
}

/// What the code under test records one series with.
struct Handle {
    recorded: Recorded,
    series: String,
}

impl Handle {
    fn change(&self, change: impl FnOnce(f64) -> f64) {
        if let Some(series) = self.recorded.lock().get_mut(&self.series) {
            series.value = change(series.value);
            series.largest = series.largest.max(series.value);
        }
    }
}

#[expect(clippy::cast_precision_loss, reason = "no test counts that far")]
impl CounterFn for Handle {
    fn increment(&self, by: u64) {
        self.change(|value| value + by as f64);
    }

    fn absolute(&self, at_least: u64) {
        self.change(|value| value.max(at_least as f64));
    }
}

impl GaugeFn for Handle {
    fn increment(&self, by: f64) {
        self.change(|value| value + by);
    }

    fn decrement(&self, by: f64) {
        self.change(|value| value - by);
    }

    fn set(&self, to: f64) {
        self.change(|_| to);
    }
}

impl HistogramFn for Handle {
    fn record(&self, measured: f64) {
        self.change(|sum| sum + measured);
    }
}
