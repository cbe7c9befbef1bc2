//! The folder of committed schemas.

use std::fs;
use std::path::Path;

use outbox_core::Outbox;
use outbox_core::event_schema::Committed;
use schemars::JsonSchema;
use serde::Serialize;
use tempfile::TempDir;

/// The same event in two versions, and one of another type.
mod first {
    use super::*;

    #[derive(Serialize, JsonSchema, Outbox)]
    #[outbox(topic = "shop.orders", key = id, version = 1)]
    pub(super) enum OrderEvent {
        Placed {
            id: u8,
        },
        #[outbox(event_type = "../shipped", topic = "shop/shipping")]
        Shipped {
            id: u8,
        },
    }
}

mod second {
    use super::*;

    #[derive(Serialize, JsonSchema, Outbox)]
    #[outbox(topic = "shop.orders", key = id, version = 2)]
    pub(super) enum OrderEvent {
        Placed {
            id: String,
        },
        #[outbox(event_type = "../shipped", topic = "shop/shipping", version = 1)]
        Shipped {
            id: u8,
            note: Option<String>,
        },
    }
}

fn folder() -> TempDir {
    tempfile::tempdir().unwrap()
}

fn first(folder: &Path) -> Committed {
    Committed::in_folder(folder).with::<first::OrderEvent>()
}

fn second(folder: &Path) -> Committed {
    Committed::in_folder(folder).with::<second::OrderEvent>()
}

/// The problems alone, and whether the command is told.
fn told(outcome: Result<(), outbox_core::event_schema::Mismatch>) -> (Vec<String>, bool) {
    let text = outcome.unwrap_err().to_string();
    let problems = text.lines().filter_map(|line| line.strip_prefix("- ")).map(str::to_owned).collect();
    (problems, text.ends_with("\n\n    OUTBOX_SCHEMAS=write cargo test -p outbox-core"))
}

#[test]
fn files_are_missing_until_they_are_written() {
    let folder = folder();
    let (placed, shipped) = ("shop.orders/Placed.v1.json", "shop%2Fshipping/%2E.%2Fshipped.v1.json");
    let path = |name: &str| folder.path().join(name);
    let (problems, is_command_told) = told(first(folder.path()).compare());
    let missing = |name| format!("{} is missing.", path(name).display());
    assert_eq!((problems, is_command_told), (vec![missing(placed), missing(shipped)], true));
    assert!(!path(placed).exists(), "comparing writes nothing");

    first(folder.path()).write().unwrap();
    first(folder.path()).check();
    let written = fs::read_to_string(path(placed)).unwrap();
    assert!(written.starts_with("{\n") && written.ends_with("}\n") && path(shipped).exists(), "{written}");
}

#[test]
#[should_panic(expected = "the events are not as they are committed")]
fn the_check_fails_its_test() {
    first(folder().path()).check();
}

#[test]
fn a_raised_version_is_a_file_more() {
    let folder = folder();
    first(folder.path()).write().unwrap();
    let before = fs::read_to_string(folder.path().join("shop.orders/Placed.v1.json")).unwrap();
    let (problems, is_command_told) = told(second(folder.path()).compare());
    assert!(is_command_told);
    assert_eq!(problems.len(), 2, "{problems:?}");
    assert!(problems[0].ends_with("shop.orders/Placed.v2.json is missing."), "{problems:?}");
    assert_eq!(problems[1], "`note` of `shop/shipping` `../shipped` version 1 was added: nobody breaks.");

    second(folder.path()).write().unwrap();
    second(folder.path()).check();
    assert_eq!(fs::read_to_string(folder.path().join("shop.orders/Placed.v1.json")).unwrap(), before);
}

#[test]
fn what_breaks_is_not_written_over() {
    #[derive(Serialize, JsonSchema, Outbox)]
    #[outbox(topic = "shop.orders", key = id, version = 1, event_type = "Placed")]
    struct Placed {
        id: u16,
    }

    let folder = folder();
    Committed::in_folder(folder.path()).with::<Placed>().write().unwrap();
    let path = folder.path().join("shop.orders/Placed.v1.json");
    let wrong = fs::read_to_string(&path).unwrap().replace("\"id\"", "\"identity\"");
    fs::write(&path, &wrong).unwrap();
    let (problems, is_command_told) = told(Committed::in_folder(folder.path()).with::<Placed>().write());
    assert_eq!((problems.len(), is_command_told), (2, false), "{problems:?}");
    assert_eq!(fs::read_to_string(&path).unwrap(), wrong);
}

#[test]
fn versions_do_not_go_back_and_no_event_goes_unnoticed() {
    let folder = folder();
    second(folder.path()).write().unwrap();
    let (problems, _) = told(first(folder.path()).write());
    assert!(
        problems.iter().any(|problem| problem.starts_with("`shop.orders` `Placed` version 1 is older than version 2"))
    );

    let orphan = folder.path().join("shop.orders/Archived.v1.json");
    fs::write(&orphan, "{}").unwrap();
    let (problems, is_command_told) = told(second(folder.path()).compare());
    assert!(problems[0].starts_with(&format!("{} is committed and no type here writes", orphan.display())));
    assert_eq!((problems.len(), is_command_told), (1, false));
    fs::remove_file(orphan).unwrap();
    fs::write(folder.path().join("shop.orders/README.md"), "").unwrap();
    second(folder.path()).check();
}

#[test]
fn types_without_version_twins_and_unreadable_files_are_told() {
    #[derive(Serialize, JsonSchema, Outbox)]
    #[outbox(topic = "shop.orders", unordered)]
    struct Placed {
        id: u8,
    }

    let folder = folder();
    first(folder.path()).write().unwrap();
    fs::write(folder.path().join("shop.orders/Placed.v1.json"), "{").unwrap();
    let (problems, _) = told(first(folder.path()).with::<first::OrderEvent>().with::<Placed>().compare());
    let starts = ["`shop.orders` `Placed` version 1 is written by two types", "`shop.orders` `Placed` has no version"];
    for start in starts {
        assert!(problems.iter().any(|problem| problem.starts_with(start)), "{start:?} is not in {problems:#?}");
    }
    assert!(problems.iter().any(|problem| problem.contains("Placed.v1.json: EOF while parsing")), "{problems:#?}");
}
