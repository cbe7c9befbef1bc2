//! Whole relays against a simulated database, far side and clock; every run repeats itself from one number.
//!
//! See `docs/design/simulation.md` for what is modelled.

mod campaign;
mod director;
mod log;
mod mutant;
mod oracle;
mod plan;
mod process;
mod publisher;
mod relays;
mod store;
mod sweep;
mod trace;
mod world;
mod writers;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use fastrand::Rng;

pub use campaign::{Campaign, hunt, seeds, sweep};
pub use mutant::Mutant;
pub use oracle::{Found, Violation};
pub use sweep::{Fault, Single};
pub use world::Op;

use director::Director;
use plan::Plan;
use world::World;

/// What came of a run.
#[derive(Debug, Clone)]
pub struct Run {
    /// What the run repeats itself from.
    pub seed: u64,
    /// The one fault of a run that has no other.
    pub single: Option<Single>,
    /// What was wrong, if anything.
    pub found: Option<Found>,
    /// Equal for equal runs.
    pub hash: u64,
    /// So many things happened.
    pub steps: u64,
    /// How often each call was made.
    pub calls: BTreeMap<Op, u64>,
    /// How long it took by the simulated clock, in milliseconds.
    pub simulated: u64,
    /// What the seed made of the settings; empty where nothing was wrong.
    pub plan: String,
    /// The last things that happened; none where nothing was wrong.
    pub trace: Vec<String>,
}

/// So many of the last steps are shown where nobody asks for all that were kept.
const SHOWN: usize = 60;

impl fmt::Display for Run {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = if f.alternate() { self.trace.len() } else { SHOWN };
        for line in self.trace.iter().skip(self.trace.len().saturating_sub(shown)) {
            writeln!(f, "{line}")?;
        }
        writeln!(f, "{}", self.plan)?;
        f.write_str(&self.verdict())
    }
}

impl Run {
    /// What was wrong, if anything.
    pub fn violation(&self) -> Option<Violation> {
        self.found.as_ref().map(|found| found.violation)
    }

    /// The seed and what came of it, in one line.
    pub fn verdict(&self) -> String {
        let Self { seed, single, found, .. } = self;
        let what = match single {
            None => format!("seed {seed}"),
            Some(Single { op, number, fault }) => format!("{fault:?} at {op:?} number {number}"),
        };
        match found {
            None => format!("{what}: nothing wrong"),
            Some(Found { violation, detail, at }) => format!("{what}: {violation:?} at {at} ms: {detail}"),
        }
    }
}

/// Runs a seed, with a mistake planted if there is to be one.
pub fn run(seed: u64, mutant: Option<Mutant>) -> Run {
    let mut chance = Rng::with_seed(seed);
    let plan = Plan::draw(&mut chance);
    play((seed, chance), plan, (mutant, None))
}

/// Runs the fixed scenario, with one fault if there is to be one.
pub fn run_fixed(single: Option<Single>) -> Run {
    play((0, Rng::with_seed(0)), Plan::fixed(), (None, single))
}

fn play((seed, chance): (u64, Rng), plan: Plan, (mutant, single): (Option<Mutant>, Option<Single>)) -> Run {
    // Back-off draws from the generator of the thread.
    fastrand::seed(seed);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    let runtime = runtime.expect("a runtime needs nothing that could be missing");
    runtime.block_on(async move {
        let world = Arc::new(World::new((seed, chance), plan, mutant));
        world.state().single = single;
        let mut director = Director::new(&world);
        let mut writers = tokio::task::JoinSet::new();
        for session in 1..=world.plan.writers {
            writers.spawn(writers::write(world.clone(), session));
        }
        director.trouble().await;
        world.state().closing = true;
        while writers.join_next().await.is_some() {}
        director.settle().await;
        let simulated = world.now();
        let mut state = world.state();
        let found = state.oracle.found.take();
        let (plan, trace) = match found {
            Some(_) => (format!("{:?}", world.plan), state.trace.lines()),
            None => (String::new(), Vec::new()),
        };
        Run {
            seed,
            single,
            found,
            hash: state.trace.hash(),
            steps: state.trace.steps,
            calls: std::mem::take(&mut state.calls),
            simulated,
            plan,
            trace,
        }
    })
}
