//! `docs/reliability.md` says the truth about tests: each promise has a row, each test it names exists.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test: a panic is a failed test")]

use std::{fs, path::Path};

/// The rows of the table: number, promise, tests, last run.
fn rows(text: &str) -> Vec<[&str; 4]> {
    let cells = |line| -> Option<[&str; 4]> {
        let line: &str = line;
        let inner = line.strip_prefix("| R")?.strip_suffix('|')?;
        let cells: Vec<&str> = inner.split('|').map(str::trim).collect();
        Some(cells.try_into().unwrap_or_else(|cells| panic!("not four cells: {cells:?}")))
    };
    text.lines().filter_map(cells).collect()
}

/// Whether `named`, a file or `file::function`, is there.
fn exists(named: &str) -> bool {
    let (file, function) = named.split_once("::").map_or((named, None), |(file, name)| (file, Some(name)));
    let Ok(text) = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(file)) else { return false };
    let is_rust = Path::new(file).extension().is_some_and(|end| end == "rs");
    match function {
        Some(name) if is_rust => {
            let declared = format!("fn {name}(");
            text.find(&declared).is_some_and(|at| {
                let line = text[..at].rfind('\n').unwrap_or(0);
                let before = text[..line].rsplit('\n').take(3).collect::<Vec<_>>().join("\n");
                ["#[test]", "::test"].iter().any(|mark| before.contains(mark))
                    || text[..at].contains("proptest!")
            })
        }
        Some(name) => text.contains(&format!("def {name}(")) || text.contains(&format!("{name}()")),
        // A file of Rust tests has many: the one that is meant has a name.
        None => !is_rust,
    }
}

#[test]
fn every_promise_has_a_row_and_its_tests_exist() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/reliability.md");
    let text = fs::read_to_string(path).unwrap();
    let rows = rows(&text);
    let numbers: Vec<u32> = rows.iter().map(|row| row[0].parse().unwrap()).collect();
    assert_eq!(numbers, (1..=36).collect::<Vec<u32>>());
    for [number, promise, tests, last] in rows {
        assert!(!promise.is_empty(), "R{number}");
        let named: Vec<&str> = tests.split('`').skip(1).step_by(2).collect();
        let is_open = last.contains("not kept yet") || last.contains("waits for");
        assert!(!named.is_empty() || is_open, "R{number} has no test and does not say so");
        for test in named {
            assert!(exists(test), "R{number} names {test}, which is not there");
        }
    }
}

#[test]
fn what_is_not_there_is_noticed() {
    assert!(exists("tests/reliability.rs::what_is_not_there_is_noticed"));
    assert!(exists("scripts/test.sh::step"));
    for wrong in [
        "tests/reliability.rs::exists",
        "tests/reliability.rs::none",
        "tests/reliability.rs",
        "tests/none.py",
    ] {
        assert!(!exists(wrong), "{wrong}");
    }
}
