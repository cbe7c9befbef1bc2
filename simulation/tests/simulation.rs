//! Whole relays in a simulation: see `docs/design/simulation.md`. A seed that fails is run again by
//! `cargo run -p outbox-simulation --example replay -- SEED`.

use std::collections::BTreeSet;

use outbox_simulation::{Campaign, Mutant, Single, hunt, run, seeds, sweep};

/// Every mutant is found by then.
const WITHIN: u64 = 10_000;

fn assert_clean(campaign: &Campaign) {
    if let Some(run) = campaign.wrong.iter().min_by_key(|run| run.seed) {
        panic!("{run}\n{} of {} runs", campaign.wrong.len(), campaign.runs);
    }
    println!("{} runs, {} steps, {:?} simulated", campaign.runs, campaign.steps, campaign.simulated);
}

#[test]
fn a_seed_repeats_itself() {
    for seed in 0..40 {
        let (first, second) = (run(seed, None), run(seed, None));
        assert_eq!((first.hash, first.steps), (second.hash, second.steps), "seed {seed}");
    }
}

#[test]
fn nothing_is_wrong() {
    assert_clean(&seeds(0..1_000));
}

/// An event published again after a hand-over, and one published before another after a change of partitions.
#[test]
fn what_far_seeds_found_stays_mended() {
    for seed in [17_531, 57_386] {
        assert_clean(&seeds(seed..seed + 1));
    }
}

#[test]
fn any_single_fault_is_survived() {
    let all = Single::all();
    println!("{} single faults", all.len());
    assert_clean(&sweep(&all));
}

#[test]
fn every_mutant_is_found_by_an_assertion_of_its_own() {
    let assertions: BTreeSet<_> = Mutant::ALL.iter().map(|mutant| mutant.killed_by()).collect();
    assert_eq!(assertions.len(), Mutant::ALL.len(), "two mutants share an assertion");
    for (mutant, run) in hunt(&(0..WITHIN)) {
        let run = run.unwrap_or_else(|| panic!("{mutant:?} got through"));
        println!("{mutant:?} is found by seed {}: {:?}", run.seed, mutant.killed_by());
    }
}
