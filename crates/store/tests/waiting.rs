//! Waiting for a holder that may have died, and for no other.

mod common;

use common::clock::TestClock;
use common::stack;
use landfall_model::Epoch;
use landfall_store::lease::{Clock, Lease, LeaseError, LeaseRequest, Wait};
use landfall_store::{Memory, Store};
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinHandle;

const TTL: Duration = Duration::from_secs(10);

struct World {
    store: Store,
    clock: Arc<TestClock>,
}

impl World {
    async fn new() -> Self {
        let store = Store::open(Arc::new(Memory::new())).await.expect("a store");
        Self { store, clock: Arc::default() }
    }

    fn ask(&self, holder: &str, wait: Wait) -> JoinHandle<Result<Lease, LeaseError>> {
        let (store, clock) = (self.store.clone(), Arc::clone(&self.clock));
        let request = LeaseRequest {
            stack: stack("shop", "prod"),
            holder: holder.to_owned(),
            ttl: TTL,
            wait,
            reclaim: false,
        };
        tokio::spawn(async move { Lease::acquire(&store, request, clock).await })
    }

    async fn ada(&self) -> Lease {
        self.ask("ada", Wait::NONE).await.expect("no panic").expect("free")
    }

    /// Somebody who has begun to watch, for three times as long as a beat is good for.
    async fn watching(&self) -> JoinHandle<Result<Lease, LeaseError>> {
        let began = self.clock.monotonic();
        let bob = self.ask("bob", Wait::WhileSilent(TTL * 3));
        while self.clock.monotonic() == began {
            tokio::task::yield_now().await;
        }
        bob
    }

    async fn outcome(bob: JoinHandle<Result<Lease, LeaseError>>) -> Result<Epoch, String> {
        match bob.await.expect("no panic") {
            Ok(lease) => Ok(lease.epoch()),
            Err(LeaseError::Locked { holder, .. }) => Err(holder),
            Err(other) => panic!("{other}"),
        }
    }
}

#[tokio::test]
async fn a_dead_holder_is_waited_for_and_replaced() {
    let world = World::new().await;
    drop(world.ada().await);
    let began = world.clock.monotonic();
    let bob = world.watching().await;
    assert_eq!(World::outcome(bob).await, Ok(Epoch(2)));
    let took = world.clock.monotonic() - began;
    assert!(took >= TTL && took < TTL * 2, "{took:?}");
}

#[tokio::test]
async fn a_holder_at_work_is_told_at_its_first_beat() {
    let world = World::new().await;
    let mut ada = world.ada().await;
    let bob = world.watching().await;
    let began = world.clock.monotonic();
    ada.renew().await.expect("its own");
    assert_eq!(World::outcome(bob).await, Err("ada".to_owned()));
    assert!(world.clock.monotonic() - began <= TTL / 2, "not after the whole time");
}

#[tokio::test]
async fn what_is_let_go_meanwhile_is_taken() {
    let world = World::new().await;
    let ada = world.ada().await;
    let bob = world.watching().await;
    let began = world.clock.monotonic();
    ada.release().await.expect("its own");
    assert_eq!(World::outcome(bob).await, Ok(Epoch(2)));
    assert!(world.clock.monotonic() - began <= TTL / 2);
}

#[tokio::test]
async fn a_beat_and_then_letting_go_is_letting_go() {
    let world = World::new().await;
    let mut ada = world.ada().await;
    let bob = world.watching().await;
    ada.renew().await.expect("its own");
    ada.release().await.expect("its own");
    assert_eq!(World::outcome(bob).await, Ok(Epoch(2)));
}

#[tokio::test]
async fn one_who_dies_after_a_beat_was_at_work() {
    let world = World::new().await;
    let mut ada = world.ada().await;
    let bob = world.watching().await;
    ada.renew().await.expect("its own");
    drop(ada);
    assert_eq!(World::outcome(bob).await, Err("ada".to_owned()));
    let again = world.watching().await;
    assert_eq!(World::outcome(again).await, Ok(Epoch(2)), "who asks again finds out");
}

#[tokio::test]
async fn somebody_who_took_over_meanwhile_is_at_work() {
    let world = World::new().await;
    let ada = world.ada().await;
    let bob = world.watching().await;
    ada.release().await.expect("its own");
    let eve = world.ask("eve", Wait::NONE);
    let eve = World::outcome(eve).await;
    let bob = World::outcome(bob).await;
    let rightly =
        (eve.is_ok() && bob == Err("eve".into())) || (bob.is_ok() && eve == Err("bob".into()));
    assert!(rightly, "eve: {eve:?}, bob: {bob:?}");
}

#[tokio::test]
async fn the_time_to_wait_is_the_longest() {
    let world = World::new().await;
    let _ada = world.ada().await;
    let began = world.clock.monotonic();
    let bob = world.ask("bob", Wait::WhileSilent(TTL / 2));
    assert_eq!(World::outcome(bob).await, Err("ada".to_owned()));
    assert_eq!(world.clock.monotonic() - began, TTL / 2);
}
