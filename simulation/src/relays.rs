//! The relays of a run: each is a whole [`Relay`] in a process that may be killed, frozen and stopped.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use outbox_core::WakeMode;
use outbox_relay::{Relay, RelayError, StopHandle, Subscription};

use super::mutant::Mutant;
use super::oracle::Violation;
use super::process::{Process, SimClock};
use super::publisher::SimPublisher;
use super::store::SimStore;
use super::trace::Step;
use super::world::World;

/// A relay that was started.
pub(crate) struct Running {
    pub(crate) process: Arc<Process>,
    stop: Arc<Mutex<Option<StopHandle>>>,
    wanted: Arc<AtomicBool>,
    ended: Arc<AtomicBool>,
}

impl Running {
    /// Starts a relay of a subscription of the plan, with this number of partitions.
    pub(crate) fn start(world: &Arc<World>, subscription: usize, name: &str, partitions: u32) -> Self {
        let plan = &world.plan.subscriptions[subscription];
        let process = {
            let mut state = world.state();
            let number = u32::try_from(state.processes.len()).unwrap_or(u32::MAX) + 1;
            let forgets = world.has(Mutant::TrustWithoutClock);
            let process = Process::new(number, &plan.name, world.begin, forgets);
            state.processes.push(process.clone());
            state.trace.note(process.now(), number, Step::Start);
            state.oracle.started_at = process.now();
            process
        };
        let running =
            Self { process: process.clone(), stop: Arc::default(), wanted: Arc::default(), ended: Arc::default() };
        let publisher = SimPublisher::new(world, &process, plan.discipline);
        let subscription = Subscription::new(&plan.name, publisher)
            .topics(plan.topics.clone())
            .partitions(partitions)
            .strict_order(plan.strict)
            .retry(plan.retry)
            .call_timeout(plan.call_timeout);
        let settings = &world.plan;
        let relay = Relay::builder(SimStore { world: world.clone(), process: process.clone() })
            .name(name)
            .clock(SimClock(process.clone()))
            .lease(settings.lease)
            .poll_max(settings.poll_max)
            .window_events(settings.window)
            .shutdown_timeout(settings.shutdown)
            .retention(settings.retention.clone())
            .wake(WakeMode::Notify)
            .subscription(subscription);
        let (world, stop) = (world.clone(), running.stop.clone());
        let (wanted, ended) = (running.wanted.clone(), running.ended.clone());
        tokio::spawn(async move {
            let outcome = match relay.start().await {
                Ok(relay) => {
                    if wanted.load(Ordering::Relaxed) {
                        relay.handle().stop();
                    }
                    *stop.lock().unwrap_or_else(PoisonError::into_inner) = Some(relay.handle());
                    relay.wait().await.map(drop)
                }
                Err(error) => Err(error),
            };
            ended.store(true, Ordering::Relaxed);
            note_end(&world, &process, outcome);
        });
        running
    }

    /// Asks it to stop.
    pub(crate) fn stop(&self, world: &World) {
        world.state().trace.note(self.process.now(), self.process.number, Step::Stop);
        self.wanted.store(true, Ordering::Relaxed);
        if let Some(stop) = &*self.stop.lock().unwrap_or_else(PoisonError::into_inner) {
            stop.stop();
        }
    }

    /// Whether it works, or is about to.
    pub(crate) fn is_up(&self) -> bool {
        !self.process.is_dead() && !self.has_ended() && !self.wanted.load(Ordering::Relaxed)
    }

    pub(crate) fn has_ended(&self) -> bool {
        self.ended.load(Ordering::Relaxed)
    }
}

fn note_end(world: &World, process: &Process, outcome: Result<(), RelayError>) {
    let mut state = world.state();
    let now = process.now();
    process.kill();
    state.trace.note(now, process.number, Step::End(outcome.is_ok()));
    let Err(error) = outcome else { return };
    let violation = match &error {
        RelayError::Panicked(_) if process.spins() => Violation::Spins,
        RelayError::Panicked(_) => Violation::Panicked,
        // What was in flight may have been slow, or answered wrongly.
        RelayError::NotDrained { .. } => {
            state.oracle.excused = true;
            return;
        }
        RelayError::Publisher { .. } if state.oracle.excused => return,
        _ => Violation::GaveUp,
    };
    state.oracle.accuse(violation, now, || format!("{process:?}: {error}"));
}
