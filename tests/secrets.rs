//! Secrets are in no log, no error and no dump of settings (promise R25), whatever the level.

#![expect(clippy::unwrap_used, reason = "a test program: a failed step is a failed test")]

mod common;
#[path = "common/netcdf3.rs"]
mod netcdf3;

use std::{fs, process::Command, time::Duration};

use common::Server;
use thalweg::access::{self, Links};

/// Nothing that is written has this in it.
const MARK: &str = "hunter2";

/// Addresses with secrets in them, in every place that one may be in.
fn targets(good: &str, over: &str) -> Vec<String> {
    vec![
        "/opendap/a.nc.dds".to_owned(),
        "/opendap/a.nc.dap?dap4.ce=/v".to_owned(),
        "/opendap/a.nc.dods?token=hunter2".to_owned(),
        "/opendap/a.nc.dmr?X-Amz-Signature=hunter2&sig=hunter2".to_owned(),
        "/opendap/none.nc.dds?token=hunter2".to_owned(),
        "/catalog.xml?token=hunter2".to_owned(),
        "/nothing?access_token=hunter2".to_owned(),
        "/?q=x&token=hunter2".to_owned(),
        "/../x?token=hunter2".to_owned(),
        format!("/~{over}/opendap/a.nc.dds"),
        format!("/~{good}x/opendap/a.nc.dds"),
        format!("/~{good}/opendap/none.nc.dds"),
        format!("/~{good}/opendap/a.nc.dds?nothing"),
        format!("/~{good}/opendap/a.nc.dap?dap4.ce=/x[9]"),
        format!("/~{good}"),
        format!("http://h/~{good}/opendap/a.nc.dds"),
    ]
}

/// Neither has what commands print of the settings.
fn check_commands(file: &str, secrets: &[&str]) {
    for arguments in [&["config", "print", "--origin", "--config", file][..], &["config", "check", file]] {
        let output = Command::new(env!("CARGO_BIN_EXE_thalweg"))
            .args(arguments)
            .env("THALWEG_SIGNING_KEYS", "hunter2-from-the-environment-is-longer-than-32")
            .output()
            .unwrap();
        let said =
            format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert!(!said.is_empty());
        for secret in secrets {
            assert!(!said.contains(secret), "{secret} in {said}");
        }
    }
}

#[test]
fn no_secret_is_written_at_any_level() {
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name);
    fs::create_dir(path("data")).unwrap();
    netcdf3::write(&path("data/a.nc"), [2, 3, 4], 1, true);
    let key = "hunter2-signing-key-of-32-characters";
    fs::write(path("file.key"), "hunter2-in-a-file-of-32-characters-or-more").unwrap();
    let password = "hunter2-password";
    let hash = access::hash(password).unwrap();
    let salt = hash.split('$').nth(4).unwrap().to_owned();
    let token = "hunter2-token";
    let text = format!(
        "roots = [\"{0}/data\"]\n[signing]\nkeys = [\"{key}\"]\nkey_files = [\"{0}/file.key\"]\n\
         [[user]]\nname = \"ann\"\npassword = \"{hash}\"\n[[token]]\nname = \"robot\"\nsha256 = \"{1}\"\n\
         [[rule]]\npath = \"a.nc\"\nread = \"signed in\"\n\
         [[store]]\nurl = \"s3://b\"\nsecret_access_key = \"hunter2-s3\"\nsession_token = \"hunter2-session\"\n",
        dir.path().display(),
        access::token_hash(token)
    );
    let file = path("t.toml");
    fs::write(&file, text).unwrap();
    let file = file.to_str().unwrap();
    let basic = |text: &str| {
        use base64::Engine as _;
        base64::engine::general_purpose::STANDARD.encode(text)
    };
    let (right, wrong) = (basic(&format!("ann:{password}")), basic("ann:hunter2-wrong"));
    let links = Links::new([key.as_bytes()]).unwrap();
    let (good, over) = (links.sign("a.nc", 1 << 36).unwrap(), links.sign("a.nc", 1000).unwrap());
    let secrets = [MARK, &right, &wrong, &good, &over, &salt, &access::token_hash(token), "not-a-jwt"];
    for format in ["text", "json"] {
        let mut server =
            Server::start_with(&["--config", file, "--log-level", "trace", "--log-format", format], &[]);
        let mut answers = Vec::new();
        for target in targets(&good, &over) {
            for headers in [
                String::new(),
                format!("Authorization: Basic {right}\r\nCookie: session=hunter2\r\n"),
                format!("Authorization: Basic {wrong}\r\n"),
                format!("Authorization: Bearer {token}\r\nReferer: http://h/~{good}/\r\n"),
                "Authorization: Bearer not-a-jwt.hunter2.x\r\n".to_owned(),
                "Proxy-Authorization: Basic hunter2\r\nX-Api-Key: hunter2\r\n".to_owned(),
            ] {
                let answer = server.ask("GET", &target, &headers);
                // What a link leads to has links in it; everything else has none.
                if !answer.head.starts_with("http/1.1 200") {
                    answers.push(format!(
                        "{target}: {}\n{}",
                        answer.head,
                        String::from_utf8_lossy(&answer.body)
                    ));
                }
            }
        }
        std::thread::sleep(Duration::from_millis(200));
        server.signal("HUP");
        std::thread::sleep(Duration::from_millis(300));
        server.signal("TERM");
        server.wait();
        let log = server.log();
        assert!(log.lines().count() > 100, "{log}");
        for secret in secrets {
            let line = log.lines().find(|line| line.to_lowercase().contains(&secret.to_lowercase()));
            assert_eq!(line, None, "{secret}");
            for answer in &answers {
                let (target, text) = answer.split_once(": ").unwrap();
                assert!(
                    !text.to_lowercase().contains(&secret.to_lowercase()),
                    "{secret} in the answer to {target}: {text}"
                );
            }
        }
    }
    check_commands(file, &secrets);
}
