use super::*;

fn sighting(key: &str, version: u64) -> Sighting {
    let number = u128::from(version) + key.bytes().fold(0, |sum, byte| sum * 1000 + u128::from(byte)) * 1000;
    Sighting { key: key.to_owned(), version, id: Uuid::from_u128(number), position: version * 10, replayed: false }
}

fn truth(counters: &[(&str, u64)]) -> Truth {
    let counters = counters.iter().map(|&(key, counter)| (key.to_owned(), counter));
    Truth { counters: counters.collect(), ..Truth::default() }
}

fn judged(sightings: &[(&str, u64)], counters: &[(&str, u64)]) -> Findings {
    let mut oracle = Oracle::default();
    for &(key, version) in sightings {
        oracle.observe(sighting(key, version));
    }
    oracle.judge(&truth(counters))
}

#[test]
fn keys_that_mix_are_clean() {
    let findings = judged(&[("a", 1), ("b", 1), ("b", 2), ("a", 2), ("a", 3)], &[("a", 3), ("b", 2)]);
    assert_eq!(findings, Findings::default());
    assert!(findings.is_clean(0));
}

#[test]
fn a_loss_is_found_at_the_end_in_the_middle_and_of_a_whole_key() {
    let findings = judged(&[("a", 1), ("a", 3)], &[("a", 4), ("b", 1)]);
    assert_eq!((findings.lost, findings.reordered), (3, 0));
    assert_eq!(findings.examples.len(), 3);
    assert!(findings.examples.contains(&"a version 2 of 4 is lost".to_owned()), "{findings:?}");
    assert!(!findings.is_clean(u64::MAX));
}

#[test]
fn a_swap_is_found() {
    let findings = judged(&[("a", 1), ("a", 3), ("a", 2), ("a", 4)], &[("a", 4)]);
    assert_eq!((findings.lost, findings.reordered, findings.repeated), (0, 1, 0));
    assert_eq!(findings.examples, ["a version 2 at 20 came after version 3 at 30"]);
    assert!(!findings.is_clean(0));
}

#[test]
fn a_key_whose_positions_fall_is_reordered() {
    let mut oracle = Oracle::default();
    oracle.observe(sighting("a", 1));
    oracle.observe(Sighting { position: 5, ..sighting("a", 2) });
    assert_eq!(oracle.judge(&truth(&[("a", 2)])).reordered, 1);
}

#[test]
fn repeats_are_counted_and_are_no_swaps() {
    let findings = judged(&[("a", 1), ("a", 2), ("a", 3), ("a", 2), ("a", 3), ("a", 4)], &[("a", 4)]);
    assert_eq!(findings, Findings { repeated: 2, ..Findings::default() });
    assert!(findings.is_clean(2));
    assert!(!findings.is_clean(1));
}

#[test]
fn an_event_that_was_never_committed_is_a_ghost() {
    let findings = judged(&[("a", 1), ("a", 2), ("b", 1)], &[("a", 1)]);
    assert_eq!((findings.ghosts, findings.lost), (2, 0));
}

#[test]
fn one_version_under_two_ids_and_two_events_under_one_id_are_ghosts() {
    let mut oracle = Oracle::default();
    oracle.observe(sighting("a", 1));
    oracle.observe(Sighting { id: Uuid::from_u128(7), ..sighting("a", 1) });
    oracle.observe(Sighting { id: sighting("a", 1).id, ..sighting("b", 1) });
    let findings = oracle.judge(&truth(&[("a", 1), ("b", 1)]));
    assert_eq!((findings.ghosts, findings.repeated), (2, 0));
}

#[test]
fn a_torn_line_is_found() {
    let mut oracle = Oracle::default();
    oracle.observe(sighting("a", 1));
    oracle.observe_torn("{\"specversion\":\"1.0\",\"id\":\"01");
    let findings = oracle.judge(&truth(&[("a", 1)]));
    assert_eq!(findings.torn, 1);
    assert!(!findings.is_clean(0));
    assert_eq!(findings.to_string(), "lost=0 reordered=0 ghosts=0 torn=1 dup=0");
}

#[test]
fn what_is_sent_once_more_is_marked_and_came_before() {
    let mut oracle = Oracle::default();
    let replayed = |version| Sighting { replayed: true, ..sighting("a", version) };
    for sighting in [sighting("a", 1), replayed(1), replayed(1), replayed(2)] {
        oracle.observe(sighting);
    }
    let findings = oracle.judge(&truth(&[("a", 2)]));
    assert_eq!((findings.replayed, findings.repeated, findings.ghosts), (2, 0, 1), "{findings:?}");
}

#[test]
fn what_was_given_up_is_not_missed_and_must_not_come() {
    let given_up = Truth { given_up: [("a".to_owned(), 2), ("a".to_owned(), 3)].into(), ..truth(&[("a", 4)]) };
    let mut oracle = Oracle::default();
    for version in [1, 3] {
        oracle.observe(sighting("a", version));
    }
    let findings = oracle.judge(&given_up);
    assert_eq!((findings.lost, findings.ghosts), (1, 1), "{findings:?}");
}
