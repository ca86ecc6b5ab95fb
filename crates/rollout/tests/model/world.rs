//! The state of the model: a journal, a lease, what is on its way, two clients and an engine.

use crate::machine::{Event, Machine};
use crate::scenario::{Bounds, Wanted};
use landfall_rollout::{Context, State};
use std::collections::{BTreeSet, HashMap};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// The name of a rollout's state in [`States`]. A state of the model is copied and compared
/// millions of times; the states of the rollout in it are few.
pub type Id = u16;

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct World {
    /// The newest epoch with a beat.
    pub reign: u8,
    /// Its last entry. Entries before it are never read again.
    pub journal: Entry,
    /// Appends on their way. They may arrive late, twice, or not at all.
    pub appends: BTreeSet<Entry>,
    /// Desired states on their way. They may arrive late, twice, or not at all.
    pub applies: BTreeSet<Apply>,
    pub clients: [Client; 2],
    pub machine: Machine,
    pub left: Bounds,
    pub seen: Seen,
}

/// An entry of the journal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Entry {
    pub sequence: u8,
    pub epoch: u8,
    pub state: Id,
    /// Who wrote it. Nobody can read this.
    pub by: u8,
    /// Which answer of a person it is for. Nobody reads this either.
    pub answer: Option<bool>,
}

/// A desired state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Apply {
    pub fence: (u8, u8),
    pub state: Id,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Client {
    /// Dead, or not there yet.
    Away,
    /// Saw the newest beat and will make the first one of this epoch.
    Claiming { epoch: u8 },
    /// Reigns, and will read the journal.
    Reading { epoch: u8 },
    /// Waits for the journal's answer.
    Writing { known: Entry, wanted: Entry, written: bool },
    /// Waits for the engine: to take over a state, then to report.
    Driving { epoch: u8, known: Entry, applied: bool, report: Machine },
    /// Was told that somebody else took over.
    Turned { epoch: u8 },
}

impl Client {
    pub fn epoch(&self) -> Option<u8> {
        match self {
            Self::Away | Self::Claiming { .. } => None,
            Self::Reading { epoch } | Self::Driving { epoch, .. } => Some(*epoch),
            Self::Writing { wanted, .. } => Some(wanted.epoch),
            Self::Turned { .. } => None,
        }
    }
}

/// What happened, as far as a property asks for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Seen {
    /// How often an entry came of a person's *again*.
    pub agains: u8,
    /// Whether an entry came of a person's *done*.
    pub done: bool,
    /// Whether an entry was replaced, or two clients believe that it is theirs.
    pub split: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// A client looks at the lease and is told by the real `decide` to take over.
    Look(usize),
    /// Its first beat arrives, if it is the first of its epoch.
    Beat(usize),
    /// It reads the journal.
    Read(usize),
    /// An append arrives.
    Append(Entry),
    /// A client learns what became of its append.
    Answered(usize),
    /// It does not, and goes on from what it knows.
    GivesUp(usize),
    /// A desired state arrives at the engine.
    Apply(Apply),
    /// A client learns what became of its desired state.
    Applied(usize),
    /// A client takes the engine's report.
    Report(usize),
    /// A client asks the real `next` what to do, at once or when every deadline has passed.
    Next(usize, bool),
    /// Somebody cancels, and this client hears it.
    Cancel(usize),
    /// A person says whether the hook is done, and this client hears it.
    Answer(usize, bool),
    /// The engine gets on with its work.
    Engine(Event),
    /// Instances of a release fall ill.
    Crash(usize),
    /// A client dies.
    Die(usize),
}

/// Every state that a rollout was in, by number, with what an engine is told in it.
#[derive(Default)]
pub struct States(Mutex<Known>);

#[derive(Default)]
struct Known {
    ids: HashMap<State, Id>,
    all: Vec<(State, Wanted)>,
    asked: HashMap<Question, Option<Id>>,
}

/// Everything that an answer of `next` to a report depends on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Question {
    pub state: Id,
    pub report: Machine,
    /// Whether the report knows the state that was applied.
    pub current: bool,
    /// Whether every deadline has passed.
    pub late: bool,
}

impl States {
    fn known(&self) -> MutexGuard<'_, Known> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn id(&self, context: &Context, state: State) -> Id {
        let mut known = self.known();
        if let Some(id) = known.ids.get(&state) {
            return *id;
        }
        let id = Id::try_from(known.all.len()).expect("few states of a rollout");
        let wanted = Wanted::of(context, &state);
        known.ids.insert(state.clone(), id);
        known.all.push((state, wanted));
        id
    }

    pub fn get(&self, id: Id) -> State {
        self.known().all[usize::from(id)].0.clone()
    }

    pub fn wanted(&self, id: Id) -> Wanted {
        self.known().all[usize::from(id)].1
    }

    /// The answer to a question, asked once: `next` is pure.
    pub fn asked(&self, question: Question, ask: impl FnOnce() -> Option<Id>) -> Option<Id> {
        let known = self.known().asked.get(&question).copied();
        known.unwrap_or_else(|| {
            let answer = ask();
            self.known().asked.insert(question, answer);
            answer
        })
    }

    /// Asks something of a state without a copy of it.
    pub fn with<T>(&self, id: Id, ask: impl FnOnce(&State) -> T) -> T {
        ask(&self.known().all[usize::from(id)].0)
    }
}
