//! Objects that are larger than one Secret holds.

use super::names::{self, PIECES, WRITER, piece_name};
use super::request::Answer;
use super::{BYTES, Cluster, PIECE};
use crate::error::{Result, StoreError};
use crate::key::Key;
use bytes::Bytes;
use k8s_openapi::api::core::v1::Secret;
use kube::ResourceExt;
use kube::api::{ListParams, ObjectMeta, PostParams};
use std::time::{Duration, SystemTime};

/// No writing takes as long as this: older pieces without an object are of a writer that died.
const ABANDONED: Duration = Duration::from_secs(24 * 60 * 60);

impl Cluster {
    /// Writes the pieces of a large object; each has a name that no other writing has.
    pub(super) async fn put_pieces(&self, key: &Key, bytes: &Bytes, writer: &str) -> Result<usize> {
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

    /// How many pieces an object was cut into, and by which writer; nothing when it is in one.
    pub(super) fn pieces(secret: &Secret) -> Option<(usize, String)> {
        let count = secret.annotations().get(PIECES)?.parse().ok()?;
        Some((count, secret.annotations().get(WRITER)?.clone()))
    }

    /// The bytes of an object, or which piece is not there.
    pub(super) async fn bytes(&self, key: &Key, secret: Secret) -> Result<Result<Bytes, String>> {
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

    /// Removes the pieces of the object that was there, and those of writers that died. Others are
    /// of somebody who is about to make the object again.
    pub(super) async fn remove_pieces(&self, key: &Key, secret: &Secret) -> Result<()> {
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
