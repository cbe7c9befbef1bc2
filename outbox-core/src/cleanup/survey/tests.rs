use super::*;

fn segment(number: i16, ends: Option<(Position, Position, f64)>) -> Segment {
    let ends = ends.map(|(first, last, age)| Ends { first, last, first_age: Some(age) });
    Segment { number, bytes: Some(8192), current: false, ends, owed: Vec::new(), holders: Vec::new() }
}

fn reader(name: &str, position: Position) -> Reader {
    Reader { name: name.into(), position, leased: true, silent_seconds: 0.0, cut_off: false }
}

/// Segments 0 and 2 are filled, 1 is empty, 3 is current.
fn survey() -> Survey {
    let current = Segment { current: true, ..segment(3, Some((21, 30, 10.0))) };
    Survey {
        segments: vec![segment(0, Some((11, 20, 100.0))), segment(1, None), segment(2, Some((1, 10, 200.0))), current],
        readers: vec![reader("a", 25), reader("b", 20)],
        used: 4,
        ..Survey::default()
    }
}

fn keep(seconds: u64) -> Retention {
    Retention { keep: Duration::from_secs(seconds), ..Retention::default() }
}

fn obstacle_of_0(survey: &Survey) -> Option<&'static str> {
    survey.obstacle(&survey.segments[0]).map(|obstacle| obstacle.word())
}

#[test]
fn nothing_stands_against_a_segment_that_everybody_has_passed() {
    let survey = survey();
    assert_eq!(obstacle_of_0(&survey), None);
    assert_eq!(survey.filled().iter().map(|(segment, _)| segment.number).collect::<Vec<_>>(), [2, 0, 3]);
    assert_eq!(survey.obstacle(&survey.segments[3]), Some(Obstacle::Current));
}

#[test]
fn each_claim_stands_against_it() {
    let mut behind = survey();
    behind.readers[1].position = 19;
    assert_eq!(obstacle_of_0(&behind), Some("behind"));
    let mut owed = survey();
    owed.segments[0].owed.push(("b".into(), 12));
    assert_eq!(obstacle_of_0(&owed), Some("owed"));
    for survey in [&mut behind, &mut owed] {
        assert_eq!(survey.pins(&survey.segments[0]).map(|reader| reader.name.as_str()).collect::<Vec<_>>(), ["b"]);
        survey.readers[1].cut_off = true;
        assert_eq!(obstacle_of_0(survey), None, "who was cut off claims nothing");
    }
    let mut nobody = survey();
    nobody.readers.clear();
    assert_eq!(obstacle_of_0(&nobody), Some("nobody_reads"));
}

#[test]
fn the_status_tells_what_somebody_should_see_to() {
    let mut survey = survey();
    survey.readers[1].position = 19;
    let told = |survey: &Survey, number: usize| survey.blocked_by(&survey.segments[number]).map(|blocker| blocker.what);
    assert_eq!(told(&survey, 0).as_deref(), Some("`b` is at position 19 only"));
    assert_eq!([1, 2, 3].map(|number| told(&survey, number)), [None, None, None]);
    survey.trouble = Some("the disk".into());
    assert_eq!(told(&survey, 2).as_deref(), Some("the disk"), "once, with the oldest");
    assert_eq!(told(&survey, 3), None);
}

#[test]
fn one_by_one_the_slowest_reader_holds_up_only_what_it_has_not_passed() {
    let mut survey = survey();
    survey.one_by_one = true;
    survey.readers[1].position = 12;
    assert_eq!(obstacle_of_0(&survey), None);
    survey.readers[1].position = 10;
    assert_eq!(obstacle_of_0(&survey), Some("behind"));
}

#[test]
fn a_single_segment_may_be_emptied_while_it_is_current() {
    let mut survey = survey();
    survey.segments.retain(|segment| segment.number == 3);
    survey.readers[1].position = 30;
    survey.readers[0].position = 30;
    assert_eq!(survey.obstacle(&survey.segments[0]), None);
    assert_eq!(survey.turn(&keep(0)), None);
}

#[test]
fn the_current_segment_gives_way_when_it_is_old_or_large_enough() {
    let mut survey = survey();
    assert_eq!(survey.turn(&keep(600)), None);
    survey.segments[3].ends = Some(Ends { first: 21, last: 30, first_age: Some(200.0) });
    assert_eq!(survey.turn(&keep(600)), Some((3, 1)), "a third of the time that events are kept");
    assert_eq!(survey.turn(&keep(601)), None);
    survey.segments[3].bytes = Some(128 << 20);
    assert_eq!(survey.turn(&keep(6000)), Some((3, 1)));
    survey.segments[1].ends = survey.segments[0].ends;
    assert_eq!(survey.turn(&keep(600)), None, "never into a segment with events");
}

#[test]
fn with_short_retention_a_segment_gives_way_when_it_is_done_or_after_a_while() {
    let mut survey = survey();
    assert_eq!(survey.turn(&keep(0)), Some((3, 1)));
    survey.segments[3].ends = Some(Ends { first: 21, last: 30, first_age: Some(9.0) });
    assert_eq!(survey.turn(&keep(0)), None);
    for reader in &mut survey.readers {
        reader.position = 30;
    }
    assert_eq!(survey.turn(&keep(0)), Some((3, 1)));
    survey.segments[3].ends = None;
    assert_eq!(survey.turn(&keep(0)), None, "there is nothing to remove");
}

#[test]
fn surplus_segments_are_left_and_never_chosen() {
    let mut survey = survey();
    survey.used = 2;
    survey.segments[3].ends = None;
    assert_eq!(survey.turn(&keep(600)), Some((3, 1)), "at once, and even when it is empty");
    let fewer = Retention { segments: 1, ..keep(600) };
    assert_eq!(survey.turn(&fewer), None, "segment 0 has events, 1 is not to be used");
}

#[test]
fn dead_is_who_has_been_silent_for_long() {
    let silent = Reader { leased: false, silent_seconds: 600.0, ..reader("a", 1) };
    assert!(silent.is_dead());
    assert!(!Reader { leased: true, ..silent.clone() }.is_dead());
    assert!(!Reader { silent_seconds: 599.0, ..silent }.is_dead());
}
