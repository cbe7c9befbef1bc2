//! Checkpoints: they come back as they were written, never go back, and obey the epoch.

#![expect(missing_docs, reason = "the name of a behaviour says what holds")]

use outbox_core::checkpoint::{Checkpoint, Checkpoints, DeadLetter, Entry, Held};
use outbox_core::{Position, Store, StoreError, StoreErrorKind};
use uuid::Uuid;

use super::Backend;

fn at(position: Position) -> Checkpoint {
    Checkpoint {
        position,
        open: [position - 5..=position - 4, position - 1..=position - 1].into_iter().collect(),
        events: vec![(position - 2, Uuid::now_v7()), (position, Uuid::now_v7())],
    }
}

fn letter(position: Position, reason: &str) -> DeadLetter {
    DeadLetter {
        position,
        event_id: Uuid::now_v7(),
        topic: "shop.orders".into(),
        key: "it's \u{1b} key".into(),
        reason: reason.into(),
        attempts: 3,
    }
}

async fn checkpoints<B: Backend>(backend: &B) -> Box<dyn Checkpoints> {
    backend.store().checkpoints().await.unwrap()
}

fn fenced<T: std::fmt::Debug>(done: Result<T, StoreError>) {
    assert_eq!(done.unwrap_err().kind(), StoreErrorKind::Fenced);
}

/// Records and forgives with the checkpoint as it is.
pub(super) async fn letters(
    checkpoints: &mut dyn Checkpoints,
    subscription: &str,
    epoch: i64,
    recorded: &[DeadLetter],
    forgiven: &[Position],
) -> Result<(), StoreError> {
    let checkpoint = checkpoints.claim_one(subscription, epoch).await?.expect("a checkpoint");
    let (recorded, forgiven) = (recorded.to_vec(), forgiven.to_vec());
    let held = vec![(Held { partition: 0, epoch }, checkpoint)];
    checkpoints.save(subscription, &Entry { checkpoints: held, recorded, forgiven, ..Entry::default() }).await
}

pub async fn a_checkpoint_comes_back_as_it_was_written<B: Backend>(backend: &B) {
    let mut writer = checkpoints(backend).await;
    assert_eq!(writer.claim_one("s", 1).await.unwrap(), None);
    let (first, second) = (at(10), at(20));
    writer.create("s", 1, &first).await.unwrap();
    writer.save_one("s", 1, &first).await.unwrap();
    assert_eq!(writer.claim_one("s", 1).await.unwrap(), Some(first));
    writer.save_one("s", 1, &second).await.unwrap();
    let mut writer = checkpoints(backend).await;
    assert_eq!(writer.claim_one("s", 1).await.unwrap(), Some(second));
    let bare = Checkpoint { position: 20, ..Checkpoint::default() };
    writer.save_one("s", 1, &bare).await.unwrap();
    assert_eq!(writer.claim_one("s", 1).await.unwrap(), Some(bare), "open positions close without a new position");
}

/// As one that a slow network brings after its sender has opened another connection and written what is newer.
pub async fn a_write_that_was_given_up_changes_nothing_after_the_next_claim<B: Backend>(backend: &B) {
    let (mut stuck, mut next) = (checkpoints(backend).await, checkpoints(backend).await);
    stuck.found("s", 2, &Checkpoint::default()).await.unwrap();
    let held = [Held { partition: 0, epoch: 1 }, Held { partition: 1, epoch: 1 }];
    let entry = |checkpoint: &Checkpoint| Entry {
        checkpoints: held.iter().map(|held| (*held, checkpoint.clone())).collect(),
        ..Entry::default()
    };
    stuck.claim("s", &held).await.unwrap();
    stuck.save("s", &entry(&at(20))).await.unwrap();
    next.claim("s", &held).await.unwrap();
    let done = Checkpoint { position: 20, ..Checkpoint::default() };
    next.save("s", &entry(&done)).await.unwrap();

    fenced(stuck.save("s", &entry(&at(20))).await);
    let mut stuck = checkpoints(backend).await;
    fenced(stuck.save("s", &entry(&at(30))).await);
    next.save("s", &entry(&done)).await.unwrap();
    let claimed = next.claim("s", &held).await.unwrap().checkpoints;
    assert_eq!(claimed.into_values().collect::<Vec<_>>(), [done.clone(), done]);
}

pub async fn the_first_checkpoint_stays<B: Backend>(backend: &B) {
    let mut writer = checkpoints(backend).await;
    let first = at(10);
    writer.create("s", 1, &first).await.unwrap();
    writer.create("s", 1, &at(99)).await.unwrap();
    assert_eq!(writer.claim_one("s", 2).await.unwrap(), Some(first));
}

pub async fn an_older_epoch_is_refused_everything<B: Backend>(backend: &B) {
    let (mut old, mut new) = (checkpoints(backend).await, checkpoints(backend).await);
    let first = at(10);
    old.create("s", 4, &first).await.unwrap();
    assert_eq!(new.claim_one("s", 5).await.unwrap(), Some(first.clone()));

    fenced(old.claim_one("s", 4).await);
    let mut old = checkpoints(backend).await;
    fenced(old.create("s", 4, &at(30)).await);
    let mut old = checkpoints(backend).await;
    fenced(old.save_one("s", 4, &at(30)).await);
    let mut old = checkpoints(backend).await;
    fenced(letters(old.as_mut(), "s", 4, &[letter(3, "no")], &[]).await);
    letters(new.as_mut(), "s", 5, &[letter(3, "no")], &[]).await.unwrap();
    let mut old = checkpoints(backend).await;
    fenced(letters(old.as_mut(), "s", 4, &[], &[3]).await);

    assert_eq!(recorded(new.as_mut(), "s").await, [3]);
    assert_eq!(new.claim_one("s", 5).await.unwrap(), Some(first));
}

pub async fn a_checkpoint_never_goes_back<B: Backend>(backend: &B) {
    let mut writer = checkpoints(backend).await;
    let stored = at(20);
    writer.create("s", 1, &stored).await.unwrap();
    fenced(writer.save_one("s", 1, &at(19)).await);
    assert_eq!(checkpoints(backend).await.claim_one("s", 1).await.unwrap(), Some(stored));
}

/// Where the events stand that are recorded.
pub(super) async fn recorded(checkpoints: &mut dyn Checkpoints, subscription: &str) -> Vec<Position> {
    let recorded = checkpoints.recorded(subscription).await.unwrap();
    recorded.iter().map(|recorded| recorded.position).collect()
}

pub async fn dead_letters_are_recorded_and_forgiven<B: Backend>(backend: &B) {
    let mut writer = checkpoints(backend).await;
    writer.create("s", 1, &at(20)).await.unwrap();
    assert_eq!(recorded(writer.as_mut(), "s").await, [0; 0]);
    letters(writer.as_mut(), "s", 1, &[letter(9, "too large"), letter(3, "not JSON"), letter(7, "x")], &[])
        .await
        .unwrap();
    assert_eq!(recorded(writer.as_mut(), "s").await, [3, 7, 9]);
    letters(writer.as_mut(), "s", 1, &[letter(9, "still 'too' large")], &[]).await.unwrap();
    assert_eq!(backend.last_dead_letter().await.as_deref(), Some("9 it's \u{1b} key still 'too' large 3"));
    letters(writer.as_mut(), "s", 1, &[], &[3, 9, 11]).await.unwrap();
    assert_eq!(recorded(writer.as_mut(), "s").await, [7]);
}

pub async fn subscriptions_do_not_touch_one_another<B: Backend>(backend: &B) {
    let mut writer = checkpoints(backend).await;
    let (a, b) = (at(10), at(50));
    writer.create("a", 9, &a).await.unwrap();
    writer.create("b", 1, &b).await.unwrap();
    letters(writer.as_mut(), "a", 9, &[letter(3, "no")], &[]).await.unwrap();
    assert_eq!(recorded(writer.as_mut(), "b").await, [0; 0]);
    letters(writer.as_mut(), "b", 1, &[], &[3]).await.unwrap();
    assert_eq!(recorded(writer.as_mut(), "a").await, [3]);
    assert_eq!(writer.claim_one("a", 9).await.unwrap(), Some(a));
    assert_eq!(writer.claim_one("b", 1).await.unwrap(), Some(b));
}
