//! Damaged datasets of many objects and of text (promises R1 to R4, R15, R16): Zarr, Icechunk, kerchunk's Parquet,
//! NcML and what it joins, and the catalogs of a THREDDS server. One or two objects of each are damaged, thousands of
//! times; documents that are made to do harm are refused.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]
#![allow(clippy::print_stdout, reason = "the figures of a run are for the documentation")]

mod common;
#[path = "common/exercise.rs"]
mod exercise;
#[path = "common/folder.rs"]
mod folder;
#[path = "common/mutate.rs"]
mod mutate;

use std::{
    fs,
    io::{Read, Write},
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::Bytes;
use cdm::{ErrorKind, testing::Random};
use common::Server;
use exercise::{Outcome, panics, registry, run};
use folder::{Folder, store};
use handlers::{
    Registry,
    storage::{Place, Symlinks},
};
use mutate::mutate_any;

/// A dataset: its objects, and the path that it is opened by.
struct Original {
    objects: Folder,
    path: String,
}

fn handlers_folder(path: &str) -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("handlers").join(path)
}

/// NcML documents that use everything there is, beside two files that they join.
const DOCUMENTS: [(&str, &str); 6] = [
    (
        "edits.ncml",
        r#"<netcdf xmlns="http://www.unidata.ucar.edu/namespaces/netcdf/ncml-2.2" location="day1.nc">
        <attribute name="title" value="a &amp; b"/><attribute name="n" type="int" value="1 2 3"/>
        <dimension name="n" length="2"/><variable name="n" shape="n" type="int"><values>1 2</values></variable>
        <variable name="m" shape="n" type="double"><values start="0" increment="6"/></variable>
        <remove type="attribute" name="history"/></netcdf>"#,
    ),
    (
        "joined.ncml",
        r#"<netcdf><aggregation type="joinExisting" dimName="time"><netcdf location="day1.nc"/><netcdf location="day2.nc"/>
        </aggregation></netcdf>"#,
    ),
    (
        "new.ncml",
        r#"<netcdf><aggregation type="joinNew" dimName="run"><variableAgg name="sst"/>
        <netcdf location="day1.nc" coordValue="1"/><netcdf location="day2.nc" coordValue="2"/></aggregation></netcdf>"#,
    ),
    (
        "scan.ncml",
        r#"<netcdf><aggregation type="joinExisting" dimName="time"><scan location="." suffix=".nc" subdirs="true"/>
        </aggregation></netcdf>"#,
    ),
    (
        "union.ncml",
        r#"<netcdf><aggregation type="union"><netcdf location="day1.nc"/><netcdf location="edits.ncml"/></aggregation>
        </netcdf>"#,
    ),
    (
        "tiled.ncml",
        r#"<netcdf location="union.ncml"><variable name="x" orgName="lon"/>
        <variable name="y"><logicalSlice dimName="time" index="0"/></variable>
        <group name="g"><variable name="w" type="float"/></group></netcdf>"#,
    ),
];

async fn originals() -> Vec<Original> {
    let mut all = Vec::new();
    let zip = Folder::of_zip(&handlers_folder("zarr/fixtures/stores.zip")).await;
    let mut names: Vec<&str> = zip.0.keys().filter_map(|path| path.split('/').next()).collect();
    names.dedup();
    for name in names.into_iter().filter(|name| name.contains(".zarr")) {
        all.push(Original { objects: zip.inside(name), path: name.to_owned() });
    }
    for name in ["old", "v1", "v2"] {
        let objects = Folder::of_disk(&handlers_folder("icechunk/fixtures").join(name), name);
        all.push(Original { objects, path: name.to_owned() });
    }
    let references = Folder::of_disk(&handlers_folder("references/fixtures"), "");
    for name in references.0.keys().filter(|name| !name.contains('/')) {
        if [".kerchunk.json", ".refs.json", ".dmrpp"].iter().any(|end| name.ends_with(end)) {
            all.push(Original { objects: references.clone(), path: name.clone() });
        }
    }
    for name in ["virtualizarr.parq", "combined.parq"] {
        all.push(Original { objects: references.clone(), path: name.to_owned() });
    }
    let mut documents = Folder::default();
    for file in ["day1.nc", "day2.nc"] {
        documents.0.insert(file.to_owned(), references.0[file].clone());
    }
    for (name, text) in DOCUMENTS {
        documents.0.insert(name.to_owned(), Bytes::from_static(text.as_bytes()));
    }
    for (name, _) in DOCUMENTS {
        all.push(Original { objects: documents.clone(), path: name.to_owned() });
    }
    assert!(all.len() > 25, "the fixtures have moved: {}", all.len());
    all
}

/// The objects of `original`, one or two of which are damaged: mostly those that say something, and that are its own.
fn damaged(original: &Original, random: &mut Random, others: &[Original]) -> Folder {
    let mut objects = original.objects.clone();
    let own: Vec<String> =
        objects.0.keys().filter(|path| path.starts_with(&original.path)).cloned().collect();
    let documents: Vec<&String> = own
        .iter()
        .filter(|path| [".z", "zarr.json", ".ncml", ".json", "repo", "ref"].iter().any(|m| path.contains(m)))
        .collect();
    let pick = |random: &mut Random, n: usize| usize::try_from(random.below(n as u64)).unwrap();
    for _ in 0..=random.below(2) {
        let path = match random.below(4) {
            0 => own[pick(random, own.len())].clone(),
            1 => objects.0.keys().nth(pick(random, objects.0.len())).unwrap().clone(),
            _ if documents.is_empty() => own[pick(random, own.len())].clone(),
            _ => documents[pick(random, documents.len())].clone(),
        };
        let other = &others[pick(random, others.len())].objects;
        let other = other.0.values().nth(pick(random, other.0.len())).unwrap();
        let Some(whole) = objects.0.get(&path) else { continue };
        let bytes = mutate_any(random, whole, other);
        if random.below(40) == 0 {
            objects.0.remove(&path);
        } else {
            objects.0.insert(path, bytes.into());
        }
        if objects.0.is_empty() {
            break;
        }
    }
    objects
}

async fn open(registry: Registry, objects: Folder, path: String) -> cdm::Result<Arc<dyn cdm::Source>> {
    let place = Place { store: store(objects), path: path.as_str().into(), name: path.as_str().into() };
    match registry.find(&place).await? {
        Some(found) => found.open(&place, &registry).await,
        None => Err(cdm::Error::not_found("there is nothing")),
    }
}

fn all_originals() -> Vec<Original> {
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(originals())
}

#[test]
fn damaged_folders_and_documents_are_read_or_refused() {
    let all = all_originals();
    let whole: Vec<Outcome> =
        run(all.iter().map(|o| (o.path.clone(), open(registry(), o.objects.clone(), o.path.clone()))));
    let opened = whole.iter().filter(|o| o.opened).count();
    assert!(opened > all.len() * 3 / 4, "only {opened} of {} can be opened when whole", all.len());
    let begin = Instant::now();
    let first = exercise::first_round();
    let cases = (first..first + exercise::rounds(40)).flat_map(|round| {
        let all = &all;
        // Aggregations are kept by what they are called: one registry for each round.
        all.iter().enumerate().map(move |(i, original)| {
            let seed = 0xf01d << 48 | round << 16 | i as u64;
            let objects = damaged(original, &mut Random(seed), all);
            let path = original.path.clone();
            (format!("{path} seed {seed:#x}"), open(registry(), objects, path))
        })
    });
    let outcomes = run(cases);
    let opened = outcomes.iter().filter(|o| o.opened).count();
    let failed: usize = outcomes.iter().map(|o| o.variables_failed).sum();
    let most = common::resident("self", "VmHWM");
    println!(
        "{} damaged folders and documents in {:.0?}: {opened} opened, {failed} variables refused, most {} MiB",
        outcomes.len(),
        begin.elapsed(),
        most >> 20
    );
    assert!(opened > outcomes.len() / 5 && opened < outcomes.len(), "{opened} of {} opened", outcomes.len());
    assert!(failed > 50, "{failed} variables failed");
    assert_eq!(panics(), Vec::<String>::new());
    assert!(most < 512 << 20, "{most} bytes were resident");
}

/// An array that claims billions of empty texts, each in a chunk of its own that is not there.
fn billions_of_nothing() -> Folder {
    let group = r#"{"zarr_format": 3, "node_type": "group"}"#;
    let array = r#"{"zarr_format": 3, "node_type": "array", "shape": [4294967295], "data_type": "string",
        "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": [1]}},
        "chunk_key_encoding": {"name": "default"}, "fill_value": "", "codecs": [{"name": "vlen-utf8"}],
        "dimension_names": ["n"]}"#;
    let mut objects = Folder::default();
    for (path, text) in [("none.zarr/zarr.json", group), ("none.zarr/v/zarr.json", array)] {
        objects.0.insert(path.to_owned(), Bytes::from_static(text.as_bytes()));
    }
    objects
}

#[test]
fn what_is_claimed_without_a_byte_to_show_for_it_holds_up_nobody() {
    let begin = Instant::now();
    let open = open(registry(), billions_of_nothing(), "none.zarr".to_owned());
    let outcome = run(std::iter::once(("billions of nothing".to_owned(), open)))[0];
    assert_eq!((outcome.opened, outcome.variables_read), (true, 1), "{outcome:?}");
    println!("the first of billions of empty texts: {:.1?}", begin.elapsed());
    let dir = tempfile::tempdir().unwrap();
    billions_of_nothing().write(dir.path());
    let mut server = Server::start(dir.path(), &[], &[]);
    for target in [
        "opendap/none.zarr.dmr",
        "opendap/none.zarr.dap",
        "opendap/none.zarr.dods",
        "opendap/none.zarr.ascii",
        "opendap/none.zarr.html",
        "opendap/none.zarr.kerchunk.json",
        "opendap/none.zarr.dmrpp",
        "zarr/none.zarr/v/c/0",
        "zarr/none.zarr/.zmetadata",
    ] {
        let begin = Instant::now();
        let mut stream = server.connect();
        write!(stream, "GET /{target} HTTP/1.1\r\nHost: h\r\n\r\n").unwrap();
        let mut head = [0; 12];
        stream.read_exact(&mut head).unwrap();
        let (took, status) = (begin.elapsed(), String::from_utf8_lossy(&head[9..]).into_owned());
        println!("{target}: {status} after {took:.1?}");
        // References to all 131,072 chunks that the array would have are as long as they are, which is told first.
        let most = if target.contains("kerchunk") { exercise::PATIENCE } else { Duration::from_secs(3) };
        assert!(took < most, "{target}: {status} after {took:?}");
        assert_ne!(status, "500", "{target}");
    }
    // Everybody has gone: nothing is worked for any more.
    std::thread::sleep(Duration::from_secs(1));
    let before = processor_time(&server);
    std::thread::sleep(Duration::from_secs(1));
    let used = processor_time(&server) - before;
    assert!(used < 30, "{used} of 100 parts of a second");
    server.assert_sound();
}

/// What the server has had of the processors, in hundredths of a second.
fn processor_time(server: &Server) -> u64 {
    let stat = fs::read_to_string(format!("/proc/{}/stat", server.id())).unwrap();
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
    fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap()
}

/// Documents made to do harm: depth, width, entities, expansion, loops.
fn bombs() -> Vec<(&'static str, &'static str, String)> {
    let deep = |open: &str, close: &str, n: usize| format!("{}{}", open.repeat(n), close.repeat(n));
    let laughs = (0..30).fold("<!DOCTYPE l [<!ENTITY l0 \"ha\">".to_owned(), |text, i| {
        format!("{text}<!ENTITY l{} \"&l{i};&l{i};&l{i};&l{i};\">", i + 1)
    });
    let attributes: String = (0..20_000).fold(String::new(), |all, i| all + &format!(" a{i}='1'"));
    vec![
        ("ncml", "entities", format!("{laughs}]><netcdf title='&l30;'/>")),
        ("ncml", "a file by an entity", "<!DOCTYPE n [<!ENTITY x SYSTEM 'file:///etc/passwd'>]><netcdf><attribute name='a' value='&x;'/></netcdf>".to_owned()),
        ("ncml", "a document type", "<!DOCTYPE netcdf SYSTEM 'http://192.0.2.1/x.dtd'><netcdf location='day1.nc'/>".to_owned()),
        ("ncml", "elements 200 deep", format!("<netcdf>{}</netcdf>", deep("<group name='g'>", "</group>", 200))),
        ("ncml", "elements 100,000 deep", format!("<netcdf>{}</netcdf>", deep("<group name='g'>", "</group>", 100_000))),
        ("ncml", "never closed", "<netcdf><group name='g'>".repeat(50_000)),
        ("ncml", "20,000 attributes", format!("<netcdf{attributes}/>")),
        ("ncml", "itself", "<netcdf location='bomb.ncml'/>".to_owned()),
        ("ncml", "itself among others", "<netcdf><aggregation type='union'><netcdf location='bomb.ncml'/><netcdf location='day1.nc'/></aggregation></netcdf>".to_owned()),
        ("ncml", "outside", "<netcdf location='../../../etc/passwd'/>".to_owned()),
        ("ncml", "a file by its path", "<netcdf location='file:///etc/passwd'/>".to_owned()),
        ("ncml", "the machine's own network", "<netcdf location='http://169.254.169.254/latest/meta-data/x.nc'/>".to_owned()),
        ("ncml", "2^62 values", "<netcdf><dimension name='n' length='4611686018427387904'/><variable name='v' shape='n n' type='double'><values start='0' increment='1'/></variable></netcdf>".to_owned()),
        ("kerchunk.json", "brackets 100,000 deep", deep("[", "]", 100_000)),
        ("kerchunk.json", "braces 100,000 deep", format!("{{\"refs\":{}", "{\"a\":".repeat(100_000))),
        ("kerchunk.json", "a generator of 2^60", r#"{"version":1,"templates":{},"gen":[{"key":"v/{{i}}.{{j}}","url":"day1.nc","offset":"0","length":"1","dimensions":{"i":{"stop":1073741824},"j":{"stop":1073741824}}}],"refs":{".zgroup":"{\"zarr_format\":2}"}}"#.to_owned()),
        ("kerchunk.json", "templates that grow", {
            let grown: Vec<String> = (0..40).map(|i| format!("\"t{}\":\"{{{{t{i}}}}}{{{{t{i}}}}}{{{{t{i}}}}}\"", i + 1)).collect();
            format!(r#"{{"version":1,"templates":{{"t0":"aaaaaaaaaa",{}}},"refs":{{".zgroup":"{{\"zarr_format\":2}}","v/0":["{{{{t40}}}}",0,1]}}}}"#, grown.join(","))
        }),
        ("kerchunk.json", "another file", r#"{".zgroup":"{\"zarr_format\":2}","v/.zarray":"{\"zarr_format\":2,\"shape\":[8],\"chunks\":[8],\"dtype\":\"|u1\",\"fill_value\":0,\"order\":\"C\",\"filters\":null,\"compressor\":null}","v/0":["file:///etc/passwd",0,8]}"#.to_owned()),
        ("kerchunk.json", "an array of 2^63", r#"{".zgroup":"{\"zarr_format\":2}","v/.zarray":"{\"zarr_format\":2,\"shape\":[9223372036854775807],\"chunks\":[9223372036854775807],\"dtype\":\"<f8\",\"fill_value\":0,\"order\":\"C\",\"filters\":null,\"compressor\":null}"}"#.to_owned()),
        ("dmrpp", "entities", format!("{laughs}]><Dataset xmlns='http://xml.opendap.org/ns/DAP/4.0#' name='&l30;'/>")),
        ("dmrpp", "groups 100,000 deep", format!("<Dataset xmlns='http://xml.opendap.org/ns/DAP/4.0#' name='d'>{}</Dataset>", deep("<Group name='g'>", "</Group>", 100_000))),
        ("dmrpp", "2^62 elements", "<Dataset xmlns='http://xml.opendap.org/ns/DAP/4.0#' xmlns:dmrpp='http://xml.opendap.org/dap/dmrpp/1.0.0#' name='d'><Int8 name='v'><Dim size='4611686018427387904'/><Dim size='8'/><dmrpp:chunk offset='0' nBytes='1'/></Int8></Dataset>".to_owned()),
    ]
}

#[test]
fn documents_made_to_do_harm_are_refused_at_once() {
    let all = all_originals();
    let documents = &all.iter().find(|o| o.path == "joined.ncml").unwrap().objects;
    for (format, what, text) in bombs() {
        let path = format!("bomb.{format}");
        let mut objects = documents.clone();
        objects.0.insert(path.clone(), text.into());
        let begin = Instant::now();
        let outcome = run(std::iter::once((what.to_owned(), open(registry(), objects, path))))[0];
        assert!(begin.elapsed().as_secs_f64() < 3.0, "{format}: {what} takes {:?}", begin.elapsed());
        // What opens all the same has nothing of what it is not to have.
        assert!(
            !outcome.opened || outcome.variables_read == 0 || what.starts_with("itself among"),
            "{format}: {what}: {outcome:?}"
        );
    }
    assert_eq!(panics(), Vec::<String>::new());
    assert!(common::resident("self", "VmHWM") < 512 << 20);
}

#[test]
fn the_server_outlives_damaged_folders_and_documents() {
    let dir = tempfile::tempdir().unwrap();
    let all = all_originals();
    let mut names = Vec::new();
    for round in 0..4_u64 {
        for (i, original) in all.iter().enumerate() {
            let folder = format!("r{round}_{i}");
            damaged(original, &mut Random(0x5e4 << 48 | round << 16 | i as u64), &all)
                .write(&dir.path().join(&folder));
            names.push(format!("{folder}/{}", original.path));
        }
    }
    let documents = &all.iter().find(|o| o.path == "joined.ncml").unwrap().objects;
    documents.write(&dir.path().join("bombs"));
    for (i, (format, _, text)) in bombs().into_iter().enumerate() {
        fs::write(dir.path().join(format!("bombs/b{i}.{format}")), text).unwrap();
        names.push(format!("bombs/b{i}.{format}"));
    }
    documents.write(&dir.path().join("good"));
    let mut server = Server::start(dir.path(), &["--log-level", "error"], &[]);
    let good = ["edits.ncml.dap", "joined.ncml.dap", "joined.ncml.das", "day1.nc.dods"]
        .map(|n| format!("/opendap/good/{n}"));
    let before: Vec<_> = good.iter().map(|url| server.get(url)).collect();
    assert!(before.iter().all(|answer| answer.status == 200));
    let baseline = server.resident();
    let (mut fine, mut refused) = (0, 0);
    for name in &names {
        for suffix in [".dmr", ".das", ".dods", ".dap", ".html", ".ncml", ".kerchunk.json"] {
            let begin = Instant::now();
            let answer = server.get(&format!("/opendap/{name}{suffix}"));
            assert_ne!(answer.status, 0, "{name}{suffix}: no answer");
            assert!(begin.elapsed() < exercise::PATIENCE, "{name}{suffix}: {:?}", begin.elapsed());
            let text = String::from_utf8_lossy(&answer.body);
            assert!(!text.contains("a defect of the server"), "{name}{suffix}: {text}");
            for hidden in [dir.path().to_str().unwrap(), "root:x:"] {
                assert!(!text.contains(hidden), "{name}{suffix} shows {hidden}: {text}");
            }
            if answer.status == 200 { fine += 1 } else { refused += 1 }
        }
    }
    println!(
        "{} damaged datasets through the server: {fine} answers, {refused} refusals, most {} MiB",
        names.len(),
        server.most_resident() >> 20
    );
    assert!(fine > 100 && refused > 100, "{fine} {refused}");
    for (url, before) in good.iter().zip(&before) {
        assert!(server.get(url).body == before.body, "{url}");
    }
    server.assert_sound();
    assert!(server.most_resident() < baseline + (352 << 20), "{baseline} -> {}", server.most_resident());
}

/// A catalog that uses what catalogs have.
const CATALOG: &str = r#"<?xml version="1.0" encoding="UTF-8"?>
<catalog name="Site" version="1.0.1" xmlns="http://www.unidata.ucar.edu/namespaces/thredds/InvCatalog/v1.0" xmlns:xlink="http://www.w3.org/1999/xlink">
<service name="all" serviceType="Compound" base=""><service name="odap" serviceType="OPENDAP" base="/thredds/dodsC/"/></service>
<dataset name="one" ID="one" urlPath="one/day1.nc"><metadata inherited="true"><serviceName>all</serviceName>
<documentation type="summary">A &amp; B</documentation><creator><name>me</name></creator><geospatialCoverage><northsouth><start>10</start><size>5</size></northsouth></geospatialCoverage></metadata></dataset>
<datasetRoot path="one" location="ROOT/data"/>
<datasetScan name="scan" ID="scan" path="scan" location="ROOT/data"><filter><include wildcard="*.nc"/><exclude regExp="day[3-9].*"/></filter>
<sort><lexigraphic increasing="false"/></sort><addLatest/></datasetScan>
<featureCollection name="fc" featureType="FMRC" path="fc"><collection spec="ROOT/data/day#yyyyMMdd#.nc$" olderThan="5 min"/><fmrcConfig regularize="true" datasetTypes="TwoD Best"/></featureCollection>
<dataset name="joined" ID="joined" urlPath="joined"><netcdf xmlns="http://www.unidata.ucar.edu/namespaces/netcdf/ncml-2.2"><aggregation type="joinExisting" dimName="time"><scan location="ROOT/data" suffix=".nc"/></aggregation></netcdf></dataset>
<catalogRef xlink:href="sub/more.xml" xlink:title="More" name=""/></catalog>"#;

#[test]
fn damaged_catalogs_are_served_in_part_or_refused() {
    use thalweg::catalog::tds;
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().to_str().unwrap();
    let references = Folder::of_disk(&handlers_folder("references/fixtures"), "");
    fs::create_dir_all(dir.path().join("data")).unwrap();
    for file in ["day1.nc", "day2.nc"] {
        fs::write(dir.path().join("data").join(file), &references.0[file]).unwrap();
    }
    let good = CATALOG.replace("ROOT", root);
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let read = |text: &[u8], more: &[u8]| {
        let content = dir.path().join("content/thredds");
        fs::create_dir_all(content.join("sub")).unwrap();
        fs::write(content.join("catalog.xml"), text).unwrap();
        fs::write(content.join("sub/more.xml"), more).unwrap();
        let begin = Instant::now();
        let found = runtime.block_on(async {
            let mut found = tds::read(&dir.path().join("content"), &Symlinks::default()).await?;
            let registry = registry();
            let places =
                found.places(&registry, &handlers::storage::RemoteOptions::default(), &Symlinks::default());
            let counts = (places.len(), found.problems.len());
            let catalog = thalweg::catalog::Catalog::of(places, 16, registry).with_content(found);
            // What it serves can be listed.
            let _ = catalog.list(&thalweg::catalog::DatasetName::top()).await;
            Ok::<_, cdm::Error>(counts)
        });
        assert!(begin.elapsed() < exercise::PATIENCE, "{:?}", begin.elapsed());
        found
    };
    let (places, _) = read(good.as_bytes(), good.as_bytes()).unwrap();
    assert!(places >= 2, "{places}");
    let first = exercise::first_round();
    let (mut served, mut with_problems) = (0, 0);
    let count = exercise::rounds(40) * 15;
    for round in first..first + count {
        let mut random = Random(0xca7 << 48 | round);
        let text = mutate_any(&mut random, good.as_bytes(), DOCUMENTS[0].1.as_bytes());
        let more = mutate_any(&mut random, good.as_bytes(), &text);
        match read(&text, &more) {
            Ok((places, problems)) => {
                served += usize::from(places > 0);
                with_problems += usize::from(problems > 0);
            }
            Err(e) => assert_ne!(e.kind(), ErrorKind::Internal, "{round}: {e}"),
        }
    }
    println!("{count} damaged catalogs: {served} served something, {with_problems} had problems");
    assert!(served > 50 && with_problems > 50, "{served} {with_problems}");
    for (what, text) in [
        ("deep", format!("<catalog>{}", "<dataset name='d'>".repeat(100_000))),
        ("wide", format!("<catalog>{}</catalog>", "<datasetRoot path='p' location='/tmp'/>".repeat(50_000))),
        ("itself", "<catalog xmlns:xlink='http://www.w3.org/1999/xlink'><catalogRef xlink:href='catalog.xml'/></catalog>".to_owned()),
        ("entities", "<!DOCTYPE c [<!ENTITY x SYSTEM 'file:///etc/passwd'>]><catalog name='&x;'/>".to_owned()),
    ] {
        let _ = read(text.as_bytes(), text.as_bytes()).map_err(|e| assert_ne!(e.kind(), ErrorKind::Internal, "{what}: {e}"));
    }
    assert_eq!(panics(), Vec::<String>::new());
}
