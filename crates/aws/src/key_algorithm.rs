//! Keys of certificates, and which of them a load balancer can use.

use serde::Deserialize;

/// A certificate's key.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(from = "String")]
pub enum KeyAlgorithm {
    /// RSA of this many bits.
    Rsa(u32),
    /// ECDSA on P-256.
    P256,
    /// ECDSA on P-384.
    P384,
    /// ECDSA on P-521.
    P521,
    /// One that this program does not know.
    Other(String),
}

impl KeyAlgorithm {
    /// Whether a network load balancer can use it. ACM also takes RSA of 4096 bits, with which a
    /// listener does not work: AWS's guide to TLS listeners lists what does.
    #[must_use]
    pub const fn fits_network_load_balancer(&self) -> bool {
        match self {
            Self::Rsa(bits) => *bits <= 3072,
            Self::P256 | Self::P384 | Self::P521 => true,
            Self::Other(_) => false,
        }
    }
}

impl KeyAlgorithm {
    /// As ACM documents it: `RSA_2048`, `EC_prime256v1`.
    #[must_use]
    pub fn word(&self) -> String {
        match self {
            Self::Rsa(bits) => format!("RSA_{bits}"),
            Self::P256 => "EC_prime256v1".to_owned(),
            Self::P384 => "EC_secp384r1".to_owned(),
            Self::P521 => "EC_secp521r1".to_owned(),
            Self::Other(text) => text.clone(),
        }
    }
}

impl From<String> for KeyAlgorithm {
    fn from(text: String) -> Self {
        // Documented with an underscore, answered with a hyphen.
        match text.replace('-', "_").as_str() {
            "EC_prime256v1" => Self::P256,
            "EC_secp384r1" => Self::P384,
            "EC_secp521r1" => Self::P521,
            other => match other.strip_prefix("RSA_").and_then(|bits| bits.parse().ok()) {
                Some(bits) => Self::Rsa(bits),
                None => Self::Other(text),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_read_with_hyphen_and_underscore() {
        for (text, key, fits) in [
            ("RSA-2048", KeyAlgorithm::Rsa(2048), true),
            ("RSA_3072", KeyAlgorithm::Rsa(3072), true),
            ("RSA_4096", KeyAlgorithm::Rsa(4096), false),
            ("EC_prime256v1", KeyAlgorithm::P256, true),
            ("EC-secp384r1", KeyAlgorithm::P384, true),
            ("EC_secp521r1", KeyAlgorithm::P521, true),
            ("ML_DSA_44", KeyAlgorithm::Other("ML_DSA_44".to_owned()), false),
        ] {
            let read = KeyAlgorithm::from(text.to_owned());
            assert_eq!((read.fits_network_load_balancer(), read), (fits, key));
        }
    }
}
