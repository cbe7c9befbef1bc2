//! Whole relays in a simulation: see `docs/design/simulation.md`.

use outbox_simulation::run;

#[test]
fn a_seed_repeats_itself() {
    for seed in 0..40 {
        let (first, second) = (run(seed, None), run(seed, None));
        assert_eq!((first.hash, first.steps), (second.hash, second.steps), "seed {seed}");
    }
}

#[test]
fn nothing_is_wrong() {
    for seed in 0..300 {
        let run = run(seed, None);
        assert!(run.found.is_none(), "{run}");
    }
}
