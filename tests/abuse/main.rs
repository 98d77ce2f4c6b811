//! Clients that misbehave (promises R2, R5 to R8, R17 to R19, R34): each attack runs against the server while
//! others go on asking for descriptions, data and probes. Those notice nothing; abusers are cut within the
//! limits; memory and descriptors come back.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]
#![allow(clippy::print_stdout, reason = "the figures of a run are for the documentation")]

mod attacks;
#[path = "../common/mod.rs"]
mod common;
#[path = "../common/dap.rs"]
mod dap;
mod healthy;
mod hygiene;
#[path = "../common/netcdf3.rs"]
mod netcdf3;
mod shares;
mod world;

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use attacks::Target;
use healthy::Healthy;
use world::{HEADER, IDLE, WRITE, World};

/// Times are measured: one at a time.
static ALONE: Alone = Alone(Mutex::new(()));

struct Alone(Mutex<()>);

impl Alone {
    /// A test that failed before does not matter.
    fn lock(&self) -> MutexGuard<'_, ()> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How long an attack lasts, at least.
fn time() -> Duration {
    let seconds = std::env::var("THALWEG_TEST_ATTACK_SECONDS").ok().and_then(|n| n.parse().ok());
    Duration::from_secs_f64(seconds.unwrap_or(3.5))
}

/// How much longer it lasts until enough has come of it: connections that are lost on their way are made anew by the
/// system after one second, two more, four more.
const PATIENCE: Duration = Duration::from_secs(12);

/// Runs `attack` while healthy clients are measured, until `enough` has come of it; checks what must hold of any.
fn during<F: Future<Output = ()> + Send + 'static>(
    what: &str,
    attack: impl FnOnce(Target) -> F,
    enough: impl Fn(&Target) -> bool,
) -> (World, Target) {
    let _alone = ALONE.lock();
    let mut world = World::new(&[]);
    let target = Target::new(world.address);
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let attacking = runtime.spawn(attack(target.clone()));
    // It has begun.
    std::thread::sleep(Duration::from_millis(300));
    let healthy = Healthy::start(world.address);
    std::thread::sleep(time());
    let late = Instant::now() + PATIENCE;
    while !enough(&target) && Instant::now() < late {
        std::thread::sleep(Duration::from_millis(50));
    }
    let report = healthy.finish();
    let statuses: Vec<usize> = (2..=5).map(|class| target.statuses(class)).collect();
    println!(
        "{what}: {} cut, the longest after {:?}; statuses 2xx to 5xx {statuses:?}",
        target.cuts(),
        target.longest()
    );
    target.stop();
    runtime.block_on(attacking).unwrap();
    drop(runtime);
    assert!(enough(&target), "{what}: too little came of it");
    report.check(what);
    // Nobody is there any more: nothing is done for them (promise R6).
    let took =
        world.wait("answers end", Duration::from_millis(1500), |w| w.metric("thalweg_data_answers") == 0);
    world.wait("decoding ends", Duration::from_secs(1), |world| {
        let decoded = world.metric("thalweg_chunks_decoded_total");
        std::thread::sleep(Duration::from_millis(300));
        world.metric("thalweg_chunks_decoded_total") == decoded
    });
    println!("{what}: nothing is done for anybody after {took:?}");
    world.assert_recovers(what);
    (world, target)
}

/// Fails unless each connection was cut within `limit` and a little.
fn assert_cut_within(limit: Duration, target: &Target) {
    let most = limit + Duration::from_millis(1500);
    assert!(target.longest() < most, "one lasted {:?}, the limit is {limit:?}", target.longest());
}

#[test]
fn slow_heads() {
    let (_world, target) = during("200 slow heads", attacks::slow_heads, |of| of.cuts() >= 200);
    assert_cut_within(HEADER, &target);
}

#[test]
fn idle_connections() {
    let (_world, target) = during("1,000 idle connections", attacks::idle, |of| of.cuts() >= 1000);
    assert_cut_within(IDLE, &target);
}

#[test]
fn slow_readers() {
    // Each must have been sent what the system takes first.
    let (_world, target) = during("200 slow readers", attacks::slow_readers, |of| of.cuts() >= 30);
    assert_cut_within(2 * WRITE, &target);
}

#[test]
fn disconnects() {
    during("200 disconnecting", attacks::disconnects, |of| of.statuses(2) > 50);
}

#[test]
fn connection_floods() {
    let (_world, target) = during("connection flood", attacks::connections, |of| of.cuts() >= 200);
    assert_cut_within(Duration::ZERO, &target);
}

#[test]
fn request_floods() {
    // These end with the attack.
    let (_world, target) = during("request flood", attacks::requests, |_| true);
    assert!(target.statuses(2) >= 200, "{}", target.statuses(2));
}

#[test]
fn large_appetites() {
    during("250 large answers", attacks::appetite, |of| of.statuses(2) > 100);
}

#[test]
fn huge_constraints() {
    let (_world, target) = during("huge constraints", attacks::constraints, |of| of.statuses(4) > 100);
    assert_eq!(target.statuses(5), 0);
}

#[test]
fn half_bodies() {
    let (_world, target) = during("200 half bodies", attacks::half_bodies, |of| of.cuts() >= 100);
    assert_cut_within(HEADER, &target);
}
