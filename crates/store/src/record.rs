//! How everything but a blob is written: a few lines of header, an empty line, the payload.
//!
//! ```text
//! landfall release 1
//! digest: sha256:9f86…
//! signature: ed25519:0011223344556677 BASE64
//!
//! {"format":1,…}
//! ```
//!
//! The digest is of the payload, so a truncated or changed object is noticed whatever wrote it,
//! and a person can read the file and check it with `sha256sum`.

use crate::error::{Result, StoreError};
use crate::key::Key;
use crate::seal::{Signature, digest_of};
use bytes::Bytes;
use landfall_model::Digest;
use std::fmt::Write as _;

/// The version of the framing that this program writes.
const VERSION: u16 = 1;

/// What an object holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Format,
    Probe,
    Release,
    Journal,
    Outcome,
    Beat,
    Hint,
    Retirement,
}

impl Kind {
    const fn word(self) -> &'static str {
        match self {
            Self::Format => "store",
            Self::Probe => "probe",
            Self::Release => "release",
            Self::Journal => "journal",
            Self::Outcome => "outcome",
            Self::Beat => "beat",
            Self::Hint => "hint",
            Self::Retirement => "retirement",
        }
    }
}

/// An object that was read and verified.
#[derive(Debug, Clone)]
pub(crate) struct Record {
    pub(crate) payload: Bytes,
    pub(crate) digest: Digest,
    pub(crate) signature: Option<Signature>,
}

/// The object for a payload.
pub(crate) fn encode(kind: Kind, payload: &[u8], signature: Option<&Signature>) -> Bytes {
    let mut head = format!("landfall {} {VERSION}\ndigest: {}\n", kind.word(), digest_of(payload));
    if let Some(signature) = signature {
        let _ = writeln!(head, "signature: {signature}");
    }
    head.push('\n');
    let mut object = head.into_bytes();
    object.extend_from_slice(payload);
    Bytes::from(object)
}

/// Reads an object of one kind and verifies its payload.
pub(crate) fn decode(kind: Kind, key: &Key, object: &Bytes) -> Result<Record> {
    let corrupt = |why: &str| StoreError::corrupt(key, why);
    let end = object.windows(2).take(4096).position(|pair| pair == b"\n\n").ok_or_else(|| {
        corrupt(if object.is_empty() { "it is empty" } else { "its header has no end" })
    })?;
    let head = std::str::from_utf8(&object[..end]).map_err(|_| corrupt("its header is no text"))?;
    let payload = object.slice(end + 2..);
    let mut lines = head.lines();
    check_first(kind, key, lines.next().unwrap_or_default())?;
    let mut digest = None;
    let mut signature = None;
    for line in lines {
        match line.split_once(": ") {
            Some(("digest", text)) if digest.is_none() => {
                digest = Some(text.parse::<Digest>().map_err(|e| corrupt(&e.to_string()))?);
            }
            Some(("signature", text)) if signature.is_none() => {
                signature = Some(text.parse::<Signature>().map_err(|e| corrupt(&e.to_string()))?);
            }
            _ => return Err(corrupt(&format!("its header has the line `{line}`"))),
        }
    }
    let digest = digest.ok_or_else(|| corrupt("its header has no digest"))?;
    let found = digest_of(&payload);
    if found != digest {
        return Err(corrupt(&format!(
            "its payload of {} bytes has the digest {found}, and its header says {digest}",
            payload.len()
        )));
    }
    Ok(Record { payload, digest, signature })
}

fn check_first(kind: Kind, key: &Key, line: &str) -> Result<()> {
    let mut words = line.split(' ');
    let (landfall, word, version) = (words.next(), words.next(), words.next());
    let version = version.and_then(|text| text.parse::<u64>().ok());
    match (landfall, word, version) {
        (Some("landfall"), Some(word), Some(version @ 1..)) if word == kind.word() => {
            if version > u64::from(VERSION) {
                return Err(StoreError::NewerFormat {
                    object: key.to_string(),
                    found: version,
                    known: VERSION,
                });
            }
            Ok(())
        }
        _ => Err(StoreError::corrupt(
            key,
            format!("it should start with `landfall {} {VERSION}`", kind.word()),
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key() -> Key {
        Key::new("stacks/shop/prod/journal/00000000000000000001").expect("a key")
    }

    #[test]
    fn a_payload_survives_with_any_bytes() {
        for payload in [&b""[..], b"\n\n", b"{}", b"\0\xff"] {
            let object = encode(Kind::Journal, payload, None);
            let record = decode(Kind::Journal, &key(), &object).expect("good");
            assert_eq!(record.payload, payload);
            assert!(record.signature.is_none());
        }
    }

    #[test]
    fn every_truncation_and_every_flipped_bit_is_noticed() {
        let object = encode(Kind::Journal, b"{\"state\":\"shifting\"}", None);
        for length in 0..object.len() {
            let error = decode(Kind::Journal, &key(), &object.slice(..length)).expect_err("cut");
            assert!(
                matches!(&error, StoreError::Corrupt { object, .. } if *object == key().to_string())
            );
        }
        for index in 0..object.len() {
            let mut changed = object.to_vec();
            changed[index] ^= 1;
            assert!(decode(Kind::Journal, &key(), &Bytes::from(changed)).is_err(), "byte {index}");
        }
    }

    #[test]
    fn a_newer_format_is_no_damage() {
        let object = Bytes::from_static(b"landfall journal 2\ndigest: x\n\n");
        let error = decode(Kind::Journal, &key(), &object).expect_err("newer");
        assert!(matches!(error, StoreError::NewerFormat { found: 2, known: 1, .. }));
        let error = decode(Kind::Release, &key(), &object).expect_err("another kind");
        assert!(matches!(error, StoreError::Corrupt { .. }));
    }
}
