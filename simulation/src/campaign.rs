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
    Campaign::of(each(&seeds, |seed| run(*seed, None)))
}

/// Runs the fixed scenario once for each of these faults.
pub fn sweep(faults: &[Single]) -> Campaign {
    Campaign::of(each(faults, |single| run_fixed(Some(*single))))
}

/// For each mutant the first of the seeds that finds it, by the assertion that must.
pub fn hunt(seeds: &Range<u64>) -> Vec<(Mutant, Option<Run>)> {
    each(&Mutant::ALL, |mutant| {
        let killed = |run: &Run| run.violation() == Some(mutant.killed_by());
        (*mutant, seeds.clone().map(|seed| run(seed, Some(*mutant))).find(killed))
    })
}

/// Does it for each, on every processor there is; what comes of them is in the same order.
fn each<T: Sync, R: Send>(what: &[T], play: impl Fn(&T) -> R + Sync) -> Vec<R> {
    let (next, done) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    let worker = || {
        loop {
            let place = next.fetch_add(1, Ordering::Relaxed);
            let Some(one) = what.get(place) else { return };
            let result = play(one);
            done.lock().unwrap_or_else(PoisonError::into_inner).push((place, result));
        }
    };
    thread::scope(|scope| {
        for _ in 0..available_parallelism().map_or(1, usize::from) {
            scope.spawn(worker);
        }
    });
    let mut done = done.into_inner().unwrap_or_else(PoisonError::into_inner);
    done.sort_by_key(|(place, _)| *place);
    done.into_iter().map(|(_, result)| result).collect()
}

impl Campaign {
    /// Adds what came of others.
    pub fn join(&mut self, others: Self) {
        self.runs += others.runs;
        self.steps += others.steps;
        self.simulated += others.simulated;
        self.wrong.extend(others.wrong);
    }

    fn of(runs: Vec<Run>) -> Self {
        let steps = runs.iter().map(|run| run.steps).sum();
        let simulated = Duration::from_millis(runs.iter().map(|run| run.simulated).sum());
        let count = runs.len();
        let wrong = runs.into_iter().filter(|run| run.found.is_some()).collect();
        Self { runs: count, steps, simulated, wrong }
    }
}
