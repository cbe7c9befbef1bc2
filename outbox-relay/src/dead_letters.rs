//! What operators do about dead letters, and how they pause a subscription.
//!
//! Everything works while a relay runs and while none does: it is written to the database, and a relay that runs notices it
//! with its next heartbeat, a third of its lease later at most. Each decision is one statement that begins with the state it
//! expects, so that of several operators one is first and the others are told what happened.
//!
//! See [`outbox_core::dead_letter`] for the states.

use std::time::{Duration, Instant};

use outbox_core::dead_letter::{Decision, Desk, Letter, State};
use outbox_core::envelope::is_json;
use outbox_core::{Payload, Position, Store, StoreError};

use crate::failpoint::{self, Failpoint};

/// How often is looked whether relays have noticed a pause.
const LOOK: Duration = Duration::from_millis(50);

/// Which letters somebody means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Which {
    /// Those of a key.
    Key(String),
    /// The one of the event at a position.
    Position(Position),
}

/// Who decides, and why.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct By {
    /// A person or a program.
    pub actor: Option<String>,
    /// For those who ask later; no secret.
    pub reason: Option<String>,
}

impl By {
    /// The decision that letters in the first state get the second.
    fn decide(&self, letters: &[&Letter], (from, to): (State, State)) -> Decision {
        let positions = letters.iter().map(|letter| letter.position).collect();
        let (reason, actor) = (self.reason.clone(), self.actor.clone());
        Decision { positions, from: vec![from], to, payload: None, reason, actor }
    }
}

/// Why nothing was decided.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DecisionError {
    /// The database.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// What was asked for cannot be: it names what is not there, or leaves out what is needed.
    #[error("{0}")]
    Refused(String),
    /// Somebody else, or the relay, was there first.
    #[error("{0}")]
    Late(String),
}

/// The letters of a subscription, all of them or those meant, by position.
///
/// # Errors
///
/// [`DecisionError::Refused`] where there is no such subscription or letter; [`DecisionError::Store`].
pub async fn list(store: &dyn Store, subscription: &str, which: Option<&Which>) -> Result<Vec<Letter>, DecisionError> {
    let mut desk = store.desk().await?;
    known(desk.as_mut(), subscription).await?;
    match which {
        None => Ok(desk.letters(subscription, None).await?),
        Some(which) => meant(desk.as_mut(), subscription, which).await,
    }
}

/// Asks that a parked key be sent again, in order, from its parked event on; returns the parked events it came to. An event
/// that is blocked is tried again where it is.
///
/// With a payload the event that is sent first carries that one under the same event id, and the first one is kept beside it.
///
/// # Errors
///
/// [`DecisionError`].
pub async fn requeue(
    store: &dyn Store,
    subscription: &str,
    which: &Which,
    payload: Option<Vec<u8>>,
    by: &By,
) -> Result<Vec<Position>, DecisionError> {
    let mut desk = store.desk().await?;
    known(desk.as_mut(), subscription).await?;
    let letters = meant(desk.as_mut(), subscription, which).await?;
    let letters = match (which, &letters[..]) {
        // All that is parked of its key goes: the key could not move otherwise.
        (Which::Position(_), [letter]) if letter.state == State::Parked && !letter.key.is_empty() => {
            desk.letters(subscription, Some(&letter.key)).await?
        }
        _ => letters,
    };
    let of = |state| letters.iter().filter(move |letter| letter.state == state).collect::<Vec<_>>();
    let (parked, blocked) = (of(State::Parked), of(State::Blocked));
    let mut requeued = match parked.split_first() {
        Some((first, others)) => send_again(desk.as_mut(), subscription, which, (first, others), payload, by).await?,
        None if blocked.is_empty() => return Err(not_parked(&letters)),
        None if payload.is_some() => return Err(as_it_is(blocked[0].position)),
        None => Vec::new(),
    };
    if !blocked.is_empty() {
        let again = by.decide(&blocked, (State::Blocked, State::Blocked));
        requeued.extend(decide(desk.as_mut(), subscription, &again).await?);
    }
    Ok(requeued)
}

/// Asks that parked letters of a key be sent again, the first with another payload where there is one.
async fn send_again(
    desk: &mut dyn Desk,
    subscription: &str,
    which: &Which,
    (first, others): (&Letter, &[&Letter]),
    payload: Option<Vec<u8>>,
    by: &By,
) -> Result<Vec<Position>, DecisionError> {
    if let (Which::Position(position), Some(_)) = (which, &payload)
        && first.position != *position
    {
        return Err(DecisionError::Refused(format!(
            "position {} of the same key is parked first; give that one a payload, or skip it, then decide about {position}",
            first.position
        )));
    }
    let is_fine = first.readable || payload.is_some();
    if let Some(odd) = others.iter().copied().chain((!is_fine).then_some(first)).find(|letter| !letter.readable) {
        return Err(DecisionError::Refused(format!(
            "position {} cannot be sent as it is ({}); give it a payload, or skip it",
            odd.position, odd.reason
        )));
    }
    if let Some(payload) = &payload {
        fits(desk, subscription, first.position, payload).await?;
    }
    let step = (State::Parked, State::Requeued);
    let first = Decision { payload: payload.map(Payload::Text), ..by.decide(&[first], step) };
    let mut requeued = decide(desk, subscription, &first).await?;
    if !others.is_empty() {
        requeued.extend(decide(desk, subscription, &by.decide(others, step)).await?);
    }
    Ok(requeued)
}

/// A blocked event is no copy that could be given another payload.
fn as_it_is(position: Position) -> DecisionError {
    DecisionError::Refused(format!(
        "position {position} is blocked: its event stays in the log as it is, and only a parked one can be given another payload; \
         skip it, or set then = \"park\""
    ))
}

/// Gives one event up, whether it is parked or blocked; what waits behind it goes on. Of a key that is the first that does not
/// pass.
///
/// # Errors
///
/// [`DecisionError`]; reason and actor are needed.
pub async fn skip(
    store: &dyn Store,
    subscription: &str,
    which: &Which,
    by: &By,
) -> Result<Vec<Position>, DecisionError> {
    give_up(store, subscription, which, by, State::Skipped).await
}

/// Gives a key's whole queue up, or the one event at a position.
///
/// # Errors
///
/// [`DecisionError`]; reason and actor are needed. The queue of a blocked key is in the log and cannot be given up:
/// [`DecisionError::Refused`].
pub async fn discard(
    store: &dyn Store,
    subscription: &str,
    which: &Which,
    by: &By,
) -> Result<Vec<Position>, DecisionError> {
    give_up(store, subscription, which, by, State::Discarded).await
}

async fn give_up(
    store: &dyn Store,
    subscription: &str,
    which: &Which,
    by: &By,
    to: State,
) -> Result<Vec<Position>, DecisionError> {
    let said = |text: &Option<String>| text.as_ref().is_some_and(|text| !text.trim().is_empty());
    if !said(&by.actor) || !said(&by.reason) {
        return Err(DecisionError::Refused("an event is given up for good: say why (reason) and who (actor)".into()));
    }
    let from = vec![State::Blocked, State::Parked, State::Waiting, State::Requeued];
    let mut desk = store.desk().await?;
    known(desk.as_mut(), subscription).await?;
    let letters = meant(desk.as_mut(), subscription, which).await?;
    let mut left: Vec<&Letter> = letters.iter().filter(|letter| from.contains(&letter.state)).collect();
    if let Which::Key(key) = which {
        if to == State::Skipped {
            let first = left.iter().find(|letter| letter.state.does_not_pass()).or(left.first()).copied();
            left = first.into_iter().collect();
        } else if let Some(blocked) = left.iter().find(|letter| letter.state == State::Blocked) {
            return Err(DecisionError::Refused(format!(
                "position {} of key `{key}` is blocked, and what waits behind it is in the log; skip it, or set then = \"park\"",
                blocked.position
            )));
        }
    }
    if left.is_empty() {
        return Err(not_parked(&letters));
    }
    let positions = left.iter().map(|letter| letter.position).collect();
    let (reason, actor) = (by.reason.clone(), by.actor.clone());
    decide(desk.as_mut(), subscription, &Decision { positions, from, to, payload: None, reason, actor }).await
}

/// Pauses a subscription: its relay hands nothing more over, and keeps its leases. Returns whether it was at work before.
///
/// # Errors
///
/// [`DecisionError::Refused`] where there is no such subscription; [`DecisionError::Store`].
pub async fn pause(store: &dyn Store, subscription: &str, by: &By) -> Result<bool, DecisionError> {
    let mut desk = store.desk().await?;
    known(desk.as_mut(), subscription).await?;
    let said = [&by.actor, &by.reason].into_iter().flatten().map(String::as_str).collect::<Vec<_>>().join(": ");
    let note = if said.is_empty() { "nobody said who or why" } else { &said };
    Ok(desk.pause(subscription, Some(note)).await?)
}

/// Waits until every relay at work has said that the subscription is paused: then none of them hands anything over. Each does
/// with its next heartbeat, a third of its lease later at most; one that is gone is waited for until its lease has ended.
///
/// # Errors
///
/// [`DecisionError::Late`] where one has not within this time; [`DecisionError::Store`].
#[expect(clippy::disallowed_methods, reason = "what another process writes into the database sends no signal")]
pub async fn until_paused(store: &dyn Store, subscription: &str, at_most: Duration) -> Result<(), DecisionError> {
    let start = Instant::now();
    let mut desk = store.desk().await?;
    while desk.is_at_work(subscription).await? {
        if start.elapsed() > at_most {
            return Err(DecisionError::Late(format!(
                "`{subscription}` is paused in the database, and a relay has not noticed within {at_most:?}; it does with its next \
                 heartbeat, see `outbox-relay status`"
            )));
        }
        tokio::time::sleep(LOOK).await;
    }
    Ok(())
}

/// Lets a paused subscription go on; returns whether it was paused.
///
/// # Errors
///
/// As [`pause`].
pub async fn resume(store: &dyn Store, subscription: &str) -> Result<bool, DecisionError> {
    let mut desk = store.desk().await?;
    known(desk.as_mut(), subscription).await?;
    Ok(desk.pause(subscription, None).await?)
}

/// Decides, and says what is the matter with those it did not come to.
async fn decide(desk: &mut dyn Desk, subscription: &str, decision: &Decision) -> Result<Vec<Position>, DecisionError> {
    failpoint::reached(Failpoint::BeforeDecision);
    let decided = failpoint::reached_each_wait(Failpoint::DecisionSent, desk.decide(subscription, decision)).await?;
    failpoint::reached(Failpoint::Decided);
    if !decided.is_empty() {
        return Ok(decided);
    }
    let mut now = Vec::new();
    for position in &decision.positions {
        now.extend(desk.letter(subscription, *position).await?);
    }
    if now.is_empty() {
        return Err(DecisionError::Late("it is published by now, and no dead letter any more".into()));
    }
    Err(not_parked(&now))
}

pub(crate) async fn known(desk: &mut dyn Desk, subscription: &str) -> Result<(), DecisionError> {
    let known = desk.subscriptions().await?;
    if known.iter().any(|name| name == subscription) {
        return Ok(());
    }
    Err(DecisionError::Refused(if known.is_empty() {
        format!("there is no subscription `{subscription}`: none has run yet")
    } else {
        format!("there is no subscription `{subscription}`; there is {}", known.join(", "))
    }))
}

async fn meant(desk: &mut dyn Desk, subscription: &str, which: &Which) -> Result<Vec<Letter>, DecisionError> {
    let (letters, what) = match which {
        Which::Key(key) if key.is_empty() => {
            let say = "events without a key stand each for itself; name one by its position";
            return Err(DecisionError::Refused(say.into()));
        }
        Which::Key(key) => (desk.letters(subscription, Some(key)).await?, format!("of key `{key}`")),
        Which::Position(position) => {
            let letter = desk.letter(subscription, *position).await?;
            (letter.into_iter().collect(), format!("at position {position}"))
        }
    };
    if letters.is_empty() {
        let say = format!("subscription `{subscription}` has no dead letter {what}; list shows those it has");
        return Err(DecisionError::Refused(say));
    }
    Ok(letters)
}

/// Why there is nothing to be decided about these.
fn not_parked(letters: &[Letter]) -> DecisionError {
    let live = letters.iter().find(|letter| !letter.state.is_over());
    let Some(letter) = live.or(letters.last()) else { return DecisionError::Refused("there is no such letter".into()) };
    let position = letter.position;
    let by = letter.settled_by.as_ref().map(|by| format!(" by {by}")).unwrap_or_default();
    DecisionError::Late(match letter.state {
        State::Blocked | State::Parked => format!("position {position} has failed again meanwhile; look at its reason"),
        State::Waiting => format!("position {position} waits behind another event of its key: decide about that one"),
        State::Requeued => format!("position {position} was requeued already{by}"),
        State::Draining => format!("position {position} is on its way already: it will be gone, or parked again"),
        State::Skipped | State::Discarded => format!("position {position} was {} already{by}", letter.state),
    })
}

/// Refuses a payload that the relay would park again at once.
async fn fits(
    desk: &mut dyn Desk,
    subscription: &str,
    position: Position,
    payload: &[u8],
) -> Result<(), DecisionError> {
    let Some(outbox_core::source::Row::Event(event)) = desk.copy(subscription, position).await? else { return Ok(()) };
    if matches!(event.payload, Some(Payload::Binary(_))) {
        return Ok(());
    }
    let kind = &event.content_type;
    if is_json(kind) && serde_json::from_slice::<serde::de::IgnoredAny>(payload).is_err() {
        return Err(DecisionError::Refused(format!(
            "the payload is not JSON, and position {position} has the content type {kind}"
        )));
    }
    if std::str::from_utf8(payload).is_err() || payload.contains(&0) {
        return Err(DecisionError::Refused(format!("the payload is not text, and that of position {position} is")));
    }
    Ok(())
}
