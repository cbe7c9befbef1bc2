//! The table of one bench: every round, the medians, the goals.

use std::fmt;

use crate::measure::median;

/// A row of figures, one a round.
struct Series {
    variant: &'static str,
    unit: &'static str,
    rounds: Vec<f64>,
}

/// What one bench has found out.
pub(crate) struct Table {
    title: String,
    series: Vec<Series>,
    goals: Vec<String>,
}

impl Table {
    /// An empty table.
    pub(crate) fn new(title: impl Into<String>) -> Self {
        Self { title: title.into(), series: Vec::new(), goals: Vec::new() }
    }

    /// Adds the next round's figure.
    pub(crate) fn record(&mut self, variant: &'static str, unit: &'static str, figure: f64) {
        match self.series.iter_mut().find(|series| series.variant == variant && series.unit == unit) {
            Some(series) => series.rounds.push(figure),
            None => self.series.push(Series { variant, unit, rounds: vec![figure] }),
        }
    }

    /// The median of a variant's rounds.
    pub(crate) fn median(&self, variant: &str, unit: &str) -> f64 {
        median(self.rounds(variant, unit))
    }

    /// How many times another variant's figure a variant's is: the median of the rounds' ratios, which a machine that
    /// grows slower from round to round does not blur.
    pub(crate) fn ratio(&self, variant: &str, other: &str, unit: &str) -> f64 {
        let pairs = self.rounds(variant, unit).iter().zip(self.rounds(other, unit));
        median(&pairs.map(|(figure, other)| figure / other).collect::<Vec<_>>())
    }

    /// How many times another cost a cost is, each what a variant takes beyond one without it: the median of the rounds'
    /// ratios.
    pub(crate) fn ratio_of_costs(&self, cost: (&str, &str), other: (&str, &str), unit: &str) -> f64 {
        let costs = |(with, without): (&str, &str)| -> Vec<f64> {
            let pairs = self.rounds(with, unit).iter().zip(self.rounds(without, unit));
            pairs.map(|(with, without)| with - without).collect()
        };
        let ratios: Vec<f64> = costs(cost).iter().zip(costs(other)).map(|(cost, other)| cost / other).collect();
        median(&ratios)
    }

    fn rounds(&self, variant: &str, unit: &str) -> &[f64] {
        let found = self.series.iter().find(|series| series.variant == variant && series.unit == unit);
        found.map_or(&[], |series| &series.rounds)
    }

    /// Judges a figure that shall be large.
    pub(crate) fn at_least(&mut self, what: &str, found: f64, goal: f64) {
        self.judge(what, found, '≥', goal, found >= goal);
    }

    /// Judges a figure that shall be small.
    pub(crate) fn at_most(&mut self, what: &str, found: f64, goal: f64) {
        self.judge(what, found, '≤', goal, found <= goal);
    }

    fn judge(&mut self, what: &str, found: f64, sign: char, goal: f64, reached: bool) {
        let word = if reached { "PASS" } else { "below" };
        self.goals.push(format!("{word:5}  {what}: {} (goal {sign} {})", figure(found), figure(goal)));
    }

    /// Adds a line that judges nothing.
    pub(crate) fn note(&mut self, what: &str, found: f64) {
        self.goals.push(format!("       {what}: {}", figure(found)));
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let width = self.series.iter().map(|series| series.variant.chars().count()).max().unwrap_or_default();
        let unit_width = self.series.iter().map(|series| series.unit.chars().count()).max().unwrap_or_default();
        let rounds = self.series.iter().map(|series| series.rounds.len()).max().unwrap_or_default();
        writeln!(f, "\n{}\n", self.title)?;
        write!(f, "{:width$}  {:unit_width$}", "", "")?;
        for round in 1..=rounds {
            write!(f, "  {:>10}", format!("round {round}"))?;
        }
        writeln!(f, "  {:>10}", "median")?;
        for Series { variant, unit, rounds } in &self.series {
            write!(f, "{variant:width$}  {unit:unit_width$}")?;
            for round in rounds.iter().chain([&median(rounds)]) {
                write!(f, "  {:>10}", figure(*round))?;
            }
            writeln!(f)?;
        }
        writeln!(f)?;
        self.goals.iter().try_for_each(|goal| writeln!(f, "{goal}"))
    }
}

/// Three digits or so, whatever the size.
fn figure(value: f64) -> String {
    match value.abs() {
        large if large >= 1000.0 => grouped(value),
        middle if middle >= 100.0 => format!("{value:.0}"),
        small if small >= 10.0 => format!("{value:.1}"),
        _ => format!("{value:.2}"),
    }
}

/// A whole number with a comma between each three digits.
fn grouped(value: f64) -> String {
    let digits = format!("{value:.0}");
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) && !text.ends_with('-') {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_short() {
        let shown = [0.634, 2.0, 35.84, 411.2, 1_000.4, 214_000.0, -1_234_567.0].map(figure);
        assert_eq!(shown, ["0.63", "2.00", "35.8", "411", "1,000", "214,000", "-1,234,567"]);
    }

    #[test]
    fn ratios_are_taken_round_by_round() {
        let mut table = Table::new("");
        for (relay, bare) in [(50.0, 100.0), (6.0, 10.0), (1.0, 1.0)] {
            table.record("relay", "events/s", relay);
            table.record("bare", "events/s", bare);
        }
        assert!((table.ratio("relay", "bare", "events/s") - 0.6).abs() < 1e-9);
        assert!((table.ratio_of_costs(("bare", "relay"), ("relay", "bare"), "events/s") + 1.0).abs() < 1e-9);
        table.at_least("relay / bare", 0.6, 0.6);
        table.at_most("relay", 6.0, 5.0);
        let shown = table.to_string();
        assert!(shown.contains("PASS   relay / bare: 0.60 (goal ≥ 0.60)"), "{shown}");
        assert!(shown.contains("below  relay: 6.00 (goal ≤ 5.00)"), "{shown}");
    }
}
