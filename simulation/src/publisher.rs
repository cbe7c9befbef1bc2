//! The far side: it takes its time, refuses, falls silent, and what it was sent it may hold without a word.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use outbox_core::publisher::{Answer, Delivery, Discipline};
use outbox_core::{Position, PublishError, PublishErrorKind, Publisher, async_trait};
use tokio::sync::oneshot;

use super::mutant::Mutant;
use super::plan::Pick as _;
use super::process::{Process, pass};
use super::sweep::Fault;
use super::trace::Step;
use super::world::{Op, Passage, World};

/// How long a silent far side is silent.
const SILENCE: u64 = 700;

/// The publisher of one process.
pub(crate) struct SimPublisher {
    world: Arc<World>,
    process: Arc<Process>,
    discipline: Discipline,
    pipeline: Arc<Pipeline>,
}

/// What keeps the order where the publisher says that it does.
#[derive(Default)]
struct Pipeline {
    /// One call at a time, in the order in which they were made.
    turn: tokio::sync::Mutex<()>,
    broken: Mutex<Broken>,
}

#[derive(Default)]
struct Broken {
    /// So many calls were made.
    calls: u64,
    /// By the call that failed and the key: calls up to this one publish nothing more of it.
    keys: BTreeMap<(u64, String), u64>,
}

impl SimPublisher {
    pub(crate) fn new(world: &Arc<World>, process: &Arc<Process>, discipline: Discipline) -> Self {
        Self { world: world.clone(), process: process.clone(), discipline, pipeline: Arc::default() }
    }
}

#[async_trait]
impl Publisher for SimPublisher {
    fn describe(&self) -> String {
        "simulation".into()
    }

    fn discipline(&self) -> Discipline {
        self.discipline
    }

    async fn publish(&self, batch: &[Delivery]) -> Result<Vec<Answer>, PublishError> {
        {
            let mut guard = self.world.state();
            let state = &mut *guard;
            state.oracle.handed_over(&self.process, batch, &state.log);
            for Delivery { event, .. } in batch {
                state.trace.note(self.process.now(), self.process.number, Step::Hand(event.position));
            }
        }
        let passage = self.world.enter(&self.process, Op::Publish);
        let number = self.pipeline.begin();
        let (answer, answered) = oneshot::channel();
        let call = Call {
            world: self.world.clone(),
            process: self.process.clone(),
            pipeline: self.pipeline.clone(),
            number,
            keeps_order: self.discipline.keeps_order,
            batch: batch.to_vec(),
        };
        tokio::spawn(async move {
            let outcome = call.serve(passage).await;
            let _ = answer.send(outcome);
        });
        let mut taken = Taken { publisher: self, batch, number, is_answered: false };
        let outcome = answered.await.unwrap_or_else(|_| Err(silent()));
        self.process.runs().await;
        taken.is_answered = true;
        drop(taken);
        self.acknowledge(batch, outcome).await
    }
}

impl SimPublisher {
    /// The relay takes the answer, unless something happens at that moment.
    async fn acknowledge(
        &self,
        batch: &[Delivery],
        outcome: Result<Vec<Answer>, PublishError>,
    ) -> Result<Vec<Answer>, PublishError> {
        match self.world.enter(&self.process, Op::Acknowledge).fault {
            None => {}
            Some(Fault::CrashBefore | Fault::CrashAfter) => {
                self.process.kill();
                self.process.runs().await;
            }
            Some(_) => return Err(silent()),
        }
        let answers = outcome?;
        if answers.len() == batch.len() {
            let published = batch.iter().zip(&answers).filter(|(_, answer)| **answer == Answer::Published);
            let published: Vec<Position> = published.map(|(delivery, _)| delivery.event.position).collect();
            let mut state = self.world.state();
            state.trace.note(self.process.now(), self.process.number, Step::Answer(published.len()));
            state.oracle.acknowledged(&self.process, &published);
        }
        Ok(answers)
    }
}

/// Notes that the relay took an answer, or gave the call up.
struct Taken<'p> {
    publisher: &'p SimPublisher,
    batch: &'p [Delivery],
    number: u64,
    is_answered: bool,
}

impl Drop for Taken<'_> {
    fn drop(&mut self) {
        if self.is_answered {
            self.publisher.pipeline.mend(self.number);
        } else {
            self.publisher.pipeline.give_up(self.number, self.batch);
            self.publisher.world.state().oracle.excused = true;
        }
    }
}

/// One call on the far side.
struct Call {
    world: Arc<World>,
    process: Arc<Process>,
    pipeline: Arc<Pipeline>,
    number: u64,
    keeps_order: bool,
    batch: Vec<Delivery>,
}

impl Call {
    async fn serve(self, Passage { before, after, fault }: Passage) -> Result<Vec<Answer>, PublishError> {
        let in_turn = self.keeps_order && !self.world.has(Mutant::LieAboutOrder);
        let pipeline = self.pipeline.clone();
        let turn = if in_turn { Some(pipeline.turn.lock().await) } else { None };
        pass(before).await;
        match fault {
            Some(Fault::Refuse | Fault::Late) => {
                self.break_keys();
                if fault == Some(Fault::Late) {
                    tokio::spawn(async move {
                        pass(after + 30).await;
                        self.take(true);
                    });
                }
                return Err(silent());
            }
            Some(Fault::CrashBefore) => {
                self.process.kill();
                return Err(silent());
            }
            _ => {}
        }
        let mut answers = self.take(false);
        drop(turn);
        match fault {
            Some(Fault::Hang) => pass(SILENCE).await,
            Some(Fault::CrashAfter) => self.process.kill(),
            Some(Fault::Miscount) => drop(answers.pop()),
            _ => pass(after).await,
        }
        match fault {
            Some(Fault::LoseAnswer | Fault::Hang) => {
                self.break_keys();
                Err(silent())
            }
            _ => Ok(answers),
        }
    }

    /// Nothing of this call counts as published, so nothing later of its keys may be.
    fn break_keys(&self) {
        if self.keeps_order {
            let mut broken = self.pipeline.broken();
            for delivery in &self.batch {
                broken.keys.entry((self.number, delivery.event.key.clone())).or_insert(u64::MAX);
            }
        }
    }

    /// Takes in the events; where nobody hears the answers, nothing is broken by those that it refuses.
    fn take(&self, unheard: bool) -> Vec<Answer> {
        let mut refused = BTreeSet::new();
        self.batch.iter().map(|delivery| self.take_one(delivery, unheard, &mut refused)).collect()
    }

    fn take_one(&self, delivery: &Delivery, unheard: bool, refused: &mut BTreeSet<String>) -> Answer {
        let key = &delivery.event.key;
        let mut broken = self.pipeline.broken();
        let keeps_order = self.keeps_order && !key.is_empty() && !self.world.has(Mutant::LieAboutOrder);
        if keeps_order && (refused.contains(key) || broken.holds(self.number, key)) {
            return Answer::Retry { after: None, reason: "an event before it failed".to_owned() };
        }
        if let Some(refusal) = self.refusal(delivery.event.position) {
            if keeps_order {
                refused.insert(key.clone());
            }
            if keeps_order && !unheard {
                broken.keys.entry((self.number, key.clone())).or_insert(u64::MAX);
            }
            return refusal;
        }
        drop(broken);
        if self.world.has(Mutant::AckBeforePublish) && self.world.state().chance.u32(..20) == 0 {
            let (world, process, delivery) = (self.world.clone(), self.process.clone(), delivery.clone());
            tokio::spawn(async move {
                pass(400).await;
                hold(&world, &process, &delivery);
            });
        } else {
            hold(&self.world, &self.process, delivery);
        }
        Answer::Published
    }

    fn refusal(&self, position: Position) -> Option<Answer> {
        let mut state = self.world.state();
        if !state.troubled {
            return None;
        }
        if (position.unsigned_abs() * 7919) % 1000 < u64::from(self.world.plan.rates.poison) {
            return Some(Answer::Reject { reason: "poison".to_owned() });
        }
        if state.chance.per_mille(self.world.plan.rates.retry) {
            let after = state.chance.bool().then_some(Duration::from_millis(20));
            return Some(Answer::Retry { after, reason: "busy".to_owned() });
        }
        None
    }
}

/// The far side holds the event from now on.
fn hold(world: &World, process: &Process, delivery: &Delivery) {
    let now = world.now();
    let mut guard = world.state();
    let state = &mut *guard;
    state.trace.note(now, process.number, Step::Publish(delivery.event.position));
    state.oracle.delivered(process, delivery, &state.log);
}

impl Pipeline {
    /// The number of a call that begins.
    fn begin(&self) -> u64 {
        let mut broken = self.broken();
        broken.calls += 1;
        broken.calls
    }

    /// The relay knows by now what failed in a call: calls made from now on are other ones.
    fn mend(&self, number: u64) {
        let mut broken = self.broken();
        let calls = broken.calls;
        broken.keys.iter_mut().filter(|((failed, _), _)| *failed == number).for_each(|(_, until)| *until = calls);
    }

    /// The relay waits no longer for a call: none of it counts as published, whatever becomes of it.
    fn give_up(&self, number: u64, batch: &[Delivery]) {
        let mut broken = self.broken();
        let calls = broken.calls;
        broken.keys.extend(batch.iter().map(|delivery| ((number, delivery.event.key.clone()), calls)));
    }

    fn broken(&self) -> MutexGuard<'_, Broken> {
        self.broken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Broken {
    /// Whether an event of the key failed in an earlier call, and the relay did not know it when it made this one.
    fn holds(&self, number: u64, key: &str) -> bool {
        let broken = |((failed, of), until): (&(u64, String), &u64)| of == key && *failed < number && number <= *until;
        self.keys.iter().any(broken)
    }
}

fn silent() -> PublishError {
    PublishError::new(PublishErrorKind::Unavailable, "the simulated far side did not answer")
}
