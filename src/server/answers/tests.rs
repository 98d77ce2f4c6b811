//! What is kept, for whom, and how much of it.

use cdm::{Error, FullName, Group, testing::MemorySource};
use futures::StreamExt;
use handlers::{
    Registry,
    chunked::{Engine, EngineOptions},
};

use super::*;
use crate::catalog::Catalog;

fn version() -> Version {
    Version { identity: "v1".into(), modified: None }
}

fn reply(body: Vec<Result<Bytes>>, length: u64) -> Reply {
    Reply {
        status: StatusCode::OK,
        headers: HeaderMap::new(),
        length: Some(length),
        identity: Some("whole".to_owned()),
        compressible: false,
        body: Box::pin(stream::iter(body)),
    }
}

fn of(len: usize) -> Reply {
    reply(vec![Ok(vec![b'x'; len].into())], len as u64)
}

fn key(name: &str) -> Key {
    Key::of(name.into())
}

fn folder(number: u64) -> About {
    About::Folder("f".to_owned(), number)
}

async fn keep(answers: &Answers, name: &str, about: About, reply: Reply) -> bool {
    let none = HeaderMap::new();
    let version = version();
    answers
        .keep(key(name), (about, None), reply, Some(&version), (&none, LARGEST_TEXT))
        .await
        .unwrap()
        .is_ok()
}

#[tokio::test]
async fn what_is_kept_stays_within_the_limit_and_what_is_asked_for_stays() {
    let answers = Answers { kept: Mutex::default(), most: 1 << 20 };
    let held = |answers: &Answers| {
        let ages = answers.kept.lock().unwrap();
        let all = ages.young.iter().chain(&ages.old);
        let (len, count) = all.fold((0, 0), |(len, count), (key, kept)| (len + kept.len(key), count + 1));
        assert!(len <= answers.most && ages.len <= answers.most / 2, "{len}");
        assert_eq!(ages.len, ages.young.iter().map(|(key, kept)| kept.len(key)).sum::<usize>());
        count
    };
    assert!(keep(&answers, "wanted", folder(0), of(10)).await);
    for number in 0..1000 {
        assert!(keep(&answers, &format!("{}", number % 700), folder(0), of(1000)).await);
        assert!(answers.get(&key("wanted"), &folder(0)).is_some(), "{number}");
        assert!(held(&answers) > 0);
    }
    assert!(held(&answers) > 100, "most of what fits is kept");
    assert!(answers.get(&key("0"), &folder(0)).is_none(), "what nobody asked for is gone");
    keep(&answers, "large", folder(0), of(600 << 10)).await;
    assert!(answers.get(&key("large"), &folder(0)).is_none(), "half of everything is no single answer's");
    held(&answers);
}

#[tokio::test]
async fn an_answer_is_for_what_it_is_about() {
    let answers = Answers::default();
    assert!(keep(&answers, "k", folder(1), of(1)).await);
    assert!(answers.get(&key("k"), &folder(1)).is_some());
    assert!(answers.get(&key("k"), &folder(2)).is_none() && answers.get(&key("j"), &folder(1)).is_none());
    let open =
        || Arc::new(MemorySource::flat("a", Group::new(FullName::root()), Vec::new())) as Arc<dyn Source>;
    let source = open();
    assert!(keep(&answers, "s", About::source(&source), of(1)).await);
    assert!(answers.get(&key("s"), &About::source(&source)).is_some());
    drop(source);
    // Memory of what is gone would be used again at once.
    for _ in 0..100 {
        assert!(answers.get(&key("s"), &About::source(&open())).is_none());
    }
    assert!(keep(&answers, "s", folder(7), of(1)).await);
    assert!(answers.get(&key("s"), &folder(7)).is_some(), "the new one has taken its place");
}

#[tokio::test]
async fn ways_lead_to_the_version_that_they_found() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("a.nc"), b"x").unwrap();
    let registry = Registry::new(Arc::new(Engine::new(EngineOptions::default())));
    let catalog = Catalog::new(&[dir.path().to_path_buf()], 1, registry).unwrap();
    let file = DatasetName::new("a.nc").unwrap();
    let found = catalog.stat(&file).await.unwrap();
    let (answers, none) = (Answers::default(), HeaderMap::new());
    let way = || Way { missing: Vec::new(), file: file.clone(), found: found.clone(), turn: answers.turn() };
    let keep = async |way: Option<Way>, version: &Version| {
        let about = (folder(0), way);
        answers.keep(key("k"), about, of(1), Some(version), (&none, 10)).await.unwrap().unwrap();
        assert!(answers.get(&key("k"), &folder(0)).is_some());
        answers.by_way(&key("k")).is_some()
    };
    assert!(keep(Some(way()), &found.version).await);
    assert!(!keep(None, &found.version).await);
    assert!(!keep(Some(way()), &version()).await, "opened, it was another");
    let before = way();
    assert!(keep(Some(way()), &found.version).await);
    answers.forget();
    assert!(answers.get(&key("k"), &folder(0)).is_none() && answers.by_way(&key("k")).is_none());
    assert!(!keep(Some(before), &found.version).await, "opened before");
    assert!(keep(Some(way()), &found.version).await);
}

#[test]
fn what_is_asked_again_is_known_for_a_while() {
    let answers = Answers::default();
    let again = |name: &str| answers.is_asked_again(&key(name));
    assert!(!again("a") && again("a") && again("a"));
    for number in 0..REMEMBERED {
        again(&number.to_string());
    }
    assert!(again("a"), "as many others came between");
    for number in 0..3 * REMEMBERED {
        again(&format!("other {number}"));
    }
    assert!(!again("a"), "forgotten");
    let ages = answers.kept.lock().unwrap();
    assert!(ages.asked.iter().all(|asked| asked.len() <= REMEMBERED));
}

#[tokio::test]
async fn only_what_is_determined_is_kept() {
    let answers = Answers::default();
    let version = version();
    let none = HeaderMap::new();
    let vary = |value: &'static str| {
        let headers = [(header::VARY, HeaderValue::from_static(value))].into_iter().collect();
        Reply { headers, ..of(1) }
    };
    for refused in [
        Reply { identity: None, ..of(1) },
        Reply { length: None, ..of(1) },
        Reply { status: StatusCode::NOT_FOUND, ..of(1) },
        vary("Accept, Cookie"),
        vary("*"),
        of(11),
    ] {
        let outcome = answers.keep(key("k"), (folder(0), None), refused, Some(&version), (&none, 10)).await;
        assert!(outcome.unwrap().is_err());
    }
    let unversioned = answers.keep(key("k"), (folder(0), None), of(1), None, (&none, 10)).await;
    assert!(unversioned.unwrap().is_err());
    assert!(keep(&answers, "k", folder(0), vary("accept, User-Agent")).await);
}

#[tokio::test]
async fn a_body_that_fails_is_sent_as_far_as_it_goes() {
    let answers = Answers::default();
    let (version, none) = (version(), HeaderMap::new());
    let parts =
        || vec![Ok(Bytes::from_static(b"ab")), Err(Error::corrupt("c")), Ok(Bytes::from_static(b"d"))];
    let short = || vec![Ok(Bytes::from_static(b"ab"))];
    let long = || vec![Ok(Bytes::from_static(b"ab")), Ok(Bytes::from_static(b"cde"))];
    for (body, expect) in
        [(parts(), "Some(2) None Some(1)"), (short(), "Some(2)"), (long(), "Some(2) Some(3)")]
    {
        let outcome = answers
            .keep(key("k"), (folder(0), None), reply(body, 3), Some(&version), (&none, 10))
            .await
            .unwrap();
        let items: Vec<_> = outcome.unwrap_err().body.collect().await;
        let items: Vec<_> = items.iter().map(|i| format!("{:?}", i.as_ref().ok().map(Bytes::len))).collect();
        assert_eq!(items.join(" "), expect);
    }
    assert!(answers.get(&key("k"), &folder(0)).is_none());
}

#[test]
fn keys_tell_requests_apart() {
    let headers = |pairs: &[(HeaderName, &'static str)]| -> HeaderMap {
        pairs.iter().map(|(name, value)| (name.clone(), HeaderValue::from_static(value))).collect()
    };
    let mut twice = headers(&[(header::ACCEPT, "a")]);
    twice.append(header::ACCEPT, HeaderValue::from_static("b"));
    let all = [
        Key::new("/a", None, "o", &HeaderMap::new()),
        Key::new("/a", Some(""), "o", &HeaderMap::new()),
        Key::new("/", Some("a"), "o", &HeaderMap::new()),
        Key::new("/a", Some("o"), "", &HeaderMap::new()),
        Key::new("/a", None, "p", &HeaderMap::new()),
        Key::new("/a", None, "o", &headers(&[(header::ACCEPT, "a")])),
        Key::new("/a", None, "o", &headers(&[(header::ACCEPT, "a, b")])),
        Key::new("/a", None, "o", &twice),
        Key::new("/a", None, "o", &headers(&[(header::USER_AGENT, "a")])),
        Key::new("/a", None, "o", &headers(&[(header::ACCEPT_ENCODING, "gzip")])),
    ];
    let different: std::collections::HashSet<_> = all.iter().collect();
    assert_eq!(different.len(), all.len());
    let same = headers(&[(header::COOKIE, "x"), (header::ACCEPT_ENCODING, "br")]);
    assert_eq!(Key::new("/a", None, "o", &same), all[0], "what nothing depends on makes no difference");
}
