//! What looking costs: the same at any number of releases.

use crate::common::{key, sealed, stack};
use crate::front::{Cost, Front};
use crate::world::{VERBS, World, world};
use futures::stream::{self, StreamExt as _};
use landfall_model::{ReleaseNumber, Sequence, StackId};
use landfall_store::{Backend, Key, Memory, Store};
use std::sync::Arc;

const PAGE: usize = 10;

/// Makes the releases and journal entries after `from` and up to `upto`, faster than they are made
/// one after the other: they are copied from a store in memory.
async fn fill(world: &World, shop: &StackId, from: u64, upto: u64) {
    let memory = Arc::new(Memory::new());
    let store = Store::open(Arc::clone(&memory) as Arc<dyn Backend>).await.expect("a store");
    for number in from + 1..=upto {
        store.seal(&sealed(shop, number, &[])).await.expect("sealed");
        store.append(shop, Sequence(number), b"{}").await.expect("appended");
    }
    let all = memory.list(&key("stacks"), None, usize::MAX).await.expect("a list");
    let hints = key("stacks/shop/prod/hints");
    let copy = async |key: &Key| {
        let bytes = memory.get(key).await.expect("a get").expect("there");
        if key.below(&hints).is_some() {
            world.cluster.put_hint(key, bytes).await.expect("a hint");
        } else {
            world.cluster.put_if_absent(key, bytes).await.expect("a put");
        }
    };
    stream::iter(&all).for_each_concurrent(16, copy).await;
}

/// What each way of looking costs with `count` releases and as many journal entries.
async fn look(world: &World, shop: &StackId, count: u64) -> Vec<(&'static str, Cost)> {
    let front = Front::new();
    let mut costs = Vec::new();
    let store = Store::open(Arc::new(world.behind(&front))).await.expect("a store");
    costs.push(("open", front.take()));
    let head = store.head(shop).await.expect("head").expect("a release");
    assert_eq!(head.release.number, ReleaseNumber(count));
    costs.push(("head", front.take()));
    let last = store.last_entry(shop).await.expect("last").expect("an entry");
    assert_eq!(last.0, Sequence(count));
    costs.push(("last entry", front.take()));
    let newest = store.releases(shop, None, PAGE).await.expect("a page");
    assert_eq!(newest.len(), PAGE);
    costs.push(("newest page", front.take()));
    let before = Some(ReleaseNumber(count / 2 + 6));
    let middle = store.releases(shop, before, PAGE).await.expect("a page");
    assert_eq!(middle[0].release.number, ReleaseNumber(count / 2 + 5));
    assert_eq!(middle.len(), PAGE);
    costs.push(("page in the middle", front.take()));
    let after = Some(Sequence(count / 2 - 5));
    let entries = store.entries(shop, after, PAGE / 2).await.expect("entries");
    assert_eq!((entries.len(), entries[0].0), (PAGE / 2, Sequence(count / 2 - 4)));
    costs.push(("entries in the middle", front.take()));
    let next = ReleaseNumber(count + 1);
    let taken = store.seal(&sealed(shop, next.0, &[])).await.expect("sealed");
    assert_eq!(taken, landfall_store::Sealed::Created);
    costs.push(("seal", front.take()));
    world
        .cluster
        .delete(&key(&format!("stacks/shop/prod/releases/{:020}", next.0)))
        .await
        .expect("deleted");
    costs
}

async fn flat(test: &str, counts: &[u64]) {
    let Some(world) = world(test, &VERBS).await else { return };
    Store::open(Arc::new(world.cluster.clone())).await.expect("a store");
    let shop = stack("shop", "prod");
    let mut from = 0;
    let mut first: Vec<(&str, Cost)> = Vec::new();
    for count in counts {
        fill(&world, &shop, from, *count).await;
        from = *count;
        let costs = look(&world, &shop, *count).await;
        println!("{count} releases: {costs:?}");
        let requests: Vec<usize> = costs.iter().map(|(_, cost)| cost.requests).collect();
        assert_eq!(requests, [2, 3, 3, 3 + PAGE, 1 + PAGE, 1 + PAGE / 2, 3], "{costs:?}");
        if first.is_empty() {
            first.clone_from(&costs);
        }
        for ((what, few), (_, many)) in first.iter().zip(&costs) {
            // A hint of the journal is up to 64 entries old.
            assert!(many.bytes < few.bytes + 100_000, "{what} with {count}: {few:?}, {many:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn looking_costs_the_same_with_many_releases() {
    flat("flat", &[10, 1000]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "makes 20,000 objects: half a minute"]
async fn looking_costs_the_same_with_very_many_releases() {
    flat("very-many", &[10, 1000, 10_000]).await;
}
