//! Listings: one question about the metadata of a folder, narrowed by labels.

use super::names::{KEY, name_of, selector};
use super::request::Answer;
use super::{Cluster, READINGS};
use crate::error::{Result, StoreError};
use crate::key::Key;
use kube::ResourceExt;
use kube::api::ListParams;

/// Names on one page of a listing.
const PAGE: u32 = 500;

impl Cluster {
    /// The first keys below a folder that are between two others. That a whole folder is empty is
    /// said only of a namespace that is there.
    pub(super) async fn listing(
        &self,
        prefix: &Key,
        after: Option<&Key>,
        before: Option<&Key>,
        limit: usize,
    ) -> Result<Vec<Key>> {
        let selector = selector(prefix, after, before);
        let mut all = Vec::new();
        let mut token = String::new();
        let mut readings = 1;
        loop {
            match self.page(prefix, &selector, &token).await? {
                Some((keys, next)) => {
                    all.extend(keys);
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
        if all.is_empty() && after.is_none() && before.is_none() {
            self.check_namespace().await?;
        }
        all.retain(|key| after.is_none_or(|it| key > it) && before.is_none_or(|it| key < it));
        all.sort();
        all.truncate(limit);
        Ok(all)
    }

    /// One page of keys, and where the next one begins; nothing when that place is forgotten.
    async fn page(
        &self,
        prefix: &Key,
        selector: &str,
        token: &str,
    ) -> Result<Option<(Vec<Key>, Option<String>)>> {
        let mut ours = ListParams::default().labels(selector).limit(PAGE);
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
