//! Names of objects: paths that mean the same in a folder and in an object store.

use std::fmt;
use std::str::FromStr;

/// The name of an object: segments joined by `/`.
///
/// A segment has ASCII letters, digits, `.`, `_` and `-`, does not start with `.` or `tmp-`
/// (those are names of files at work and of other programs), and is at most 128 bytes long. So no
/// key can leave the store, and no key needs escaping anywhere. Keys order by their bytes.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key(String);

/// A text that is not a key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a name that a store uses")]
pub struct KeyError(pub String);

const LONGEST: usize = 512;

/// Whether a segment is one that listings pass over: a file at work, or another program's.
pub(crate) fn is_passed_over(segment: &str) -> bool {
    segment.starts_with('.') || segment.starts_with("tmp-")
}

fn is_segment(segment: &str) -> bool {
    !segment.is_empty()
        && segment.len() <= 128
        && !is_passed_over(segment)
        && segment.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b))
}

impl Key {
    /// The folder that holds everything; only good as a prefix of a listing.
    #[must_use]
    pub const fn root() -> Self {
        Self(String::new())
    }

    /// Checks and wraps a text.
    ///
    /// # Errors
    /// When a segment is empty, is `.` or `..`, or has a character outside the alphabet.
    pub fn new(text: impl Into<String>) -> Result<Self, KeyError> {
        let text = text.into();
        if text.len() <= LONGEST && text.split('/').all(is_segment) {
            Ok(Self(text))
        } else {
            Err(KeyError(text))
        }
    }

    /// A key below this one, from a segment that is valid by its type.
    pub(crate) fn child(&self, segment: impl fmt::Display) -> Self {
        let segment = segment.to_string();
        debug_assert!(is_segment(&segment), "`{segment}` is not a segment");
        if self.0.is_empty() { Self(segment) } else { Self(format!("{}/{segment}", self.0)) }
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The last segment.
    #[must_use]
    pub fn name(&self) -> &str {
        self.0.rsplit('/').next().unwrap_or_default()
    }

    /// The part below `folder`, when this key is below it.
    #[must_use]
    pub fn below<'a>(&'a self, folder: &Self) -> Option<&'a str> {
        if folder.0.is_empty() {
            return Some(&self.0);
        }
        self.0.strip_prefix(&folder.0)?.strip_prefix('/')
    }

    /// Whether this is the folder that holds everything.
    #[must_use]
    pub fn is_root(&self) -> bool {
        self.0.is_empty()
    }
}

impl fmt::Display for Key {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Key({})", self.0)
    }
}

impl FromStr for Key {
    type Err = KeyError;
    fn from_str(text: &str) -> Result<Self, KeyError> {
        Self::new(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_cannot_leave_the_store() {
        for text in [
            "",
            "/",
            "/a",
            "a/",
            "a//b",
            "..",
            "a/../b",
            "a/./b",
            "a b",
            "a\\b",
            "ä",
            ".git",
            "tmp-1",
            "a/.DS_Store",
            "a\0b",
            "a:b",
            "a~",
        ] {
            assert!(Key::new(text).is_err(), "{text}");
        }
        for text in ["format", "blobs/sha256/ab/abcd", "stacks/shop/prod/releases/00001", "a_"] {
            assert!(Key::new(text).is_ok(), "{text}");
        }
        assert!(Key::new("a".repeat(129)).is_err());
    }

    #[test]
    fn keys_know_their_folder() {
        let folder = Key::new("stacks/shop").expect("a key");
        let key = folder.child("prod").child(7);
        assert_eq!(key.as_str(), "stacks/shop/prod/7");
        assert_eq!(key.below(&folder), Some("prod/7"));
        assert_eq!(key.below(&Key::root()), Some("stacks/shop/prod/7"));
        assert_eq!(Key::new("stacks/shop-2/x").expect("a key").below(&folder), None);
        assert_eq!(key.name(), "7");
    }
}
