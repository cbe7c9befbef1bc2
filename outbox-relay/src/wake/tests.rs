use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

use outbox_core::testing::ManualClock;
use outbox_core::wake::Armed;
use outbox_core::{StoreErrorKind, async_trait};
use tokio::sync::Notify;

use super::*;

const NAP: Duration = Duration::from_secs(3);

/// What a test sees of a database, and what it has the database say.
#[derive(Default)]
struct Script {
    arms: Mutex<Vec<Duration>>,
    disarms: Mutex<usize>,
    /// Samples of writers; the last one goes on.
    writers: Mutex<VecDeque<Vec<&'static str>>>,
    position: Mutex<Position>,
    run_out: Mutex<bool>,
    told: Notify,
    broken: Notify,
}

fn locked<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

struct Scripted(Arc<Script>);

#[async_trait]
impl Wake for Scripted {
    async fn arm(&mut self, length: Duration) -> Result<Armed, StoreError> {
        locked(&self.0.arms).push(length);
        let continued = !std::mem::take(&mut *locked(&self.0.run_out));
        Ok(Armed { continued, last_position: *locked(&self.0.position) })
    }

    async fn writers(&mut self) -> Result<BTreeSet<Holder>, StoreError> {
        let mut samples = locked(&self.0.writers);
        let sample = if samples.len() > 1 { samples.pop_front() } else { samples.front().cloned() };
        let holder = |name: &str| Holder {
            transaction: name.to_owned(),
            pid: (!name.starts_with('-')).then_some(1),
            prepared: name.starts_with('-'),
        };
        Ok(sample.unwrap_or_default().into_iter().map(holder).collect())
    }

    async fn told(&mut self) -> Result<(), StoreError> {
        tokio::select! {
            () = self.0.told.notified() => Ok(()),
            () = self.0.broken.notified() => Err(StoreError::new(StoreErrorKind::Unavailable, "gone")),
        }
    }

    async fn disarm(&mut self) -> Result<(), StoreError> {
        *locked(&self.0.disarms) += 1;
        Ok(())
    }
}

/// A night by a clock that stands still until it is moved, in which `scene` plays.
async fn play(script: &Arc<Script>, bell: &Bell, scene: impl AsyncFnOnce(&ManualClock)) -> Result<(), StoreError> {
    let clock = ManualClock::new();
    let armed_at = clock.now();
    let wake = Box::new(Scripted(Arc::clone(script)));
    let mut night = Night { wake, clock: &clock, bell, nap: NAP, baseline: 0, armed_at, nights: 0 };
    bell.ring_in(Phase::Awake);
    tokio::select! {
        ended = async { loop { night.pass().await?; } } => ended,
        () = scene(&clock) => Ok(()),
    }
}

/// Lets everything run that can.
async fn let_run() {
    for _ in 0..50 {
        tokio::task::yield_now().await;
    }
}

/// What a subscription does that reads now and finds nothing.
fn reads_nothing(bell: &Bell) -> Rest {
    bell.rest(bell.state(), LINGER)
}

#[tokio::test]
async fn a_relay_arms_once_for_all_and_only_when_the_log_was_quiet() {
    let (script, bell) = (Arc::new(Script::default()), Bell::new());
    play(&script, &bell, async |_| {
        let_run().await;
        assert_eq!(bell.rest(bell.state(), LINGER / 2), Rest::AtMost(LINGERING));
        let_run().await;
        assert_eq!(locked(&script.arms).len(), 0);
        for _ in 0..50 {
            assert_eq!(reads_nothing(&bell), Rest::AtMost(SETTLING));
        }
        let_run().await;
        assert_eq!(*locked(&script.arms), [NAP * 2]);
        assert_eq!(reads_nothing(&bell), Rest::Asleep);
    })
    .await
    .unwrap();
}

#[tokio::test]
async fn nobody_sleeps_before_a_read_that_began_after_the_last_writer() {
    let (script, bell) = (Arc::new(Script::default()), Bell::new());
    // The first one is prepared meanwhile, so it may go by the other name.
    locked(&script.writers).extend([vec!["3/1", "3/2"], vec!["3/2", "-1/9", "4/4"], vec!["-1/9", "4/4"], vec!["4/4"]]);
    play(&script, &bell, async |clock| {
        reads_nothing(&bell);
        let_run().await;
        for _ in 0..2 {
            assert_eq!(reads_nothing(&bell), Rest::AtMost(SETTLING));
            clock.advance(SETTLING);
            let_run().await;
        }
        let before = bell.state();
        clock.advance(SETTLING);
        let_run().await;
        assert_eq!(bell.rest(before, LINGER), Rest::AtMost(Duration::ZERO), "it began before the last one had ended");
        assert_eq!(reads_nothing(&bell), Rest::Asleep);
    })
    .await
    .unwrap();
}

#[tokio::test]
async fn who_tells_wakes_everybody_and_the_relay_disarms() {
    let (script, bell) = (Arc::new(Script::default()), Bell::new());
    play(&script, &bell, async |clock| {
        reads_nothing(&bell);
        let_run().await;
        let asleep = bell.state();
        script.told.notify_one();
        let_run().await;
        assert!(bell.state().rung_since(asleep) && !bell.state().is_clear());
        assert_eq!(*locked(&script.disarms), 0, "nobody has read yet");
        clock.advance(DISARM_AFTER);
        let_run().await;
        assert_eq!(*locked(&script.disarms), 1);
        // A word from before does not send anybody to sleep again.
        let_run().await;
        assert_eq!(locked(&script.arms).len(), 1);
    })
    .await
    .unwrap();
}

#[tokio::test]
async fn what_nobody_told_of_is_noticed_when_the_relay_arms_again() {
    let (script, bell) = (Arc::new(Script::default()), Bell::new());
    play(&script, &bell, async |clock| {
        reads_nothing(&bell);
        let_run().await;
        let asleep = bell.state();
        clock.advance(NAP);
        let_run().await;
        assert_eq!((bell.state(), locked(&script.arms).len()), (asleep, 2), "nothing has moved");
        *locked(&script.position) = 7;
        clock.advance(NAP);
        let_run().await;
        assert!(bell.state().rung_since(asleep));
        assert_eq!(*locked(&script.disarms), 0, "another relay may sleep by it");
    })
    .await
    .unwrap();
}

#[tokio::test]
async fn an_arming_that_ran_out_begins_anew_with_a_look_at_who_writes() {
    let (script, bell) = (Arc::new(Script::default()), Bell::new());
    play(&script, &bell, async |clock| {
        reads_nothing(&bell);
        let_run().await;
        let asleep = bell.state();
        locked(&script.writers).push_back(vec!["3/1"]);
        *locked(&script.run_out) = true;
        clock.advance(NAP);
        let_run().await;
        assert_eq!(reads_nothing(&bell), Rest::AtMost(SETTLING));
        assert!(!bell.state().is_clear() && !bell.state().rung_since(asleep));
        // It runs out once more while the writer is open: the writers are sampled afresh, and the night goes on.
        *locked(&script.run_out) = true;
        clock.advance(NAP);
        let_run().await;
        locked(&script.writers).push_back(vec![]);
        clock.advance(NAP);
        let_run().await;
        clock.advance(NAP);
        let_run().await;
        assert_eq!(reads_nothing(&bell), Rest::Asleep);
    })
    .await
    .unwrap();
}

#[tokio::test]
async fn a_waker_has_everybody_read_and_sleep_on() {
    let (script, bell) = (Arc::new(Script::default()), Arc::new(Bell::new()));
    let waker = Waker(Arc::clone(&bell));
    play(&script, &bell, async |_| {
        reads_nothing(&bell);
        let_run().await;
        let asleep = bell.state();
        waker.clone().wake();
        assert!(bell.state().rung_since(asleep));
        assert_eq!(bell.rest(asleep, LINGER), Rest::AtMost(Duration::ZERO));
        assert_eq!(reads_nothing(&bell), Rest::Asleep);
        assert_eq!(*locked(&script.disarms), 0);
    })
    .await
    .unwrap();
}

#[tokio::test]
async fn a_broken_connection_ends_the_night() {
    let (script, bell) = (Arc::new(Script::default()), Bell::new());
    let ended = play(&script, &bell, async |_| {
        reads_nothing(&bell);
        let_run().await;
        assert_eq!(reads_nothing(&bell), Rest::Asleep);
        script.broken.notify_one();
        std::future::pending::<()>().await;
    });
    assert_eq!(ended.await.unwrap_err().kind(), StoreErrorKind::Unavailable);
}
