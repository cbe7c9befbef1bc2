//! One seed: a server, a reader and everything that may happen between them, judged at the end.

use std::collections::BTreeMap;

use crate::chance::Chance;
use crate::reader::{Reader, Variant};
use crate::server::Server;

const STEPS: usize = 200;

/// Runs a seed to its quiet end.
///
/// # Errors
///
/// What was lost, repeated, swapped or left behind.
pub(crate) fn run(seed: u64, variant: Variant, max_holes: usize) -> Result<(), String> {
    let mut chance = Chance::new(seed);
    let mut server = Server::new(chance.percent(50));
    let mut replica = server.clone();
    let mut reader = Reader::new(variant, max_holes);
    let fragile = chance.percent(30);
    for _ in 0..STEPS {
        match chance.below(200) {
            0..=119 => {
                // A replica that is an action or a few behind.
                if fragile && chance.percent(30) {
                    replica = server.clone();
                }
                server.act(&mut chance);
            }
            120..=174 => reader.read(&server, &mut chance)?,
            175..=183 => reader.publish(&server, &mut chance),
            184..=186 => reader.start_again(),
            187..=188 => {
                server.restart(&mut chance);
                replica = server.clone();
                reader.reconnect();
            }
            189.. if fragile && reader.recognises(&replica) => {
                server = replica.clone();
                server.restart(&mut chance);
                reader.reconnect();
            }
            _ => {}
        }
    }
    server.finish(&mut chance);
    come_to_rest(&mut reader, &server, &mut chance)?;
    judge(&reader, &server, max_holes)
}

/// Reads and publishes until nothing more can come, which takes a few reads for each row and each hole at most.
fn come_to_rest(reader: &mut Reader, server: &Server, chance: &mut Chance) -> Result<(), String> {
    let last = server.committed().last_key_value().map_or(0, |(position, _)| *position);
    for _ in 0..1000 + 20 * server.committed().len() {
        reader.read(server, chance)?;
        reader.publish(server, chance);
        if reader.frontier().position() >= last && reader.frontier().hole_count() == 0 && !reader.has_unpublished() {
            return Ok(());
        }
    }
    let frontier = reader.frontier();
    Err(format!("never at rest: position {} of {last}, open {}", frontier.position(), frontier.open()))
}

/// Every committed event once, in the order of its key; under strict reading in the order of positions.
fn judge(reader: &Reader, server: &Server, max_holes: usize) -> Result<(), String> {
    let mut versions: BTreeMap<usize, u64> = BTreeMap::new();
    let mut published = BTreeMap::new();
    for event in &reader.published {
        if published.insert(event.position, *event).is_some() {
            return Err(format!("{event:?} was published twice"));
        }
        let last = versions.insert(event.key, event.version).unwrap_or(0);
        if event.key > 0 && event.version != last + 1 {
            return Err(format!("{event:?} was published after version {last} of its key"));
        }
    }
    if let Some(lost) = server.committed().values().find(|event| !published.contains_key(&event.position)) {
        return Err(format!("{lost:?} was lost"));
    }
    if max_holes == 1 && !reader.published.is_sorted_by_key(|event| event.position) {
        return Err("strict reading published out of the order of positions".into());
    }
    Ok(())
}
