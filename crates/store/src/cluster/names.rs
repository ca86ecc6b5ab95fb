//! Names and labels of the Secrets of a store.

use super::numbers;
use crate::key::Key;
use crate::layout;
use crate::seal::digest_of;
use std::collections::BTreeMap;

/// The type of the Secrets, which keeps other programs from taking them for theirs.
pub(super) const TYPE: &str = "landfall.dev/object";
/// The annotation with the key.
pub(super) const KEY: &str = "landfall.dev/key";
/// The annotation with who made it: another one for each writing.
pub(super) const WRITER: &str = "landfall.dev/writer";
/// The annotation with the number of pieces of a large object.
pub(super) const PIECES: &str = "landfall.dev/pieces";
/// The label of objects.
const OBJECT: &str = "landfall.dev/object";
/// The label of pieces: the object's name.
const PIECE_OF: &str = "landfall.dev/piece-of";

fn hash(text: &str, length: usize) -> String {
    digest_of(text.as_bytes()).hex().chars().take(length).collect()
}

/// The name of an object's Secret. Keys may have letters and lengths that names may not.
pub(super) fn name_of(key: &Key) -> String {
    format!("landfall-{}", hash(key.as_str(), 40))
}

/// The name of one piece.
pub(super) fn piece_name(key: &Key, writer: &str, number: usize) -> String {
    format!("{}-{writer}-{number}", name_of(key))
}

/// The label that says that a key is below a folder.
fn below(folder: &str) -> String {
    format!("landfall.dev/in-{}", hash(folder, 16))
}

/// Labels of an object: one for each folder that it is in, so that a listing of any of them is one
/// question. A number says which it is in its own folder, so that the question may be narrowed.
pub(super) fn labels(key: &Key) -> BTreeMap<String, String> {
    let text = key.as_str();
    let folders = text.match_indices('/').map(|(end, _)| (below(&text[..end]), String::new()));
    let mut all: BTreeMap<String, String> = folders.collect();
    if let Some((folder, name)) = text.rsplit_once('/')
        && let Some(number) = layout::number_of(name)
    {
        all.extend(numbers::labels(&below(folder), number));
    }
    all.insert(OBJECT.into(), "whole".into());
    all.insert("app.kubernetes.io/managed-by".into(), "landfall".into());
    all
}

pub(super) fn labels_of_piece(key: &Key) -> BTreeMap<String, String> {
    [
        (PIECE_OF.to_owned(), name_of(key)),
        ("app.kubernetes.io/managed-by".to_owned(), "landfall".to_owned()),
    ]
    .into()
}

/// What lists the objects below a folder, without numbers that are not between those of two keys.
pub(super) fn selector(prefix: &Key, after: Option<&Key>, before: Option<&Key>) -> String {
    let whole = format!("{OBJECT}=whole");
    if prefix.is_root() {
        return whole;
    }
    let number = |key: Option<&Key>| key?.below(prefix).and_then(layout::number_of);
    let folder = below(prefix.as_str());
    let without = numbers::without(&folder, number(after), number(before));
    format!("{whole},{folder}{without}")
}

/// What lists the pieces of an object.
pub(super) fn selector_of_pieces(key: &Key) -> String {
    format!("{PIECE_OF}={}", name_of(key))
}

/// A text that no other writing has.
pub(super) fn nonce() -> String {
    let mut bytes = [0_u8; 8];
    aws_lc_rs::rand::fill(&mut bytes).expect("the system has randomness");
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// What an API server answers, for the kinds of requirements that are used here.
    fn selects(selector: &str, labels: &BTreeMap<String, String>) -> bool {
        let mut rest = selector;
        while !rest.is_empty() {
            let end = match (rest.find(','), rest.find('(')) {
                (Some(comma), Some(open)) if open < comma => {
                    rest.find(')').expect("a list has an end") + 1
                }
                (comma, _) => comma.unwrap_or(rest.len()),
            };
            let (requirement, after) = rest.split_at(end);
            rest = after.strip_prefix(',').unwrap_or(after);
            let holds = if let Some((label, values)) = requirement.split_once(" notin ") {
                let values = values.trim_start_matches('(').trim_end_matches(')');
                labels.get(label).is_none_or(|it| values.split(',').all(|value| value != it))
            } else if let Some((label, value)) = requirement.split_once('=') {
                labels.get(label).is_some_and(|it| it == value)
            } else {
                labels.contains_key(requirement)
            };
            if !holds {
                return false;
            }
        }
        true
    }

    fn number() -> impl Strategy<Value = u64> {
        prop_oneof![
            4 => 0..70_u64,
            4 => 0..5_000_u64,
            2 => 0..2_000_000_u64,
            1 => any::<u64>(),
            1 => Just(u64::MAX),
        ]
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2000))]

        /// Nothing that is asked for is left out, and below a million nothing else is left in.
        #[test]
        fn a_selector_is_a_range(
            numbers in prop::collection::vec(number(), 1..20),
            after in prop::option::of(number()),
            before in prop::option::of(number()),
        ) {
            let folder = Key::new("stacks/shop/prod/releases").expect("a key");
            let key = |number: u64| layout::numbered(&folder, number);
            let (first, end) = (after.map(key), before.map(key));
            let selector = selector(&folder, first.as_ref(), end.as_ref());
            prop_assert!(selector.len() < 4096, "{} bytes", selector.len());
            let near = after.into_iter().chain(before).flat_map(|it| [it.saturating_sub(1), it, it.saturating_add(1)]);
            for number in numbers.into_iter().chain(near) {
                let inside = after.is_none_or(|it| number > it) && before.is_none_or(|it| number < it);
                let selected = selects(&selector, &labels(&key(number)));
                prop_assert!(selected || !inside, "{number} is left out of {after:?}..{before:?}");
                let exact = [Some(number), after, before].into_iter().flatten().all(|it| it < 1 << 20);
                prop_assert!(inside || !selected || !exact, "{number} is left in {after:?}..{before:?}");
            }
            for other in ["stacks/shop/prod/releases/notes", "stacks/shop/prod/releases/00000000000000000007/x"] {
                prop_assert!(selects(&selector, &labels(&Key::new(other).expect("a key"))));
            }
            let elsewhere = Key::new("stacks/shop/prod/outcomes/00000000000000000007").expect("a key");
            prop_assert!(!selects(&selector, &labels(&elsewhere)));
        }
    }
}
