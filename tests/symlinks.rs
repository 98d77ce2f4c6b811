//! Symbolic links that lead out of what is served (promise R14): followed into the folders of `follow_symlinks` and
//! nowhere else, in every way that data are asked for; what is behind them is looked at like everything else.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod common;
#[path = "common/netcdf3.rs"]
mod netcdf3;

use std::{
    fs,
    os::unix::fs::symlink,
    path::PathBuf,
    process::Command,
    time::{Duration, Instant},
};

use common::{Answer, Server};

const SHAPE: [u64; 3] = [4, 3, 2];

/// `data` is served; links in it may lead into `mnt`. What only `outside` and `mnt-other` have is a secret.
struct Site(tempfile::TempDir);

impl Site {
    fn new() -> Self {
        let site = Self(tempfile::tempdir().unwrap());
        for folder in ["data", "mnt/archive", "mnt/series", "mnt/z", "mnt/.hidden", "mnt-other", "outside"] {
            fs::create_dir_all(site.path(folder)).unwrap();
        }
        for file in ["data/own.nc", "mnt/archive/a.nc", "mnt/archive/.dot.nc", "mnt/.hidden/h.nc"] {
            netcdf3::write(&site.path(file), SHAPE, 1, false);
        }
        for file in ["mnt-other/secret.nc", "outside/secret.nc"] {
            netcdf3::write(&site.path(file), SHAPE, 9, false);
        }
        for n in 0..2 {
            netcdf3::write(&site.path(&format!("mnt/series/{n}.nc")), SHAPE, n, true);
            fs::write(
                site.path(&format!("mnt/z/part{n}")),
                [n.to_le_bytes(), (n + 7).to_le_bytes()].concat(),
            )
            .unwrap();
        }
        site.link("mnt/archive/a.nc", "data/file.nc");
        site.link("mnt/archive", "data/archive");
        site.link("mnt/.hidden/h.nc", "data/shown.nc");
        site.link("mnt/series", "data/series");
        // A store whose chunks are links.
        fs::create_dir_all(site.path("data/links.zarr/v")).unwrap();
        for (name, text) in [
            (".zgroup", r#"{"zarr_format": 2}"#),
            (
                "v/.zarray",
                r#"{"zarr_format": 2, "shape": [4], "chunks": [2], "dtype": "<i4", "compressor": null,
                    "fill_value": -1, "order": "C", "filters": null}"#,
            ),
            ("v/.zattrs", r#"{"_ARRAY_DIMENSIONS": ["x"]}"#),
        ] {
            fs::write(site.path("data/links.zarr").join(name), text).unwrap();
        }
        site.link("mnt/z/part0", "data/links.zarr/v/0");
        site.link("mnt/z/part1", "data/links.zarr/v/1");
        // References by name, relative and absolute.
        let ncml = |location: String| format!("<netcdf location=\"{location}\"/>");
        fs::write(site.path("data/relative.ncml"), ncml("archive/a.nc".to_owned())).unwrap();
        fs::write(site.path("data/absolute.ncml"), ncml(site.shown("data/archive/a.nc"))).unwrap();
        // And what must not be reached.
        site.link("outside/secret.nc", "data/secret.nc");
        site.link("outside", "data/secrets");
        site.link("mnt-other/secret.nc", "data/other.nc");
        site.link("mnt-other", "data/others");
        symlink("../outside/secret.nc", site.path("data/up.nc")).unwrap();
        symlink("..", site.path("data/above")).unwrap();
        site.link("outside/secret.nc", "mnt/archive/third.nc");
        site.link("outside", "mnt/archive/third");
        symlink("../../outside/secret.nc", site.path("mnt/archive/third relative.nc")).unwrap();
        site.link("mnt/archive/loop.nc", "mnt/archive/loop.nc");
        symlink(".", site.path("mnt/archive/again")).unwrap();
        assert!(Command::new("mkfifo").arg(site.path("mnt/archive/pipe.nc")).status().unwrap().success());
        symlink("/dev/zero", site.path("mnt/archive/zero.nc")).unwrap();
        fs::write(site.path("data/beside.ncml"), ncml("archive/third.nc".to_owned())).unwrap();
        fs::write(site.path("data/straight.ncml"), ncml(site.shown("mnt/archive/a.nc"))).unwrap();
        site
    }

    fn path(&self, path: &str) -> PathBuf {
        self.0.path().join(path)
    }

    fn shown(&self, path: &str) -> String {
        self.path(path).to_str().unwrap().to_owned()
    }

    fn link(&self, target: &str, link: &str) {
        symlink(self.path(target), self.path(link)).unwrap();
    }

    /// Settings in which `text` is put, with `@` for the folder of all.
    fn start(&self, text: &str) -> Server {
        self.write(text);
        Server::start_with(&["--config", &self.shown("t.toml")], &[])
    }

    fn write(&self, text: &str) {
        fs::write(self.path("t.toml"), text.replace('@', self.0.path().to_str().unwrap())).unwrap();
    }

    /// The answer, which says nothing of where anything is.
    fn get(&self, server: &Server, target: &str) -> Answer {
        let answer = server.get(target);
        let told = [&answer.head, &String::from_utf8_lossy(&answer.body).into_owned()]
            .map(|text| text.contains("mnt"));
        assert!(
            told == [false; 2] || target.contains("mnt"),
            "{target}: {}{}",
            answer.head,
            String::from_utf8_lossy(&answer.body)
        );
        let place = self.0.path().to_str().unwrap().as_bytes();
        assert!(
            !answer.body.windows(place.len()).any(|window| window == place),
            "{target} shows where it is"
        );
        answer
    }
}

const WAYS: [&str; 9] = [
    "/files/@",
    "/thredds/fileServer/@",
    "/opendap/@.dds",
    "/opendap/@.dmr",
    "/opendap/@.dap",
    "/zarr/@/.zmetadata",
    "/thredds/ncml/@",
    "/opendap/@.html",
    "/catalog.xml?dataset=@",
];

const FOLLOW: &str = "roots = [\"@/data\"]\nfollow_symlinks = [\"@/mnt\"]\n\
    [[dataset]]\nname = \"joined\"\nscan = \"series\"\njoin = \"t\"\n";

#[test]
fn every_way_leads_into_named_folders_and_nowhere_else() {
    let site = Site::new();
    let mut server = site.start(FOLLOW);
    let own = fs::read(site.path("mnt/archive/a.nc")).unwrap();
    for name in ["own.nc", "file.nc", "archive/a.nc", "archive/again/a.nc", "shown.nc", "series/0.nc"] {
        for way in WAYS {
            let answer = site.get(&server, &way.replace('@', name));
            assert_eq!(answer.status, 200, "{way} {name} {}", answer.head);
        }
        let whole = site.get(&server, &format!("/files/{name}")).body;
        assert!(name.starts_with("series") || whole == own, "{name}");
    }
    let values = |name: &str| {
        let body = site.get(&server, &format!("/opendap/{name}.dods")).body;
        let begin = body.windows(7).position(|window| window == b"\nData:\n").unwrap();
        body[begin..].to_vec()
    };
    for name in ["file.nc", "archive/a.nc", "relative.ncml", "absolute.ncml"] {
        assert!(values(name) == values("own.nc"), "{name}");
    }
    let values = site.get(&server, "/opendap/links.zarr.ascii?v").text();
    assert!(values.contains("0, 7, 1, 8"), "{values}");
    for name in [
        "secret.nc",
        "secrets/secret.nc",
        "other.nc",
        "others/secret.nc",
        "up.nc",
        "above/outside/secret.nc",
        "above/mnt/archive/a.nc",
        "archive/third.nc",
        "archive/third/secret.nc",
        "archive/third%20relative.nc",
        "archive/loop.nc",
        "archive/pipe.nc",
        "archive/zero.nc",
        "archive/.dot.nc",
        "archive/none.nc",
    ] {
        for way in WAYS {
            let answer = site.get(&server, &way.replace('@', name));
            assert!([400, 404].contains(&answer.status), "{way} {name} {}", answer.head);
        }
    }
    // What a document refers to is reached as what a client names is: by names beneath the root.
    for name in ["beside.ncml", "straight.ncml"] {
        let answer = site.get(&server, &format!("/opendap/{name}.dods"));
        assert!(answer.status >= 400, "{name} {}", answer.head);
    }
    for (folder, shown, hidden) in [
        (
            "",
            &["own.nc", "file.nc", "archive", "shown.nc", "series", "links.zarr"][..],
            &["secret", "other", "up.nc", "above"][..],
        ),
        ("archive/", &["a.nc", "again"], &["third", "loop", "pipe", "zero", ".dot"]),
    ] {
        for listing in ["catalog.xml", "catalog.html"] {
            let text = site.get(&server, &format!("/catalog/{folder}{listing}")).text();
            for name in shown {
                assert!(text.contains(name), "{name} in {folder}{listing}: {text}");
            }
            for name in hidden {
                assert!(!text.contains(name), "{name} in {folder}{listing}: {text}");
            }
        }
    }
    server.assert_sound();
}

/// Asks until `is_so`, which must be within the 2 s of promise R10 and some for a busy machine.
fn soon(what: &str, mut is_so: impl FnMut() -> bool) {
    let begin = Instant::now();
    while !is_so() {
        assert!(begin.elapsed() < Duration::from_secs(15), "{what}");
        std::thread::sleep(Duration::from_millis(100));
    }
}

#[test]
fn changes_behind_links_are_seen() {
    let site = Site::new();
    let server = site.start(FOLLOW);
    let tag = |name: &str| site.get(&server, &format!("/opendap/{name}.dap")).header("etag").to_owned();
    let data = |name: &str| site.get(&server, &format!("/opendap/{name}.dods?v")).body;
    let before = (tag("file.nc"), data("file.nc"), data("relative.ncml"), data("joined"));
    // Asked again it comes out of memory, as long as it is so.
    assert_eq!((tag("file.nc"), data("file.nc")), (before.0.clone(), before.1.clone()));
    assert!(!before.3.is_empty() && !before.0.is_empty());
    netcdf3::write(&site.path("mnt/archive/new"), SHAPE, 2, false);
    fs::rename(site.path("mnt/archive/new"), site.path("mnt/archive/a.nc")).unwrap();
    let second = data("file.nc");
    assert!(second != before.1 && tag("file.nc") != before.0);
    soon("what refers to it", || data("relative.ncml") != before.2);
    // The link itself leads elsewhere.
    netcdf3::write(&site.path("mnt/archive/b.nc"), SHAPE, 3, false);
    symlink(site.path("mnt/archive/b.nc"), site.path("data/new")).unwrap();
    fs::rename(site.path("data/new"), site.path("data/file.nc")).unwrap();
    let third = data("file.nc");
    assert!(third != second && third != before.1);
    // A member of what is made of files in a folder behind a link; no watch tells of it.
    netcdf3::write(&site.path("mnt/series/new"), SHAPE, 5, true);
    fs::rename(site.path("mnt/series/new"), site.path("mnt/series/1.nc")).unwrap();
    soon("a member", || data("joined") != before.3);
    let before = data("joined");
    netcdf3::write(&site.path("mnt/series/2.nc"), SHAPE, 6, true);
    soon("one more", || data("joined").len() > before.len());
    // The folder's link leads elsewhere, to more of them.
    fs::create_dir(site.path("mnt/more")).unwrap();
    (0..5).for_each(|n| netcdf3::write(&site.path(&format!("mnt/more/{n}.nc")), SHAPE, n, true));
    symlink(site.path("mnt/more"), site.path("data/new")).unwrap();
    fs::rename(site.path("data/new"), site.path("data/series")).unwrap();
    soon("another folder", || site.get(&server, "/opendap/joined.dds").text().contains("t = 20]"));
}

#[test]
fn a_member_that_becomes_a_link_is_followed_from_then_on() {
    let site = Site::new();
    fs::create_dir(site.path("data/plain")).unwrap();
    for n in 0..2 {
        netcdf3::write(&site.path(&format!("data/plain/{n}.nc")), SHAPE, n, true);
    }
    let server = site.start(&FOLLOW.replace("\"series\"", "\"plain\""));
    // Nothing is read of a member: that would tell that it is another one.
    let has = |steps: u64| site.get(&server, "/opendap/joined.dds").text().contains(&format!("t = {steps}]"));
    assert!(has(8));
    symlink(site.path("mnt/series/1.nc"), site.path("data/plain/2.nc")).unwrap();
    soon("the link", || has(12));
    netcdf3::write(&site.path("mnt/series/new"), [9, 3, 2], 7, true);
    fs::rename(site.path("mnt/series/new"), site.path("mnt/series/1.nc")).unwrap();
    soon("what it leads to", || has(17));
}

#[test]
fn each_root_may_have_its_own_and_a_reload_changes_them() {
    let site = Site::new();
    let roots = |first: &str, second: &str, all: &str| {
        format!(
            "{all}\n[[root]]\npath = \"one\"\nlocation = \"@/data\"\n{first}\n\
             [[root]]\npath = \"two\"\nlocation = \"@/data\"\n{second}\n"
        )
    };
    let server = site.start(&roots("follow_symlinks = [\"@/mnt\"]", "", ""));
    let both = |path: &str| {
        ["one", "two"].map(|root| site.get(&server, &format!("/opendap/{root}/{path}.dods")).status)
    };
    assert_eq!(both("file.nc"), [200, 404]);
    assert_eq!(both("own.nc"), [200, 200]);
    let write = |text: String| {
        site.write(&text);
        server.signal("HUP");
    };
    write(roots("follow_symlinks = []", "", "follow_symlinks = [\"@/mnt\"]"));
    soon("the other way round", || both("file.nc") == [404, 200]);
    // What was opened by way of a link is gone with it, and so is what referred to it.
    let referring = both("relative.ncml");
    assert!(referring[0] >= 400 && referring[1] == 200, "{referring:?}");
    write(roots("", "", ""));
    soon("none", || both("file.nc") == [404, 404]);
    assert!(both("relative.ncml").iter().all(|status| *status >= 400));
    // What cannot be used is refused, and the former settings stay.
    write(roots("", "", "follow_symlinks = [\"@/none\"]"));
    soon("a folder that is not there", || server.log().contains("/none: there is no such file"));
    write(roots("", "", "follow_symlinks = [\"mnt\"]"));
    soon("a relative path", || server.log().contains("expected absolute paths of folders"));
    assert_eq!(both("own.nc"), [200, 200]);
}

#[test]
fn commands_and_content_folders_follow_them_too() {
    let site = Site::new();
    site.write(FOLLOW);
    let run = |arguments: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_thalweg"));
        let output = command.args(arguments).env("THALWEG_INDEX_FOLDER", "none").output().unwrap();
        String::from_utf8([output.stdout, output.stderr].concat()).unwrap()
    };
    let (data, file) = (site.shown("data"), site.shown("t.toml"));
    let (with, without) = (run(&["ls", &data, "--config", &file]), run(&["ls", &data]));
    let has = |told: &str, name: &str| told.lines().any(|line| line.split_whitespace().last() == Some(name));
    for name in ["archive/a.nc", "file.nc"] {
        assert!(has(&with, name) && !has(&without, name), "{with}\n{without}");
    }
    assert!(has(&without, "own.nc"), "{without}");
    let told = run(&["check", &data]);
    assert!(told.contains("file.nc: a link that leads out") && told.contains("follow_symlinks"), "{told}");
    let told = run(&["check", &data, "--config", &file]);
    assert!(!told.contains("error: file.nc") && told.contains("error: secret.nc"), "{told}");
    let printed = run(&["config", "print", "--config", &file, "--origin"]);
    assert!(printed.contains(&format!("follow_symlinks = [\"{}\"]", site.shown("mnt"))), "{printed}");
    // A content folder whose catalog is a link, and names a folder that a link leads out of.
    fs::create_dir_all(site.path("content/thredds")).unwrap();
    let catalog = format!(
        r#"<catalog xmlns="http://www.unidata.ucar.edu/namespaces/thredds/InvCatalog/v1.0" name="c">
        <service name="s" serviceType="OpenDAP" base="/thredds/dodsC/"/>
        <datasetScan name="all" path="all" location="{data}"><metadata inherited="true"><serviceName>s</serviceName></metadata>
        </datasetScan></catalog>"#
    );
    fs::write(site.path("mnt/catalog.xml"), catalog).unwrap();
    site.link("mnt/catalog.xml", "content/thredds/catalog.xml");
    let server = site.start("thredds.content = \"@/content\"\nfollow_symlinks = [\"@/mnt\"]\n");
    assert_eq!(server.get("/thredds/dodsC/all/file.nc.dods").status, 200);
    assert_eq!(server.get("/thredds/dodsC/all/secret.nc.dods").status, 404);
}
