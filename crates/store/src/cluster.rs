//! A store in a namespace of a Kubernetes cluster: each object is a Secret.
//!
//! Secrets, because whoever may read them may read what a service is given anyway, and because
//! clusters that encrypt anything at rest encrypt them. What is larger than one Secret holds is
//! cut: its pieces are written first, the Secret that names them last, so that an object appears
//! whole or not at all. That last writing is a `create`, which of all concurrent ones lets one pass.

mod names;
mod request;

use crate::backend::{Backend, Put};
use crate::error::{Result, StoreError};
use crate::key::Key;
use async_trait::async_trait;
use bytes::Bytes;
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use kube::api::{
    DeleteParams, ListParams, ObjectMeta, Patch, PatchParams, PostParams, Preconditions,
};
use kube::{Api, Client, ResourceExt};
use names::{KEY, PIECES, TYPE, WRITER, labels, name_of, nonce, piece_name, selector};
use request::Answer;
use std::collections::BTreeMap;
use std::fmt;
use std::time::{Duration, SystemTime};

/// What one Secret holds: 1 MiB less what surrounds it, and a third less for its base64.
const PIECE: usize = 700 * 1024;
/// The largest object. What is larger belongs into a registry or a bucket.
const LARGEST: usize = 32 * 1024 * 1024;
/// Names on one page of a listing.
const PAGE: u32 = 500;
/// How often a listing or an object is read anew because it changed meanwhile.
const READINGS: usize = 5;
/// No writing takes as long as this: older pieces without an object are of a writer that died.
const ABANDONED: Duration = Duration::from_secs(24 * 60 * 60);
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

    /// Writes the pieces of a large object; each has a name that no other writing has.
    async fn put_pieces(&self, key: &Key, bytes: &Bytes, writer: &str) -> Result<usize> {
        let params = PostParams::default();
        let pieces = bytes.chunks(PIECE);
        let count = pieces.len();
        for (number, piece) in pieces.enumerate() {
            let mut secret = self.secret(piece_name(key, writer, number), key, piece.to_vec());
            secret.metadata.labels = Some(names::labels_of_piece(key));
            let made = self.ask("write", key, || self.secrets.create(&params, &secret)).await?;
            // One that is there is this one: an answer was lost.
            if let Answer::Refused(status) = made {
                return Err(self.failed("write", key, &status));
            }
        }
        Ok(count)
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

    /// How many pieces an object was cut into, and by which writer; nothing when it is in one.
    fn pieces(secret: &Secret) -> Option<(usize, String)> {
        let count = secret.annotations().get(PIECES)?.parse().ok()?;
        Some((count, secret.annotations().get(WRITER)?.clone()))
    }

    /// The bytes of an object, or which piece is not there.
    async fn bytes(&self, key: &Key, secret: Secret) -> Result<Result<Bytes, String>> {
        let Some((count, writer)) = Self::pieces(&secret) else {
            return own_bytes(key, secret).map(Ok);
        };
        let mut all = Vec::new();
        for number in 0..count {
            let name = piece_name(key, &writer, number);
            match self.ask("read", key, || self.secrets.get_opt(&name)).await? {
                Answer::Done(Some(piece)) => all.extend_from_slice(&own_bytes(key, piece)?),
                Answer::Refused(status) => return Err(self.failed("read", key, &status)),
                _ => return Ok(Err(format!("its piece {} of {count} is gone", number + 1))),
            }
        }
        Ok(Ok(all.into()))
    }

    fn restless(&self, operation: &'static str, key: &Key) -> StoreError {
        StoreError::Failed {
            operation,
            object: format!("{key} in {}", self.name),
            why: format!("it changed {READINGS} times meanwhile"),
        }
    }

    /// Removes the pieces of the object that was there, and those of writers that died. Others are
    /// of somebody who is about to make the object again.
    async fn remove_pieces(&self, key: &Key, secret: &Secret) -> Result<()> {
        let Some((count, writer)) = Self::pieces(secret) else { return Ok(()) };
        for number in 0..count {
            self.remove(key, &piece_name(key, &writer, number), None).await?;
        }
        let ours = ListParams::default().labels(&names::selector_of_pieces(key));
        let listed = match self.ask("list", key, || self.secrets.list_metadata(&ours)).await? {
            Answer::Done(listed) => listed,
            Answer::Refused(status) => return Err(self.failed("list", key, &status)),
            Answer::Exists => return Ok(()),
        };
        for piece in listed.items.iter().filter(|piece| is_abandoned(&piece.metadata)) {
            self.remove(key, &piece.name_any(), None).await?;
        }
        Ok(())
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

    /// One page of keys, and where the next one begins.
    async fn page(&self, prefix: &Key, token: &str) -> Result<Option<(Vec<Key>, Option<String>)>> {
        let mut ours = ListParams::default().labels(&selector(prefix)).limit(PAGE);
        if !token.is_empty() {
            ours = ours.continue_token(token);
        }
        let listed = self.ask("list", prefix, || self.secrets.list_metadata(&ours)).await?;
        let listed = match listed {
            Answer::Done(listed) => listed,
            // The listing took so long that its place is forgotten.
            Answer::Refused(status) if status.code == 410 => return Ok(None),
            Answer::Refused(status) => return Err(self.failed("list", prefix, &status)),
            Answer::Exists => return Ok(None),
        };
        let next = listed.metadata.continue_.filter(|token| !token.is_empty());
        let mut keys = Vec::new();
        for item in &listed.items {
            let key = item.annotations().get(KEY).map(|key| Key::new(key.as_str()));
            match key {
                Some(Ok(key)) if name_of(&key) == item.name_any() => keys.push(key),
                _ => {
                    return Err(StoreError::Foreign {
                        object: format!("the Secret {} in {}", item.name_any(), self.name),
                        why: "an object of a store names its key",
                    });
                }
            }
        }
        Ok(Some((keys, next)))
    }
}

fn is_abandoned(piece: &ObjectMeta) -> bool {
    let made = piece.creation_timestamp.as_ref().map(|it| SystemTime::from(it.0));
    made.and_then(|made| made.elapsed().ok()).is_some_and(|age| age > ABANDONED)
}

fn own_bytes(key: &Key, secret: Secret) -> Result<Bytes> {
    let bytes = secret.data.and_then(|mut data| data.remove(BYTES));
    let bytes = bytes.ok_or_else(|| StoreError::corrupt(key, "its Secret holds no bytes"))?;
    Ok(bytes.0.into())
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
        let mut all = Vec::new();
        let mut token = String::new();
        let mut readings = 1;
        loop {
            match self.page(prefix, &token).await? {
                Some((keys, next)) => {
                    all.extend(keys.into_iter().filter(|key| after.is_none_or(|it| key > it)));
                    match next {
                        Some(next) => token = next,
                        None => break,
                    }
                }
                None if readings == READINGS => return Err(self.restless("list", prefix)),
                None => {
                    readings += 1;
                    all.clear();
                    token.clear();
                }
            }
        }
        all.sort();
        all.truncate(limit);
        Ok(all)
    }

    async fn delete(&self, key: &Key) -> Result<()> {
        let Some(secret) = self.head("delete", key).await? else { return Ok(()) };
        self.remove(key, &name_of(key), secret.uid()).await?;
        self.remove_pieces(key, &secret).await
    }
}
