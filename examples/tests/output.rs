//! Every example that needs no server runs and shows what it is there to show.

use std::process::Command;

/// Runs an example, which `cargo test` and nextest have built, and returns what it prints.
fn run(name: &str) -> String {
    let test = std::env::current_exe().expect("a test knows its own file");
    let examples = test.ancestors().nth(2).expect("tests are built into a folder of their own").join("examples");
    let output = Command::new(examples.join(name)).output();
    let output = output.unwrap_or_else(|error| panic!("{name}: {error}; build it with `cargo build --examples`"));
    assert!(output.status.success(), "{name}: {}", String::from_utf8_lossy(&output.stderr));
    assert!(output.stderr.is_empty(), "{name}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("an example prints UTF-8")
}

/// The lines that hold a text.
fn lines<'o>(output: &'o str, text: &str) -> Vec<&'o str> {
    output.lines().filter(|line| line.contains(text)).map(str::trim).collect()
}

#[test]
fn the_quickstart_shows_seven_events_and_none_of_what_was_rolled_back() {
    let output = run("quickstart");
    assert_eq!((lines(&output, "committed  ").len(), lines(&output, "rolled back  ").len()), (4, 1), "{output}");
    assert_eq!(lines(&output, "  order 1  ").len() + lines(&output, "  order 2  ").len(), 7, "{output}");
    let published = output.split("The relay publishes").nth(1).unwrap();
    assert!(!published.contains("999"), "{output}");
    assert!(published.contains("quantity: 2 → 5") && published.contains("✓ 7 events"), "{output}");
    assert!(!output.contains('\u{1b}'), "no colour where there is no terminal: {output}");
}

#[test]
fn the_custom_publisher_shows_each_answer_and_what_becomes_of_it() {
    let output = run("custom-publisher");
    let (answers, relay) = output.split_once("What the relay makes of them").unwrap();
    let of = |parcel: &str| -> Vec<String> {
        let words = |line: &&str| line.split_whitespace().collect::<Vec<_>>().join(" ");
        lines(answers, parcel).iter().map(words).collect()
    };
    assert_eq!(of("parcel 1"), ["published parcel 1 packed attempt 1", "published parcel 1 sent attempt 1"]);
    assert_eq!(
        of("parcel 2"),
        ["retry parcel 2 packed attempt 1", "published parcel 2 packed attempt 2", "published parcel 2 sent attempt 1",]
    );
    assert_eq!(of("parcel 3"), ["reject parcel 3 packed attempt 1"], "what comes after it waits");
    assert!(relay.contains("position 3 does not pass: no address"), "{output}");
    assert!(relay.contains("6 events: 1 does not pass, 1 waits behind it, 4 are published"), "{output}");
}
