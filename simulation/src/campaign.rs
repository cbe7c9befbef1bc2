//! Many runs, on every processor there is.

use std::ops::Range;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread::{self, available_parallelism};
use std::time::Duration;

use super::{Mutant, Run, Single, run, run_fixed};

/// What came of many runs.
#[derive(Debug, Default)]
pub struct Campaign {
    /// So many there were.
    pub runs: usize,
    /// So many things happened in them.
    pub steps: u64,
    /// How long they took by their own clocks.
    pub simulated: Duration,
    /// Those in which something was wrong.
    pub wrong: Vec<Run>,
}

/// Runs all of these seeds.
pub fn seeds(seeds: Range<u64>) -> Campaign {
    let seeds: Vec<u64> = seeds.collect();
    each(&seeds, |seed| run(*seed, None))
}

/// Runs the fixed scenario once for each of these faults.
pub fn sweep(faults: &[Single]) -> Campaign {
    each(faults, |single| run_fixed(Some(*single)))
}

/// The first of the seeds that finds a mutant, by the assertion that must.
pub fn hunt(mutant: Mutant, mut seeds: Range<u64>) -> Option<Run> {
    seeds.find_map(|seed| Some(run(seed, Some(mutant))).filter(|run| run.violation() == Some(mutant.killed_by())))
}

fn each<T: Sync>(what: &[T], play: impl Fn(&T) -> Run + Sync) -> Campaign {
    let (next, whole) = (AtomicUsize::new(0), Mutex::new(Campaign::default()));
    let worker = || {
        while let Some(one) = what.get(next.fetch_add(1, Ordering::Relaxed)) {
            let run = play(one);
            whole.lock().unwrap_or_else(PoisonError::into_inner).add(run);
        }
    };
    thread::scope(|scope| {
        for _ in 0..available_parallelism().map_or(1, usize::from) {
            scope.spawn(worker);
        }
    });
    whole.into_inner().unwrap_or_else(PoisonError::into_inner)
}

impl Campaign {
    /// Adds what came of others.
    pub fn join(&mut self, others: Self) {
        self.runs += others.runs;
        self.steps += others.steps;
        self.simulated += others.simulated;
        self.wrong.extend(others.wrong);
    }

    fn add(&mut self, run: Run) {
        self.runs += 1;
        self.steps += run.steps;
        self.simulated += Duration::from_millis(run.simulated);
        if run.found.is_some() {
            self.wrong.push(run);
        }
    }
}
