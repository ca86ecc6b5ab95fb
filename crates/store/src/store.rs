//! A store that was opened: its format is known and its promises were tried.

use crate::backend::{Backend, Put};
use crate::error::{Result, StoreError};
use crate::key::Key;
use crate::record::{self, Kind, Record};
use crate::{layout, probe};
use bytes::Bytes;
use futures::stream::{self, StreamExt as _, TryStreamExt as _};
use landfall_model::StackId;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// The format of stores that this program writes. It is described in `docs/store-format.md`.
pub const FORMAT: u16 = 1;

/// How many requests are under way at once where several are needed.
pub(crate) const AT_ONCE: usize = 16;

/// How long a blob that nothing needs stays readable, by default: longer than any upload takes
/// from its first look at the store to its sealed release.
pub(crate) const GRACE: Duration = Duration::from_secs(24 * 60 * 60);

#[derive(serde::Serialize, serde::Deserialize)]
struct FormatRecord {
    format: u64,
}

/// A store. Cloning it gives another handle to the same one.
#[derive(Clone)]
pub struct Store {
    pub(crate) backend: Arc<dyn Backend>,
    pub(crate) grace: Duration,
}

impl fmt::Debug for Store {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Store({})", self.backend.name())
    }
}

impl Store {
    /// Opens a store, or makes one where nothing is yet.
    ///
    /// The first opening of a place tries whether its put-if-absent really lets only one writer
    /// win, and remembers that it does; later ones cost two requests.
    ///
    /// # Errors
    /// [`StoreError::Unsafe`] when it does not, [`StoreError::NotAStore`] when the place holds
    /// other things, [`StoreError::NewerFormat`] when a newer program wrote it.
    pub async fn open(backend: Arc<dyn Backend>) -> Result<Self> {
        let store = Self { backend, grace: GRACE };
        let key = layout::format();
        let found = store.backend.get(&key).await?;
        match &found {
            Some(object) => store.check_format(&key, object)?,
            None => store.refuse_foreign().await?,
        }
        probe::ensure_safe(store.backend.as_ref()).await?;
        if found.is_none() {
            store.write_format(&key).await?;
        }
        Ok(store)
    }

    /// The same store, where `prune` waits this long before it deletes a blob that nothing needs.
    ///
    /// It must be longer than any upload takes from its first look at the store to its sealed
    /// release. Zero is right only for a caller that knows of no upload in progress.
    #[must_use]
    pub fn with_grace(mut self, grace: Duration) -> Self {
        self.grace = grace;
        self
    }

    /// What people call it.
    #[must_use]
    pub fn name(&self) -> String {
        self.backend.name()
    }

    /// What it is over.
    #[must_use]
    pub fn backend(&self) -> &Arc<dyn Backend> {
        &self.backend
    }

    /// The stacks that have a record of any kind, ascending. One request for each and one more,
    /// or one listing of everything where that is what a listing costs.
    ///
    /// # Errors
    /// When the store cannot be read or holds something foreign.
    pub async fn stacks(&self) -> Result<Vec<StackId>> {
        let folder = layout::stacks();
        let limit = if self.backend.lists_whole() { usize::MAX } else { 1 };
        let mut stacks = Vec::new();
        let mut after: Option<Key> = None;
        loop {
            let page = self.backend.list(&folder, after.as_ref(), limit).await?;
            let full = page.len() == limit;
            for key in page {
                if after.as_ref().is_none_or(|after| key > *after) {
                    let stack = stack_of(&folder, &key)?;
                    after = Some(layout::after_stack(&stack));
                    stacks.push(stack);
                }
            }
            if !full {
                return Ok(stacks);
            }
        }
    }

    fn check_format(&self, key: &Key, object: &Bytes) -> Result<()> {
        let record = record::decode(Kind::Format, key, object)?;
        let found: FormatRecord = serde_json::from_slice(&record.payload)
            .map_err(|error| StoreError::corrupt(key, error.to_string()))?;
        if found.format > u64::from(FORMAT) {
            return Err(StoreError::NewerFormat {
                object: format!("the store {}", self.backend.name()),
                found: found.format,
                known: FORMAT,
            });
        }
        Ok(())
    }

    async fn write_format(&self, key: &Key) -> Result<()> {
        let payload = serde_json::to_vec(&FormatRecord { format: u64::from(FORMAT) })
            .expect("a number has a JSON");
        self.create(key, Kind::Format, &payload).await?;
        Ok(())
    }

    /// A place without a format must be empty, or be made a store by somebody else right now.
    async fn refuse_foreign(&self) -> Result<()> {
        let first = match self.backend.list(&Key::root(), None, 1).await {
            Ok(keys) => keys.into_iter().next().map(|key| key.to_string()),
            Err(StoreError::Foreign { object, .. }) => Some(object),
            Err(error) => return Err(error),
        };
        match first {
            Some(first) if first != layout::format().as_str() && !first.starts_with("probe/") => {
                Err(StoreError::NotAStore { place: self.backend.name(), first })
            }
            _ => Ok(()),
        }
    }

    /// Creates a record. When an answer was lost and the object is ours already, it counts as
    /// created.
    pub(crate) async fn create(&self, key: &Key, kind: Kind, payload: &[u8]) -> Result<Put> {
        self.create_object(key, record::encode(kind, payload, None)).await
    }

    pub(crate) async fn create_object(&self, key: &Key, object: Bytes) -> Result<Put> {
        match self.backend.put_if_absent(key, object.clone()).await? {
            Put::Created => Ok(Put::Created),
            Put::Exists if self.backend.get(key).await?.as_ref() == Some(&object) => {
                Ok(Put::Created)
            }
            Put::Exists => Ok(Put::Exists),
        }
    }

    pub(crate) async fn record(&self, key: &Key, kind: Kind) -> Result<Option<Record>> {
        match self.backend.get(key).await? {
            Some(object) => record::decode(kind, key, &object).map(Some),
            None => Ok(None),
        }
    }

    /// Several records at once, in the order of their keys; those that are gone are left out.
    pub(crate) async fn records(&self, keys: Vec<Key>, kind: Kind) -> Result<Vec<(Key, Record)>> {
        stream::iter(keys)
            .map(|key| {
                let store = self.clone();
                async move {
                    let record = store.record(&key, kind).await?;
                    Ok::<_, StoreError>(record.map(|record| (key, record)))
                }
            })
            .buffered(AT_ONCE)
            .try_filter_map(|found| async move { Ok(found) })
            .try_collect()
            .await
    }
}

fn stack_of(folder: &Key, key: &Key) -> Result<StackId> {
    let foreign = || StoreError::Foreign {
        object: key.to_string(),
        why: "below `stacks` there are folders named by application and stack",
    };
    let mut segments = key.below(folder).unwrap_or_default().split('/');
    let app = segments.next().and_then(|text| text.parse().ok()).ok_or_else(foreign)?;
    let stack = segments.next().and_then(|text| text.parse().ok()).ok_or_else(foreign)?;
    segments.next().map(|_| StackId { app, stack }).ok_or_else(foreign)
}
