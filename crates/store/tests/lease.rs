//! One writer at a time, by rules that are tried in many orders of events.

mod common;

use common::clock::TestClock;
use common::stack;
use landfall_model::{Epoch, Timestamp};
use landfall_store::lease::{
    Action, Clock, Lease, LeaseError, LeaseRequest, Memory, Place, Renewal, View, Wait, decide,
    good_until, renewed,
};
use landfall_store::{Backend, Counted, Memory as Objects, Store};
use proptest::prelude::*;
use std::sync::Arc;
use std::time::Duration;

const TTL: Duration = Duration::from_secs(10);

async fn store() -> (Arc<Counted<Objects>>, Store) {
    let backend = Arc::new(Counted::new(Objects::new()));
    let store = Store::open(Arc::clone(&backend) as Arc<dyn Backend>).await.expect("open");
    (backend, store)
}

fn request(holder: &str, wait: Duration) -> LeaseRequest {
    LeaseRequest {
        stack: stack("shop", "prod"),
        holder: holder.to_owned(),
        ttl: TTL,
        wait: Wait::UpTo(wait),
        reclaim: false,
    }
}

#[tokio::test]
async fn one_holds_and_the_other_is_told_who() {
    let (_, store) = store().await;
    let clock = Arc::new(TestClock::default());
    let ada = Lease::acquire(&store, request("ada@laptop", Duration::ZERO), clock.clone()).await;
    let ada = ada.expect("nobody holds it");
    assert_eq!(ada.epoch(), Epoch(1));
    let bob = Lease::acquire(&store, request("bob", Duration::ZERO), clock.clone()).await;
    match bob {
        Err(LeaseError::Locked { holder, since, .. }) => {
            assert_eq!((holder.as_str(), since), ("ada@laptop", Timestamp(1_700_000_000_000)));
        }
        other => panic!("{other:?}"),
    }
    ada.release().await.expect("release");
    let bob = Lease::acquire(&store, request("bob", Duration::ZERO), clock).await.expect("free");
    assert_eq!(bob.epoch(), Epoch(2));
}

#[tokio::test]
async fn a_dead_holder_is_replaced_only_after_its_whole_time() {
    let (_, store) = store().await;
    let clock = Arc::new(TestClock::default());
    let ada =
        Lease::acquire(&store, request("ada", Duration::ZERO), clock.clone()).await.expect("free");
    // However long ago the beat was made, it is watched for the whole time first.
    clock.go_on(TTL * 100);
    let began = clock.monotonic();
    let short = Lease::acquire(&store, request("bob", TTL / 2), clock.clone()).await;
    assert!(matches!(short, Err(LeaseError::Locked { .. })), "{short:?}");
    let bob = Lease::acquire(&store, request("bob", TTL * 2), clock.clone()).await.expect("dead");
    assert!(clock.monotonic() - began >= TTL + TTL / 2);
    assert_eq!(bob.epoch(), Epoch(2));
    let mut ada = ada;
    assert!(!ada.is_good());
    match ada.renew().await {
        Err(LeaseError::Lost { epoch, .. }) => assert_eq!(epoch, Epoch(2)),
        other => panic!("{other:?}"),
    }
    assert!(bob.is_good());
}

#[tokio::test]
async fn a_holder_that_beats_is_never_replaced_and_leaves_little_behind() {
    let (backend, store) = store().await;
    let clock = Arc::new(TestClock::default());
    let mut ada =
        Lease::acquire(&store, request("ada", Duration::ZERO), clock.clone()).await.expect("free");
    let waiting = tokio::spawn({
        let (store, clock) = (store.clone(), clock.clone());
        async move { Lease::acquire(&store, request("bob", TTL * 20), clock).await }
    });
    while !waiting.is_finished() {
        tokio::task::yield_now().await;
        ada.renew().await.expect("still its own");
    }
    let outcome = waiting.await.expect("no panic");
    assert!(matches!(outcome, Err(LeaseError::Locked { .. })), "{outcome:?}");
    let beats =
        backend.list(&common::key("stacks/shop/prod/lease"), None, 100).await.expect("list");
    assert_eq!(beats.len(), 2, "{beats:?}");
    backend.take();
    ada.renew().await.expect("renew");
    assert!(backend.take().total() <= 4, "a beat, a look, and the clearing of one");
}

#[tokio::test]
async fn a_successor_with_the_predecessors_lock_need_not_wait() {
    let (_, store) = store().await;
    let clock = Arc::new(TestClock::default());
    let first = Lease::acquire(&store, request("agent@host", Duration::ZERO), clock.clone()).await;
    drop(first.expect("free"));
    let mut again = request("agent@host", Duration::ZERO);
    again.reclaim = true;
    let other = LeaseRequest { holder: "agent@elsewhere".to_owned(), ..again.clone() };
    assert!(Lease::acquire(&store, other, clock.clone()).await.is_err());
    let lease = Lease::acquire(&store, again, clock).await.expect("its own");
    assert_eq!(lease.epoch(), Epoch(2));
}

#[tokio::test]
async fn a_slow_contender_cannot_revive_an_old_epoch() {
    let (backend, store) = store().await;
    let clock = Arc::new(TestClock::default());
    for _ in 0..3 {
        let mut lease =
            Lease::acquire(&store, request("ada", TTL * 2), clock.clone()).await.expect("one");
        for _ in 0..3 {
            lease.renew().await.expect("renew");
        }
    }
    let folder = common::key("stacks/shop/prod/lease");
    let beats = backend.list(&folder, None, 100).await.expect("list");
    assert!(beats.iter().all(|key| key.as_str().contains("/00000000000000000003/")), "{beats:?}");
    // Epochs never start again, although the old ones are cleared.
    let next = Lease::acquire(&store, request("bob", TTL * 2), clock).await.expect("dead");
    assert_eq!(next.epoch(), Epoch(4));
}

#[tokio::test]
async fn a_late_holder_takes_the_next_epoch() {
    let (_, store) = store().await;
    let clock = Arc::new(TestClock::default());
    let mut ada =
        Lease::acquire(&store, request("ada", Duration::ZERO), clock.clone()).await.expect("free");
    clock.go_on(TTL);
    assert!(matches!(ada.renew().await, Err(LeaseError::Late { .. })));
    let again = LeaseRequest { reclaim: true, ..request("ada", Duration::ZERO) };
    assert_eq!(Lease::acquire(&store, again, clock).await.expect("again").epoch(), Epoch(2));
}

/// One step of an imagined world. Whatever somebody does takes several steps, and anything may
/// come between them.
#[derive(Debug, Clone)]
enum Step {
    /// List, and judge.
    Look(usize),
    /// Make what was decided on: the first beat of an epoch.
    Take(usize),
    /// List after it.
    Confirm(usize),
    /// Begin to beat.
    Begin(usize),
    /// The beat, or the last one, is there.
    Beat(usize, bool),
    /// List after it.
    Renewed(usize),
    /// Time goes on, in milliseconds.
    Pass(u64),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let who = || 0..3_usize;
    let step = prop_oneof![
        4 => who().prop_map(Step::Look),
        4 => who().prop_map(Step::Take),
        4 => who().prop_map(Step::Confirm),
        3 => who().prop_map(Step::Begin),
        3 => (who(), prop::bool::weighted(0.1)).prop_map(|(who, last)| Step::Beat(who, last)),
        3 => who().prop_map(Step::Renewed),
        4 => prop_oneof![1..3_000_u64, Just(10_000_u64)].prop_map(Step::Pass),
    ];
    prop::collection::vec(step, 1..200)
}

#[derive(Default)]
enum Stage {
    #[default]
    Outside,
    /// Decided to make the first beat of an epoch, at this time.
    Taking(Epoch, Duration),
    /// Made it.
    Taken(Epoch, Duration),
    /// Holds since its last good beat was begun.
    Holding { epoch: Epoch, began: Duration, beating: Option<(Duration, bool)> },
}

#[derive(Default)]
struct Party {
    memory: Memory,
    stage: Stage,
}

#[derive(Default)]
struct World {
    /// Beats, and whether they let go.
    beats: std::collections::BTreeMap<Place, bool>,
    parties: [Party; 3],
    now: Duration,
}

impl World {
    /// Clocks tick alike and start differently.
    fn clock(&self, who: usize) -> Duration {
        self.now + Duration::from_secs(1000 * who as u64)
    }

    fn newest(&self) -> Option<(Place, bool)> {
        self.beats.last_key_value().map(|(place, released)| (*place, *released))
    }

    fn acting(&self) -> Vec<usize> {
        let acts = |who: &usize| match self.parties[*who].stage {
            Stage::Holding { began, .. } => self.clock(*who) < good_until(began, TTL),
            _ => false,
        };
        (0..self.parties.len()).filter(acts).collect()
    }

    fn act(&mut self, step: &Step) {
        match *step {
            Step::Pass(time) => self.now += Duration::from_millis(time),
            Step::Look(who) => self.look(who),
            Step::Take(who) => self.take(who),
            Step::Confirm(who) => self.confirm(who),
            Step::Begin(who) => self.begin(who),
            Step::Beat(who, last) => self.beat(who, last),
            Step::Renewed(who) => self.renewed(who),
        }
    }

    fn look(&mut self, who: usize) {
        if !matches!(self.parties[who].stage, Stage::Outside) {
            return;
        }
        let view = self.newest().map(|(place, released)| View { place, released, gone: false });
        let now = self.clock(who);
        if let Action::Take(epoch) = decide(view.as_ref(), &mut self.parties[who].memory, now, TTL)
        {
            self.parties[who].stage = Stage::Taking(epoch, now);
        }
    }

    fn take(&mut self, who: usize) {
        let Stage::Taking(epoch, began) = self.parties[who].stage else { return };
        let place = Place { epoch, beat: 0 };
        self.parties[who].stage = match self.beats.get(&place) {
            Some(_) => Stage::Outside,
            None => Stage::Taken(epoch, began),
        };
        self.beats.entry(place).or_insert(false);
    }

    fn confirm(&mut self, who: usize) {
        let Stage::Taken(epoch, began) = self.parties[who].stage else { return };
        let higher = self.newest().is_some_and(|(place, _)| place.epoch > epoch);
        self.parties[who].stage =
            if higher { Stage::Outside } else { Stage::Holding { epoch, began, beating: None } };
    }

    fn begin(&mut self, who: usize) {
        let now = self.clock(who);
        if let Stage::Holding { beating: beating @ None, .. } = &mut self.parties[who].stage {
            *beating = Some((now, false));
        }
    }

    fn beat(&mut self, who: usize, last: bool) {
        let Stage::Holding { epoch, beating: Some((_, there @ false)), .. } =
            &mut self.parties[who].stage
        else {
            return;
        };
        *there = true;
        let own = self.beats.range(..Place { epoch: epoch.next(), beat: 0 }).next_back();
        let beat = own.map_or(0, |(place, _)| place.beat + 1);
        self.beats.insert(Place { epoch: *epoch, beat }, last);
        if last {
            self.parties[who].stage = Stage::Outside;
        }
    }

    fn renewed(&mut self, who: usize) {
        let newest = self.newest().map(|(place, _)| place);
        let now = self.clock(who);
        let Stage::Holding { epoch, began, beating: Some((next, true)) } = self.parties[who].stage
        else {
            return;
        };
        self.parties[who].stage = match renewed(epoch, newest, began, now, TTL) {
            Renewal::Held => Stage::Holding { epoch, began: next, beating: None },
            Renewal::Lost(_) | Renewal::Late => Stage::Outside,
        };
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4000))]

    /// In no order of looks, beats, releases, pauses and slow writes do two parties act at once.
    #[test]
    fn never_do_two_act_at_once(steps in steps()) {
        let mut world = World::default();
        for step in &steps {
            world.act(step);
            let acting = world.acting();
            prop_assert!(acting.len() <= 1, "{acting:?} after {step:?}");
        }
    }

    /// A lease whose holder is gone is taken over: the rules cannot lock everybody out.
    #[test]
    fn a_lease_never_stays_with_the_dead(steps in steps(), who in 0..3_usize) {
        let mut world = World::default();
        for step in &steps {
            world.act(step);
        }
        for party in &mut world.parties {
            party.stage = Stage::Outside;
        }
        world.look(who);
        world.now += TTL;
        world.look(who);
        world.take(who);
        world.confirm(who);
        let holds = matches!(world.parties[who].stage, Stage::Holding { .. });
        prop_assert!(holds);
    }
}
