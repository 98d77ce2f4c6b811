//! House rules as tests: who may import whom, file sizes, module docs, words that do not belong.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test: a panic is a failed test")]

use std::{
    fs,
    path::{Path, PathBuf},
};

/// Every Rust file of ours below `folder`, relative to the repository's root.
fn rust_files(folder: &str) -> Vec<(PathBuf, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut waiting = vec![root.join(folder)];
    let mut found = Vec::new();
    while let Some(folder) = waiting.pop() {
        for entry in fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                if !path.ends_with("target") {
                    waiting.push(path);
                }
            } else if path.extension().is_some_and(|e| e == "rs") {
                let text = fs::read_to_string(&path).unwrap();
                found.push((path.strip_prefix(root).unwrap().to_owned(), text));
            }
        }
    }
    found.sort();
    assert!(!found.is_empty(), "no Rust file below {folder}");
    found
}

fn all_rust_files() -> Vec<(PathBuf, String)> {
    ["cdm", "handlers", "src", "tests", "benches", "fuzz"]
        .into_iter()
        .filter(|f| Path::new(env!("CARGO_MANIFEST_DIR")).join(f).is_dir())
        .flat_map(rust_files)
        .collect()
}

/// The part of a file that is not its unit tests.
fn without_tests(text: &str) -> &str {
    text.split("#[cfg(test)]\nmod tests").next().unwrap_or(text)
}

/// Modules of `src/` and the modules of ours that they may import (`crate::...`).
const MAY_IMPORT: &[(&str, &[&str])] = &[
    ("src/encoders", &["encoders"]),
    ("src/access", &["access"]),
    ("src/catalog", &["catalog", "access"]),
    ("src/protocols/mod.rs", &["catalog"]),
    ("src/protocols/dap4", &["protocols", "protocols::dap4", "catalog", "encoders"]),
    ("src/protocols/dap2", &["protocols", "protocols::dap2", "catalog", "encoders"]),
    ("src/protocols/ncml", &["protocols", "protocols::ncml", "catalog", "encoders"]),
    ("src/protocols/pages", &["protocols", "protocols::pages", "catalog", "encoders"]),
    ("src/protocols/thredds", &["protocols", "protocols::thredds", "catalog", "encoders"]),
    ("src/protocols/zarr", &["protocols", "protocols::zarr", "catalog", "encoders"]),
    ("src/server", &["server", "protocols", "catalog", "access", "config", "encoders"]),
];

#[test]
fn modules_import_downwards_only() {
    let mut wrong = Vec::new();
    for (path, text) in rust_files("src") {
        let shown = path.to_string_lossy().replace('\\', "/");
        let Some((_, allowed)) = MAY_IMPORT.iter().find(|(folder, _)| shown.starts_with(folder)) else {
            continue;
        };
        for (number, line) in without_tests(&text).lines().enumerate() {
            for used in line.split("crate::").skip(1) {
                let module: String =
                    used.chars().take_while(|c| c.is_alphanumeric() || *c == '_' || *c == ':').collect();
                let mut parts = module.split("::").filter(|p| !p.is_empty());
                let Some(first) = parts.next() else { continue };
                let front_end =
                    parts.next().filter(|p| ["dap2", "dap4", "ncml", "pages", "thredds", "zarr"].contains(p));
                let fine = match front_end {
                    Some(own) if first == "protocols" && shown.starts_with("src/protocols/") => {
                        shown.starts_with(&format!("src/protocols/{own}"))
                    }
                    _ => allowed.contains(&first),
                };
                if !fine {
                    wrong.push(format!("{shown}:{}: imports {module}", number + 1));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn the_model_does_no_io_and_knows_no_format() {
    let mut wrong = Vec::new();
    for (path, text) in rust_files("cdm") {
        for word in ["std::fs", "std::net", "tokio::fs", "tokio::net", "handlers::", "thalweg::"] {
            if without_tests(&text).contains(word) {
                wrong.push(format!("{}: {word}", path.display()));
            }
        }
    }
    for (path, text) in rust_files("handlers") {
        for word in ["thalweg::", "Dap2", "Dap4", "hyper::", "http::"] {
            if without_tests(&text).contains(word) {
                wrong.push(format!("{}: {word}", path.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Files and the environment are for storage and settings alone: everything else is told what it needs.
#[test]
fn only_storage_and_settings_touch_the_system() {
    let allowed = ["handlers/storage/", "src/config"];
    let mut wrong = Vec::new();
    for (path, text) in ["cdm", "handlers", "src"].into_iter().flat_map(rust_files) {
        let shown = path.to_string_lossy().replace('\\', "/");
        let is_test =
            shown.contains("/tests/") || shown.ends_with("tests.rs") || shown.ends_with("testing.rs");
        if is_test || allowed.iter().any(|a| shown.starts_with(a)) {
            continue;
        }
        for word in ["std::fs", "std::env", "fs::File", "env::var"] {
            if without_tests(&text).contains(word) {
                wrong.push(format!("{shown}: {word}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn files_are_short_documented_and_finished() {
    let mut wrong = Vec::new();
    for (path, text) in all_rust_files() {
        let shown = path.display();
        let lines = text.lines().count();
        if lines > 600 {
            wrong.push(format!("{shown}: {lines} lines; split it by idea (600 at most)"));
        }
        if !text.trim_start_matches("#![no_main]\n").starts_with("//!") {
            wrong.push(format!("{shown}: does not begin with a paragraph that says what it owns"));
        }
        for (number, line) in text.lines().enumerate() {
            // Put together here so that this file does not contain them.
            let open = [concat!("TO", "DO"), concat!("FIX", "ME")].iter().any(|word| line.contains(word));
            if open || line.contains(concat!("#[", "ignore")) || line.contains(concat!("#[", "should_panic"))
            {
                wrong.push(format!("{shown}:{}: {}", number + 1, line.trim()));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn the_architecture_document_is_short_and_true() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let text = fs::read_to_string(root.join("ARCHITECTURE.md")).unwrap();
    assert!(text.lines().count() <= 200, "ARCHITECTURE.md has more than 200 lines");
    // Every path that it names in backquotes with a folder in it exists.
    let named = text.split('`').skip(1).step_by(2).filter(|word| {
        let file = [".rs", ".md", "/"].iter().any(|end| word.ends_with(end));
        file && word.contains('/') && !word.contains([' ', '<', '*', '{', ':']) && !word.starts_with('/')
    });
    let missing: Vec<&str> = named.filter(|word| !root.join(word).exists()).collect();
    assert!(missing.is_empty(), "ARCHITECTURE.md names what is not there: {missing:?}");
}
