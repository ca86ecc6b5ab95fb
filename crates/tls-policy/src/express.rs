//! Which policies a rustls server can serve exactly, and what it has to be told for that.
//!
//! Exactly means: the same protocol versions, the same set of cipher suites in the same order of the
//! server's preference, every post-quantum group that the policy names, and no other. The classical
//! curves are not part of what AWS documents for these policies; what is served is what AWS's own TLS
//! library serves for the same names (`tls/s2n_ecc_preferences.c`), and [`RustlsPolicy::notes`] says so.

use crate::policy::{Policy, Version};

/// What rustls (0.23, with AWS-LC) can negotiate, in the words of the policy table.
const CIPHERS: &[&str] = &[
    "TLS_AES_128_GCM_SHA256",
    "TLS_AES_256_GCM_SHA384",
    "TLS_CHACHA20_POLY1305_SHA256",
    "ECDHE-ECDSA-AES128-GCM-SHA256",
    "ECDHE-RSA-AES128-GCM-SHA256",
    "ECDHE-ECDSA-AES256-GCM-SHA384",
    "ECDHE-RSA-AES256-GCM-SHA384",
    "ECDHE-ECDSA-CHACHA20-POLY1305",
    "ECDHE-RSA-CHACHA20-POLY1305",
];

/// The post-quantum groups that the edge can serve. rustls brings the first two; the third is
/// composed in the edge from rustls's own P-384 and ML-KEM-1024.
const POST_QUANTUM: &[&str] = &["X25519MLKEM768", "SecP256r1MLKEM768", "SecP384r1MLKEM1024"];

/// What a rustls server has to be told to serve a policy exactly.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RustlsPolicy {
    /// The protocol versions, newest first.
    pub versions: Vec<Version>,
    /// The cipher suites in the order of the server's preference, which is followed, not the
    /// client's.
    pub ciphers: Vec<&'static str>,
    /// The key exchange groups in the order of preference, post-quantum ones first.
    pub groups: Vec<&'static str>,
    /// What a reader of AWS's table could wonder about.
    pub notes: Vec<&'static str>,
}

/// Why rustls cannot serve a policy exactly.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Inexpressible {
    /// It allows versions that rustls does not have.
    #[error("{policy} allows {}, which this edge does not speak", words(.versions))]
    Versions {
        /// The policy.
        policy: &'static str,
        /// The versions that are missing.
        versions: Vec<Version>,
    },
    /// It allows cipher suites that rustls does not have.
    #[error("{policy} allows cipher suites which this edge does not have: {}", .ciphers.join(", "))]
    Ciphers {
        /// The policy.
        policy: &'static str,
        /// The suites that are missing.
        ciphers: Vec<&'static str>,
    },
    /// It names key exchange groups that the edge does not have.
    #[error("{policy} names key exchange groups which this edge does not have: {}", .groups.join(", "))]
    Groups {
        /// The policy.
        policy: &'static str,
        /// The groups that are missing.
        groups: Vec<&'static str>,
    },
    /// It promises a validated cryptographic module.
    #[error("{policy} promises a FIPS 140-3 validated module, which this edge is not built with")]
    Fips {
        /// The policy.
        policy: &'static str,
    },
}

fn words(versions: &[Version]) -> String {
    versions.iter().map(|version| version.word()).collect::<Vec<_>>().join(" and ")
}

/// What rustls has to be told to serve this policy exactly.
///
/// # Errors
/// [`Inexpressible`] with the first reason why it cannot.
pub fn expressible(policy: &Policy) -> Result<RustlsPolicy, Inexpressible> {
    let name = policy.name;
    let versions: Vec<_> =
        policy.versions.iter().copied().filter(|version| *version < Version::Tls12).collect();
    if !versions.is_empty() {
        return Err(Inexpressible::Versions { policy: name, versions });
    }
    let ciphers = missing(policy.ciphers, CIPHERS);
    if !ciphers.is_empty() {
        return Err(Inexpressible::Ciphers { policy: name, ciphers });
    }
    if policy.fips {
        return Err(Inexpressible::Fips { policy: name });
    }
    let groups = missing(policy.post_quantum, POST_QUANTUM);
    if !groups.is_empty() {
        return Err(Inexpressible::Groups { policy: name, groups });
    }
    let (curves, notes) = curves(policy);
    Ok(RustlsPolicy {
        versions: policy.versions.to_vec(),
        ciphers: policy.ciphers.to_vec(),
        groups: policy.post_quantum.iter().chain(curves).copied().collect(),
        notes,
    })
}

fn missing(wanted: &[&'static str], have: &[&str]) -> Vec<&'static str> {
    wanted.iter().copied().filter(|name| !have.contains(name)).collect()
}

fn curves(policy: &Policy) -> (&'static [&'static str], Vec<&'static str>) {
    match policy.curves {
        Some(curves) => (curves, Vec::new()),
        None if policy.versions.contains(&Version::Tls13) => (
            &["x25519", "secp256r1", "secp384r1"],
            vec![
                "AWS does not document the curves of this policy; served are x25519, secp256r1 and secp384r1",
            ],
        ),
        None => (
            &["secp256r1", "secp384r1"],
            vec![
                "AWS does not document the curves of this policy; served are secp256r1 and secp384r1",
            ],
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::{DEFAULT, find};
    use crate::table::POLICIES;

    #[test]
    fn exactly_these_policies_can_be_served() {
        let served: Vec<_> = POLICIES
            .iter()
            .filter(|policy| expressible(policy).is_ok())
            .map(|policy| policy.name)
            .collect();
        assert_eq!(
            served,
            [
                "ELBSecurityPolicy-TLS13-1-3-2021-06",
                "ELBSecurityPolicy-TLS13-1-3-PQ-2025-09",
                "ELBSecurityPolicy-TLS13-1-2-Res-2021-06",
                "ELBSecurityPolicy-TLS13-1-2-Res-PQ-2025-09",
                "ELBSecurityPolicy-FS-1-2-Res-2020-10",
            ]
        );
    }

    #[test]
    fn what_is_expressed_is_what_the_policy_says() {
        for policy in POLICIES {
            let Ok(exact) = expressible(policy) else { continue };
            assert_eq!(exact.versions, policy.versions);
            assert_eq!(exact.ciphers, policy.ciphers);
            assert!(exact.groups.starts_with(policy.post_quantum), "{}", policy.name);
        }
        let exact = expressible(find(DEFAULT).expect("known")).expect("exact");
        assert_eq!(exact.groups.len(), 6);
    }

    #[test]
    fn the_reason_names_what_is_missing() {
        for (name, part) in [
            ("ELBSecurityPolicy-2016-08", "TLS 1.1 and TLS 1.0"),
            ("ELBSecurityPolicy-TLS13-1-2-2021-06", "ECDHE-ECDSA-AES128-SHA256"),
            ("ELBSecurityPolicy-TLS13-1-3-FIPS-2023-04", "FIPS 140-3"),
            ("ELBSecurityPolicy-TLS13-1-2-Ext1-2021-06", "AES128-GCM-SHA256"),
        ] {
            let error = expressible(find(name).expect("known")).expect_err("not exact").to_string();
            assert!(error.contains(part), "{error}");
        }
    }
}
