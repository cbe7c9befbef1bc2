//! Runs seeds again: `replay FIRST [COUNT] [MUTANT]`. Of one seed the last steps are shown, of more what they came to.

use std::collections::BTreeMap;
use std::env::args;
use std::error::Error;
use std::time::Instant;

use outbox_simulation::{Mutant, run};

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = args().skip(1).collect();
    let number = |place: usize, otherwise| arguments.get(place).map_or(Ok(otherwise), |text| text.parse::<u64>());
    let (first, count) = (number(0, 0)?, number(1, 1)?);
    let named = |name: &String| Mutant::ALL.into_iter().find(|mutant| format!("{mutant:?}") == *name);
    let mutant = arguments.get(2).map(|name| named(name).ok_or("no such mutant")).transpose()?;
    let start = Instant::now();
    let (mut simulated, mut steps) = (0, 0);
    let mut found = BTreeMap::new();
    for seed in first..first + count {
        let run = run(seed, mutant);
        (simulated, steps) = (simulated + run.simulated, steps + run.steps);
        if count == 1 {
            println!("{run:#}");
        }
        if let Some(what) = run.found {
            found.entry(what.violation).or_insert_with(Vec::new).push(seed);
        }
    }
    println!("{count} seeds, {steps} steps, {} s simulated in {:.1?}", simulated / 1_000, start.elapsed());
    for (violation, seeds) in found {
        println!("{violation:?}: {} times, first at seed {}", seeds.len(), seeds[0]);
    }
    Ok(())
}
