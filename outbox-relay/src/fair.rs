//! Fair shares: which partitions a relay takes, and which it hands over.
//!
//! Each relay computes the same from what it sees. Partitions are dealt evenly among the relays that serve a subscription;
//! where they do not come out even, those who hold more already keep the odd ones. Whoever has more than its share hands
//! the rest over, once it has finished what is in flight; whoever has less takes what is free. So a relay that comes or goes
//! moves no more partitions than it must.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use outbox_core::lease::{RelayIdentity, Roster};
use uuid::Uuid;

/// What a relay does about one subscription.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Plan {
    /// Of what it holds, what it goes on working.
    pub(crate) keep: BTreeSet<u32>,
    /// What it asks for.
    pub(crate) take: Vec<u32>,
}

/// Plans for a subscription of so many partitions; `is_dead` tells of relays that will not come back.
pub(crate) fn plan(
    me: Uuid,
    subscription: &str,
    count: u32,
    held: &BTreeSet<u32>,
    roster: &Roster,
    is_dead: impl Fn(&RelayIdentity) -> bool,
) -> Plan {
    let held: BTreeSet<u32> = held.iter().copied().filter(|partition| *partition < count).collect();
    let alive = roster.relays.iter().filter(|(relay, _)| !is_dead(relay));
    let members = alive.filter(|(_, serves)| serves.iter().any(|each| each == subscription));
    let mut holdings: BTreeMap<Uuid, usize> = members.map(|(relay, _)| (relay.relay_id, 0)).collect();
    let taken: BTreeMap<u32, Uuid> = roster
        .leases
        .iter()
        .filter(|(name, partition, owner)| {
            name == subscription && *partition < count && owner.relay_id != me && !is_dead(owner)
        })
        .map(|(_, partition, owner)| (*partition, owner.relay_id))
        .collect();
    for owner in taken.values() {
        holdings.entry(*owner).and_modify(|partitions| *partitions += 1);
    }
    if !held.is_empty() || holdings.is_empty() {
        holdings.insert(me, held.len());
    }
    let share = share_of(me, count as usize, &holdings);
    let keep: BTreeSet<u32> = held.iter().copied().take(share).collect();
    let free = (0..count).filter(|partition| !held.contains(partition) && !taken.contains_key(partition));
    Plan { take: free.take(share - keep.len()).collect(), keep }
}

/// How many partitions are the relay's; none where it is not among the members.
fn share_of(me: Uuid, count: usize, holdings: &BTreeMap<Uuid, usize>) -> usize {
    let mut order: Vec<_> = holdings.iter().map(|(relay, partitions)| (Reverse(*partitions), *relay)).collect();
    order.sort_unstable();
    let place = order.iter().position(|(_, relay)| *relay == me);
    place.map_or(0, |place| count / order.len() + usize::from(place < count % order.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn relay(number: u128) -> RelayIdentity {
        RelayIdentity {
            relay_id: Uuid::from_u128(number),
            name: format!("relay-{number}"),
            host: String::new(),
            process_id: 1,
            process_started: String::new(),
        }
    }

    fn roster(relays: &[u128], leases: &[(u32, u128)]) -> Roster {
        Roster {
            relays: relays.iter().map(|number| (relay(*number), vec!["s".to_owned()])).collect(),
            leases: leases.iter().map(|(each, owner)| ("s".into(), *each, relay(*owner))).collect(),
            ..Roster::default()
        }
    }

    fn planned(me: u128, count: u32, held: &[u32], roster: &Roster) -> (Vec<u32>, Vec<u32>) {
        let held = held.iter().copied().collect();
        let plan = plan(Uuid::from_u128(me), "s", count, &held, roster, |relay| relay.process_id == 0);
        (plan.keep.into_iter().collect(), plan.take)
    }

    #[test]
    fn one_relay_takes_all_and_shares_with_the_second() {
        assert_eq!(planned(1, 4, &[], &roster(&[], &[])), (vec![], vec![0, 1, 2, 3]));
        let all = [(0, 1), (1, 1), (2, 1), (3, 1)];
        assert_eq!(planned(1, 4, &[0, 1, 2, 3], &roster(&[1, 2], &all)), (vec![0, 1], vec![]));
        assert_eq!(planned(2, 4, &[], &roster(&[1, 2], &all)), (vec![], vec![]), "nothing is free yet");
        assert_eq!(planned(2, 4, &[], &roster(&[1, 2], &all[..2])), (vec![], vec![2, 3]));
    }

    #[test]
    fn the_odd_one_stays_where_it_is() {
        assert_eq!(planned(2, 1, &[0], &roster(&[1, 2], &[(0, 2)])), (vec![0], vec![]));
        assert_eq!(planned(1, 1, &[], &roster(&[1, 2], &[(0, 2)])), (vec![], vec![]));
        assert_eq!(planned(1, 3, &[0], &roster(&[1, 2], &[(0, 1), (1, 2), (2, 2)])), (vec![0], vec![]));
    }

    #[test]
    fn who_is_not_on_the_list_waits_and_whoever_is_dead_has_nothing() {
        assert_eq!(planned(3, 2, &[], &roster(&[1], &[(0, 1)])), (vec![], vec![]));
        let mut dead = roster(&[1], &[(0, 1), (1, 1)]);
        dead.relays[0].0.process_id = 0;
        dead.leases.iter_mut().for_each(|(_, _, owner)| owner.process_id = 0);
        assert_eq!(planned(3, 2, &[], &dead), (vec![], vec![0, 1]));
    }

    #[test]
    fn partitions_that_there_are_no_longer_are_handed_over() {
        assert_eq!(planned(1, 2, &[0, 1, 2, 3], &roster(&[1], &[])), (vec![0, 1], vec![]));
    }

    /// Relays come and go at random, each planning by itself: in the end everybody has a fair share of all there is.
    #[test]
    fn shares_become_fair_whoever_comes_and_goes() {
        for seed in 0..200 {
            let mut rng = fastrand::Rng::with_seed(seed);
            let count = rng.u32(1..20);
            let mut owners: BTreeMap<u32, u128> = BTreeMap::new();
            let mut relays: Vec<u128> = vec![1];
            for step in 0..60 {
                if step < 30 && rng.u8(..3) == 0 {
                    relays.push(100 + step);
                } else if step < 30 && relays.len() > 1 && rng.u8(..3) == 0 {
                    let gone = relays.swap_remove(rng.usize(..relays.len()));
                    owners.retain(|_, owner| *owner != gone);
                }
                let me =
                    if step < 30 { relays[rng.usize(..relays.len())] } else { relays[step as usize % relays.len()] };
                let leases: Vec<_> = owners.iter().map(|(each, owner)| (*each, *owner)).collect();
                let held: Vec<_> = owners.iter().filter(|(_, owner)| **owner == me).map(|(each, _)| *each).collect();
                let (keep, take) = planned(me, count, &held, &roster(&relays, &leases));
                owners.retain(|each, owner| *owner != me || keep.contains(each));
                for each in take {
                    assert_eq!(owners.insert(each, me), None, "seed {seed}: taken");
                }
            }
            for _ in 0..3 {
                for me in &relays {
                    let leases: Vec<_> = owners.iter().map(|(each, owner)| (*each, *owner)).collect();
                    let held: Vec<_> = owners.iter().filter(|(_, owner)| *owner == me).map(|(each, _)| *each).collect();
                    let (keep, take) = planned(*me, count, &held, &roster(&relays, &leases));
                    owners.retain(|each, owner| owner != me || keep.contains(each));
                    owners.extend(take.into_iter().map(|each| (each, *me)));
                }
            }
            let held = relays.iter().map(|me| owners.values().filter(|owner| *owner == me).count());
            let (least, most) = (held.clone().min().unwrap(), held.max().unwrap());
            assert!(owners.len() == count as usize && most - least <= 1, "seed {seed}: {owners:?}");
        }
    }
}
