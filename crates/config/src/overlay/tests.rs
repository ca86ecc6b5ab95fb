//! Merging held against RFC 7396, written as simply as it can be.

use super::*;
use proptest::prelude::*;
use std::collections::BTreeMap;

/// A value without places.
#[derive(Debug, Clone, PartialEq)]
enum Simple {
    Null,
    Text(u8),
    List(Vec<u8>),
    Map(BTreeMap<u8, Simple>),
}

/// The algorithm of the RFC, word for word.
fn model(target: Option<Simple>, patch: &Simple) -> Simple {
    let Simple::Map(changes) = patch else { return patch.clone() };
    let mut map = match target {
        Some(Simple::Map(map)) => map,
        _ => BTreeMap::new(),
    };
    for (key, change) in changes {
        if *change == Simple::Null {
            map.remove(key);
        } else {
            let old = map.remove(key);
            map.insert(*key, model(old, change));
        }
    }
    Simple::Map(map)
}

fn node(simple: &Simple) -> Node {
    let kind = match simple {
        Simple::Null => Kind::Null,
        Simple::Text(text) => Kind::Plain(text.to_string()),
        Simple::List(items) => {
            Kind::List(items.iter().map(|item| node(&Simple::Text(*item))).collect())
        }
        Simple::Map(map) => Kind::Map(
            map.iter()
                .map(|(key, value)| Entry {
                    key: key.to_string(),
                    key_span: 0..0,
                    value: node(value),
                })
                .collect(),
        ),
    };
    Node { span: 0..0, kind }
}

fn simple(node: &Node) -> Simple {
    let number = |text: &str| text.parse().expect("a number");
    match &node.kind {
        Kind::Plain(text) => Simple::Text(number(text)),
        Kind::List(items) => Simple::List(
            items
                .iter()
                .map(|item| match simple(item) {
                    Simple::Text(text) => text,
                    other => panic!("{other:?}"),
                })
                .collect(),
        ),
        Kind::Map(entries) => Simple::Map(
            entries.iter().map(|entry| (number(&entry.key), simple(&entry.value))).collect(),
        ),
        _ => Simple::Null,
    }
}

fn value() -> impl Strategy<Value = Simple> {
    let leaf = prop_oneof![
        Just(Simple::Null),
        (0..9_u8).prop_map(Simple::Text),
        prop::collection::vec(0..9_u8, 0..3).prop_map(Simple::List),
    ];
    leaf.prop_recursive(3, 24, 4, |inner| {
        prop::collection::btree_map(0..5_u8, inner, 0..4).prop_map(Simple::Map)
    })
}

fn map() -> impl Strategy<Value = Simple> {
    prop::collection::btree_map(0..5_u8, value(), 0..5).prop_map(Simple::Map)
}

/// A base as a file may have it: without `null`.
fn full(value: Simple) -> Simple {
    model(None, &value)
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn merging_is_a_merge_patch(base in map(), patches in prop::collection::vec(map(), 1..4)) {
        let base = full(base);
        let mut tree = node(&base);
        let mut expected = base;
        for patch in &patches {
            merge(&mut tree, &node(patch));
            expected = model(Some(expected), patch);
        }
        prop_assert_eq!(simple(&tree), expected);
    }
}
