//! Signed links (promise R24): they open what they were made for, until their time, and nothing else; what is behind one
//! leads nowhere outside of it.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test program: a failed step is a failed test")]

mod common;
#[path = "common/netcdf3.rs"]
mod netcdf3;

use std::{
    fs,
    process::Command,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use common::Server;
use thalweg::{access::Links, catalog::DatasetName, server::addresses};

const KEY: &str = "the current key, of 32 characters or more";
const FORMER: &str = "the former key, of 32 characters or more";

struct Site {
    dir: tempfile::TempDir,
}

impl Site {
    fn new() -> Self {
        let site = Self { dir: tempfile::tempdir().unwrap() };
        for name in ["closed/a.nc", "closed/b c.nc", "closed/deep/a.nc", "closed-x/a.nc", "open.nc"] {
            let path = site.dir.path().join("data").join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            netcdf3::write(&path, [2, 3, 4], 1, true);
        }
        fs::write(site.dir.path().join("former.key"), format!("{FORMER}\n")).unwrap();
        let text = format!(
            "[signing]\nkeys = [\"{KEY}\"]\nkey_files = [\"{0}/former.key\"]\n\
             [[root]]\npath = \"\"\nlocation = \"{0}/data\"\n\
             [[rule]]\npath = \"closed\"\nread = []\n[[rule]]\npath = \"closed-x\"\nread = []\n",
            site.dir.path().display()
        );
        fs::write(site.dir.path().join("t.toml"), text).unwrap();
        site
    }

    fn start(&self) -> Server {
        Server::start_with(&["--config", self.dir.path().join("t.toml").to_str().unwrap()], &[])
    }

    /// What `thalweg sign` prints, and says on standard error.
    fn sign(&self, arguments: &[&str]) -> Result<(String, String), String> {
        let file = self.dir.path().join("t.toml");
        let output = Command::new(env!("CARGO_BIN_EXE_thalweg"))
            .args(["sign", "--config", file.to_str().unwrap()])
            .args(arguments)
            .env("THALWEG_INDEX_FOLDER", "none")
            .output()
            .unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        if !output.status.success() {
            return Err(said);
        }
        Ok((String::from_utf8(output.stdout).unwrap().trim().to_owned(), said))
    }
}

/// The path of a URL of the server `h`.
fn path_of(url: &str) -> &str {
    url.strip_prefix("http://h").unwrap_or_else(|| panic!("{url}"))
}

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}

/// Addresses in a document: of HTML, XML and JSON.
fn links(text: &str) -> Vec<String> {
    let marks =
        ["href=\"", "src=\"", "action=\"", "base=\"", "data-json=\"", "\"url\":\"", "\"contentUrl\":\""];
    let after = |mark: &str| -> Vec<String> {
        text.split(mark).skip(1).map(|rest| rest.split('"').next().unwrap_or_default().to_owned()).collect()
    };
    marks.iter().flat_map(|mark| after(mark)).collect()
}

/// Where a link in the document at `path` leads: a path of this server, or a whole URL elsewhere.
fn resolved(path: &str, link: &str) -> String {
    let link = link.split(['#', '?']).next().unwrap();
    if let Some(rest) = link.strip_prefix("http://h") {
        return rest.to_owned();
    }
    if link.contains("://") || link.starts_with('/') {
        return link.to_owned();
    }
    let mut parts: Vec<&str> = path.split('?').next().unwrap().split('/').collect();
    parts.pop();
    for part in link.split('/') {
        match part {
            ".." => drop(parts.pop()),
            "." => {}
            part => parts.push(part),
        }
    }
    parts.join("/")
}

#[test]
fn a_link_opens_its_scope_on_every_route_and_leads_nowhere_else() {
    let site = Site::new();
    let server = site.start();
    assert_eq!(
        server.get("/opendap/closed/a.nc.dds").status,
        404,
        "nobody may, and nobody is asked to sign in"
    );
    for (scope, inside, outside) in [
        (
            "closed",
            &["closed/a.nc", "closed/b c.nc", "closed/deep/a.nc"][..],
            &["closed-x/a.nc", "open.nc"][..],
        ),
        ("closed/a.nc", &["closed/a.nc"], &["closed/b c.nc", "closed/deep/a.nc", "closed-x/a.nc", "open.nc"]),
    ] {
        let (url, said) = site.sign(&[&format!("http://h/opendap/{scope}"), "--for", "1h"]).unwrap();
        assert!(said.contains(&format!("opens {scope} until ")), "{said}");
        let path = path_of(&url);
        let token = path.strip_suffix(&format!("/opendap/{scope}")).unwrap();
        assert!(token.starts_with("/~") && !token[1..].contains('/'), "{token}");
        for name in inside {
            for address in addresses(&DatasetName::new(name).unwrap()) {
                let answer = server.get(&format!("{token}{address}"));
                let text = String::from_utf8_lossy(&answer.body).into_owned();
                let is_about_one = address.contains(&DatasetName::new(name).unwrap().to_url());
                if is_about_one {
                    let is_none = address.starts_with("/catalog/closed")
                        || address.starts_with("/thredds/catalog/closed")
                        || address == format!("/zarr/{}", DatasetName::new(name).unwrap().to_url())
                        || address == format!("/zarr/{}/", DatasetName::new(name).unwrap().to_url());
                    let fine = answer.status < 400 || is_none && answer.status == 404;
                    assert!(fine, "{address}: {} {text}", answer.head);
                }
                if answer.status == 200 && !address.starts_with("/-/") {
                    let is_everyones = ["/robots.txt", "/favicon.ico"].contains(&address.as_str());
                    assert_eq!(
                        answer.header("cache-control"),
                        if is_everyones { "" } else { "private" },
                        "{address}"
                    );
                }
                let media = answer.header("content-type");
                let is_text = ["html", "xml", "json"].iter().any(|kind| media.contains(kind));
                // What serves the page itself is the same for all.
                for link in links(&text).iter().filter(|_| is_text) {
                    let target = resolved(&format!("{token}{address}"), link);
                    let is_ours = !target.contains("://") || target.starts_with("http://h/");
                    let is_inside = target.starts_with(&format!("{token}/")) || target == token;
                    assert!(!is_ours || link.is_empty() || is_inside, "{address} leads to {link}");
                }
                for (at, _) in text.match_indices("http://h/") {
                    assert!(
                        text[at..].starts_with(&format!("http://h{token}/")),
                        "{address}: {}",
                        &text[at..(at + 60).min(text.len())]
                    );
                }
                // Names outside of the scope are not shown.
                assert!(!text.contains("closed-x") && !text.contains("open.nc"), "{address} {text}");
            }
        }
        for name in outside {
            for address in addresses(&DatasetName::new(name).unwrap()) {
                if address.contains(&DatasetName::new(name).unwrap().to_url()) {
                    let answer = server.get(&format!("{token}{address}"));
                    assert_eq!(answer.status, 404, "{address} {}", answer.head);
                }
            }
        }
        // Without the link nothing has changed.
        assert_eq!(server.get("/opendap/closed/a.nc.dds").status, 404);
    }
}

#[test]
fn links_end_and_cannot_be_made_by_others() {
    let site = Site::new();
    let server = site.start();
    let get = |token: &str| server.get(&format!("/~{token}/opendap/closed/a.nc.dds"));
    let links = Links::new([KEY.as_bytes()]).unwrap();
    let good = links.sign("closed", now() + 60).unwrap();
    assert_eq!(get(&good).status, 200);
    // A key that has been replaced is good as long as it is there.
    let former = Links::new([FORMER.as_bytes()]).unwrap().sign("closed", now() + 60).unwrap();
    assert_eq!(get(&former).status, 200);
    let over = get(&links.sign("closed", now() - 1).unwrap());
    assert_eq!((over.status, over.text().contains("the time of this link is over")), (403, true));
    let foreign = Links::new([&b"another key, of 32 characters or more"[..]]).unwrap();
    let mut forged =
        vec![foreign.sign("closed", now() + 60).unwrap(), good[..good.len() - 1].to_owned(), String::new()];
    forged.push(good.replacen(&good[3..5], if &good[3..5] == "AA" { "BB" } else { "AA" }, 1));
    for token in forged {
        let answer = get(&token);
        assert_eq!((answer.status, answer.text().contains("this link is not valid")), (403, true), "{token}");
    }
    // One that ends while it is used.
    let brief = links.sign("closed", now() + 2).unwrap();
    assert_eq!(get(&brief).status, 200);
    std::thread::sleep(Duration::from_millis(2100));
    assert_eq!(get(&brief).status, 403, "also of what is kept");
    // Its token is in no error and not in the log.
    let missing = server.get(&format!("/~{good}/opendap/closed/none.nc.dds"));
    assert!(missing.status == 404 && !missing.text().contains(&good), "{}", missing.text());
    server.get(&format!("/~{good}/nothing"));
    assert!(
        !server.log().contains(&good[5..20]) && server.log().contains("/~(hidden)/opendap/closed/a.nc.dds"),
        "{}",
        server.log()
    );
}

#[test]
fn what_cannot_be_signed_is_said() {
    let site = Site::new();
    let check = |arguments: &[&str], expect: &str| {
        let said = site.sign(arguments).unwrap_err();
        assert!(said.contains(expect), "{said}");
    };
    check(&["http://h/opendap/closed/none.nc"], "neither a dataset nor a folder closed/none.nc");
    check(&["http://h/elsewhere"], "is no address of a dataset or a folder");
    check(&["closed/a.nc", "--for", "soon"], "--for: expected a time such as 30min, 12h or 7d");
    check(&["http://h/~abc/opendap/closed/a.nc"], "signed link already");
    // The suffix of an address is no part of the name.
    let (url, said) = site.sign(&["http://h/opendap/closed/b%20c.nc.html"]).unwrap();
    assert!(
        url.ends_with("/opendap/closed/b%20c.nc.html") && said.contains("opens closed/b c.nc until"),
        "{url} {said}"
    );
    let (url, _) = site.sign(&["closed/a.nc"]).unwrap();
    assert!(url.starts_with("http://127.0.0.1:8080/~") && url.ends_with("/opendap/closed/a.nc"), "{url}");
    let key = site.sign(&["--new-key"]).unwrap().0;
    assert!(Links::new([key.as_bytes()]).is_ok() && key != site.sign(&["--new-key"]).unwrap().0);
}
