//! What every answer has, whatever is asked (promise R22), and names that lead out of what is served (promise R14).

#![expect(clippy::unwrap_used, reason = "a test program: a failed step is a failed test")]

mod common;
#[path = "common/netcdf3.rs"]
mod netcdf3;

use std::{fs, os::unix::fs::symlink, process::Command};

use common::{Answer, Server};
use thalweg::{catalog::DatasetName, server::addresses};

/// A name that must be escaped wherever it is shown.
const ODD: &str = "a\"b'<script>alert(1)<script> & {x}.nc";

/// Names of nothing that is served.
const NOT_FOUND: &[&str] = &[
    "up.nc",
    "sibling/secret.nc",
    "sub/above/data-x/secret.nc",
    "absolute.nc",
    "passwd.nc",
    "zero.nc",
    "loop.nc",
    "nowhere.nc",
    "pipe.nc",
    "sub/pipe.nc",
    "socket.nc",
    ".hidden.nc",
    ".hidden/a.nc",
    "%2ehidden.nc",
    "sub",
    "a.nc/a.nc",
    "a.nc%20",
    "A.NC",
    "%61.nc.nc",
    "...",
    "a%252enc",
    "%252e%252e/data-x/secret.nc",
];

/// What no name may be.
const REFUSED: &[&str] = &[
    "../data-x/secret.nc",
    "..%2fdata-x%2fsecret.nc",
    "%2e%2e/data-x/secret.nc",
    "sub/../../data-x/secret.nc",
    "sub%2f..%2f..%2fdata-x%2fsecret.nc",
    "..\\data-x\\secret.nc",
    "..%5cdata-x%5csecret.nc",
    "a.nc%00",
    "a%00.nc",
    "a.nc%0d%0aX:%20y",
    "a%0a.nc",
    "%ff%fe.nc",
    "%c0%ae%c0%ae/x.nc",
    "%C0%AF.nc",
    "a//b.nc",
    "./a.nc",
    "%2e/a.nc",
    "%u002e%u002e/x.nc",
    "%/x.nc",
    "%4.nc",
    "a%7f.nc",
    "%C2%9b.nc",
];

fn is_html(answer: &Answer) -> bool {
    answer.header("content-type").starts_with("text/html")
}

fn check_headers(answer: &Answer, at: &str) {
    for (name, expect) in [
        ("x-content-type-options", "nosniff"),
        (
            "content-security-policy",
            "default-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'self'",
        ),
        ("referrer-policy", "same-origin"),
    ] {
        assert_eq!(answer.header(name), expect, "{at}\n{}", answer.head);
    }
}

/// No script, style or handler in the page itself, which the policy would block, and nothing of a name as markup.
fn check_page(text: &str, at: &str) {
    for script in text.split("<script").skip(1) {
        let (tag, rest) = script.split_once('>').unwrap();
        let is_data = tag.contains("type=\"application/ld+json\"");
        assert!(is_data || tag.contains("src=") && rest.starts_with("</script>"), "{at}: <script{tag}>");
        assert!(!is_data || !rest.split("</script>").next().unwrap().contains('<'), "{at}: {rest}");
    }
    for wrong in ["<style", " style=", " onclick=", " onload=", " onerror=", "javascript:", "alert(1)<"] {
        assert!(!text.contains(wrong), "{at}: {wrong}");
    }
}

#[test]
fn every_answer_has_the_headers_that_pages_need() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    fs::create_dir_all(data.join("sub <b>")).unwrap();
    netcdf3::write(&data.join("sub <b>").join(ODD), [2, 3, 4], 1, true);
    let server = Server::start(&data, &["--title", "<script>alert(1)</script> \"&"], &[]);
    let name = DatasetName::new(&format!("sub <b>/{ODD}")).unwrap();
    let missing = DatasetName::new("sub <b>/<script>alert(1)<script>.nc").unwrap();
    let (mut pages, mut downloads) = (0, 0);
    let found = addresses(&name).into_iter().chain(addresses(&missing));
    let more = [
        "/nothing<script>",
        "/opendap/../x",
        "/opendap/x.nc.dds?<script>alert(1)</script>",
        "/?q=<script>alert(1)</script>",
    ];
    for address in found.chain(more.map(str::to_owned)) {
        for headers in ["", "Accept: text/html\r\n", "Accept: application/json\r\n"] {
            let answer = server.ask("GET", &address, headers);
            let at = format!("{address} ({headers:?})");
            // A redirect and the answer that there is nothing to say have no page.
            if answer.status != 302 {
                check_headers(&answer, &at);
            }
            if is_html(&answer) {
                pages += 1;
                check_page(&answer.text(), &at);
            }
            let media = answer.header("content-type");
            let is_raw = media.starts_with("application/x-") || media == "application/octet-stream";
            // DAP2's own, which says what it is, and the keys of a store are no files.
            let is_known =
                answer.header("content-description") == "dods_data" || address.starts_with("/zarr/");
            if answer.status == 200 && is_raw && !is_known {
                downloads += 1;
                assert!(
                    answer.header("content-disposition").starts_with("attachment"),
                    "{at}\n{}",
                    answer.head
                );
            }
            // What is refused is a page as well.
            for wrong in ["<script>alert(1)", "<b>"] {
                assert!(!is_html(&answer) || !answer.text().contains(wrong), "{at}: {wrong}");
            }
        }
    }
    assert!(pages > 100 && downloads > 2, "{pages} {downloads}");
}

#[test]
fn no_name_leads_out_of_what_is_served_or_to_what_is_no_file() {
    let dir = tempfile::tempdir().unwrap();
    let (data, beside) = (dir.path().join("data"), dir.path().join("data-x"));
    for folder in [&data, &beside, &data.join("sub"), &data.join(".hidden"), &dir.path().join("other")] {
        fs::create_dir_all(folder).unwrap();
    }
    let files = [
        beside.join("secret.nc"),
        dir.path().join("other/secret.nc"),
        data.join("a.nc"),
        data.join(".hidden.nc"),
    ];
    files.iter().chain([&data.join(".hidden/a.nc"), &data.join("sub/a.nc")]).for_each(|path| {
        netcdf3::write(path, [2, 3, 4], 1, true);
    });
    for (target, link) in [
        ("../data-x/secret.nc", "up.nc"),
        ("../data-x", "sibling"),
        ("..", "sub/above"),
        ("/etc/passwd", "passwd.nc"),
        ("/dev/zero", "zero.nc"),
        ("loop.nc", "loop.nc"),
        ("nowhere.nc", "nowhere.nc"),
        ("a.nc", "inside.nc"),
        ("sub", "inside"),
    ] {
        symlink(target, data.join(link)).unwrap();
    }
    symlink(beside.join("secret.nc"), data.join("absolute.nc")).unwrap();
    for name in ["pipe.nc", "sub/pipe.nc"] {
        assert!(Command::new("mkfifo").arg(data.join(name)).status().unwrap().success());
    }
    let _socket = std::os::unix::net::UnixListener::bind(data.join("socket.nc")).unwrap();
    let mut server = Server::start(&data, &[], &[]);
    // With a rule for everything below a name, the paths that lead there are the same.
    let ways = |name: &str| {
        let forms = [
            "/files/@",
            "/opendap/@.dds",
            "/opendap/@.dmr",
            "/opendap/@.dap",
            "/zarr/@/.zmetadata",
            "/thredds/ncml/@",
            "/thredds/dodsC/@.das",
            "/opendap/@.html",
            "/catalog.xml?dataset=@",
        ];
        forms.map(|form| form.replace('@', name))
    };
    for name in ["a.nc", "inside.nc", "inside/a.nc", "sub/a.nc"] {
        for way in ways(name) {
            let answer = server.get(&way);
            assert_eq!(answer.status, 200, "{way} {}", answer.head);
        }
    }
    for name in NOT_FOUND.iter().copied() {
        for way in ways(name) {
            let answer = server.get(&way);
            let is_folder = name == "sub" && matches!(answer.status, 302 | 404);
            assert!(is_folder || answer.status == 404, "{way} {}", answer.head);
            assert!(!answer.text().contains(dir.path().to_str().unwrap()), "{way}");
        }
    }
    for name in REFUSED.iter().copied() {
        for way in ways(name) {
            let answer = server.get(&way);
            // A key of a store may have any name, and is not there.
            let is_key = way.starts_with("/zarr/") && answer.status == 404;
            assert!(is_key || answer.status == 400, "{way} {}", answer.head);
            assert!(!answer.head.contains("\nx:"), "{way}");
        }
    }
    // Encoded once it is the same name, which is in listings when it may be asked for, and only then.
    assert_eq!(server.get("/files/%61%2Enc").body, fs::read(data.join("a.nc")).unwrap());
    for folder in ["", "sub/"] {
        let listed = server.get(&format!("/catalog/{folder}catalog.xml")).text();
        for wrong in [
            "secret", "pipe", "socket", "hidden", "passwd", "zero", "loop", "up.nc", "sibling", "nowhere",
            "absolute",
        ] {
            assert!(!listed.contains(wrong), "{wrong} in {listed}");
        }
        assert!(listed.contains("a.nc"), "{listed}");
    }
    server.assert_sound();
}
