//! Taking, renewing and releasing a lease in a store.

use super::clock::Clock;
use super::{Action, Beat, Memory, Place, Renewal, View, decide, good_until, renewed};
use crate::backend::{Put, page_of};
use crate::error::StoreError;
use crate::key::Key;
use crate::layout;
use crate::record::Kind;
use crate::store::Store;
use landfall_model::{Epoch, StackId, Timestamp};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// How to wait for somebody else's lease to end. Waiting for less than the lease's time never takes
/// over one whose holder died.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wait {
    /// For as long as this, whatever the holder does.
    UpTo(Duration),
    /// For as long as this, but only for a holder that may have died: at its first beat it is
    /// known to be at work, and waiting ends.
    WhileSilent(Duration),
}

impl Wait {
    /// Not at all: what is held is told at once.
    pub const NONE: Self = Self::UpTo(Duration::ZERO);

    const fn longest(self) -> Duration {
        match self {
            Self::UpTo(time) | Self::WhileSilent(time) => time,
        }
    }
}

/// What lease is wanted, and how.
#[derive(Debug, Clone)]
pub struct LeaseRequest {
    /// The stack.
    pub stack: StackId,
    /// Who asks, for people: `ada@laptop`.
    pub holder: String,
    /// How long a beat is good for; renew at a third of it. All who contend for a stack must use
    /// the same.
    pub ttl: Duration,
    /// What to do while somebody else holds it.
    pub wait: Wait,
    /// Take over at once what this very `holder` holds: only for one that knows that its
    /// predecessor is dead, because it has a lock that the predecessor had.
    pub reclaim: bool,
}

/// Why there is no lease.
#[derive(Debug, thiserror::Error)]
pub enum LeaseError {
    /// Somebody else is at work.
    #[error("{stack} is locked by {holder}")]
    Locked {
        /// The stack.
        stack: StackId,
        /// Who is at work.
        holder: String,
        /// When its newest beat was made, by its wall clock.
        since: Timestamp,
    },
    /// Somebody else took over.
    #[error("somebody else took over {stack} with epoch {epoch}")]
    Lost {
        /// The stack.
        stack: StackId,
        /// The epoch that rules now.
        epoch: Epoch,
    },
    /// The holder was late, so somebody may be about to take over: take the lease again.
    #[error("the lease of {stack} was not renewed in time")]
    Late {
        /// The stack.
        stack: StackId,
    },
    /// The store failed; whether the lease is held will show at the next try.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// A lease that is held. Dropping it does not release it: it ends by itself after its time.
pub struct Lease {
    store: Store,
    clock: Arc<dyn Clock>,
    stack: StackId,
    holder: String,
    token: String,
    ttl: Duration,
    place: Place,
    /// When the last good beat was begun, by the monotonic clock.
    began: Duration,
}

impl fmt::Debug for Lease {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Lease({} by {}, epoch {})", self.stack, self.holder, self.place.epoch)
    }
}

/// Somebody who wants a lease, between two looks.
struct Contender {
    store: Store,
    clock: Arc<dyn Clock>,
    request: LeaseRequest,
    token: String,
    memory: Memory,
}

impl Lease {
    /// Takes the lease of a stack, or waits for it as long as the request says.
    ///
    /// # Errors
    /// [`LeaseError::Locked`] when somebody else still holds it after that time, or is seen to be at
    /// work before.
    pub async fn acquire(
        store: &Store,
        request: LeaseRequest,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, LeaseError> {
        let token = crate::probe::unique()?;
        let end = clock.monotonic().saturating_add(request.wait.longest());
        let mut contender =
            Contender { store: store.clone(), clock, request, token, memory: Memory::default() };
        loop {
            let (view, beat) = contender.look().await?;
            let now = contender.clock.monotonic();
            match decide(view.as_ref(), &mut contender.memory, now, contender.request.ttl) {
                Action::Take(epoch) => {
                    if let Some(lease) = contender.take(epoch).await? {
                        return Ok(lease);
                    }
                }
                Action::Watch(until) if now < end && !contender.gives_up() => {
                    // Often enough to see a release soon, seldom enough to cost little.
                    let step = (contender.request.ttl / 4).min(until - now).min(end - now);
                    contender.clock.sleep(step.max(Duration::from_millis(1))).await;
                }
                Action::Watch(_) => return Err(contender.locked(beat)),
            }
        }
    }

    /// The reign: the first half of every fence that its holder writes.
    #[must_use]
    pub const fn epoch(&self) -> Epoch {
        self.place.epoch
    }

    /// The stack.
    #[must_use]
    pub const fn stack(&self) -> &StackId {
        &self.stack
    }

    /// Whether the last beat is recent enough that nobody can have taken over yet. A holder that
    /// sees `false` renews before it does anything else.
    #[must_use]
    pub fn is_good(&self) -> bool {
        self.clock.monotonic() < good_until(self.began, self.ttl)
    }

    /// Beats once more. Call it at a third of the lease's time.
    ///
    /// # Errors
    /// [`LeaseError::Lost`] when somebody took over, [`LeaseError::Late`] when somebody may be
    /// about to. After an error of the store the lease is held as long as
    /// [`is_good`](Self::is_good) says; renew again.
    pub async fn renew(&mut self) -> Result<(), LeaseError> {
        let began = self.clock.monotonic();
        self.beat(false).await?;
        self.began = began;
        self.clear_old().await;
        Ok(())
    }

    /// Lets go, so that the next one need not wait.
    ///
    /// # Errors
    /// [`LeaseError::Lost`] when somebody took over before.
    pub async fn release(mut self) -> Result<(), LeaseError> {
        self.beat(true).await
    }

    async fn beat(&mut self, released: bool) -> Result<(), LeaseError> {
        let beat = Beat {
            holder: self.holder.clone(),
            token: self.token.clone(),
            at: self.clock.wall(),
            released,
        };
        // A beat that is there already is an earlier try whose answer was lost. Contenders may
        // have watched it for a while, so it does not count as this one.
        loop {
            self.place.beat += 1;
            if put_beat(&self.store, &self.stack, self.place, &beat).await? == Put::Created {
                break;
            }
        }
        let newest = newest(&self.store, &self.stack).await?;
        let stack = self.stack.clone();
        match renewed(self.place.epoch, newest, self.began, self.clock.monotonic(), self.ttl) {
            Renewal::Held => Ok(()),
            Renewal::Lost(epoch) => Err(LeaseError::Lost { stack, epoch }),
            Renewal::Late if released => Ok(()),
            Renewal::Late => Err(LeaseError::Late { stack }),
        }
    }

    /// Deletes beats before the last two, of this reign and of earlier ones. Failing to is no
    /// failure: the next beat tries again.
    async fn clear_old(&self) {
        let Some(last) = self.place.beat.checked_sub(1) else { return };
        let first_kept = layout::beat(&self.stack, self.place.epoch, last);
        let folder = layout::lease(&self.stack);
        let Ok(keys) = self.store.backend.list(&folder, None, 100).await else { return };
        for key in keys.into_iter().take_while(|key| *key < first_kept) {
            if self.store.backend.delete(&key).await.is_err() {
                return;
            }
        }
    }
}

impl Contender {
    /// The newest beat, and what it says.
    async fn look(&self) -> Result<(Option<View>, Option<Beat>), LeaseError> {
        // A beat may be cleared between the listing and the reading; the next listing has a newer.
        for _ in 0..3 {
            let Some(place) = newest(&self.store, &self.request.stack).await? else {
                return Ok((None, None));
            };
            let key = layout::beat(&self.request.stack, place.epoch, place.beat);
            let Some(beat) = read_beat(&self.store, &key).await? else { continue };
            let gone = self.request.reclaim && beat.holder == self.request.holder;
            let view = View { place, released: beat.released, gone };
            return Ok((Some(view), Some(beat)));
        }
        Err(StoreError::Missing(format!("the newest beat of {}", self.request.stack)).into())
    }

    /// Makes the first beat of an epoch; nothing when somebody else was first or is further on.
    async fn take(&self, epoch: Epoch) -> Result<Option<Lease>, LeaseError> {
        let began = self.clock.monotonic();
        let place = Place { epoch, beat: 0 };
        let stack = &self.request.stack;
        let beat = Beat {
            holder: self.request.holder.clone(),
            token: self.token.clone(),
            at: self.clock.wall(),
            released: false,
        };
        if put_beat(&self.store, stack, place, &beat).await? == Put::Exists {
            return Ok(None);
        }
        // One that was slow may have made the beat of a reign that was over and cleared.
        if newest(&self.store, stack).await?.is_some_and(|newest| newest.epoch > epoch) {
            self.store.backend.delete(&layout::beat(stack, epoch, 0)).await?;
            return Ok(None);
        }
        Ok(Some(Lease {
            store: self.store.clone(),
            clock: Arc::clone(&self.clock),
            stack: stack.clone(),
            holder: self.request.holder.clone(),
            token: self.token.clone(),
            ttl: self.request.ttl,
            place,
            began,
        }))
    }

    fn gives_up(&self) -> bool {
        matches!(self.request.wait, Wait::WhileSilent(_)) && self.memory.saw_life()
    }

    fn locked(&self, beat: Option<Beat>) -> LeaseError {
        let (holder, since) = beat.map_or_else(
            || ("somebody".to_owned(), Timestamp::default()),
            |beat| (beat.holder, beat.at),
        );
        LeaseError::Locked { stack: self.request.stack.clone(), holder, since }
    }
}

async fn put_beat(
    store: &Store,
    stack: &StackId,
    place: Place,
    beat: &Beat,
) -> Result<Put, StoreError> {
    let payload = serde_json::to_vec(beat).expect("a beat has a JSON");
    store.create(&layout::beat(stack, place.epoch, place.beat), Kind::Beat, &payload).await
}

async fn read_beat(store: &Store, key: &Key) -> Result<Option<Beat>, StoreError> {
    let Some(record) = store.record(key, Kind::Beat).await? else { return Ok(None) };
    serde_json::from_slice(&record.payload)
        .map(Some)
        .map_err(|error| StoreError::corrupt(key, error.to_string()))
}

/// The newest place. Few beats are ever there, because holders clear old ones.
async fn newest(store: &Store, stack: &StackId) -> Result<Option<Place>, StoreError> {
    let limit = page_of(store.backend.as_ref());
    let folder = layout::lease(stack);
    let mut last: Option<Key> = None;
    loop {
        let page = store.backend.list(&folder, last.as_ref(), limit).await?;
        let full = page.len() == limit;
        last = page.into_iter().next_back().or(last);
        if !full {
            break;
        }
    }
    last.map(|key| place_of(&folder, &key)).transpose()
}

fn place_of(folder: &Key, key: &Key) -> Result<Place, StoreError> {
    let foreign = || StoreError::Foreign {
        object: key.to_string(),
        why: "a lease holds beats named by two numbers of 20 digits and nothing else",
    };
    let (epoch, beat) =
        key.below(folder).and_then(|rest| rest.split_once('/')).ok_or_else(foreign)?;
    let number = |text| layout::number_of(text).ok_or_else(foreign);
    Ok(Place { epoch: Epoch(number(epoch)?), beat: number(beat)? })
}
