//! Damaged and hostile files (promises R1 to R4): thousands straight through the readers, hundreds
//! through the running server. Nothing panics, hangs or takes memory that the bytes do not justify, and
//! other files are served as before.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]
#![allow(clippy::print_stdout, reason = "the figures of a run are for the documentation")]

mod common;
#[path = "common/exercise.rs"]
mod exercise;
#[path = "common/hdf5.rs"]
mod hdf5;
#[path = "common/mutate.rs"]
mod mutate;

use std::{
    fs,
    io::{Read, Write},
    time::{Duration, Instant},
};

use cdm::testing::Random;
use common::{Answer, Server};
use exercise::{Outcome, PATIENCE, panics};
use handlers::storage::MemoryObject;
use mutate::{fixtures, mutate};

/// Opens each of `cases` of (name, bytes) and does with it what can be done; the outcomes, in any order.
fn run(cases: impl Iterator<Item = (String, Vec<u8>)>) -> Vec<Outcome> {
    let registry = exercise::registry();
    exercise::run(cases.map(|(name, bytes)| {
        let registry = registry.clone();
        (name, async move { registry.open(MemoryObject::object("damaged", bytes)).await })
    }))
}

#[test]
fn damaged_files_are_read_or_refused() {
    assert!(mutate::checksum_is_known());
    let all = fixtures();
    let begin = Instant::now();
    let first = exercise::first_round();
    let cases = (first..first + exercise::rounds(60)).flat_map(|round| {
        let all = &all;
        all.iter().enumerate().map(move |(i, fixture)| {
            let seed = round << 32 | i as u64;
            let mut random = Random(seed);
            let other = &all[usize::try_from(random.below(all.len() as u64)).unwrap()];
            (format!("{} seed {seed:#x}", fixture.name), mutate(&mut random, &fixture.bytes, &other.bytes))
        })
    });
    let outcomes = run(cases);
    let opened = outcomes.iter().filter(|o| o.opened).count();
    let failed: usize = outcomes.iter().map(|o| o.variables_failed).sum();
    // Damage that never gets past the door, or never hurts, would test nothing.
    assert!(opened > outcomes.len() / 5 && opened < outcomes.len(), "{opened} of {} opened", outcomes.len());
    assert!(failed > 100, "{failed} variables failed");
    assert_eq!(panics(), Vec::<String>::new());
    let most = common::resident("self", "VmHWM");
    println!(
        "{} damaged files in {:.0?}: {opened} opened, {failed} variables refused, most {} MiB",
        outcomes.len(),
        begin.elapsed(),
        most >> 20
    );
    assert!(most < 512 << 20, "{most} bytes were resident");
}

#[test]
fn every_truncation_of_a_small_file_is_refused_or_harmless() {
    let all = fixtures();
    let small =
        ["cdf1_types.nc", "cdf5_types.nc", "cdf2_no_records.nc", "user_block_512.h5", "phony_latest.h5"];
    let cases = all.iter().filter(|f| small.contains(&f.name.as_str())).flat_map(|f| {
        (0..f.bytes.len())
            .step_by(f.bytes.len() / 300 + 1)
            .map(|len| (format!("{} cut at {len}", f.name), f.bytes[..len].to_vec()))
    });
    assert!(run(cases).len() > 500);
    assert_eq!(panics(), Vec::<String>::new());
}

#[test]
fn depth_is_limited_everywhere() {
    let list = |depth| hdf5::one_dataset(&hdf5::dataset(&[], Some(hdf5::nested_lists(depth))));
    let structure = |depth| hdf5::one_dataset(&hdf5::dataset(&[], Some(hdf5::nested_structures(depth))));
    let cases = [
        ("groups 100", hdf5::nested_groups(100), true),
        ("groups 5000", hdf5::nested_groups(5_000), false),
        ("groups 100000", hdf5::nested_groups(100_000), false),
        ("structures 4", structure(4), true),
        ("structures 5000", structure(5_000), false),
        ("lists 8000", list(8_000), false),
    ];
    for (name, bytes, opens) in cases {
        let outcome = run(std::iter::once((name.to_owned(), bytes)))[0];
        // A type that cannot be read may cost the variable alone, not the file.
        let readable = outcome.opened && outcome.variables_read == 1;
        assert_eq!(readable, opens, "{name}: {outcome:?}");
    }
}

#[test]
fn objects_that_share_one_long_block_do_not_take_quadratic_time() {
    use hdf5::{Hdf5, ROOT, dataset, link, link_info};
    const OBJECTS: u64 = 2_000;
    const MESSAGES: u64 = 60_000;
    let object = |block: u64| {
        let mut messages = dataset(&[], None);
        let end = [block.to_le_bytes(), (8 * MESSAGES).to_le_bytes()].concat();
        messages.push((0x10, end));
        messages
    };
    let root = |first: u64| {
        let links = (0..OBJECTS).map(|i| link(&format!("v{i:04}"), first + i * Hdf5::header_len(&object(0))));
        std::iter::once(link_info()).chain(links).collect::<Vec<_>>()
    };
    let first = ROOT + Hdf5::header_len(&root(0));
    let block = first + OBJECTS * Hdf5::header_len(&object(0));
    let mut file = Hdf5::new();
    file.header(&root(first));
    for _ in 0..OBJECTS {
        let start = usize::try_from(file.end()).unwrap();
        file.header(&object(block));
        // As many messages as the block would hold.
        file.0[start + 2..start + 4].copy_from_slice(&60_000_u16.to_le_bytes());
    }
    file.0.resize(usize::try_from(block + 8 * MESSAGES).unwrap(), 0);
    let begin = Instant::now();
    let outcome = run(std::iter::once(("shared block".to_owned(), file.finish())))[0];
    assert!(!outcome.opened && begin.elapsed() < Duration::from_secs(3), "{outcome:?} {:?}", begin.elapsed());
}

/// At most `most` bytes of the answer to a GET.
fn beginning(server: &Server, target: &str, most: u64) -> Answer {
    let mut stream = server.connect();
    let request = format!("GET {target} HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).unwrap();
    let mut bytes = Vec::new();
    let _ = stream.take(most).read_to_end(&mut bytes);
    Answer::last(&bytes)
}

fn encoded(text: &str) -> String {
    text.bytes().fold(String::new(), |all, b| format!("{all}%{b:02X}"))
}

/// The full names of the atomic variables of a DMR, as far as a plain look at its lines can tell.
fn variables(dmr: &str) -> Vec<String> {
    const TYPES: [&str; 14] = [
        "Int8",
        "Int16",
        "Int32",
        "Int64",
        "UInt8",
        "UInt16",
        "UInt32",
        "UInt64",
        "Float32",
        "Float64",
        "Char",
        "String",
        "Structure",
        "Opaque",
    ];
    let mut found = Vec::new();
    for tag in dmr.split('<').skip(1) {
        let Some((kind, rest)) = tag.split_once(" name=\"") else { continue };
        if TYPES.contains(&kind) {
            found.extend(rest.split('"').next().map(str::to_owned));
        }
    }
    found
}

#[test]
fn the_server_outlives_damaged_files() {
    const FILES: u64 = 250;
    let dir = tempfile::tempdir().unwrap();
    let all = fixtures();
    let healthy = all.iter().find(|f| f.name == "storage.nc").unwrap();
    fs::write(dir.path().join("healthy.nc"), &healthy.bytes).unwrap();
    for i in 0..FILES {
        let mut random = Random(0xbad << 32 | i);
        let original = &all[usize::try_from(i).unwrap() % all.len()];
        let other = &all[usize::try_from(random.below(all.len() as u64)).unwrap()];
        let bytes = mutate(&mut random, &original.bytes, &other.bytes);
        fs::write(dir.path().join(format!("damaged{i:03}.nc")), bytes).unwrap();
    }
    fs::write(dir.path().join("deep.h5"), hdf5::nested_groups(250)).unwrap();
    fs::write(dir.path().join("too_deep.h5"), hdf5::nested_groups(20_000)).unwrap();
    let mut server = Server::start(dir.path(), &[], &[]);
    let urls = [".dap", ".dods", ".dmr", ".das"].map(|suffix| format!("/opendap/healthy.nc{suffix}"));
    let before: Vec<Answer> = urls.iter().map(|url| server.get(url)).collect();
    assert!(before.iter().all(|a| a.status == 200));
    let baseline = server.resident();

    let begin = Instant::now();
    let (mut good, mut bad) = (0, 0);
    let names = (0..FILES)
        .map(|i| format!("damaged{i:03}.nc"))
        .chain(["deep.h5".to_owned(), "too_deep.h5".to_owned()]);
    for name in names {
        let mut ask = |rest: &str, most: u64| {
            let started = Instant::now();
            let mount = if rest.starts_with('/') { "zarr" } else { "opendap" };
            let answer = beginning(&server, &format!("/{mount}/{name}{rest}"), most);
            assert!(started.elapsed() < PATIENCE, "{name}{rest}: {:?}", started.elapsed());
            assert_ne!(answer.status, 0, "{name}{rest}: no answer");
            let text = String::from_utf8_lossy(&answer.body);
            assert!(!text.contains("a defect of the server"), "{name}{rest}: {text}");
            assert!(!text.contains(dir.path().to_str().unwrap()), "{name}{rest} shows a path: {text}");
            if answer.status == 200 {
                good += 1;
            } else {
                bad += 1;
            }
            answer
        };
        let dmr = ask(".dmr", 4 << 20);
        ask(".dds", 4 << 20);
        ask(".das", 4 << 20);
        ask(".dods", 1 << 20);
        ask(".html", 1 << 20);
        ask(".dap", 256 << 10);
        ask(".kerchunk.json", 1 << 20);
        ask(".dmrpp", 1 << 20);
        ask("/zarr.json", 4 << 20);
        ask("/.zmetadata", 1 << 20);
        if dmr.status == 200 {
            for variable in variables(&dmr.text()).iter().take(6) {
                ask(&format!(".dap?dap4.ce={}", encoded(variable)), 64 << 10);
                for chunk in ["0", "0.0", "c/0/0"] {
                    ask(&format!("/{}/{chunk}", encoded(variable)), 256 << 10);
                }
            }
        }
    }
    assert!(good > 200 && bad > 200, "{good} good answers, {bad} bad ones");
    let deep = server.get("/opendap/deep.h5.dmr");
    assert_eq!((deep.status, deep.text().matches("<Group").count()), (200, 250));
    assert!(server.get("/opendap/too_deep.h5.dmr").status >= 400);

    server.assert_sound();
    for (url, before) in urls.iter().zip(&before) {
        assert_eq!(server.get(url).body, before.body, "{url}");
    }
    assert!(server.most_resident() < baseline + (320 << 20), "{} -> {}", baseline, server.most_resident());
    assert!(begin.elapsed() < Duration::from_secs(60), "{:?}", begin.elapsed());
}

#[test]
fn what_is_larger_than_anything_is_refused_at_once() {
    let dir = tempfile::tempdir().unwrap();
    let huge = hdf5::one_dataset(&hdf5::dataset(&[1 << 20, 1 << 20, 1 << 20], None));
    fs::write(dir.path().join("huge.h5"), huge).unwrap();
    // 2^64 elements and more: dimensions whose product overflows.
    let beyond = hdf5::one_dataset(&hdf5::dataset(&[1 << 40, 1 << 40], None));
    fs::write(dir.path().join("beyond.h5"), beyond).unwrap();
    let mut server = Server::start(dir.path(), &[], &[]);
    assert_eq!(server.get("/opendap/huge.h5.dmr").status, 200);
    for target in ["huge.h5.dap", "huge.h5.dods", "huge.h5.ascii", "huge.h5.kerchunk.json"] {
        let begin = Instant::now();
        let answer = beginning(&server, &format!("/opendap/{target}"), 1 << 20);
        assert!(begin.elapsed() < Duration::from_secs(1), "{target}: {:?}", begin.elapsed());
        assert!([400, 413].contains(&answer.status), "{target}: {}", answer.head);
    }
    // A corner of it is data like any other: never written, so all fill.
    let corner = server.get("/opendap/huge.h5.dap?dap4.ce=/v%5B1000000%5D%5B1000000%5D%5B1000000:1000003%5D");
    assert_eq!(corner.status, 200, "{}", corner.text());
    for suffix in [".dmr", ".dap", ".dds", ".dods"] {
        let answer = server.get(&format!("/opendap/beyond.h5{suffix}"));
        assert!(answer.status >= 400, "{suffix}: {}", answer.head);
    }
    server.assert_sound();
    assert!(server.most_resident() < 200 << 20);
}
