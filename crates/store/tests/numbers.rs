//! The newest number and any page of numbers, whatever was put, deleted, or hinted at before: the
//! same answers as those of a set of numbers.

mod common;

use async_trait::async_trait;
use bytes::Bytes;
use common::{key, sealed, stack};
use landfall_model::{ReleaseNumber, Sequence};
use landfall_store::seal::digest_of;
use landfall_store::{Backend, Key, Memory, Put, Result, Sealed, Store};
use proptest::prelude::*;
use std::collections::BTreeSet;
use std::sync::Arc;

const RELEASES: &str = "stacks/shop/prod/releases";
const JOURNAL: &str = "stacks/shop/prod/journal";

/// A place whose listings cost what they are about, whatever the limit, as a namespace's do.
struct Whole(Memory);

#[async_trait]
impl Backend for Whole {
    fn name(&self) -> String {
        self.0.name()
    }
    async fn get(&self, key: &Key) -> Result<Option<Bytes>> {
        self.0.get(key).await
    }
    async fn put_if_absent(&self, key: &Key, bytes: Bytes) -> Result<Put> {
        self.0.put_if_absent(key, bytes).await
    }
    async fn put_hint(&self, key: &Key, bytes: Bytes) -> Result<()> {
        self.0.put_hint(key, bytes).await
    }
    async fn list(&self, prefix: &Key, after: Option<&Key>, limit: usize) -> Result<Vec<Key>> {
        self.0.list(prefix, after, limit).await
    }
    async fn list_between(
        &self,
        prefix: &Key,
        after: Option<&Key>,
        before: &Key,
        limit: usize,
    ) -> Result<Vec<Key>> {
        let mut keys = self.0.list(prefix, after, usize::MAX).await?;
        keys.retain(|key| key < before);
        keys.truncate(limit);
        Ok(keys)
    }
    fn lists_whole(&self) -> bool {
        true
    }
    async fn delete(&self, key: &Key) -> Result<()> {
        self.0.delete(key).await
    }
}

#[derive(Debug, Clone)]
enum Hint {
    Missing,
    Empty,
    Says(u64),
}

#[derive(Debug, Clone)]
enum Step {
    /// Seal and append at so many after the newest.
    Put(u64),
    /// Delete the one at this place among those that are there.
    Delete(prop::sample::Index),
    Hint(Hint),
    /// A page before this one of the numbers, or before this number.
    Page(Option<u64>, usize),
    Entries(Option<u64>, usize),
}

fn number() -> impl Strategy<Value = u64> {
    prop_oneof![8 => 0..40_u64, 4 => 0..5_000_u64, 1 => Just(u64::MAX), 1 => any::<u64>()]
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let gap = prop_oneof![10 => Just(1_u64), 2 => 2..50_u64, 1 => 1_000..100_000_u64];
    let hint = prop_oneof![
        1 => Just(Hint::Missing),
        1 => Just(Hint::Empty),
        4 => number().prop_map(Hint::Says),
    ];
    let step = prop_oneof![
        8 => gap.prop_map(Step::Put),
        3 => any::<prop::sample::Index>().prop_map(Step::Delete),
        3 => hint.prop_map(Step::Hint),
        3 => (prop::option::of(number()), 1..12_usize).prop_map(|(at, limit)| Step::Page(at, limit)),
        2 => (prop::option::of(number()), 1..12_usize)
            .prop_map(|(at, limit)| Step::Entries(at, limit)),
    ];
    prop::collection::vec(step, 1..60)
}

struct Model {
    backend: Arc<dyn Backend>,
    store: Store,
    there: BTreeSet<u64>,
}

impl Model {
    async fn new(backend: Arc<dyn Backend>) -> Self {
        let store = Store::open(Arc::clone(&backend)).await.expect("a store");
        Self { backend, store, there: BTreeSet::new() }
    }

    async fn hint(&self, hint: &Hint) {
        for name in ["releases", "journal"] {
            let key = key(&format!("stacks/shop/prod/hints/{name}"));
            let object = match hint {
                Hint::Missing => {
                    self.backend.delete(&key).await.expect("deleted");
                    continue;
                }
                Hint::Empty => Bytes::new(),
                Hint::Says(number) => {
                    let text = number.to_string();
                    format!("landfall hint 1\ndigest: {}\n\n{text}", digest_of(text.as_bytes()))
                        .into()
                }
            };
            self.backend.put_hint(&key, object).await.expect("a hint");
        }
    }

    async fn act(&mut self, step: &Step) {
        let shop = stack("shop", "prod");
        let store = &self.store;
        match step {
            Step::Put(gap) => {
                let number = self.there.last().map_or(0, |last| last + gap);
                let put = store.seal(&sealed(&shop, number, &[])).await.expect("seal");
                assert_eq!(put, Sealed::Created);
                store.append(&shop, Sequence(number), b"{}").await.expect("appended");
                self.there.insert(number);
            }
            Step::Delete(index) if !self.there.is_empty() => {
                let at = index.index(self.there.len());
                let number = *self.there.iter().nth(at).expect("there");
                for folder in [RELEASES, JOURNAL] {
                    let key = key(&format!("{folder}/{number:020}"));
                    self.backend.delete(&key).await.expect("deleted");
                }
                self.there.remove(&number);
            }
            Step::Delete(_) => {}
            Step::Hint(hint) => self.hint(hint).await,
            Step::Page(before, limit) => {
                let before = before.map(ReleaseNumber);
                let page = store.releases(&shop, before, *limit).await.expect("a page");
                let page: Vec<u64> = page.iter().map(|it| it.release.number.0).collect();
                let inside = |number: &&u64| before.is_none_or(|before| **number < before.0);
                let wanted: Vec<u64> =
                    self.there.iter().rev().filter(inside).take(*limit).copied().collect();
                assert_eq!(page, wanted, "before {before:?}");
            }
            Step::Entries(after, limit) => {
                let page = store.entries(&shop, after.map(Sequence), *limit).await.expect("some");
                let page: Vec<u64> = page.iter().map(|(sequence, _)| sequence.0).collect();
                let inside = |number: &&u64| after.is_none_or(|after| **number > after);
                let wanted: Vec<u64> =
                    self.there.iter().filter(inside).take(*limit).copied().collect();
                assert_eq!(page, wanted, "after {after:?}");
            }
        }
        self.look().await;
    }

    async fn look(&self) {
        let shop = stack("shop", "prod");
        let head = self.store.head(&shop).await.expect("head").map(|it| it.release.number.0);
        assert_eq!(head, self.there.last().copied(), "the head");
        let last = self.store.last_entry(&shop).await.expect("last").map(|(it, _)| it.0);
        assert_eq!(last, self.there.last().copied(), "the last entry");
        let stacks = self.store.stacks().await.expect("stacks");
        assert!(self.there.is_empty() || stacks == [shop]);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn numbers_are_those_of_a_set(steps in steps()) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
        runtime.block_on(async {
            let places: [Arc<dyn Backend>; 2] =
                [Arc::new(Memory::new()), Arc::new(Whole(Memory::new()))];
            for place in places {
                let mut model = Model::new(place).await;
                for step in &steps {
                    model.act(step).await;
                }
            }
        });
    }
}
