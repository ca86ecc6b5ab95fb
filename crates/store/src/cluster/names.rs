//! Names and labels of the Secrets of a store.

use crate::key::Key;
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
/// question.
pub(super) fn labels(key: &Key) -> BTreeMap<String, String> {
    let text = key.as_str();
    let folders = text.match_indices('/').map(|(end, _)| (below(&text[..end]), String::new()));
    let mut all: BTreeMap<String, String> = folders.collect();
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

/// What lists the objects below a folder.
pub(super) fn selector(prefix: &Key) -> String {
    let whole = format!("{OBJECT}=whole");
    if prefix.as_str().is_empty() { whole } else { format!("{whole},{}", below(prefix.as_str())) }
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
