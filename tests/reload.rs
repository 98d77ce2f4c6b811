//! Settings that change while the server runs: by signal, by the file, by command; and `thalweg config`.

#![expect(clippy::unwrap_used, reason = "a test program: a failed step is a failed test")]

mod common;

use std::{
    fs,
    io::{Read, Write},
    path::{Path, PathBuf},
    process::{Command, Output},
    time::{Duration, Instant},
};

use common::Server;

/// A folder with a file of settings beside its data.
struct Site {
    dir: tempfile::TempDir,
}

impl Site {
    fn new(settings: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("one")).unwrap();
        fs::create_dir(dir.path().join("two")).unwrap();
        fs::write(dir.path().join("one/a.nc"), vec![b'a'; 64 << 20]).unwrap();
        fs::write(dir.path().join("two/b.nc"), b"b").unwrap();
        let site = Self { dir };
        site.write(settings);
        site
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn file(&self) -> PathBuf {
        self.path("thalweg.toml")
    }

    /// Writes the settings, `@` standing for this folder.
    fn write(&self, settings: &str) {
        fs::write(self.file(), settings.replace('@', self.dir.path().to_str().unwrap())).unwrap();
    }

    fn start(&self, flags: &[&str]) -> Server {
        let file = self.file();
        let flags: Vec<&str> = ["--config", file.to_str().unwrap()].iter().chain(flags).copied().collect();
        Server::start_with(&flags, &[])
    }
}

/// Waits until `done`, failing with the log after some seconds.
fn until(server: &Server, what: &str, done: impl Fn() -> bool) {
    let begin = Instant::now();
    while !done() {
        assert!(begin.elapsed() < Duration::from_secs(10), "{what}\n{}", server.log());
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn metric(server: &Server, name: &str) -> String {
    let text = server.get("/-/metrics").text();
    let line = text.lines().find(|l| l.strip_prefix(name).is_some_and(|r| r.starts_with(' ')));
    line.unwrap().rsplit(' ').next().unwrap().to_owned()
}

fn thalweg(arguments: &[&str], environment: &[(&str, &str)]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_thalweg"));
    command.args(arguments).envs(environment.iter().copied()).output().unwrap()
}

fn text_of(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn a_signal_has_the_settings_read_again() {
    let site = Site::new("title = \"First\"\nroots = [\"@/one\"]\n");
    let server = site.start(&[]);
    assert!(server.get("/").text().contains("First"));
    assert_eq!(server.get("/files/two/b.nc").status, 404);
    site.write("title = \"Second\"\n[[root]]\npath = \"two\"\nlocation = \"@/two\"\n");
    server.signal("HUP");
    until(&server, "the title", || server.get("/").text().contains("Second"));
    assert_eq!(server.get("/files/two/b.nc").text(), "b");
    assert_eq!(server.get("/files/a.nc").status, 404);
    assert!(server.log().contains("1 root added, 1 root removed, title changed"), "{}", server.log());
    assert_eq!(metric(&server, "config_last_reload_successful"), "1");
}

#[test]
fn a_change_of_the_file_is_seen_however_it_is_written() {
    let site = Site::new("title = \"T0\"\nroots = [\"@/one\"]\n");
    let server = site.start(&[]);
    let shows = |title: &str| server.get("/").text().contains(title);
    site.write("title = \"T1\"\nroots = [\"@/one\"]\n");
    until(&server, "written in place", || shows("T1"));
    // As editors do: another file takes its name.
    let text = fs::read_to_string(site.file()).unwrap();
    fs::write(site.path("new"), text.replace("T1", "T2")).unwrap();
    fs::rename(site.path("new"), site.file()).unwrap();
    until(&server, "renamed over", || shows("T2"));
    // As Kubernetes does: a link is exchanged.
    fs::write(site.path("v3"), text.replace("T1", "T3")).unwrap();
    std::os::unix::fs::symlink("v3", site.path("link")).unwrap();
    fs::rename(site.path("link"), site.file()).unwrap();
    until(&server, "a link", || shows("T3"));
    // Gone for a while: the former settings stay.
    fs::remove_file(site.file()).unwrap();
    until(&server, "missed", || server.log().contains("cannot be read"));
    assert!(shows("T3"));
    site.write("title = \"T4\"\nroots = [\"@/one\"]\n");
    until(&server, "back", || shows("T4"));
}

#[test]
fn what_is_broken_changes_nothing_and_says_where() {
    let site = Site::new("title = \"Good\"\nroots = [\"@/one\"]\n");
    let server = site.start(&[]);
    let time = metric(&server, "config_last_reload_success_timestamp_seconds");
    let file = site.file();
    for (settings, place, what) in [
        ("titel = \"Bad\"\n", 1, "unknown key 'titel' (did you mean 'title'?)"),
        ("title = \"Bad\"\n\n[limits]\nmemory = \"much\"\n", 4, "limits.memory: expected a size"),
        ("title = \"Bad\nroots = []\n", 1, ""),
        ("title = \"Bad\"\nroots = [\"@/one\",\n  \"@/nowhere\"]\n", 3, "roots: cannot serve"),
        ("title = \"Bad\"\n[log]\nlevel = \"x=y=z\"\nroots = 1\n", 3, "log.level"),
    ] {
        let before = server.log().len();
        site.write(settings);
        let expect = format!("{}:{place}: {what}", file.display());
        until(&server, &expect, || server.log()[before..].contains(&expect));
        until(&server, "the metric", || metric(&server, "config_last_reload_successful") == "0");
        assert!(server.log()[before..].contains("still serving with the previous settings"));
        assert!(server.get("/").text().contains("Good"));
        assert_eq!(server.ask("HEAD", "/files/a.nc", "").status, 200);
    }
    assert_eq!(metric(&server, "config_last_reload_success_timestamp_seconds"), time);
    site.write("title = \"Better\"\nroots = [\"@/one\"]\n");
    until(&server, "mended", || server.get("/").text().contains("Better"));
    assert_eq!(metric(&server, "config_last_reload_successful"), "1");
    assert_ne!(metric(&server, "config_last_reload_success_timestamp_seconds"), time);
}

#[test]
fn answers_under_way_finish_on_what_they_began_with() {
    let site = Site::new("title = \"First\"\nroots = [\"@/one\"]\n");
    let server = site.start(&[]);
    let mut slow = server.connect();
    slow.write_all(b"GET /files/a.nc HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n").unwrap();
    let mut head = [0; 4096];
    let begun = slow.read(&mut head).unwrap();
    assert!(head.starts_with(b"HTTP/1.1 200 "));
    // The file is not even served any more.
    site.write("title = \"Second\"\nroots = [\"@/two\"]\n");
    server.signal("HUP");
    until(&server, "the reload", || server.get("/").text().contains("Second"));
    assert_eq!(server.get("/files/a.nc").status, 404);
    let mut rest = Vec::new();
    slow.read_to_end(&mut rest).unwrap();
    let whole = [&head[..begun], &rest].concat();
    let body = whole.windows(4).position(|w| w == b"\r\n\r\n").unwrap() + 4;
    assert_eq!(whole.len() - body, 64 << 20);
    assert!(whole[body..].iter().all(|byte| *byte == b'a'));
}

#[test]
fn the_command_tells_what_came_of_it() {
    let site = Site::new("title = \"First\"\nroots = [\"@/one\"]\n");
    let server = site.start(&[]);
    let reload = || thalweg(&["reload", "--listen", &server.address], &[]);
    site.write("title = \"Second\"\nroots = [\"@/one\", \"@/two\"]\n");
    let done = reload();
    let said = text_of(&done.stdout);
    assert_eq!(done.status.code(), Some(0), "{said}");
    assert!(said.starts_with("reloaded in ") && said.contains(" ms, 1 root added, title changed"), "{said}");
    // In force when the command ends.
    assert!(server.get("/").text().contains("Second"));
    site.write("title = 3\n\nlistn = 4\n");
    let done = reload();
    let said = text_of(&done.stderr);
    assert_eq!(done.status.code(), Some(1), "{said}");
    let file = site.file();
    for expect in [
        format!("{}:1: title: expected a string, found 3", file.display()),
        format!("{}:3: unknown key 'listn' (did you mean 'listen'?)", file.display()),
        "still serving with the previous settings".to_owned(),
    ] {
        assert!(said.contains(&expect), "{expect} in {said}");
    }
    site.write(
        "title = \"Third\"\nroots = [\"@/one\"]\nlisten = \"127.0.0.1:1\"\n[log]\nformat = \"json\"\n",
    );
    let said = text_of(&reload().stdout);
    // The flag wins over the file: that the server was not told otherwise is not news.
    assert!(said.contains("log.format = \"json\" needs a restart; \"text\" stays until then"), "{said}");
    assert!(!said.contains("listen ="), "{said}");
    let nobody = thalweg(&["reload", "--listen", "127.0.0.1:9"], &[]);
    assert_eq!(nobody.status.code(), Some(1));
    assert!(text_of(&nobody.stderr).contains("no server answers that listens on port 9"));
}

#[test]
fn a_folder_that_was_exchanged_is_not_mistaken_for_the_former() {
    let site = Site::new("title = \"First\"\nroots = [\"@/one\"]\n");
    let sample = Path::new(env!("CARGO_MANIFEST_DIR")).join("handlers/references/fixtures/day1.nc");
    fs::copy(sample, site.path("one/sample.nc")).unwrap();
    let server = site.start(&[]);
    let whole = server.get("/opendap/sample.nc.dmr").text();
    site.write("title = \"Second\"\nroots = [\"@/one\"]\n");
    server.signal("HUP");
    until(&server, "the reload", || server.get("/").text().contains("Second"));
    assert_eq!(server.get("/opendap/sample.nc.dmr").text(), whole);
    fs::rename(site.path("one"), site.path("was")).unwrap();
    fs::rename(site.path("two"), site.path("one")).unwrap();
    server.signal("HUP");
    until(&server, "the other folder", || server.get("/files/b.nc").status == 200);
    assert_eq!(server.get("/opendap/sample.nc.dmr").status, 404);
}

#[test]
fn metrics_may_have_a_port_of_their_own() {
    let site = Site::new("roots = [\"@/one\"]\n[metrics]\nlisten = \"127.0.0.1:0\"\n");
    let server = site.start(&[]);
    let metrics = server.greeting.split("metrics on http://").nth(1).unwrap().split('/').next().unwrap();
    assert_ne!(metrics, server.address);
    assert_eq!(server.get("/-/metrics").status, 404);
    let ask = |target: &str| {
        let mut stream = std::net::TcpStream::connect(metrics).unwrap();
        write!(stream, "GET {target} HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n").unwrap();
        common::Answer::last(&common::read_all(&mut stream))
    };
    let answer = ask("/-/metrics");
    assert_eq!(
        (answer.status, answer.header("content-type")),
        (200, "text/plain; version=0.0.4; charset=utf-8")
    );
    assert!(
        answer
            .text()
            .contains("\nthalweg_requests_total{route=\"probe\",class=\"4xx\",outcome=\"done\"} 1\n")
    );
    // The others may take a moment to go.
    until(&server, "one connection", || ask("/-/metrics").text().contains("\nthalweg_connections 1\n"));
    assert_eq!((ask("/-/live").status, ask("/files/a.nc").status, ask("/").status), (200, 404, 404));
}

#[test]
fn init_prints_what_check_accepts() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("thalweg.toml");
    let example = thalweg(&["config", "init"], &[]);
    fs::write(&file, &example.stdout).unwrap();
    let checked = thalweg(&["config", "check", file.to_str().unwrap()], &[]);
    assert_eq!((checked.status.code(), text_of(&checked.stdout)), (Some(0), "no problem\n".to_owned()));
}

#[test]
fn check_says_everything_that_is_wrong() {
    let site =
        Site::new("titel = \"x\"\n[limits]\nconnections = 0\n[[store]]\nurl = \"s3://b\"\nregoin = \"x\"\n");
    let file = site.file().display().to_string();
    let checked = thalweg(&["config", "check", &file], &[("THALWEG_LISTEN", "nowhere")]);
    assert_eq!(checked.status.code(), Some(1));
    assert_eq!(
        text_of(&checked.stdout),
        format!(
            "{file}:1: unknown key 'titel' (did you mean 'title'?)\n\
             {file}:3: limits.connections: expected a whole number above 0, found 0\n\
             {file}:6: store: regoin: there is no such key (did you mean 'region'?)\n\
             THALWEG_LISTEN: expected an address and port such as 127.0.0.1:8080, found 'nowhere'\n4 problems\n"
        )
    );
    let json = text_of(&thalweg(&["config", "check", "--json", &file], &[]).stdout);
    assert!(json.starts_with("{\"problems\":[{\"file\":") && json.contains("\"line\":3,"), "{json}");
    // What the settings name is tried as well, each of it.
    site.write("roots = [\"@/one\",\n\"@/none\"]\n[[root]]\npath = \"x\"\nlocation = \"@/nil\"\n");
    let checked = text_of(&thalweg(&["config", "check", &file], &[]).stdout);
    assert!(
        checked.contains(":2: roots: cannot serve") && checked.contains(":3: root: cannot serve"),
        "{checked}"
    );
    assert!(checked.ends_with("2 problems\n"));
    let missing = thalweg(&["config", "check", "nowhere.toml"], &[]);
    assert_eq!(missing.status.code(), Some(2));
}

#[test]
fn print_says_where_each_setting_came_from() {
    let site = Site::new("title = \"x\"\n[[store]]\nurl = \"s3://b\"\nsecret_access_key = \"hunter2\"\n");
    let file = site.file().display().to_string();
    let printed = thalweg(
        &["config", "print", "--origin", "--config", &file, "--listen", "127.0.0.1:1", "data"],
        &[("THALWEG_LIMITS_CONNECTIONS", "7")],
    );
    let text = text_of(&printed.stdout);
    assert_eq!(printed.status.code(), Some(0), "{}", text_of(&printed.stderr));
    for line in [
        &*format!("title = \"x\"  # {file}:1"),
        "listen = \"127.0.0.1:1\"  # --listen",
        "roots = [\"data\"]  # command line",
        "connections = 7  # THALWEG_LIMITS_CONNECTIONS",
        "memory = \"128 MiB\"  # default",
        "secret_access_key = \"(hidden)\"",
    ] {
        assert!(text.lines().any(|l| l == line), "{line} in\n{text}");
    }
    assert!(!text.contains("hunter2"));
}
