use super::*;

/// The report with a word in place of each time, which every line of a change begins with.
fn timeless(report: &str) -> String {
    let line = |line: &str| match line.strip_prefix("  20") {
        Some(rest) => format!("  TIME{}\n", &rest["26-01-31 12:00:00".len()..]),
        None => format!("{line}\n"),
    };
    report.lines().map(line).collect()
}

#[tokio::test]
async fn the_report_tells_who_changed_what_from_what_to_what() {
    let report = audit("north", Terminal::default()).await.unwrap();
    assert_eq!(
        timeless(&report),
        "\
What happened in branch north

customers 1
  TIME  ann    created  branch: north, credit_limit: 500, iban: c6baefcbdeb3ca59…, id: 1, name: Maria Keller
  TIME  bob    changed  credit_limit: 500 → 5000
  TIME  bob    changed  iban: c6baefcbdeb3ca59… → 7f377fd57c2598c9…
  TIME  ann    changed  credit_limit: 5000 → 4000, name: Maria Keller → Maria Frei

customers 2
  TIME  ann    created  branch: north, credit_limit: 2000, iban: d60c2aabd49f914c…, id: 2, name: Jonas Frei
  TIME  carol  deleted  branch: north, credit_limit: 2000, iban: d60c2aabd49f914c…, id: 2, name: Jonas Frei

Who did it
  ann    changed 1, created 2
  bob    changed 2
  carol  deleted 1

✓ 6 changes by 3 people, and none of what was rolled back
"
    );
}
