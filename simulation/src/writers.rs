//! Applications that write: transactions of every kind, over a few keys.

use std::sync::Arc;

use fastrand::Rng;

use super::process::{Moment, pass};
use super::trace::Step;
use super::world::{State, World};

/// One session: one transaction after another, until the run comes to its end.
pub(crate) async fn write(world: Arc<World>, session: i32) {
    let mut chance = world.state().chance.fork();
    while !world.state().closing {
        pass(chance.u64(..=world.plan.pause)).await;
        if world.now() >= world.state().log.up_at {
            transact(&world, session, &mut chance).await;
        }
    }
}

async fn transact(world: &World, session: i32, chance: &mut Rng) {
    let silent = chance.u32(..100) < world.plan.silent;
    let number = world.state().log.begin(session, silent, world.now());
    if chance.u32(..12) == 0 {
        // A stranger: it writes nothing, and is open for long.
        pass(chance.u64(50..1_500)).await;
    } else {
        for _ in 0..chance.u32(1..5) {
            step(world, number, chance);
            pass(pause(world, chance)).await;
        }
    }
    match chance.u32(..100) {
        0..=3 => world.state().log.kill(number),
        4..=17 => end(world, number, false, chance),
        18..=45 if world.plan.prepares => {
            world.state().log.prepare(number);
            pass(chance.u64(..600)).await;
            let commit = chance.u32(..4) > 0;
            end(world, number, commit, chance);
        }
        _ => end(world, number, true, chance),
    }
}

fn step(world: &World, number: u64, chance: &mut Rng) {
    let now = world.now();
    let mut state = world.state();
    match chance.u32(..20) {
        0..=1 => state.log.set_savepoint(number),
        2 => state.log.roll_back_to_savepoint(number),
        roll => {
            // Now and then more than a read brings.
            let events = if roll == 3 && chance.bool() { chance.u32(10..40) } else { chance.u32(1..3) };
            for _ in 0..events {
                let key = chance.u32(..=world.plan.keys);
                let key = if key == 0 { String::new() } else { format!("k{key}") };
                let topic = if chance.bool() { "a" } else { "b" };
                state.log.write(number, (topic, &key), now);
            }
        }
    }
}

fn pause(world: &World, chance: &mut Rng) -> Moment {
    match chance.u32(..30) {
        0 => chance.u64(100..800),
        1..=14 => chance.u64(..=world.plan.pause / 4),
        _ => 0,
    }
}

fn end(world: &World, number: u64, commit: bool, chance: &mut Rng) {
    let now = world.now();
    let late = chance.u32(..100) < world.plan.late_durable;
    let durable_at = now + if late { chance.u64(1..200) } else { 0 };
    let mut guard = world.state();
    let State { log, listeners, trace, .. } = &mut *guard;
    let (count, tells) = log.end(number, commit, (now, durable_at));
    if commit && count > 0 {
        trace.note(now, 0, Step::Commit(log.last_position, count));
    }
    if tells {
        for listener in listeners {
            listener.notify_one();
        }
    }
}
