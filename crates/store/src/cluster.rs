//! A store in a namespace of a Kubernetes cluster: each object is a Secret.
//!
//! Secrets, because whoever may read them may read what a service is given anyway, and because
//! clusters that encrypt anything at rest encrypt them. What is larger than one Secret holds is
//! cut: its pieces are written first, the Secret that names them last, so that an object appears
//! whole or not at all. That last writing is a `create`, which of all concurrent ones lets one pass.

mod listing;
mod names;
mod numbers;
mod pieces;
mod request;

use crate::backend::{Backend, Put, check_hint};
use crate::error::{Result, StoreError};
use crate::key::Key;
use async_trait::async_trait;
use bytes::Bytes;
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use kube::api::{DeleteParams, ObjectMeta, Patch, PatchParams, PostParams, Preconditions};
use kube::{Api, Client, ResourceExt};
use names::{KEY, PIECES, TYPE, WRITER, labels, name_of, nonce, piece_name};
use request::Answer;
use std::collections::BTreeMap;
use std::fmt;

/// What one Secret holds: 1 MiB less what surrounds it, and a third less for its base64.
const PIECE: usize = 700 * 1024;
/// The largest object. What is larger belongs into a registry or a bucket.
const LARGEST: usize = 32 * 1024 * 1024;
/// How often a listing or an object is read anew because it changed meanwhile.
const READINGS: usize = 5;
/// The entry of a Secret that holds the bytes.
const BYTES: &str = "bytes";

/// A store in a namespace.
#[derive(Clone)]
pub struct Cluster {
    secrets: Api<Secret>,
    name: String,
}

impl fmt::Debug for Cluster {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Cluster({})", self.name)
    }
}

impl Cluster {
    /// A store in this namespace. No request is made.
    #[must_use]
    pub fn new(client: Client, namespace: &str) -> Self {
        Self {
            secrets: Api::namespaced(client, namespace),
            name: format!("the namespace {namespace}"),
        }
    }

    fn secret(&self, name: String, key: &Key, data: Vec<u8>) -> Secret {
        Secret {
            metadata: ObjectMeta {
                name: Some(name),
                labels: Some(labels(key)),
                annotations: Some([(KEY.to_owned(), key.to_string())].into()),
                ..ObjectMeta::default()
            },
            type_: Some(TYPE.into()),
            immutable: Some(true),
            data: Some(BTreeMap::from([(BYTES.to_owned(), ByteString(data))])),
            ..Secret::default()
        }
    }

    async fn head(&self, operation: &'static str, key: &Key) -> Result<Option<Secret>> {
        let name = name_of(key);
        let found = self.ask(operation, key, || self.secrets.get_opt(&name)).await?;
        let secret = match found {
            Answer::Done(secret) => secret,
            Answer::Exists => None,
            Answer::Refused(status) => return Err(self.failed(operation, key, &status)),
        };
        match secret {
            Some(secret)
                if secret.annotations().get(KEY).map(String::as_str) != Some(key.as_str()) =>
            {
                Err(StoreError::Foreign {
                    object: format!("the Secret {name} in {}", self.name),
                    why: "an object of a store names its key",
                })
            }
            found => Ok(found),
        }
    }

    fn restless(&self, operation: &'static str, key: &Key) -> StoreError {
        StoreError::Failed {
            operation,
            object: format!("{key} in {}", self.name),
            why: format!("it changed {READINGS} times meanwhile"),
        }
    }

    /// Removes a Secret; when `uid` is given, only the very one.
    async fn remove(&self, key: &Key, name: &str, uid: Option<String>) -> Result<()> {
        let preconditions = uid.map(|uid| Preconditions { uid: Some(uid), ..Default::default() });
        let params = DeleteParams { preconditions, ..DeleteParams::default() };
        match self.ask("delete", key, || self.secrets.delete(name, &params)).await? {
            // Gone, or another one has its name by now.
            Answer::Refused(status) if !matches!(status.code, 404 | 409) => {
                Err(self.failed("delete", key, &status))
            }
            _ => Ok(()),
        }
    }
}

#[async_trait]
impl Backend for Cluster {
    fn name(&self) -> String {
        self.name.clone()
    }

    async fn get(&self, key: &Key) -> Result<Option<Bytes>> {
        let mut seen = None;
        for _ in 0..READINGS {
            let Some(secret) = self.head("read", key).await? else { return Ok(None) };
            let uid = secret.uid();
            match self.bytes(key, secret).await? {
                Ok(bytes) => return Ok(Some(bytes)),
                // Deleted while it was read, unless the same object still wants the piece.
                Err(why) if seen == uid => return Err(StoreError::corrupt(key, why)),
                Err(_) => seen = uid,
            }
        }
        Err(self.restless("read", key))
    }

    async fn put_if_absent(&self, key: &Key, bytes: Bytes) -> Result<Put> {
        if bytes.len() > LARGEST {
            return Err(StoreError::Usage(format!(
                "{key} has {} bytes, and {} holds objects of up to {LARGEST}: keep large artifacts in a registry, or name a bucket as the `store`",
                bytes.len(),
                self.name
            )));
        }
        let params = PostParams::default();
        let writer = nonce();
        let mut secret = self.secret(name_of(key), key, Vec::new());
        let annotations = secret.metadata.annotations.get_or_insert_default();
        annotations.insert(WRITER.to_owned(), writer.clone());
        if bytes.len() > PIECE {
            if self.head("read", key).await?.is_some() {
                return Ok(Put::Exists);
            }
            let count = self.put_pieces(key, &bytes, &writer).await?;
            annotations.insert(PIECES.to_owned(), count.to_string());
        } else {
            secret.data = Some([(BYTES.to_owned(), ByteString(bytes.to_vec()))].into());
        }
        let made = self.ask("write", key, || self.secrets.create(&params, &secret)).await?;
        match made {
            Answer::Done(_) => Ok(Put::Created),
            Answer::Refused(status) => Err(self.failed("write", key, &status)),
            Answer::Exists => {
                // It may be this very one: an answer was lost on the way.
                let there = self.head("read", key).await?;
                let own = there.is_some_and(|it| it.annotations().get(WRITER) == Some(&writer));
                if own {
                    return Ok(Put::Created);
                }
                if bytes.len() > PIECE {
                    for number in 0..bytes.chunks(PIECE).len() {
                        self.remove(key, &piece_name(key, &writer, number), None).await?;
                    }
                }
                Ok(Put::Exists)
            }
        }
    }

    async fn put_hint(&self, key: &Key, bytes: Bytes) -> Result<()> {
        check_hint(key, &bytes)?;
        let mut secret = self.secret(name_of(key), key, bytes.to_vec());
        secret.immutable = None;
        let params = PatchParams::apply("landfall").force();
        let name = name_of(key);
        let patch = Patch::Apply(&secret);
        match self.ask("write", key, || self.secrets.patch(&name, &params, &patch)).await? {
            Answer::Refused(status) => Err(self.failed("write", key, &status)),
            _ => Ok(()),
        }
    }

    async fn list(&self, prefix: &Key, after: Option<&Key>, limit: usize) -> Result<Vec<Key>> {
        self.listing(prefix, after, None, limit).await
    }

    async fn list_between(
        &self,
        prefix: &Key,
        after: Option<&Key>,
        before: &Key,
        limit: usize,
    ) -> Result<Vec<Key>> {
        self.listing(prefix, after, Some(before), limit).await
    }

    fn lists_whole(&self) -> bool {
        true
    }

    async fn delete(&self, key: &Key) -> Result<()> {
        let Some(secret) = self.head("delete", key).await? else { return Ok(()) };
        self.remove(key, &name_of(key), secret.uid()).await?;
        self.remove_pieces(key, &secret).await
    }
}
