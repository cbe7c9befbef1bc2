//! The source: limits, filters, visibility, and where a subscription begins.

#![expect(missing_docs, reason = "the name of a behaviour says what holds")]

use outbox_core::frontier::Frontier;
use outbox_core::partition::Portion;
use outbox_core::source::{ReadRequest, Row, Start};
use outbox_core::{Filter, NewEvent, Operation, Position, PositionSet, Store};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::log::{event, events, everything, number, read, write};
use super::{Backend, Business, Order, SqlBackend};

fn positions(rows: &[Row]) -> Vec<Position> {
    rows.iter().map(Row::position).collect()
}

pub async fn a_read_stops_at_its_limits_and_says_so<B: Backend>(backend: &B) {
    let sized = |_| NewEvent::new("t", "k").json(format!("\"{}\"", "x".repeat(998)));
    let mut tx = backend.begin().await;
    B::append_all(&mut tx, &(0..10).map(sized).collect::<Vec<_>>()).await.unwrap();
    tx.commit().await.unwrap();

    let by_rows = read(backend, &Filter::default(), &ReadRequest { max_events: 4, ..everything() }).await;
    assert_eq!((positions(&by_rows.rows), by_rows.complete), (vec![1, 2, 3, 4], false));
    let by_bytes = read(backend, &Filter::default(), &ReadRequest { max_bytes: 3500, ..everything() }).await;
    assert_eq!((positions(&by_bytes.rows), by_bytes.complete), (vec![1, 2, 3], false));
    let rest = read(backend, &Filter::default(), &ReadRequest { after: 7, max_events: 4, ..everything() }).await;
    assert_eq!((positions(&rest.rows), rest.complete), (vec![8, 9, 10], true));
}

pub async fn an_event_larger_than_the_limit_comes_alone<B: Backend>(backend: &B) {
    let mut tx = backend.begin().await;
    B::append(&mut tx, &event("small", 1)).await.unwrap();
    B::append(&mut tx, &NewEvent::new("t", "large").json(format!("\"{}\"", "x".repeat(100_000)))).await.unwrap();
    B::append(&mut tx, &event("small", 2)).await.unwrap();
    tx.commit().await.unwrap();

    for (after, wanted) in [(0, vec![1]), (1, vec![2]), (2, vec![3])] {
        let request = ReadRequest { after, max_bytes: 200, ..everything() };
        assert_eq!(positions(&read(backend, &Filter::default(), &request).await.rows), wanted);
    }
}

pub async fn open_positions_can_be_read_alone<B: Backend>(backend: &B) {
    write(backend, &["k"], 1, 10).await;
    let open: PositionSet = [2..=3, 7..=7, 40..=50].into_iter().collect();
    let request = ReadRequest { after: 8, open, above: false, ..everything() };
    assert_eq!(positions(&read(backend, &Filter::default(), &request).await.rows), [2, 3, 7]);
    let both = ReadRequest { above: true, ..request };
    assert_eq!(positions(&read(backend, &Filter::default(), &both).await.rows), [2, 3, 7, 9, 10]);
}

/// One event each: two topics, a change of a row, and one of an unnamed tenant.
async fn write_mixed<B: Backend>(backend: &B) {
    let order = Order { id: "o".into(), tenant: "eu".into(), total: 1 };
    let mut us = NewEvent::new("mail.sent", "m").json("1");
    us.tenant_id = Some("us".into());
    let mut tx = backend.begin().await;
    B::append(&mut tx, &NewEvent::new("shop.placed", "k").json("1")).await.unwrap();
    B::change(&mut tx, None, Some(&order)).await.unwrap();
    B::append(&mut tx, &us).await.unwrap();
    B::change(&mut tx, Some(&order), None).await.unwrap();
    tx.commit().await.unwrap();
}

pub async fn a_filter_hides_events_and_no_positions<B: Backend>(backend: &B) {
    write_mixed(backend).await;
    let words = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
    let topics = |globs| Filter { topics: words(globs), ..Filter::default() };
    let cases = [
        (Filter::default(), vec![1, 2, 3, 4]),
        (topics(&["shop.*"]), vec![1, 2, 4]),
        (topics(&["mail.sen?", "shop.placed"]), vec![1, 3]),
        (topics(&["shop"]), vec![]),
        (topics(&["shop%"]), vec![]),
        (topics(&["SHOP.*"]), vec![]),
        (Filter { tables: words(&["orders"]), ..Filter::default() }, vec![2, 4]),
        (Filter { tenants: words(&["us", "asia"]), ..Filter::default() }, vec![3]),
        (Filter { operations: vec![Operation::Delete], ..Filter::default() }, vec![4]),
        (Filter { tenants: words(&["eu"]), operations: vec![Operation::Insert], ..topics(&["shop.*"]) }, vec![2]),
    ];
    for (filter, wanted) in cases {
        let rows = read(backend, &filter, &everything()).await.rows;
        assert_eq!(positions(&rows), [1, 2, 3, 4], "every position is seen, whatever the filter");
        let passing: Vec<_> = rows.iter().filter(|row| matches!(row, Row::Event(_))).map(Row::position).collect();
        assert_eq!(passing, wanted, "{filter:?}");
    }
}

pub async fn a_portion_brings_what_is_its_own_and_every_position<B: Backend>(backend: &B) {
    // Among them events without a key, and keys that are more bytes than characters or look like SQL.
    let odd_ones =
        ["", "a", "b", "", "order-4711", "größe", "日本", "it's", r"\x00", "k'||'", "", "z"].map(str::to_owned);
    let keys: Vec<_> = odd_ones.into_iter().chain((0..40).map(|number| format!("key-{number}"))).collect();
    write(backend, &keys.iter().map(String::as_str).collect::<Vec<_>>(), 1, 2).await;
    let nothing = Filter { topics: vec!["none.*".into()], ..Filter::default() };
    let all = events(backend).await;
    // Not powers of two alone, to which only the last bytes of a hash matter.
    let odd = [(7, vec![1, 3, 6]), (12, vec![0, 3, 4, 11]), (255, (0..128).collect())];
    let even = [(1, vec![0]), (2, vec![1]), (256, (0..200).collect()), (9, vec![])];
    for (count, partitions) in odd.into_iter().chain(even) {
        let portion = Portion { count, partitions };
        for (after, open) in [(0, PositionSet::new()), (12, [2..=3, 5..=12].into_iter().collect())] {
            let reached = all.iter().filter(|event| event.position > after || open.contains(event.position));
            let (every, own): (Vec<_>, Vec<_>) = reached
                .map(|event| (event.position, portion.holds(&event.key, event.position).then_some(event)))
                .unzip();
            let request = ReadRequest { after, open: open.clone(), portion: Some(portion.clone()), ..everything() };
            let rows = read(backend, &Filter::default(), &request).await.rows;
            assert_eq!(positions(&rows), every, "{portion:?}");
            let brought = rows.iter().filter_map(|row| if let Row::Event(event) = row { Some(&**event) } else { None });
            let brought: Vec<_> = brought.filter(|event| portion.holds(&event.key, event.position)).collect();
            assert_eq!(brought, own.into_iter().flatten().collect::<Vec<_>>(), "{portion:?}");
            let rows = read(backend, &nothing, &request).await.rows;
            assert!(rows.iter().all(|row| matches!(row, Row::Filtered(_))), "{rows:?}");
        }
    }
}

pub async fn an_open_transaction_is_unseen_until_it_commits<B: Backend>(backend: &B) {
    write(backend, &["k"], 1, 2).await;
    let mut frontier = Frontier::new(0, &PositionSet::new());
    let mut source = backend.store().source(&Filter::default()).await.unwrap();
    let mut tx = backend.begin().await;
    B::append(&mut tx, &event("k", 3)).await.unwrap();

    let mut seen = Vec::new();
    for _ in 0..3 {
        let read = source.read(&frontier.request(100, u64::MAX)).await.unwrap();
        seen.extend(frontier.absorb(read));
    }
    assert_eq!(positions(&seen), [1, 2]);
    tx.commit().await.unwrap();
    let read = source.read(&frontier.request(100, u64::MAX)).await.unwrap();
    assert_eq!(positions(&frontier.absorb(read)), [3]);
}

pub async fn a_start_is_found_by_each_name<B: SqlBackend>(backend: &B) {
    write(backend, &["k"], 1, 9).await;
    // Whole milliseconds, which is as fine as any backend's clock: a time between two events is made, not waited for.
    for position in 1..=9 {
        let sql = format!(
            "UPDATE outbox_event SET occurred_at = '2026-01-02T03:04:0{position}.000000Z' WHERE position = {position}"
        );
        backend.admin(&sql).await;
    }
    let time = |text| Start::Time(OffsetDateTime::parse(text, &Rfc3339).unwrap());
    let cases = [
        (Start::Beginning, 1),
        (Start::Now, 10),
        (Start::Position(4), 4),
        (time("2026-01-02T03:04:05Z"), 5),
        (time("2026-01-02T04:04:04.5+01:00"), 5),
        (time("2020-01-01T00:00:00Z"), 1),
        (time("2030-01-01T00:00:00Z"), 10),
    ];
    let mut source = backend.store().source(&Filter::default()).await.unwrap();
    write(backend, &["k"], 10, 10).await;
    // The new event lies after every start but those that name a later moment than its own.
    for (start, first) in cases {
        let (position, open) = source.locate(start).await.unwrap();
        let wanted = if start == Start::Now || first == 10 { 10 } else { first - 1 };
        assert_eq!((position, open.is_empty()), (wanted, true), "{start:?}");
    }
    assert_eq!(events(backend).await.iter().map(number).max(), Some(10));
}

pub async fn the_last_position_is_known<B: SqlBackend>(backend: &B) {
    let mut source = backend.store().source(&Filter::default()).await.unwrap();
    assert_eq!(source.last_position().await.unwrap(), 0);
    write(backend, &["k"], 1, 3).await;
    assert_eq!(source.last_position().await.unwrap(), 3);
    backend.admin("DELETE FROM outbox_event").await;
    assert_eq!(source.last_position().await.unwrap(), 3, "what was given out stays given out");
}
