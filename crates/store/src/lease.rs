//! One writer a stack: a lease in epochs, over nothing but put-if-absent and listing.
//!
//! A lease is a row of *beats*: objects `lease/EPOCH/BEAT` that are only ever made, never edited.
//! Whoever makes the first beat of an epoch holds the stack, and goes on beating; the last beat
//! may say that it lets go. Somebody else takes over with the next epoch once nothing new came for
//! the lease's time **as watched on their own monotonic clock**: the times written into beats are
//! for people, and no two clocks are ever compared.
//!
//! The lease alone cannot keep a slow holder from writing after its time: the epoch is the first
//! half of the fence that every receiver of desired state checks.
//!
//! [`decide`] and [`renewed`] are the whole of the judgement, pure, so that they can be tried in
//! every order of events; [`Lease`] asks the store and acts.

mod clock;
mod hold;

pub use clock::{Clock, SystemClock};
pub use hold::{Lease, LeaseError, LeaseRequest, Wait};

use landfall_model::{Epoch, Timestamp};
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// Where a beat is: later epochs after earlier ones, later beats after earlier ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Place {
    /// The reign.
    pub epoch: Epoch,
    /// The beat within it, from 0.
    pub beat: u64,
}

/// What a beat says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Beat {
    /// Who made it, for people: `ada@laptop`, `agent@shop.example`.
    pub holder: String,
    /// A text that only this holding of the lease has.
    pub token: String,
    /// When, by the holder's wall clock: for people only.
    pub at: Timestamp,
    /// Whether the holder lets go with it.
    #[serde(default)]
    pub released: bool,
}

/// What a contender sees: the newest beat there is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct View {
    /// Where it is.
    pub place: Place,
    /// Whether its holder let go with it.
    pub released: bool,
    /// Whether the contender may take it over at once, because it knows that its holder is gone.
    pub gone: bool,
}

/// What a contender remembers: the newest beat that it saw, and since when it has seen no newer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Memory {
    watched: Option<(Place, Duration)>,
    alive: bool,
}

impl Memory {
    /// Whether a beat came while it watched: somebody is at work.
    #[must_use]
    pub const fn saw_life(&self) -> bool {
        self.alive
    }
}

/// What a contender does next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// Make the first beat of this epoch.
    Take(Epoch),
    /// Look again, at this time on its own monotonic clock at the latest.
    Watch(Duration),
}

/// Judges what a contender does.
///
/// `now` is its monotonic clock, from any origin; `ttl` is how long a beat is good for. The same
/// `memory` is given again at every look. A look that is the first can never take over a lease
/// that is held: it has not watched it yet.
pub fn decide(view: Option<&View>, memory: &mut Memory, now: Duration, ttl: Duration) -> Action {
    let Some(view) = view else {
        return Action::Take(Epoch(1));
    };
    if view.released || view.gone {
        return Action::Take(view.place.epoch.next());
    }
    let since = match memory.watched {
        Some((place, since)) if place == view.place => since,
        earlier => {
            memory.alive |= earlier.is_some();
            memory.watched = Some((view.place, now));
            now
        }
    };
    let until = since.saturating_add(ttl);
    if now >= until { Action::Take(view.place.epoch.next()) } else { Action::Watch(until) }
}

/// What a holder knows after it made a beat and then listed what there is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Renewal {
    /// It still holds, and nobody can have judged otherwise.
    Held,
    /// Somebody else took over with this epoch.
    Lost(Epoch),
    /// It was so late that somebody may have judged it dead and be about to take over.
    Late,
}

/// Judges a renewal.
///
/// `previous` is when, on its own monotonic clock, the holder began to make its last good beat,
/// `now` is the time after the listing that showed `newest`. A beat of one's own epoch is one's
/// own; only a higher epoch ends a reign. A holder that is late has to take the next epoch like
/// anybody else: a contender may have looked before the late beat and take over after it.
#[must_use]
pub fn renewed(
    own: Epoch,
    newest: Option<Place>,
    previous: Duration,
    now: Duration,
    ttl: Duration,
) -> Renewal {
    match newest {
        Some(place) if place.epoch > own => Renewal::Lost(place.epoch),
        _ if now >= previous.saturating_add(ttl) => Renewal::Late,
        _ => Renewal::Held,
    }
}

/// Until when, on its own monotonic clock, a holder may act on a lease whose last good beat it
/// began to make at `began`: contenders saw that beat later than it began, so their time ends
/// later. A quarter of the time is kept as a margin for the acts themselves.
#[must_use]
pub fn good_until(began: Duration, ttl: Duration) -> Duration {
    began.saturating_add(ttl - ttl / 4)
}
