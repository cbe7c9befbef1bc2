use time::macros::datetime;

use super::*;

fn count(operation: Option<&str>, name: &str, tenant: Option<&str>, events: u64) -> Count {
    Count {
        operation: operation.map(str::to_owned),
        table: operation.map(|_| name.to_owned()),
        topic: format!("shop.{name}"),
        tenant: tenant.map(str::to_owned),
        events,
        first: Some(datetime!(2026-01-31 12:00 UTC)),
        last: Some(datetime!(2026-02-01 12:00:00.5 UTC)),
    }
}

#[test]
fn counts_are_added_up_by_table_and_by_tenant() {
    let counts = [
        count(Some("insert"), "orders", Some("north"), 3),
        count(Some("insert"), "orders", Some("south"), 4),
        count(Some("delete"), "orders", Some("north"), 1),
        Count { first: None, last: None, ..count(None, "mails", None, 20) },
    ];
    assert_eq!(
        tables(&Filter::default(), &counts, false),
        "\
CDC events of all tenants

Table or topic  Insert  Delete  Other  Total  Newest
shop.mails           -       -     20     20  -
orders               7       1      -      8  2026-02-01 12:00:00

Tenant  Insert  Delete  Other  Total  Newest
-            -       -     20     20  -
north        3       1      -      4  2026-02-01 12:00:00
south        4       -      -      4  2026-02-01 12:00:00

28 events from 2026-01-31 12:00:00 to 2026-02-01 12:00:00 (UTC)
"
    );
    let one = Filter { tenants: vec!["north".into()], ..Filter::default() };
    assert_eq!(tables(&one, &[], false), "CDC events for tenant 'north'\n\nno event\n");
}

#[test]
fn many_tenants_are_counted_and_hostile_names_are_safe() {
    let counts: Vec<_> = (0..30).map(|n| count(Some("update"), "t\x1b[2J", Some(&format!("t{n}\u{9b}")), 1)).collect();
    let shown = tables(&Filter::default(), &counts, false);
    assert!(shown.contains("and 10 more tenants\n"), "{shown}");
    assert!(!shown.contains(|c: char| (c.is_control() && c != '\n') || c == '\u{2060}'), "{shown:?}");
    assert!(shown.lines().all(|line| line.chars().count() <= 100), "{shown}");
    let coloured = tables(&Filter::default(), &counts, true);
    assert!(coloured.starts_with("\x1b[1mCDC events of all tenants\x1b[0m\n"), "{coloured:?}");
    assert!(!json(&counts).unwrap().contains(|c: char| c.is_control() && c != '\n'));
}

#[test]
fn json_has_every_count() {
    let counts = [count(None, "mails", None, 20), count(Some("insert"), "orders", Some("north"), 3)];
    assert_eq!(
        json(&counts).unwrap(),
        "{\"events\":23,\"counts\":[{\"operation\":null,\"table\":null,\"topic\":\"shop.mails\",\"tenant_id\":null,\
         \"events\":20,\"first_occurred_at\":\"2026-01-31T12:00:00.000000Z\",\
         \"last_occurred_at\":\"2026-02-01T12:00:00.500000Z\"},{\"operation\":\"insert\",\"table\":\"orders\",\
         \"topic\":\"shop.orders\",\"tenant_id\":\"north\",\"events\":3,\
         \"first_occurred_at\":\"2026-01-31T12:00:00.000000Z\",\"last_occurred_at\":\"2026-02-01T12:00:00.500000Z\"}]}\n"
    );
}
