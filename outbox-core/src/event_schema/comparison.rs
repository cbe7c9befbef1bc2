//! The walk through two schemas of one version, side by side.

mod keywords;

use serde_json::Value;

use super::definitions::Definitions;
use super::difference::{Breaks, Difference};
use super::forms::{Form, forms};
use super::rules::DIGEST;
use crate::image::REDACTED;

const CHANGE_BACK: &str = "change it back";

/// What differs between a committed schema and the new one.
pub(super) fn differences(committed: &Value, new: &Value) -> Vec<Difference> {
    let mut walk =
        Walk { committed: Definitions::of(committed), new: Definitions::of(new), open: Vec::new(), found: Vec::new() };
    walk.schemas("", committed, new);
    walk.found
}

struct Walk {
    committed: Definitions,
    new: Definitions,
    /// The pairs on the way to the present one: a type that holds itself ends there.
    open: Vec<(Value, Value)>,
    found: Vec<Difference>,
}

impl Walk {
    fn note(&mut self, path: &str, change: impl Into<String>, breaks: Breaks, remedy: &'static str) {
        self.found.push(Difference { path: path.to_owned(), change: change.into(), breaks, remedy });
    }

    fn schemas(&mut self, path: &str, old: &Value, new: &Value) {
        self.compare(path, old, new, |_| true);
    }

    /// The same for a field: whether it may be null is told with whether it may be absent.
    fn fields(&mut self, path: &str, old: &Value, new: &Value) {
        self.compare(path, old, new, |form| !form.is_null());
    }

    fn compare(&mut self, path: &str, old: &Value, new: &Value, counts: fn(&Form) -> bool) {
        let pair = (old.clone(), new.clone());
        if self.open.contains(&pair) {
            return;
        }
        self.open.push(pair);
        let (mut old, mut new) = (forms(old, &self.committed), forms(new, &self.new));
        old.retain(counts);
        new.retain(counts);
        let (was, is) = (protection(&old), protection(&new));
        if was == is {
            self.forms(path, &old, &new);
        } else {
            self.note(path, format!("was {was} and is {is}"), Breaks::Both, "leave its protection as it was");
        }
        self.open.pop();
    }

    fn forms(&mut self, path: &str, old: &[Form], new: &[Form]) {
        let (old, new) = (labelled(old), labelled(new));
        let (gone, come) = (without_partner(&old, &new), without_partner(&new, &old));
        match (gone.is_empty(), come.is_empty()) {
            (false, false) if gone.len() == old.len() && come.len() == new.len() => {
                let change = format!("was {} and is {}", either(&gone), either(&come));
                self.note(path, change, Breaks::Both, CHANGE_BACK);
                return;
            }
            (false, _) => self.note(path, format!("is never {} any more", either(&gone)), Breaks::Replays, CHANGE_BACK),
            (true, _) => {}
        }
        if !come.is_empty() {
            self.note(path, format!("may be {} now", either(&come)), Breaks::Readers, CHANGE_BACK);
        }
        for (label, form) in &old {
            if let Some((_, partner)) = new.iter().find(|(other, _)| other == label) {
                self.keywords(path, form, partner);
            }
        }
    }
}

/// How a value is protected.
fn protection(forms: &[Form]) -> &'static str {
    let is_digest = |form: &Form| form.0.get("pattern").is_some_and(|pattern| pattern == DIGEST);
    let is_redacted = |form: &Form| form.0.get("const").is_some_and(|constant| constant == REDACTED);
    if forms.iter().any(is_redacted) {
        "redacted"
    } else if forms.iter().any(is_digest) {
        "hashed"
    } else {
        "plain"
    }
}

/// The forms with their labels; where one label would be given twice, their order tells them apart.
fn labelled(forms: &[Form]) -> Vec<(String, &Form)> {
    let mut labelled: Vec<(String, &Form)> = Vec::new();
    for form in forms {
        let label = form.label();
        let twins = labelled.iter().filter(|(other, _)| other.trim_end_matches('\'') == label).count();
        labelled.push((label + &"'".repeat(twins), form));
    }
    labelled
}

fn without_partner<'a>(forms: &[(String, &'a Form)], others: &[(String, &Form)]) -> Vec<&'a Form> {
    let is_alone = |label: &String| !others.iter().any(|(other, _)| other == label);
    forms.iter().filter(|(label, _)| is_alone(label)).map(|(_, form)| *form).collect()
}

/// The forms in words.
fn either(forms: &[&Form]) -> String {
    let words: Vec<String> = forms.iter().map(|form| form.words()).collect();
    words.join(" or ")
}
