//! Where everything is: the keys of a store of format 1, as `docs/store-format.md` has them.

use crate::error::{Result, StoreError};
use crate::key::Key;
use landfall_model::{Digest, Epoch, StackId};
use std::fmt::Display;

/// A number as a segment: 20 digits, so that listings ascend.
pub(crate) fn padded(number: u64) -> String {
    format!("{number:020}")
}

/// The number that a segment is, when it is one.
pub(crate) fn number_of(segment: &str) -> Option<u64> {
    (segment.len() == 20 && segment.bytes().all(|b| b.is_ascii_digit()))
        .then(|| segment.parse().ok())
        .flatten()
}

fn top(segment: impl Display) -> Key {
    Key::root().child(segment)
}

pub(crate) fn format() -> Key {
    top("format")
}

/// Remembers that the store of this name (its digest) passed the probe.
pub(crate) fn probe_passed(name: &Digest) -> Key {
    top("probe").child(format!("passed-{}", name.short()))
}

pub(crate) fn probe_round(unique: &str, round: usize) -> Key {
    top("probe").child(format!("round-{unique}-{round}"))
}

pub(crate) fn blob(digest: &Digest) -> Key {
    let hex = digest.hex();
    top("blobs").child("sha256").child(&hex[..2]).child(&hex)
}

pub(crate) fn blobs() -> Key {
    top("blobs").child("sha256")
}

/// A blob that nothing needed when it was looked for; readers still find it.
pub(crate) fn retired_blob(digest: &Digest) -> Key {
    let hex = digest.hex();
    top("retired").child("blobs").child(&hex[..2]).child(&hex)
}

/// Lists of retired blobs, by the time of their retirement.
pub(crate) fn retirements() -> Key {
    top("retired").child("lists")
}

pub(crate) fn stacks() -> Key {
    top("stacks")
}

pub(crate) fn stack(stack: &StackId) -> Key {
    stacks().child(&stack.app).child(&stack.stack)
}

/// Behind everything of a stack: no format names a folder of a stack so that it sorts after this.
pub(crate) fn after_stack(of: &StackId) -> Key {
    stack(of).child("zzzz")
}

pub(crate) fn releases(of: &StackId) -> Key {
    stack(of).child("releases")
}

pub(crate) fn journal(of: &StackId) -> Key {
    stack(of).child("journal")
}

pub(crate) fn outcomes(of: &StackId) -> Key {
    stack(of).child("outcomes")
}

pub(crate) fn hints(of: &StackId) -> Key {
    stack(of).child("hints")
}

pub(crate) fn hint(of: &StackId, name: &str) -> Key {
    hints(of).child(name)
}

pub(crate) fn lease(of: &StackId) -> Key {
    stack(of).child("lease")
}

pub(crate) fn beat(of: &StackId, epoch: Epoch, beat: u64) -> Key {
    lease(of).child(padded(epoch.0)).child(padded(beat))
}

pub(crate) fn numbered(folder: &Key, number: u64) -> Key {
    folder.child(padded(number))
}

/// The number of a key in a folder of numbered objects.
pub(crate) fn number_in(folder: &Key, key: &Key) -> Result<u64> {
    key.below(folder).and_then(number_of).ok_or_else(|| StoreError::Foreign {
        object: key.to_string(),
        why: "this folder holds objects named by 20 digits and nothing else",
    })
}

/// The digest of a blob's key, below a folder of blobs.
pub(crate) fn digest_in(folder: &Key, key: &Key) -> Result<Digest> {
    let foreign = || StoreError::Foreign {
        object: key.to_string(),
        why: "this folder holds blobs named by their SHA-256 and nothing else",
    };
    let (start, hex) =
        key.below(folder).and_then(|rest| rest.split_once('/')).ok_or_else(foreign)?;
    if !hex.starts_with(start) || start.len() != 2 {
        return Err(foreign());
    }
    format!("sha256:{hex}").parse().map_err(|_| foreign())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_ascend_as_text() {
        assert!(padded(9) < padded(10));
        assert!(padded(u64::MAX).len() == 20);
        assert_eq!(number_of(&padded(u64::MAX)), Some(u64::MAX));
        for text in
            ["1", "", "0000000000000000000a", "99999999999999999999", "+0000000000000000001"]
        {
            assert_eq!(number_of(text), None, "{text}");
        }
    }

    #[test]
    fn a_foreign_name_is_told() {
        let folder = Key::new("stacks/shop/prod/releases").expect("a key");
        let foreign = folder.child("notes.txt");
        let error = number_in(&folder, &foreign).expect_err("no number").to_string();
        assert!(error.contains("stacks/shop/prod/releases/notes.txt"), "{error}");
    }

    #[test]
    fn blobs_are_found_by_their_key() {
        let digest = Digest::from_bytes([0xcd; 32]);
        assert_eq!(digest_in(&blobs(), &blob(&digest)).expect("a digest"), digest);
        assert!(digest_in(&blobs(), &blobs().child("cd").child("x")).is_err());
    }
}
