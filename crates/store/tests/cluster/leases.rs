//! The lease over a real API server, with real time, and with servers that fail.

use crate::common::{key, stack};
use crate::front::{Fault, Front};
use crate::world::{VERBS, World, world};
use http::Method;
use landfall_model::Epoch;
use landfall_store::lease::{Lease, LeaseError, LeaseRequest, SystemClock, Wait};
use landfall_store::{Backend, Store};
use std::sync::Arc;
use std::time::{Duration, Instant};

const TTL: Duration = Duration::from_secs(2);

fn request(holder: &str, wait: Wait) -> LeaseRequest {
    LeaseRequest {
        stack: stack("shop", "prod"),
        holder: holder.to_owned(),
        ttl: TTL,
        wait,
        reclaim: false,
    }
}

async fn acquire(store: &Store, holder: &str, wait: Wait) -> Result<Lease, LeaseError> {
    Lease::acquire(store, request(holder, wait), Arc::new(SystemClock)).await
}

/// A store, and the same one behind a front.
async fn stores(world: &World, front: &Arc<Front>) -> (Store, Store) {
    let plain = Store::open(Arc::new(world.cluster.clone())).await.expect("a store");
    let behind = Store::open(Arc::new(world.behind(front))).await.expect("a store");
    front.take();
    (plain, behind)
}

async fn beats(world: &World) -> usize {
    let folder = key("stacks/shop/prod/lease");
    world.cluster.list(&folder, None, 100).await.expect("a list").len()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lease_is_held_renewed_and_released() {
    let Some(world) = world("lease", &VERBS).await else { return };
    let front = Front::new();
    let (store, ours) = stores(&world, &front).await;
    let mut ada = acquire(&ours, "ada", Wait::NONE).await.expect("free");
    front.take();
    for _ in 0..5 {
        ada.renew().await.expect("its own");
        assert!(ada.is_good());
    }
    assert_eq!(beats(&world).await, 2);
    front.take();
    ada.renew().await.expect("its own");
    println!("a renewal: {:?}", front.take());
    let locked = acquire(&store, "bob", Wait::NONE).await;
    assert!(matches!(&locked, Err(LeaseError::Locked { holder, .. }) if holder == "ada"));
    ada.release().await.expect("its own");
    assert_eq!(acquire(&store, "bob", Wait::NONE).await.expect("free").epoch(), Epoch(2));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_two_who_wait_for_a_dead_holder_one_wins() {
    let Some(world) = world("lease_dead", &VERBS).await else { return };
    let (store, _) = stores(&world, &Front::new()).await;
    let mut ada = acquire(&store, "ada", Wait::NONE).await.expect("free");
    ada.renew().await.expect("its own");
    let began = Instant::now();
    let wait = Wait::WhileSilent(TTL * 3);
    let (bob, eve) = tokio::join!(acquire(&store, "bob", wait), acquire(&store, "eve", wait));
    assert!(began.elapsed() >= TTL, "{:?}", began.elapsed());
    let (winner, loser) = match (bob, eve) {
        (Ok(lease), Err(error)) | (Err(error), Ok(lease)) => (lease, error),
        both => panic!("one wins: {both:?}"),
    };
    assert_eq!(winner.epoch(), Epoch(2));
    assert!(matches!(loser, LeaseError::Locked { .. }), "{loser}");
    assert!(matches!(ada.renew().await, Err(LeaseError::Lost { epoch: Epoch(2), .. })));
}

/// Somebody at work is told at its first beat, and goes on.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_is_at_work_is_not_waited_for() {
    let Some(world) = world("lease_alive", &VERBS).await else { return };
    let (store, _) = stores(&world, &Front::new()).await;
    let mut ada = acquire(&store, "ada", Wait::NONE).await.expect("free");
    let began = Instant::now();
    let bob = acquire(&store, "bob", Wait::WhileSilent(TTL * 5));
    let working = async {
        for _ in 0..3 {
            tokio::time::sleep(TTL / 3).await;
            ada.renew().await.expect("its own");
        }
    };
    let (locked, ()) = tokio::join!(bob, working);
    assert!(matches!(locked, Err(LeaseError::Locked { .. })), "{locked:?}");
    assert!(began.elapsed() < TTL * 2, "{:?}", began.elapsed());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_is_busy_for_a_while_costs_no_lease() {
    let Some(world) = world("lease_busy", &VERBS).await else { return };
    let front = Front::new();
    let (_, ours) = stores(&world, &front).await;
    let mut ada = acquire(&ours, "ada", Wait::NONE).await.expect("free");
    for code in [500, 503] {
        let busy = Instant::now() + TTL / 4;
        front.disturb(move |_, _| {
            (Instant::now() < busy).then_some(Fault::Refuse(code, "InternalError"))
        });
        ada.renew().await.expect("busy for less than the lease's time");
        assert!(Instant::now() >= busy, "it was busy");
    }
    // It asks to be left alone for a second, half of the lease's time.
    let mut once = true;
    front.disturb(move |_, _| {
        std::mem::take(&mut once).then_some(Fault::Refuse(429, "TooManyRequests"))
    });
    ada.renew().await.expect("its own");
    assert!(ada.epoch() == Epoch(1));
}

/// Longer than the lease's time: whoever waits takes over, and the holder is told when the server
/// answers again. Until then it knows by itself that its lease is no good any more.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_holder_who_is_cut_off_loses_the_lease_and_is_told() {
    let Some(world) = world("lease_cut", &VERBS).await else { return };
    for (code, contender) in [(500, true), (429, false)] {
        let front = Front::new();
        let (store, ours) = stores(&world, &front).await;
        let holder = format!("ada-{code}");
        let mut ada = acquire(&ours, &holder, Wait::UpTo(TTL * 2)).await.expect("free");
        let back = Instant::now() + TTL * 2;
        front.disturb(move |_, _| (Instant::now() < back).then_some(Fault::Refuse(code, "busy")));
        let bob = async {
            if contender {
                Some(acquire(&store, "bob", Wait::WhileSilent(TTL * 2)).await)
            } else {
                None
            }
        };
        let cut_off = async {
            tokio::time::timeout(TTL, ada.renew()).await.expect_err("no answer");
            assert!(!ada.is_good(), "it knows by its own clock");
            ada.renew().await
        };
        let (bob, told) = tokio::join!(bob, cut_off);
        match bob {
            Some(bob) => {
                let bob = bob.expect("taken over");
                assert!(
                    matches!(told, Err(LeaseError::Lost { epoch, .. }) if epoch == bob.epoch()),
                    "{told:?}"
                );
                bob.release().await.expect("its own");
            }
            None => assert!(matches!(told, Err(LeaseError::Late { .. })), "{told:?}"),
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_beat_whose_answer_is_lost_counts_once() {
    let Some(world) = world("lease_lost", &VERBS).await else { return };
    let front = Front::new();
    let (store, ours) = stores(&world, &front).await;
    // Each first answer to a POST is lost, also that of the first beat.
    let mut lost = false;
    front.disturb(move |method, _| {
        if *method != Method::POST {
            return None;
        }
        lost = !lost;
        lost.then_some(Fault::Lose)
    });
    let mut ada = acquire(&ours, "ada", Wait::NONE).await.expect("free, and by its own first beat");
    assert_eq!(ada.epoch(), Epoch(1));
    for beat in 1..=3 {
        ada.renew().await.expect("its own");
        let newest = key(&format!("stacks/shop/prod/lease/{:020}/{beat:020}", 1));
        let beats = world.cluster.list(&key("stacks/shop/prod/lease"), None, 100).await;
        assert_eq!(beats.expect("a list").last(), Some(&newest), "no beat is made twice");
        assert!(ada.is_good());
    }
    assert_eq!(beats(&world).await, 2);
    // All answers are lost: whether it beat is not known, so it does not count as a beat.
    front.disturb(|method, _| (*method == Method::POST).then_some(Fault::Lose));
    tokio::time::timeout(TTL / 2, ada.renew()).await.expect_err("no answer");
    front.calm();
    ada.renew().await.expect("its own after all");
    ada.release().await.expect("its own");
    assert_eq!(acquire(&store, "bob", Wait::NONE).await.expect("free").epoch(), Epoch(2));
}
