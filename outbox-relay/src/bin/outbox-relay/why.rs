//! Why something is not being published, in plain words, from what `status` knows.

use std::collections::BTreeMap;

use outbox_core::continuity::Continuity;
use outbox_core::dead_letter::Letter;
use outbox_core::status::{
    HoleStatus, PartitionStatus, REPORTED_HOLES, RelayStatus, SegmentStatus, Status, SubscriptionStatus, how_to_end,
};
use serde::Serialize;

use crate::quantity::age;
use crate::table::counted;

/// So many holes, and dead letters, of a subscription are told of one by one.
const SHOWN: usize = 3;

/// Why one subscription publishes nothing, or less than there is.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Answer {
    /// Whose answer it is: a subscription, or the log.
    pub(crate) subject: String,
    /// Whether anything is to be done.
    pub(crate) is_well: bool,
    /// What is the matter, the nearest cause first.
    pub(crate) reasons: Vec<Reason>,
}

/// One thing that is the matter.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Reason {
    /// What is the matter.
    pub(crate) what: String,
    /// What to do about it, if anything.
    pub(crate) remedy: Option<String>,
}

impl Reason {
    fn of(what: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { what: what.into(), remedy: Some(remedy.into()) }
    }
}

/// The dead letters that are to be decided about, by subscription.
pub(crate) type Letters = BTreeMap<String, Vec<Letter>>;

/// Answers for the subscription of that name, or for all of them and the log.
pub(crate) fn answers(status: &Status, letters: &Letters, subscription: Option<&str>) -> Vec<Answer> {
    let asked = |name: &str| subscription.is_none_or(|asked| asked == name);
    let mut answers: Vec<Answer> = status
        .subscriptions
        .iter()
        .filter(|subscription| asked(&subscription.name))
        .map(|subscription| {
            let letters = letters.get(&subscription.name).map_or(&[][..], Vec::as_slice);
            let mut answer = answer(subscription, &status.relays, letters);
            if let Some(broken) = status.continuity.as_ref().and_then(|known| another_log(known, &subscription.name)) {
                answer.tell_first(broken);
            }
            answer
        })
        .collect();
    if let Some(why) = status.continuity.as_ref().and_then(|known| known.refused.as_ref()) {
        let remedy = "run `outbox-relay adopt` if this is no copy, or is meant to publish";
        let reasons = vec![Reason::of(why.clone(), remedy)];
        answers.insert(0, Answer { subject: "database".to_owned(), is_well: false, reasons });
    }
    if subscription.is_none() {
        answers.extend(log(&status.log.segments));
    }
    answers
}

/// What says that the log is not the one that a subscription has read.
fn another_log(known: &Continuity, subscription: &str) -> Option<Reason> {
    let (_, broken) = known.subscriptions().find(|(name, _)| *name == subscription)?;
    let broken = broken?;
    let remedy = "bring the newer database back if there is one; else run `outbox-relay repair --plan`";
    Some(Reason::of(format!("the log is not the one it knows: {broken}"), remedy))
}

impl Answer {
    /// Puts a reason before all others, of which a word that all is well is none.
    fn tell_first(&mut self, reason: Reason) {
        if std::mem::take(&mut self.is_well) {
            self.reasons.clear();
        }
        self.reasons.insert(0, reason);
    }
}

fn answer(subscription: &SubscriptionStatus, relays: &[RelayStatus], letters: &[Letter]) -> Answer {
    let mut reasons = Vec::new();
    reasons.extend(paused(subscription));
    reasons.extend(state(subscription, relays));
    if subscription.parked_events > 0 {
        reasons.push(blocked(subscription));
        reasons.extend(letters.iter().take(SHOWN).map(refused));
    }
    // Where nothing goes on the state has said so.
    let others = if subscription.state == "blocked" { "" } else { "; all other events go on" };
    reasons.extend(subscription.holes.iter().take(SHOWN).map(|each| hole(each, others)));
    if subscription.holes.len() > SHOWN {
        let more = counted((subscription.holes.len() - SHOWN) as u64, "hole");
        let at_least = if subscription.holes.len() >= REPORTED_HOLES { "at least " } else { "" };
        reasons.push(Reason { what: format!("and {at_least}{more} more"), remedy: None });
    }
    let is_well = reasons.is_empty();
    if is_well {
        reasons.push(Reason { what: progress(subscription), remedy: None });
    }
    Answer { subject: format!("subscription {}", subscription.name), is_well, reasons }
}

/// Events that will not pass, with the command that names them.
fn blocked(subscription: &SubscriptionStatus) -> Reason {
    let (events, keys) = (counted(subscription.parked_events, "event"), counted(subscription.parked_keys, "key"));
    let name = &subscription.name;
    Reason::of(
        format!("{events} of {keys} will not pass, or wait behind one that does not; other keys go on"),
        format!(
            "see which and why: outbox-relay dead-letters list --subscription {name}; mend the cause, then requeue, skip or \
             discard"
        ),
    )
}

/// One event that does not pass.
fn refused(letter: &Letter) -> Reason {
    let key = if letter.key.is_empty() { "without a key".to_owned() } else { format!("of key `{}`", letter.key) };
    let times = counted(letter.attempts.into(), "attempt");
    Reason { what: format!("position {} {key}, after {times}: {}", letter.position, letter.reason), remedy: None }
}

/// That an operator paused it, or that one lets it go on and its relay has not seen it yet.
fn paused(subscription: &SubscriptionStatus) -> Option<Reason> {
    match &subscription.paused {
        Some(note) => Some(Reason::of(
            format!("it is paused ({note})"),
            format!("outbox-relay resume --subscription {}", subscription.name),
        )),
        None if subscription.state == "paused" => {
            Some(Reason { what: "it was paused; its relay goes on with its next heartbeat".to_owned(), remedy: None })
        }
        None => None,
    }
}

/// What the state of a subscription says of it.
fn state(subscription: &SubscriptionStatus, relays: &[RelayStatus]) -> Option<Reason> {
    let error = subscription.last_error.as_deref();
    // What a finished relay last said of blocked events is told by them.
    let told_by_them = |error: &str| subscription.parked_events > 0 && error.starts_with("position ");
    let error = error.filter(|error| !told_by_them(error));
    let because = error.map_or_else(String::new, |error| format!(": {error}"));
    let is_worked = subscription.partitions.iter().any(|partition| partition.owner.is_some());
    match (subscription.state.as_str(), error) {
        ("paused", _) if is_worked || subscription.paused.is_none() => None,
        ("unowned" | "paused", _) => Some(Reason::of(
            format!("no relay works it{}{because}", silent(relays)),
            "start `outbox-relay run` with this subscription, and see its log if it ends",
        )),
        ("retrying", _) => Some(Reason::of(
            format!("its publisher or database does not answer as it should{because} ({})", workers(subscription)),
            "mend the far side; the relay tries again by itself",
        )),
        (_, Some(error)) => Some(Reason::of(error.to_owned(), format!("see the log of {}", workers(subscription)))),
        _ => None,
    }
}

/// The relays that hold leases of it, such as "relay `a`, which holds partition 0 under epoch 7".
fn workers(subscription: &SubscriptionStatus) -> String {
    let mut held: BTreeMap<&str, Vec<&PartitionStatus>> = BTreeMap::new();
    for partition in &subscription.partitions {
        if let Some(owner) = &partition.owner {
            held.entry(owner).or_default().push(partition);
        }
    }
    let worker = |(owner, held): (&str, Vec<&PartitionStatus>)| {
        let what = match &held[..] {
            [PartitionStatus { partition, epoch, .. }] => format!("partition {partition} under epoch {epoch}"),
            several => counted(several.len() as u64, "partition"),
        };
        format!("relay `{owner}`, which holds {what}")
    };
    if held.is_empty() { "its relay".to_owned() } else { held.into_iter().map(worker).collect::<Vec<_>>().join(", ") }
}

fn silent(relays: &[RelayStatus]) -> String {
    let silent: Vec<String> = relays
        .iter()
        .filter(|relay| relay.state == "silent")
        .map(|relay| format!("relay `{}` was last heard of {} ago", relay.name, age(relay.seen_seconds_ago)))
        .collect();
    if silent.is_empty() { String::new() } else { format!(" ({})", silent.join(", ")) }
}

fn hole(hole: &HoleStatus, others: &str) -> Reason {
    let drawn = if hole.from == hole.to {
        format!("position {} was drawn and is not committed", hole.from)
    } else {
        format!("positions {} to {} were drawn and are not committed", hole.from, hole.to)
    };
    let holders: Vec<String> = hole.holders.iter().map(ToString::to_string).collect();
    let held = if holders.is_empty() { "a transaction nobody knows any more".to_owned() } else { holders.join(", ") };
    Reason {
        what: format!("{drawn}, known for {}, while a transaction is open: {held}{others}", age(hole.age_seconds)),
        remedy: (!hole.holders.is_empty()).then(|| how_to_end(&hole.holders)),
    }
}

/// How a subscription stands that nothing holds up.
fn progress(subscription: &SubscriptionStatus) -> String {
    match (subscription.lag_events, subscription.lag_seconds) {
        (Some(0), _) => "nothing waits: everything committed is published".to_owned(),
        (Some(events), Some(seconds)) => {
            format!("{} on the way, the oldest {} old; nothing holds them up", counted(events, "event"), age(seconds))
        }
        _ => "events are on the way, more than could be counted in time; nothing holds them up".to_owned(),
    }
}

/// What keeps segments from being emptied.
fn log(segments: &[SegmentStatus]) -> Option<Answer> {
    let reason = |segment: &SegmentStatus| {
        let blocker = segment.blocked_by.as_ref()?;
        Some(Reason {
            what: format!("segment {} cannot be emptied: {blocker}", segment.segment),
            remedy: segment.remedy.clone(),
        })
    };
    let reasons: Vec<Reason> = segments.iter().filter_map(reason).collect();
    (!reasons.is_empty()).then(|| Answer { subject: "log".to_owned(), is_well: false, reasons })
}

#[cfg(test)]
mod tests {
    use outbox_core::continuity::ReaderContinuity;
    use outbox_core::status::HolderStatus;

    use super::*;

    fn subscription() -> SubscriptionStatus {
        SubscriptionStatus {
            name: "billing".into(),
            publisher: Some("stdout".into()),
            state: "running".into(),
            lag_events: Some(0),
            lag_seconds: Some(0.0),
            last_error: None,
            parked_keys: 0,
            parked_events: 0,
            paused: None,
            holes: Vec::new(),
            partitions: Vec::new(),
        }
    }

    fn only(subscription: &SubscriptionStatus) -> Reason {
        let mut reasons = answer(subscription, &[], &[]).reasons;
        assert_eq!(reasons.len(), 1, "{reasons:?}");
        reasons.remove(0)
    }

    #[test]
    fn all_is_well_is_an_answer_too() {
        assert_eq!(only(&subscription()).what, "nothing waits: everything committed is published");
        let busy = SubscriptionStatus { lag_events: Some(3), lag_seconds: Some(75.0), ..subscription() };
        assert_eq!(only(&busy).what, "3 events on the way, the oldest 1m 15s old; nothing holds them up");
        assert!(answer(&busy, &[], &[]).is_well);
    }

    #[test]
    fn another_log_is_told_before_anything_else() {
        let reader = ReaderContinuity { subscription: "billing".into(), partition: 0, broken: Some("x".into()) };
        let known = Continuity {
            instance: String::new(),
            addresses: Vec::new(),
            address: String::new(),
            refused: None,
            readers: vec![reader],
        };
        assert_eq!(another_log(&known, "other"), None);
        for subscription in [subscription(), SubscriptionStatus { state: "unowned".into(), ..subscription() }] {
            let mut answer = answer(&subscription, &[], &[]);
            answer.tell_first(another_log(&known, "billing").unwrap());
            assert!(!answer.is_well && answer.reasons[0].what == "the log is not the one it knows: x", "{answer:?}");
            assert!(!answer.reasons.iter().any(|reason| reason.what.contains("nothing waits")), "{answer:?}");
        }
    }

    #[test]
    fn a_dead_relay_is_named() {
        let relays = [RelayStatus { name: "host-a".into(), state: "silent", seen_seconds_ago: 62.0 }];
        let answer = answer(&SubscriptionStatus { state: "unowned".into(), ..subscription() }, &relays, &[]);
        assert!(!answer.is_well);
        assert_eq!(answer.reasons[0].what, "no relay works it (relay `host-a` was last heard of 1m 2s ago)");
    }

    #[test]
    fn who_paused_it_is_told_whether_a_relay_runs_or_not() {
        let partition =
            PartitionStatus { partition: 0, owner: Some("host-a".into()), epoch: 1, position: 7, open: "{}".into() };
        let worked = SubscriptionStatus {
            state: "paused".into(),
            paused: Some("ann: moving".into()),
            partitions: vec![partition],
            ..subscription()
        };
        let resume = "outbox-relay resume --subscription billing";
        assert_eq!(only(&worked), Reason::of("it is paused (ann: moving)", resume));
        let left = SubscriptionStatus { partitions: Vec::new(), ..worked.clone() };
        let reasons = answer(&left, &[], &[]).reasons;
        assert_eq!(reasons[0], Reason::of("it is paused (ann: moving)", resume));
        assert_eq!(reasons[1].what, "no relay works it");
        let resumed = SubscriptionStatus { paused: None, ..worked };
        assert_eq!(only(&resumed).what, "it was paused; its relay goes on with its next heartbeat");
    }

    #[test]
    fn events_that_will_not_pass_are_named_by_a_command_and_told_once() {
        let blocked = SubscriptionStatus {
            name: "it's".into(),
            state: "unowned".into(),
            last_error: Some("position 5 does not pass".into()),
            parked_events: 2,
            parked_keys: 1,
            ..subscription()
        };
        let reasons = answer(&blocked, &[], &[]).reasons;
        assert_eq!(reasons[0].what, "no relay works it");
        assert!(reasons[1].what.starts_with("2 events of 1 key will not pass"), "{reasons:?}");
        let command = "outbox-relay dead-letters list --subscription it's";
        assert!(reasons[1].remedy.as_ref().unwrap().contains(command), "{reasons:?}");
        let down = SubscriptionStatus { state: "retrying".into(), last_error: Some("401".into()), ..blocked };
        assert!(answer(&down, &[], &[]).reasons[0].what.contains("401"));
    }

    #[test]
    fn a_session_is_named_with_the_statement_that_ends_it() {
        let session = HolderStatus {
            pid: Some(812),
            user: Some("app".into()),
            application: Some("import".into()),
            age_seconds: Some(90.0),
            prepared: false,
        };
        let other = HolderStatus { pid: Some(99), ..session.clone() };
        let hole = HoleStatus { from: 7, to: 9, age_seconds: 88.0, holders: vec![other, session] };
        let held = SubscriptionStatus { holes: vec![hole.clone()], ..subscription() };
        let reason = only(&held);
        assert!(reason.what.contains("positions 7 to 9 were") && reason.what.contains("pid 812"), "{}", reason.what);
        assert!(reason.what.ends_with("all other events go on"), "{}", reason.what);
        let remedy = reason.remedy.unwrap();
        assert!(
            remedy.contains("pg_terminate_backend(99); ") && remedy.ends_with("pg_terminate_backend(812)"),
            "{remedy}"
        );

        let (state, last_error) = ("blocked".to_owned(), Some("nothing above position 6 is read".to_owned()));
        let stands = SubscriptionStatus { state, last_error, holes: vec![hole; REPORTED_HOLES], ..held };
        let reasons = answer(&stands, &[], &[]).reasons;
        assert_eq!(reasons[0].what, "nothing above position 6 is read");
        assert!(!reasons[1].what.contains("go on"), "{reasons:?}");
        assert_eq!(reasons.last().unwrap().what, "and at least 97 holes more");
    }

    #[test]
    fn whoever_holds_the_lease_is_named() {
        let partition = |partition, owner: &str| PartitionStatus {
            partition,
            owner: Some(owner.into()),
            epoch: 7,
            position: 1,
            open: "{}".into(),
        };
        let (state, last_error) = ("retrying".to_owned(), Some("refused".to_owned()));
        let partitions = vec![partition(0, "a"), partition(1, "b"), partition(2, "a")];
        let down = SubscriptionStatus { state, last_error, partitions, ..subscription() };
        assert_eq!(
            only(&down).what,
            "its publisher or database does not answer as it should: refused (relay `a`, which holds 2 partitions, relay `b`, which \
             holds partition 1 under epoch 7)"
        );
        let idle = SubscriptionStatus { state: "idle".into(), ..down };
        assert!(
            only(&idle).remedy.unwrap().starts_with("see the log of relay `a`, which holds 2 partitions, relay `b`")
        );
    }

    #[test]
    fn what_keeps_a_segment_comes_with_what_to_do() {
        let segment = SegmentStatus {
            segment: 3,
            bytes: None,
            state: "filled",
            blocked_by: Some("`search` is at position 7 only".into()),
            remedy: Some("let it catch up".into()),
        };
        let reasons = log(&[segment]).unwrap().reasons;
        let what = "segment 3 cannot be emptied: `search` is at position 7 only";
        assert_eq!(reasons, [Reason::of(what, "let it catch up")]);
    }
}
