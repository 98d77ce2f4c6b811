//! What one client may have of what all share: places for data; and what one answer may be.

use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::{
    ALONE, attacks,
    healthy::{connect, get},
    world::World,
};

const ABUSER: [u8; 4] = [127, 0, 1, 1];
const SECOND_ABUSER: [u8; 4] = [127, 0, 1, 2];
const HEALTHY: [u8; 4] = [127, 0, 0, 2];

const SMALL: &str = "/opendap/small.nc.dap?dap4.ce=/v%5B0:1%5D%5B0:3%5D%5B0:4%5D";

fn block_on<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(work)
}

/// A connection on which a large answer has begun.
async fn holder(world: &World, from: [u8; 4]) -> tokio::net::TcpStream {
    let mut stream = connect(from, world.address, Some(4096)).await.unwrap();
    let request = format!("GET {} HTTP/1.1\r\nHost: h\r\n\r\n", attacks::LARGE[0]);
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut begin = [0; 15];
    stream.read_exact(&mut begin).await.unwrap();
    assert_eq!(&begin, b"HTTP/1.1 200 OK");
    stream
}

/// Promise R8.
#[test]
fn one_client_has_half_of_the_places_and_a_short_line() {
    let _alone = ALONE.lock();
    let world = World::new(&[
        ("THALWEG_LIMITS_DATA_RESPONSES", "4"),
        ("THALWEG_LIMITS_QUEUE_TIMEOUT", "2 s"),
        ("THALWEG_LIMITS_WRITE_TIMEOUT", "60 s"),
    ]);
    block_on(async {
        let to = world.address;
        let mut held = vec![holder(&world, ABUSER).await, holder(&world, ABUSER).await];
        let large = attacks::LARGE[1];
        let begin = Instant::now();
        let ask = || async {
            let answer = get(ABUSER, to, large).await.unwrap();
            assert_eq!((answer.status, answer.header("retry-after")), (503, "5"), "{}", answer.head);
            assert!(
                String::from_utf8_lossy(&answer.body).contains("Error {"),
                "in the dialect of the request"
            );
            begin.elapsed()
        };
        // Two places taken, four may wait, the rest is told at once.
        let took = futures::future::join_all((0..8).map(|_| ask())).await;
        let at_once = took.iter().filter(|time| **time < Duration::from_millis(500)).count();
        let waited = took.iter().filter(|time| **time >= Duration::from_secs(2)).count();
        assert_eq!((at_once, waited), (4, 4), "{took:?}");
        let others = || async {
            let begin = Instant::now();
            let answer = get(HEALTHY, to, SMALL).await.unwrap();
            (answer.status, begin.elapsed())
        };
        let (status, took) = others().await;
        assert!(status == 200 && took < Duration::from_millis(500), "{status} {took:?}");
        held.push(holder(&world, SECOND_ABUSER).await);
        held.push(holder(&world, SECOND_ABUSER).await);
        // Nothing is left for data; descriptions and probes do not need it.
        for target in
            ["/opendap/small.nc.dmr?dap4.ce=/v%5B0%5D%5B0%5D%5B0%5D", "/catalog/", "/-/live", "/-/ready"]
        {
            let begin = Instant::now();
            assert_eq!(get(HEALTHY, to, target).await.unwrap().status, 200, "{target}");
            assert!(begin.elapsed() < Duration::from_millis(500), "{target}: {:?}", begin.elapsed());
        }
        let fresh = "/opendap/small.nc.dods?v%5B1%5D%5B2%5D%5B0:7%5D";
        assert_eq!(get(HEALTHY, to, fresh).await.unwrap().status, 503);
        drop(held);
        world.wait("places", Duration::from_secs(1), |world| world.metric("thalweg_data_answers") == 0);
        assert_eq!(get(HEALTHY, to, fresh).await.unwrap().status, 200);
    });
}

/// Promise R5: before the first byte, at once, with the size, the limit, and a smaller request that works.
#[test]
fn too_large_answers_name_one_that_is_not() {
    let _alone = ALONE.lock();
    for (limit, key, targets) in [
        (
            20_000_u64,
            "BINARY",
            vec!["small.nc.dap", "small.nc.dods", "small.nc.dods?v[0:5][0:2:39][0:49]", "packed.zarr.dap"],
        ),
        (20_000, "TEXT", vec!["small.nc.ascii", "small.nc.ascii?v"]),
        (256 << 30, "BINARY", vec!["huge.zarr.dap", "huge.zarr.dods?v[0:70000][0:70000][0:70000]"]),
    ] {
        let key = format!("THALWEG_LIMITS_RESPONSE_{key}");
        let world = World::new_with_huge(&[(&key, &format!("{limit} B"))]);
        for target in targets {
            let path = format!("/opendap/{target}");
            assert!(world.server.get(&path).status >= 400, "{path}");
            let begin = Instant::now();
            let answer = world.server.get(&path);
            let took = begin.elapsed();
            let text = answer.text();
            assert!([400, 413].contains(&answer.status), "{path}: {} {text}", answer.head);
            assert!(took < Duration::from_millis(100), "{path}: {took:?}");
            assert!(text.contains("limit") || text.contains("at most"), "{path}: {text}");
            let example =
                text.split("http://h").nth(1).unwrap_or_else(|| panic!("{path}: no example: {text}"));
            let end =
                example.find(|c: char| c.is_whitespace() || "<\"'&".contains(c)).unwrap_or(example.len());
            let example = &example[..end];
            // Its beginning, and what it announces: of the largest there is too much to read.
            let answer = world.server.ask("HEAD", example, "");
            assert_eq!(answer.status, 200, "{path}: {example}");
            let length: Option<u64> = answer.header("content-length").parse().ok();
            assert!(length.is_none_or(|length| length <= limit), "{path}: {example} has {length:?}");
        }
    }
}
