//! Who may read what (promises R14, R23, R24): every route of the table, asked by everybody for everything.

#![expect(clippy::unwrap_used, reason = "a test program: a failed step is a failed test")]

mod common;
#[path = "common/netcdf3.rs"]
mod netcdf3;

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    process::{Command, Stdio},
    sync::LazyLock,
};

use common::{Answer, Server};
use thalweg::{
    access,
    catalog::DatasetName,
    protocols::{dap2, dap4, pages, zarr},
    server::{CatalogFormat, Fixed, Response, Route, addresses, route},
};

/// A word in the names of what is hidden, which no answer to the wrong people has.
const MARK: &str = "umbra";

/// Every kind of route there is.
const KINDS: [&str; 29] = [
    "dap4 dsr",
    "dap4 dsr.xml",
    "dap4 dmr",
    "dap4 dmr.xml",
    "dap4 dap",
    "dap4 dmrpp",
    "dap2 dds",
    "dap2 das",
    "dap2 dods",
    "dap2 ascii",
    "dap2 ver",
    "dap2 help",
    "dap2 info",
    "ncml",
    "zarr key",
    "zarr references",
    "page",
    "page json",
    "catalog xml",
    "catalog html",
    "catalog latest",
    "catalog json",
    "file",
    "probe",
    "metrics",
    "asset",
    "robots",
    "sitemap",
    "favicon",
];

/// The kind of one route: who adds a variant says here what it is, and adds an address of it to the table.
fn kind(response: &Response) -> &'static str {
    match response {
        Response::Dap4(dap4::Response::Dsr) => "dap4 dsr",
        Response::Dap4(dap4::Response::DsrXml) => "dap4 dsr.xml",
        Response::Dap4(dap4::Response::Dmr) => "dap4 dmr",
        Response::Dap4(dap4::Response::DmrXml) => "dap4 dmr.xml",
        Response::Dap4(dap4::Response::Dap) => "dap4 dap",
        Response::Dap4(dap4::Response::Dmrpp) => "dap4 dmrpp",
        Response::Dap2(dap2::Response::Dds) => "dap2 dds",
        Response::Dap2(dap2::Response::Das) => "dap2 das",
        Response::Dap2(dap2::Response::Dods) => "dap2 dods",
        Response::Dap2(dap2::Response::Ascii) => "dap2 ascii",
        Response::Dap2(dap2::Response::Ver) => "dap2 ver",
        Response::Dap2(dap2::Response::Help) => "dap2 help",
        Response::Dap2(dap2::Response::Info) => "dap2 info",
        Response::Ncml => "ncml",
        Response::Zarr(zarr::Response::Key(_)) => "zarr key",
        Response::Zarr(zarr::Response::References) => "zarr references",
        Response::Page(pages::Form::Html) => "page",
        Response::Page(pages::Form::Json) => "page json",
    }
}

fn kinds(route: &Route) -> Vec<&'static str> {
    vec![match route {
        Route::Dataset { candidates, .. } => return candidates.iter().map(|c| kind(&c.response)).collect(),
        Route::Catalog { format: CatalogFormat::Xml, .. } => "catalog xml",
        Route::Catalog { format: CatalogFormat::Html, .. } => "catalog html",
        Route::Catalog { format: CatalogFormat::Latest, .. } => "catalog latest",
        Route::Catalog { format: CatalogFormat::Json, .. } => "catalog json",
        Route::File { .. } => "file",
        Route::Fixed(Fixed::Live | Fixed::Ready) => "probe",
        Route::Fixed(Fixed::Metrics) => "metrics",
        Route::Fixed(Fixed::Style | Fixed::Script) => "asset",
        Route::Fixed(Fixed::Robots) => "robots",
        Route::Fixed(Fixed::Sitemap) => "sitemap",
        Route::Fixed(Fixed::Favicon) => "favicon",
    }]
}

static HASH: LazyLock<String> = LazyLock::new(|| access::hash("correct horse").unwrap());

const KEY: &str = "a key of this test, of 32 characters or more";

/// Who asks, and with what headers.
const ROLES: [(&str, &str); 5] = [
    // First, so that what is kept for those who may is there when others ask.
    ("ann", "Authorization: Basic YW5uOmNvcnJlY3QgaG9yc2U=\r\n"),
    ("anyone", ""),
    ("bob", "Authorization: Basic Ym9iOmNvcnJlY3QgaG9yc2U=\r\n"),
    ("robot", "Authorization: Bearer robot-token-1\r\n"),
    ("stranger", "Authorization: Bearer no-such-token\r\n"),
];

/// Datasets, and who may read each.
const DATASETS: [(&str, &[&str]); 8] = [
    ("open/a.nc", &["ann", "anyone", "bob", "robot"]),
    ("closed-x/a.nc", &["ann", "anyone", "bob", "robot"]),
    ("closed/umbra.nc", &["ann", "robot"]),
    ("closed/deep/umbra-bob.nc", &["bob"]),
    ("mixed/umbra.nc", &["ann"]),
    ("mixed/a.nc", &["ann", "anyone", "bob", "robot"]),
    ("signed/umbra.nc", &["ann", "bob", "robot"]),
    ("umbra-joined", &["ann"]),
];

struct Site {
    dir: tempfile::TempDir,
}

impl Site {
    fn new() -> Self {
        let site = Self { dir: tempfile::tempdir().unwrap() };
        for (name, _) in DATASETS.iter().filter(|(name, _)| name.contains('/')) {
            site.file(name);
        }
        site
    }

    fn path(&self, name: &str) -> std::path::PathBuf {
        self.dir.path().join(name)
    }

    fn file(&self, name: &str) {
        let path = self.path("data").join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        netcdf3::write(&path, [2, 3, 4], 1, true);
        // Long ago, so that aggregations do not take it to be still written.
        let old = std::time::SystemTime::now() - std::time::Duration::from_secs(3600);
        fs::File::options().append(true).open(&path).unwrap().set_modified(old).unwrap();
    }

    fn start(&self, name: &str, more: &str) -> Server {
        let data = self.path("data");
        let text = format!(
            "{more}\n[[root]]\npath = \"\"\nlocation = \"{0}\"\n\
             [[root]]\npath = \"mixed\"\nlocation = \"{0}/mixed\"\n\
             [[dataset]]\nname = \"umbra-joined\"\nglob = \"mixed/*.nc\"\ntype = \"joinNew\"\n\
             dimension = \"file\"\n",
            data.display()
        );
        let file = self.path(name);
        fs::write(&file, text).unwrap();
        Server::start_with(&["--config", file.to_str().unwrap()], &[])
    }
}

fn rules() -> String {
    let user = |name: &str, groups: &str| {
        format!("[[user]]\nname = \"{name}\"\npassword = \"{}\"\ngroups = [{groups}]\n", *HASH)
    };
    let rule = |path: &str, read: &str| format!("[[rule]]\npath = \"{path}\"\nread = {read}\n");
    [
        format!("[signing]\nkeys = [\"{KEY}\"]\n"),
        user("ann", "\"ocean\""),
        user("bob", ""),
        format!(
            "[[token]]\nname = \"robot\"\ngroups = [\"machines\"]\nsha256 = \"{}\"\n",
            access::token_hash("robot-token-1")
        ),
        rule("closed", "[\"@ocean\", \"@machines\"]"),
        rule("closed/deep/umbra-bob.nc", "[\"bob\"]"),
        rule("mixed/umbra.nc", "[\"ann\"]"),
        rule("signed", "\"signed in\""),
        rule("umbra-joined", "[\"ann\"]"),
    ]
    .concat()
}

/// What an answer is, but for what names this one request.
fn shown(answer: &Answer) -> (u16, Vec<String>, String) {
    let varies = |line: &&str| !line.starts_with("x-request-id") && !line.starts_with("date:");
    let head = answer.head.lines().filter(varies).map(str::to_owned).collect();
    let id = answer.header("x-request-id").to_owned();
    (answer.status, head, String::from_utf8_lossy(&answer.body).replace(&id, "ID"))
}

fn names(text: &str) -> BTreeSet<String> {
    text.split(|c: char| !(c.is_alphanumeric() || "-._".contains(c)))
        .filter(|word| word.contains(MARK))
        .map(|word| word.trim_matches('.').to_owned())
        .collect()
}

#[test]
fn every_route_asked_by_everybody_for_everything() {
    let site = Site::new();
    let free = site.start("open.toml", "");
    let mut server = site.start("rules.toml", &rules());
    let mut met: BTreeMap<&str, usize> = KINDS.iter().map(|kind| (*kind, 0)).collect();
    let mut asked = 0;
    for (dataset, readers) in DATASETS {
        let name = DatasetName::new(dataset).unwrap();
        // One that there is not, with a name of the same length beside it.
        let folder = dataset.rsplit_once('/').map_or(String::new(), |(folder, _)| format!("{folder}/"));
        let file = name.file_name();
        let missing = format!("{folder}{}{}", "0", &file[1..]);
        let others = addresses(&DatasetName::new(&missing).unwrap());
        for (address, other) in addresses(&name).into_iter().zip(others) {
            for kind in kinds(&route(address.split('?').next().unwrap()).unwrap()) {
                *met.get_mut(kind).unwrap_or_else(|| panic!("{kind} is not in KINDS")) += 1;
            }
            let is_about_one = address.contains(file);
            let expected = free.get(&address);
            for (role, headers) in ROLES {
                let answer = server.ask("GET", &address, headers);
                let at = format!(
                    "{role} asks for {address}: {} {}",
                    answer.head,
                    String::from_utf8_lossy(&answer.body)
                );
                asked += 1;
                if role == "stranger" {
                    let is_fixed = address.starts_with("/-/");
                    // After a while who guesses is told to wait.
                    let refused = if answer.status == 429 { 429 } else { 401 };
                    assert_eq!(answer.status, if is_fixed { expected.status } else { refused }, "{at}");
                    continue;
                }
                // Nobody is shown the name of what they may not read, but who asked for it by that name.
                let text = String::from_utf8_lossy(&answer.body).into_owned();
                let may: BTreeSet<&str> = DATASETS
                    .iter()
                    .filter(|(_, readers)| readers.contains(&role))
                    .map(|(name, _)| *name)
                    .collect();
                for found in names(&text) {
                    let is_known = may.iter().any(|name| found.starts_with(name.rsplit('/').next().unwrap()));
                    assert!(is_known || (is_about_one && file.contains(&found)), "{at}\nshows {found}");
                }
                if !is_about_one {
                    continue;
                }
                if readers.contains(&role) {
                    // A dataset that is no folder; of what is in a dataset nobody is asked to sign in.
                    let is_missing =
                        expected.status == 404 && role == "anyone" && !address.starts_with("/zarr/");
                    assert_eq!(answer.status, if is_missing { 401 } else { expected.status }, "{at}");
                    if !address.contains("catalog") {
                        assert_eq!(answer.header("etag"), expected.header("etag"), "{at}");
                    }
                    continue;
                }
                // Nothing tells it from what there is not: no status, no header, no byte, and no condition.
                assert_eq!(answer.status, if role == "anyone" { 401 } else { 404 }, "{at}");
                for conditions in
                    ["", "If-None-Match: *\r\n", "Range: bytes=0-3\r\n", "Accept: text/html\r\n"]
                {
                    let headers = format!("{headers}{conditions}");
                    let hidden = shown(&server.ask("GET", &address, &headers));
                    let (status, head, text) = shown(&server.ask("GET", &other, &headers));
                    let other_name = missing.rsplit('/').next().unwrap();
                    let missing = (status, head, text.replace(other_name, file));
                    assert_eq!(hidden, missing, "{at}\n{other}");
                }
            }
        }
    }
    let unmet: Vec<_> = met.iter().filter(|(_, count)| **count == 0).collect();
    assert!(unmet.is_empty(), "no address in the table is of the kind {unmet:?}");
    assert!(asked > 3000, "{asked}");
    server.assert_sound();
}

#[test]
fn listings_have_what_one_may_read() {
    let site = Site::new();
    let server = site.start("rules.toml", &rules());
    let listed = |role: &str, path: &str| {
        let headers = ROLES.iter().find(|(name, _)| *name == role).unwrap().1;
        server.ask("GET", path, headers)
    };
    let has = |role: &str, path: &str, word: &str| {
        let answer = listed(role, path);
        assert_eq!(answer.status, 200, "{role} {path} {}", answer.head);
        answer.text().contains(word)
    };
    for path in ["/catalog.xml", "/", "/catalog.json", "/thredds/catalog/catalog.xml", "/sitemap.xml"] {
        for (role, word, expect) in [
            ("anyone", "closed-x", true),
            ("anyone", "closed/", false),
            ("anyone", "signed", false),
            ("ann", "umbra-joined", true),
            ("bob", "umbra-joined", false),
            ("bob", "signed", true),
        ] {
            if path == "/catalog.json" && word == "closed/" {
                continue;
            }
            assert_eq!(has(role, path, word), expect, "{role} {path} {word}");
        }
    }
    // The way to what bob may read is open, and what lies beside it is not.
    let folder = listed("bob", "/catalog/closed/catalog.xml").text();
    assert!(folder.contains("deep") && !folder.contains("umbra.nc"), "{folder}");
    assert!(has("bob", "/catalog/closed/deep/catalog.xml", "umbra-bob.nc"));
    // Versions of an aggregation are for who may read it.
    let page = listed("ann", "/opendap/umbra-joined.dmr");
    assert_eq!(page.status, 200);
    assert_eq!(listed("bob", "/opendap/umbra-joined@0123456789abcdef.dmr").status, 404);
    assert_eq!(listed("anyone", "/opendap/umbra-joined@0123456789abcdef.dmr").status, 401);
}

#[test]
fn answers_for_few_are_for_no_shared_cache_and_no_other_page() {
    let site = Site::new();
    let more = format!("[cors]\norigins = [\"https://app.example.org\"]\n{}", rules());
    let server = site.start("rules.toml", &more);
    let (ann, page) = (ROLES[0].1, "Origin: https://app.example.org\r\n");
    let secret = server.ask("GET", "/opendap/closed/umbra.nc.dds", &format!("{ann}{page}"));
    assert_eq!(secret.status, 200);
    assert_eq!(secret.header("cache-control"), "private");
    assert!(
        secret.head.contains("vary: authorization") && secret.head.contains("vary: origin"),
        "{}",
        secret.head
    );
    assert_eq!(secret.header("access-control-allow-origin"), "https://app.example.org");
    assert_eq!(secret.header("access-control-allow-credentials"), "true");
    for origin in [
        "",
        "Origin: https://evil.example.org\r\n",
        "Origin: https://app.example.org.evil.org\r\n",
        "Origin: null\r\n",
    ] {
        let answer = server.ask("GET", "/opendap/closed/umbra.nc.dds", &format!("{ann}{origin}"));
        assert_eq!(answer.status, 200);
        assert!(!answer.head.contains("access-control-allow"), "{origin} {}", answer.head);
        // What is public is everyone's, without credentials.
        let open = server.ask("GET", "/opendap/open/a.nc.dds", origin);
        assert_eq!(open.header("access-control-allow-origin"), "*", "{origin}");
        assert!(
            !open.head.contains("credentials") && open.header("cache-control").is_empty(),
            "{}",
            open.head
        );
        let exposed = open.header("access-control-expose-headers").to_owned();
        for name in ["etag", "content-disposition", "xdap", "xdods-server"] {
            assert!(exposed.contains(name), "{exposed}");
        }
        let preflight = server.ask("OPTIONS", "/opendap/closed/umbra.nc.dds", origin);
        assert_eq!((preflight.status, preflight.header("access-control-allow-origin")), (204, "*"));
        assert!(!preflight.header("access-control-allow-headers").contains("authorization"));
        assert!(preflight.header("access-control-allow-headers").contains("range"));
    }
    let preflight = server.ask("OPTIONS", "/opendap/closed/umbra.nc.dds", page);
    assert_eq!(preflight.header("access-control-allow-origin"), "https://app.example.org");
    assert!(preflight.header("access-control-allow-headers").contains("authorization"));
}

#[test]
fn ways_to_sign_in() {
    let site = Site::new();
    let server = site.start("rules.toml", &rules());
    let status = |headers: &str| server.ask("GET", "/opendap/closed/umbra.nc.dds", headers).status;
    let refused = server.get("/opendap/closed/umbra.nc.dds");
    assert!(refused.head.contains("www-authenticate: basic realm="), "{}", refused.head);
    assert!(refused.head.contains("www-authenticate: bearer"), "{}", refused.head);
    assert_eq!(status("authorization: basic YW5uOmNvcnJlY3QgaG9yc2U=\r\n"), 200);
    assert_eq!(status("Authorization: BEARER robot-token-1\r\n"), 200);
    for wrong in [
        "Authorization: Basic !!!\r\n",
        "Authorization: Basic YW5u\r\n",
        "Authorization: Basic\r\n",
        "Authorization: Digest username=\"ann\"\r\n",
        "Authorization: Basic YW5uOmNvcnJlY3QgaG9yc2U=\r\nAuthorization: Bearer robot-token-1\r\n",
        "Authorization: Bearer robot-token-\r\n",
    ] {
        assert_eq!(status(wrong), 401, "{wrong}");
    }
    // What is public is no exception: who shows something wrong wants to know.
    let wrong = server.ask("GET", "/opendap/open/a.nc.dds", "Authorization: Bearer x\r\n");
    assert_eq!(wrong.status, 401);
    // An address that guesses is slowed down; who signed in before, or has a token, is not.
    assert_eq!(status(ROLES[0].1), 200);
    let mut last = 0;
    for _ in 0..12 {
        last = status("Authorization: Basic YW5uOndyb25n\r\n");
    }
    assert_eq!(last, 429);
    assert!(
        !server.ask("GET", "/", "Authorization: Basic YW5uOndyb25n\r\n").header("retry-after").is_empty()
    );
    assert_eq!((status(ROLES[0].1), status(ROLES[3].1), status("")), (200, 200, 401));
    // Others, too, but who has not signed in from there yet.
    assert_eq!(status(ROLES[2].1), 429);
    assert!(server.log().contains("thalweg::audit"), "{}", server.log());
}

#[test]
fn catalogs_of_a_content_folder_have_what_one_may_read() {
    let site = Site::new();
    let content = site.path("content");
    fs::create_dir(&content).unwrap();
    let data = site.path("data");
    let data = data.display();
    let catalog = format!(
        "<catalog xmlns='http://www.unidata.ucar.edu/namespaces/thredds/InvCatalog/v1.0' name='All'>
           <service name='odap' serviceType='OPENDAP' base='/thredds/dodsC/'/>
           <datasetRoot path='mixed' location='{data}/mixed'/>
           <dataset name='Some' ID='some'>
             <dataset name='One' ID='one' urlPath='mixed/a.nc' serviceName='odap'/>
             <dataset name='The umbra' ID='umbra-id' urlPath='mixed/umbra.nc' serviceName='odap'/>
           </dataset>
           <dataset name='Only umbra inside'>
             <dataset name='The umbra again' ID='umbra-2' urlPath='mixed/umbra.nc' serviceName='odap'/>
           </dataset>
           <datasetScan name='Runs of umbra' ID='umbra-runs' path='closed' location='{data}/closed'>
             <addLatest><simpleLatest name='newest.xml' serviceName='latest'/></addLatest>
           </datasetScan>
           <datasetScan name='Free' ID='free' path='open' location='{data}/open'/>
         </catalog>"
    );
    fs::write(content.join("catalog.xml"), catalog).unwrap();
    let file = site.path("thredds.toml");
    fs::write(&file, format!("thredds = {{ content = \"{}\" }}\n{}", content.display(), rules())).unwrap();
    let server = Server::start_with(&["--config", file.to_str().unwrap()], &[]);
    let paths = [
        "/thredds/catalog.xml",
        "/thredds/catalog.html",
        "/catalog.xml",
        "/thredds/catalog/catalog.xml",
        "/thredds/catalog.xml?dataset=umbra-id",
        "/thredds/catalog.html?dataset=umbra-id",
        "/thredds/catalog/closed/catalog.xml",
        "/thredds/catalog/closed/catalog.html",
        "/thredds/catalog/closed/latest.xml",
        "/thredds/catalog/closed/newest.xml",
        "/thredds/dodsC/mixed/umbra.nc.dds",
        "/thredds/fileServer/mixed/umbra.nc",
        "/thredds/ncml/closed/umbra.nc",
    ];
    for path in paths {
        let (anyone, ann) = (server.get(path), server.ask("GET", path, ROLES[0].1));
        assert!(ann.status < 400, "{path} {}", ann.head);
        let text = anyone.text();
        let location = anyone.header("location");
        assert!(!text.contains(MARK) && !location.contains(MARK), "{path} {} {text}", anyone.head);
        if path.contains("umbra") || path.contains("closed") {
            // Nobody but bob may read anything in there, and he has to say who he is.
            assert_eq!(anyone.status, 401, "{path} {text}");
        } else {
            assert_eq!(anyone.status, 200, "{path}");
            assert!(text.contains("mixed/a.nc") && text.contains("Free"), "{path} {text}");
            assert!(ann.text().contains("mixed/umbra.nc") && ann.text().contains("Runs of umbra"), "{path}");
        }
    }
}

#[test]
fn hashes_are_made_from_standard_input() {
    let run = |arguments: &[&str], input: &str| {
        let mut child = Command::new(env!("CARGO_BIN_EXE_thalweg"))
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        std::io::Write::write_all(&mut child.stdin.take().unwrap(), input.as_bytes()).unwrap();
        let output = child.wait_with_output().unwrap();
        (output.status.code(), String::from_utf8(output.stdout).unwrap())
    };
    let (code, hash) = run(&["hash-password"], "correct horse\n");
    assert_eq!(code, Some(0));
    access::check_hash(hash.trim()).unwrap();
    assert_ne!(run(&["hash-password"], "correct horse\n").1, hash, "each has a salt of its own");
    assert_eq!(run(&["hash-password"], "\n").0, Some(2));
    let (_, token) = run(&["hash-token"], "robot-token-1\n");
    assert_eq!(token.trim(), access::token_hash("robot-token-1"));
    let (_, both) = run(&["hash-token", "--new"], "");
    let words: Vec<&str> = both.split_whitespace().collect();
    assert_eq!((words[0], words[2], words[3]), ("token", "sha256", &*access::token_hash(words[1])));
    assert!(words[1].len() >= 43);
}
