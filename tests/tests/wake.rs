//! Whether a relay that sleeps is woken by every writer, in short; `cargo xtask torture` does it at length.

use std::time::Duration;

use outbox_tests::database::Owned;
use outbox_tests::scenario::wake::{Outcome, Protocol, Race, wake};

/// So many relays race at once.
const LANES: usize = 4;

async fn race(protocol: Protocol, sleeps: u64, seed: u64) -> Outcome {
    let mut owned = Vec::new();
    for _ in 0..LANES {
        owned.push(Owned::on_shared_server().await.unwrap());
    }
    let databases: Vec<_> = owned.iter().map(|owned| owned.database().clone()).collect();
    let race = Race { protocol, sleeps, lanes: LANES, at_most: Duration::from_mins(2), seed };
    let outcome = wake(&databases, race).await.unwrap();
    println!("{protocol:?}: {outcome}");
    outcome
}

#[tokio::test]
async fn every_writer_wakes_a_relay_that_sleeps() {
    let outcome = race(Protocol::Sound, 400, 7).await;
    assert_eq!((outcome.missed, outcome.lost), (0, 0), "{outcome}");
    assert!(outcome.announced > 0, "{outcome}");
}

/// A control: the oracle sees what the protocol prevents.
#[tokio::test]
async fn who_does_not_wait_for_open_writers_misses_some() {
    misses_some(Protocol::NoEvidence).await;
}

/// A control, as above.
#[tokio::test]
async fn who_looks_before_the_lock_misses_some() {
    misses_some(Protocol::EarlyLook).await;
}

async fn misses_some(protocol: Protocol) {
    let mut all = Outcome::default();
    for seed in 0..10 {
        all = all + race(protocol, 200, seed).await;
        assert_eq!(all.lost, 0, "a miss is late and never lost: {all}");
        if all.missed > 0 {
            return;
        }
    }
    panic!("nothing was missed: {all}");
}
