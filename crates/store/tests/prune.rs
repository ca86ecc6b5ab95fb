//! A prune removes what nothing needs, and never what something does.

mod common;

use common::{release, sealed, stack};
use landfall_model::{Digest, ReleaseNumber, StackId};
use landfall_store::seal::seal;
use landfall_store::{Backend, DEFAULT_KEEP, Memory, Pruned, Store, StoreError};
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

async fn memory() -> Store {
    Store::open(Arc::new(Memory::new()) as Arc<dyn Backend>).await.expect("open")
}

async fn upload(store: &Store, text: &str) -> Digest {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("blob");
    std::fs::write(&file, text).expect("write");
    store.put_blob_file(&file).await.expect("put").0
}

fn none() -> BTreeSet<ReleaseNumber> {
    BTreeSet::new()
}

#[tokio::test]
async fn ten_releases_stay_and_blobs_go_in_two_steps() {
    let store = memory().await;
    let shop = stack("shop", "prod");
    for number in 1..=15 {
        let blob = upload(&store, &format!("artifact {number}")).await;
        store.seal(&sealed(&shop, number, &[blob])).await.expect("seal");
        store.record_outcome(&shop, ReleaseNumber(number), b"{}").await.expect("outcome");
    }
    let dry = store.prune(&shop, DEFAULT_KEEP, &none(), true).await.expect("dry");
    assert_eq!(dry.releases, (1..=5).map(ReleaseNumber).collect::<Vec<_>>());
    assert!(store.release(&shop, ReleaseNumber(1)).await.expect("get").is_some(), "only told");
    let first = store.prune(&shop, DEFAULT_KEEP, &none(), false).await.expect("prune");
    assert_eq!((&first.releases, first.retired, first.blobs), (&dry.releases, 5, 0));
    assert_eq!(first, dry);
    assert!(store.release(&shop, ReleaseNumber(5)).await.expect("get").is_none());
    assert!(store.outcome(&shop, ReleaseNumber(5)).await.expect("get").is_none());
    assert!(store.outcome(&shop, ReleaseNumber(6)).await.expect("get").is_some());
    let gone = common::blob("artifact 1");
    assert!(!store.has_blob(&gone).await.expect("has"), "an upload is to bring it again");
    assert!(store.read_blob(&gone).await.is_ok(), "a reader still finds it");
    let again = store.prune(&shop, DEFAULT_KEEP, &none(), false).await.expect("prune");
    assert_eq!(again, Pruned::default(), "the grace has not passed");
    let soon = store.clone().with_grace(Duration::ZERO);
    let last = soon.prune(&shop, DEFAULT_KEEP, &none(), false).await.expect("prune");
    assert_eq!((last.blobs, last.bytes, last.retired), (5, 5 * 10, 0));
    assert!(matches!(store.read_blob(&gone).await, Err(StoreError::MissingBlob(_))));
    assert!(store.read_blob(&common::blob("artifact 6")).await.is_ok());
}

#[tokio::test]
async fn what_serves_and_what_is_restored_stays() {
    let store = memory().await;
    let shop = stack("shop", "prod");
    let blobs: Vec<Digest> = [upload(&store, "one").await, upload(&store, "two").await].into();
    for number in 1..=20 {
        let mut release = release(&shop, number, &blobs[..1]);
        release.restores = (number == 20).then_some(ReleaseNumber(3));
        store.seal(&seal(release, None).expect("ok")).await.expect("seal");
    }
    let serving = BTreeSet::from([ReleaseNumber(7)]);
    let pruned = store.prune(&shop, 2, &serving, false).await.expect("prune");
    let left = store.releases(&shop, None, 100).await.expect("releases");
    let left: Vec<u64> = left.iter().map(|sealed| sealed.release.number.0).collect();
    assert_eq!(left, [20, 19, 7, 3]);
    assert_eq!((pruned.releases.len(), pruned.retired), (16, 1));
}

#[tokio::test]
async fn an_upload_that_a_prune_overtakes_loses_nothing() {
    let store = memory().await;
    let (shop, other) = (stack("shop", "prod"), stack("other", "prod"));
    store.seal(&sealed(&shop, 1, &[])).await.expect("seal");
    // An upload looks: the blob is there, although nothing needs it any more.
    let blob = upload(&store, "artifact").await;
    assert!(store.has_blob(&blob).await.expect("has"));
    // A prune comes in between, and the release is sealed after it.
    assert_eq!(store.prune(&shop, 10, &none(), false).await.expect("prune").retired, 1);
    store.seal(&sealed(&other, 1, &[blob])).await.expect("seal");
    assert_eq!(&store.read_blob(&blob).await.expect("read")[..], b"artifact");
    let later = store.clone().with_grace(Duration::ZERO);
    assert_eq!(later.prune(&shop, 10, &none(), false).await.expect("prune"), Pruned::default());
    assert!(store.has_blob(&blob).await.expect("it is back where it was"));
    // And one that looks after the prune uploads it again, whose old copy goes.
    let second = upload(&store, "second").await;
    store.prune(&shop, 10, &none(), false).await.expect("prune");
    assert_eq!(upload(&store, "second").await, second);
    store.seal(&sealed(&shop, 2, &[second])).await.expect("seal");
    later.prune(&shop, 10, &none(), false).await.expect("prune");
    assert!(store.has_blob(&second).await.expect("has"));
}

#[tokio::test]
async fn a_purge_leaves_other_stacks_and_the_epochs() {
    use landfall_store::lease::{Lease, LeaseRequest, SystemClock, Wait};
    let store = memory().await;
    let (shop, other) = (stack("shop", "prod"), stack("shop", "test"));
    let request = LeaseRequest {
        stack: shop.clone(),
        holder: "ada".to_owned(),
        ttl: Duration::from_secs(10),
        wait: Wait::NONE,
        reclaim: true,
    };
    let clock = Arc::new(SystemClock);
    let lease = Lease::acquire(&store, request.clone(), clock.clone()).await.expect("free");
    for stack in [&shop, &other] {
        store.seal(&sealed(stack, 1, &[])).await.expect("seal");
        store.append(stack, landfall_model::Sequence(1), b"{}").await.expect("append");
    }
    assert_eq!(store.purge(&shop).await.expect("purge"), 3);
    assert_eq!(store.head(&shop).await.expect("head"), None);
    assert_eq!(store.last_entry(&shop).await.expect("journal"), None);
    assert!(store.head(&other).await.expect("head").is_some());
    lease.release().await.expect("still held");
    let next = Lease::acquire(&store, request, clock).await.expect("free");
    assert_eq!(next.epoch(), landfall_model::Epoch(2));
}

#[derive(Debug, Clone)]
enum Step {
    /// Seal the next release of a stack with these blobs, restoring some older one or none.
    Seal { stack: usize, blobs: Vec<u8>, restores: Option<u64> },
    /// Prune a stack; later means after the grace.
    Prune { stack: usize, keep: usize, needed: Vec<u64>, later: bool },
    /// Upload a blob that no release needs yet.
    Upload(u8),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        5 => (0..2_usize, prop::collection::vec(0..12_u8, 0..3), prop::option::weighted(0.2, 1..9_u64))
            .prop_map(|(stack, blobs, restores)| Step::Seal { stack, blobs, restores }),
        3 => (0..2_usize, 0..5_usize, prop::collection::vec(1..15_u64, 0..3), any::<bool>())
            .prop_map(|(stack, keep, needed, later)| Step::Prune { stack, keep, needed, later }),
        1 => (0..12_u8).prop_map(Step::Upload),
    ];
    prop::collection::vec(step, 1..40)
}

/// The blobs of a release, and the number that it restores.
type Needs = (BTreeSet<Digest>, Option<u64>);

/// What should be there: the releases of each stack.
#[derive(Default)]
struct Expected([BTreeMap<u64, Needs>; 2]);

impl Expected {
    fn prune(&mut self, stack: usize, keep: usize, needed: &[u64]) {
        let releases = &mut self.0[stack];
        let newest: BTreeSet<u64> = releases.keys().rev().take(keep.max(1)).copied().collect();
        let stays = |number: &u64| newest.contains(number) || needed.contains(number);
        let restored: BTreeSet<u64> = releases
            .iter()
            .filter(|(number, _)| stays(number))
            .filter_map(|(_, (_, restores))| *restores)
            .collect();
        releases.retain(|number, _| stays(number) || restored.contains(number));
    }

    async fn check(&self, store: &Store, stacks: &[StackId; 2]) {
        for (stack, releases) in stacks.iter().zip(&self.0) {
            let found = store.releases(stack, None, 1000).await.expect("releases");
            let numbers: Vec<u64> = found.iter().rev().map(|s| s.release.number.0).collect();
            assert_eq!(numbers, releases.keys().copied().collect::<Vec<_>>());
            for (number, (blobs, _)) in releases {
                for blob in blobs {
                    let read = store.read_blob(blob).await;
                    assert!(read.is_ok(), "release {number} of {stack}: {read:?}");
                }
            }
        }
    }
}

async fn run(steps: Vec<Step>) {
    let store = memory().await;
    let stacks = [stack("shop", "prod"), stack("shop", "test")];
    let mut expected = Expected::default();
    let mut next = [1_u64; 2];
    for step in steps {
        match step {
            Step::Upload(blob) => {
                upload(&store, &format!("blob {blob}")).await;
            }
            Step::Seal { stack, blobs, restores } => {
                let mut digests = BTreeSet::new();
                for blob in blobs {
                    digests.insert(upload(&store, &format!("blob {blob}")).await);
                }
                let list: Vec<Digest> = digests.iter().copied().collect();
                let mut sealed = release(&stacks[stack], next[stack], &list);
                sealed.restores = restores.map(ReleaseNumber);
                store.seal(&seal(sealed, None).expect("ok")).await.expect("seal");
                expected.0[stack].insert(next[stack], (digests, restores));
                next[stack] += 1;
            }
            Step::Prune { stack, keep, needed, later } => {
                let store =
                    if later { store.clone().with_grace(Duration::ZERO) } else { store.clone() };
                let needed_set = needed.iter().copied().map(ReleaseNumber).collect();
                let dry = store.prune(&stacks[stack], keep, &needed_set, true).await.expect("dry");
                let done =
                    store.prune(&stacks[stack], keep, &needed_set, false).await.expect("prune");
                assert_eq!(dry.releases, done.releases);
                expected.prune(stack, keep, &needed);
            }
        }
        expected.check(&store, &stacks).await;
    }
    settled(&store, &stacks, &expected).await;
}

/// After two prunes with no grace nothing is left that no release needs.
async fn settled(store: &Store, stacks: &[StackId; 2], expected: &Expected) {
    let store = store.clone().with_grace(Duration::ZERO);
    for _ in 0..2 {
        store.prune(&stacks[0], 1000, &none(), false).await.expect("prune");
    }
    let needed: BTreeSet<&Digest> =
        expected.0.iter().flat_map(|r| r.values()).flat_map(|(blobs, _)| blobs).collect();
    for folder in ["blobs", "retired"] {
        let keys = store.backend().list(&common::key(folder), None, 1000).await.expect("list");
        let count = if folder == "blobs" { needed.len() } else { 0 };
        assert_eq!(keys.len(), count, "{folder}: {keys:?}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(150))]

    #[test]
    fn never_is_removed_what_a_kept_release_needs(steps in steps()) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
        runtime.block_on(run(steps));
    }
}
