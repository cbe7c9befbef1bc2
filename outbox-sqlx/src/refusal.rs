//! What both databases refuse a reader of the log, in the same words.

use outbox_core::checkpoint::EXPORT;
use outbox_core::{Position, StoreError, StoreErrorKind};
use sqlx::{Database, Transaction};

/// Why a subscription or an export cannot go on from its checkpoint: events were removed that it had not passed.
pub(crate) fn lost(
    subscription: &str,
    position: Position,
    floor: Option<Position>,
    cut_off: Option<&str>,
) -> Option<StoreError> {
    let (reader, another) = match subscription.strip_prefix(EXPORT) {
        Some(name) => (format!("the export `{name}`"), "export under another name"),
        None => (format!("subscription `{subscription}`"), "begin anew under another subscription name"),
    };
    let remedy = format!(
        "{another}, or delete its rows `{subscription}` of the table `checkpoint` and the row `cut_off:{subscription}` of the \
         table `meta`, if there is one, to begin anew under this one"
    );
    let message = match (cut_off, floor) {
        (Some(reason), _) => format!("{reader} was cut off: {reason}; {remedy}"),
        (None, Some(floor)) if position < floor => format!(
            "{reader} is at position {position}, and events up to {floor} were removed before it had read them; {remedy}"
        ),
        _ => return None,
    };
    Some(StoreError::new(StoreErrorKind::Continuity, message))
}

/// Cleanup was faster than a new subscription, which looks for its start anew.
pub(crate) fn overtaken(subscription: &str) -> StoreError {
    let message =
        format!("cleanup removed the events at which `{subscription}` was to start; looking for its start again");
    StoreError::new(StoreErrorKind::Unavailable, message)
}

/// Refuses an outbox some of whose tables somebody dropped: what they held is not to be made up.
pub(crate) fn refuse_without(absent: &str) -> Result<(), StoreError> {
    if absent.is_empty() {
        return Ok(());
    }
    let message = format!(
        "the outbox is not whole, {absent} is missing; restore it from a backup: `outbox-relay migrate` makes all tables together, \
         or none"
    );
    Err(StoreError::new(StoreErrorKind::Precondition, message))
}

/// Commits what was done; what was refused leaves no transaction open.
pub(crate) async fn settle<T, D: Database>(
    tx: Transaction<'_, D>,
    outcome: Result<T, StoreError>,
) -> Result<Result<T, StoreError>, sqlx::Error> {
    if outcome.is_ok() {
        tx.commit().await?;
    } else {
        tx.rollback().await?;
    }
    Ok(outcome)
}
