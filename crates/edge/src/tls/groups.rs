//! The hybrid key exchange SecP384r1MLKEM1024, composed from rustls's own P-384 and ML-KEM-1024.
//!
//! The policies with `PQ` in their name include it, and rustls has the two parts but not the whole.
//! Layout after `draft-ietf-tls-ecdhe-mlkem`: the elliptic curve's share comes first, then the
//! encapsulation key (client) or ciphertext (server); the secret is both secrets in the same order.

use rustls::crypto::aws_lc_rs::kx_group::{MLKEM1024, SECP384R1};
use rustls::crypto::{ActiveKeyExchange, CompletedKeyExchange, SharedSecret, SupportedKxGroup};
use rustls::ffdhe_groups::FfdheGroup;
use rustls::{Error, NamedGroup, PeerMisbehaved, ProtocolVersion};

/// The code point (IANA, TLS Supported Groups).
const NAME: NamedGroup = NamedGroup::Unknown(0x11ed);
/// The length of an uncompressed point of P-384, in bytes.
const POINT: usize = 97;
const INVALID: Error = Error::PeerMisbehaved(PeerMisbehaved::InvalidKeyShare);

/// The group for a rustls provider.
pub(crate) static SECP384R1MLKEM1024: &dyn SupportedKxGroup = &SecP384r1MlKem1024;

#[derive(Debug)]
struct SecP384r1MlKem1024;

impl SupportedKxGroup for SecP384r1MlKem1024 {
    fn start(&self) -> Result<Box<dyn ActiveKeyExchange>, Error> {
        let classical = SECP384R1.start()?;
        let post_quantum = MLKEM1024.start()?;
        let share = [classical.pub_key(), post_quantum.pub_key()].concat();
        Ok(Box::new(Active { classical, post_quantum, share }))
    }

    fn start_and_complete(&self, client_share: &[u8]) -> Result<CompletedKeyExchange, Error> {
        let (point, key) = client_share.split_at_checked(POINT).ok_or(INVALID)?;
        let classical = SECP384R1.start_and_complete(point)?;
        let post_quantum = MLKEM1024.start_and_complete(key)?;
        Ok(CompletedKeyExchange {
            group: NAME,
            pub_key: [classical.pub_key, post_quantum.pub_key].concat(),
            secret: join(&classical.secret, &post_quantum.secret),
        })
    }

    fn ffdhe_group(&self) -> Option<FfdheGroup<'static>> {
        None
    }

    fn name(&self) -> NamedGroup {
        NAME
    }

    fn usable_for_version(&self, version: ProtocolVersion) -> bool {
        version == ProtocolVersion::TLSv1_3
    }
}

fn join(classical: &SharedSecret, post_quantum: &SharedSecret) -> SharedSecret {
    SharedSecret::from([classical.secret_bytes(), post_quantum.secret_bytes()].concat())
}

struct Active {
    classical: Box<dyn ActiveKeyExchange>,
    post_quantum: Box<dyn ActiveKeyExchange>,
    share: Vec<u8>,
}

impl ActiveKeyExchange for Active {
    fn complete(self: Box<Self>, server_share: &[u8]) -> Result<SharedSecret, Error> {
        let (point, ciphertext) = server_share.split_at_checked(POINT).ok_or(INVALID)?;
        let classical = self.classical.complete(point)?;
        let post_quantum = self.post_quantum.complete(ciphertext)?;
        Ok(join(&classical, &post_quantum))
    }

    fn pub_key(&self) -> &[u8] {
        &self.share
    }

    fn ffdhe_group(&self) -> Option<FfdheGroup<'static>> {
        None
    }

    fn group(&self) -> NamedGroup {
        NAME
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_sides_come_to_the_same_secret() {
        let client = SECP384R1MLKEM1024.start().expect("started");
        assert_eq!(client.pub_key().len(), 97 + 1568);
        let server = SECP384R1MLKEM1024.start_and_complete(client.pub_key()).expect("completed");
        assert_eq!(server.pub_key.len(), 97 + 1568);
        let secret = client.complete(&server.pub_key).expect("completed");
        assert_eq!(secret.secret_bytes(), server.secret.secret_bytes());
        assert_eq!(secret.secret_bytes().len(), 48 + 32);
    }

    #[test]
    fn a_short_share_is_refused() {
        assert!(SECP384R1MLKEM1024.start_and_complete(&[4; 90]).is_err());
        assert!(SECP384R1MLKEM1024.start_and_complete(&[4; 97]).is_err());
    }
}
