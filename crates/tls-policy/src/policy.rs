//! What a policy is, and how one is found by its name.

use crate::table::POLICIES;
use serde::Serialize;

/// The policy that AWS recommends and its console chooses, and the one that a listener without a
/// policy gets here.
pub const DEFAULT: &str = "ELBSecurityPolicy-TLS13-1-2-Res-PQ-2025-09";

/// A version of the protocol, ordered by age.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub enum Version {
    /// TLS 1.0 (RFC 2246).
    #[serde(rename = "TLSv1.0")]
    Tls10,
    /// TLS 1.1 (RFC 4346).
    #[serde(rename = "TLSv1.1")]
    Tls11,
    /// TLS 1.2 (RFC 5246).
    #[serde(rename = "TLSv1.2")]
    Tls12,
    /// TLS 1.3 (RFC 8446).
    #[serde(rename = "TLSv1.3")]
    Tls13,
}

impl Version {
    /// The version for people.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Tls10 => "TLS 1.0",
            Self::Tls11 => "TLS 1.1",
            Self::Tls12 => "TLS 1.2",
            Self::Tls13 => "TLS 1.3",
        }
    }
}

/// How sure a row of the table is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Confidence {
    /// AWS's guide prints it.
    Documented,
    /// AWS's guide printed it until 2023.
    DocumentedUntil2023,
    /// AWS announced the name; its cipher suites are those of the name without `PQ`.
    Twin,
    /// Derived from the standard in its name.
    Inferred,
    /// From the source of AWS's TLS library, not from a guide.
    Implementation,
    /// In the source of AWS's TLS library under a name that was not announced.
    Unannounced,
}

/// A named policy.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Policy {
    /// The name, as AWS writes it.
    pub name: &'static str,
    /// The versions that it allows, newest first.
    pub versions: &'static [Version],
    /// The cipher suites in the order of preference, in OpenSSL's words for TLS 1.2 and older.
    pub ciphers: &'static [&'static str],
    /// The curves, where the policy limits them; AWS does not document them for the others.
    pub curves: Option<&'static [&'static str]>,
    /// The key exchanges for TLS 1.3 that resist a quantum computer, best first.
    pub post_quantum: &'static [&'static str],
    /// Whether it promises a FIPS 140-3 validated module.
    pub fips: bool,
    /// How sure the row is.
    pub confidence: Confidence,
}

/// The policy of this name, written exactly so.
#[must_use]
pub fn find(name: &str) -> Option<&'static Policy> {
    POLICIES.iter().find(|policy| policy.name == name)
}

/// The known name that is most like this one, to be suggested; none when nothing is like it.
#[must_use]
pub fn nearest(name: &str) -> Option<&'static str> {
    let wanted = simplified(name);
    POLICIES
        .iter()
        .map(|policy| (strsim::osa_distance(&wanted, &simplified(policy.name)), policy.name))
        .min()
        .filter(|(distance, _)| *distance <= (wanted.len() / 3).max(2))
        .map(|(_, nearest)| nearest)
}

fn simplified(name: &str) -> String {
    let lower = name.to_ascii_lowercase().replace(['_', '.', ' '], "-");
    lower.strip_prefix("elbsecuritypolicy-").unwrap_or(&lower).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn names_are_unique_and_rows_are_whole() {
        let names: BTreeSet<_> = POLICIES.iter().map(|policy| policy.name).collect();
        assert_eq!(names.len(), POLICIES.len());
        for policy in POLICIES {
            assert!(!policy.ciphers.is_empty() && !policy.versions.is_empty(), "{}", policy.name);
            let unique: BTreeSet<_> = policy.ciphers.iter().collect();
            assert_eq!(unique.len(), policy.ciphers.len(), "{}", policy.name);
            assert!(policy.versions.is_sorted_by(|newer, older| newer > older), "{}", policy.name);
            let modern = policy.ciphers.iter().any(|cipher| cipher.starts_with("TLS_"));
            assert_eq!(modern, policy.versions.contains(&Version::Tls13), "{}", policy.name);
            assert_eq!(policy.name.contains("-PQ-"), !policy.post_quantum.is_empty());
            assert_eq!(policy.name.contains("FIPS"), policy.fips, "{}", policy.name);
        }
        assert!(find(DEFAULT).is_some());
    }

    #[test]
    fn a_name_that_is_nearly_right_is_suggested() {
        for (wrong, right) in [
            ("TLS13-1-2-Res-PQ-2025-09", DEFAULT),
            ("elbsecuritypolicy-tls13-1-2-res-pq-2025-09", DEFAULT),
            ("ELBSecurityPolicy-TLS13-1-3-2021-6", "ELBSecurityPolicy-TLS13-1-3-2021-06"),
            ("ELBSecurityPolicy-FS-1.2-Res-2020-10", "ELBSecurityPolicy-FS-1-2-Res-2020-10"),
        ] {
            assert_eq!(nearest(wrong), Some(right), "{wrong}");
        }
        assert_eq!(nearest("modern"), None);
    }
}
