//! What can happen, and what comes of it.

use crate::faults::Fault;
use crate::machine::{Machine, fence};
use crate::properties;
use crate::scenario::{Scenario, Wanted};
use crate::world::{Action, Apply, Client, Entry, Id, Question, Seen, States, World};
use landfall_model::{Epoch, Outcome, Timestamp};
use landfall_rollout::{Context, Input, Phase, State, next};
use landfall_store::lease::{Action as Judged, Memory, Place, View, decide};
use stateright::{Model, Property};
use std::sync::Arc;
use std::time::Duration;

/// Longer than every deadline in the releases and in the rules.
const LONG: Timestamp = Timestamp(1_000_000_000);

#[derive(Clone)]
pub struct Protocol {
    pub scenario: Scenario,
    pub context: Context,
    pub states: Arc<States>,
    pub fault: Option<Fault>,
}

impl Protocol {
    pub fn new(scenario: Scenario, fault: Option<Fault>) -> Self {
        let context = scenario.context();
        Self { scenario, context, states: Arc::default(), fault }
    }

    pub fn has(&self, fault: Fault) -> bool {
        self.fault == Some(fault)
    }

    fn next(&self, known: Entry, epoch: u8, late: bool, input: &Hears<'_>) -> Option<Id> {
        let Hears::Report(report) = input else { return self.ask(known, epoch, late, input) };
        let current = report.accepted >= (epoch, known.sequence);
        let question = Question { state: known.state, report: **report, current, late };
        self.states.asked(question, || self.ask(known, epoch, late, input))
    }

    /// The real `next`. Time is what has gone by since the state was entered: nothing, or more
    /// than every deadline. So every order of deadlines and events is there, and none twice.
    fn ask(&self, known: Entry, epoch: u8, late: bool, input: &Hears<'_>) -> Option<Id> {
        let state = self.states.get(known.state);
        let now = if late { LONG } else { Timestamp(0) };
        let patched;
        let input = match input {
            Hears::Report(machine) => {
                patched = self.patch(machine.observe(), &state);
                Input::Look { observed: &patched, fence: fence((epoch, known.sequence)) }
            }
            Hears::Cancel => Input::Cancel { why: "somebody said so" },
            Hears::Answer(done) => Input::Answer { done: *done },
        };
        let (mut entered, _) = next(&state, &self.context, now, &input)?;
        self.alter(&mut entered);
        entered.entered = Timestamp(0);
        entered.shape.draining.values_mut().for_each(|until| *until = Timestamp(0));
        // Words are for people.
        match &mut entered.phase {
            Phase::Undoing(undo) => undo.why.clear(),
            Phase::Ended { why, .. } => *why = None,
            _ => {}
        }
        Some(self.states.id(&self.context, entered))
    }

    /// A client wants to write an entry; it is on its way at once, and may arrive when it is dead.
    fn write(&self, world: &mut World, who: usize, known: Entry, wanted: Entry) {
        world.appends.insert(wanted);
        world.clients[who] = Client::Writing { known, wanted, written: false };
        if self.has(Fault::AppliedBeforeJournal) {
            self.tell(world, wanted.epoch, wanted);
        }
    }

    /// A client applies an entry; that too is on its way at once.
    fn tell(&self, world: &mut World, epoch: u8, entry: Entry) {
        let apply = Apply { fence: (epoch, entry.sequence), state: entry.state };
        if !world.machine.refuses(apply.fence, self.fault) {
            world.applies.insert(apply);
        }
    }

    fn drive(&self, world: &mut World, who: usize, epoch: u8, known: Entry) {
        let ended = self.states.with(known.state, |state| state.ended().is_some());
        let forgotten = ended && self.has(Fault::EndNotApplied)
            || epoch > 1 && self.has(Fault::TakeOverAppliesNothing);
        if !forgotten {
            self.tell(world, epoch, known);
        }
        let report = world.machine;
        world.clients[who] = Client::Driving { epoch, known, applied: forgotten, report };
    }

    /// The real loop reads the last entry when it begins a reign, and when it finds its place taken.
    fn read(&self, world: &mut World, who: usize, epoch: u8) {
        let known = world.journal;
        if known.epoch > epoch {
            world.clients[who] = Client::Turned { epoch };
        } else if known.epoch == epoch || self.has(Fault::TakeOverWritesNothing) {
            self.drive(world, who, epoch, known);
        } else {
            let sequence = known.sequence + 1;
            let by = u8::try_from(who).expect("two clients");
            let wanted = Entry { sequence, epoch, by, answer: None, ..known };
            self.write(world, who, known, wanted);
        }
    }

    fn append(&self, world: &mut World, entry: Entry) {
        let there = world.journal.sequence >= entry.sequence;
        if there && !self.has(Fault::JournalOverwrites) {
            return;
        }
        world.seen.split |= there && world.journal != entry;
        world.journal = entry;
        match entry.answer {
            Some(true) => world.seen.done = true,
            Some(false) => world.seen.agains += 1,
            None => {}
        }
        for client in &mut world.clients {
            if let Client::Writing { wanted, written, .. } = client
                && (wanted.sequence, wanted.epoch, wanted.state)
                    == (entry.sequence, entry.epoch, entry.state)
            {
                // Equal bytes count as one's own.
                *written = true;
                world.seen.split |= wanted.by != entry.by;
            }
        }
        world.appends.retain(|append| {
            append.sequence > entry.sequence || self.has(Fault::JournalOverwrites)
        });
        world.appends.remove(&entry);
    }

    fn answered(&self, world: &mut World, who: usize) {
        let Client::Writing { wanted, written, .. } = world.clients[who] else { return };
        if written {
            self.drive(world, who, wanted.epoch, wanted);
        } else if self.has(Fault::FoundEntryEndsIt) {
            world.clients[who] = Client::Turned { epoch: wanted.epoch };
        } else {
            self.read(world, who, wanted.epoch);
        }
    }

    fn step(&self, world: &mut World, who: usize, late: bool, hears: Hears<'_>) -> bool {
        let Client::Driving { epoch, known, .. } = world.clients[who] else { return false };
        let Some(state) = self.next(known, epoch, late, &hears) else { return false };
        let answer = match hears {
            Hears::Answer(done) => Some(done),
            _ => None,
        };
        let by = u8::try_from(who).expect("two clients");
        let wanted = Entry { sequence: known.sequence + 1, epoch, state, by, answer };
        self.write(world, who, known, wanted);
        true
    }

    /// The real judgement of who may take over. That the beat's time is over is taken for granted:
    /// whatever the clocks say, the fences and the journal have to hold.
    fn look(&self, reign: u8) -> u8 {
        let place = Place { epoch: Epoch(reign.into()), beat: 0 };
        let view = View { place, released: false, gone: true };
        let ttl = Duration::from_secs(1);
        match decide(Some(&view), &mut Memory::default(), Duration::ZERO, ttl) {
            Judged::Take(_) if self.has(Fault::TakeOverKeepsEpoch) => reign,
            Judged::Take(epoch) => u8::try_from(epoch.0).expect("few reigns"),
            Judged::Watch(_) => unreachable!("the beat's time is over"),
        }
    }

    /// Everything that goes on by itself: what keeps the promise that every path ends.
    pub fn progress(&self, world: &World, actions: &mut Vec<Action>) {
        actions.extend(world.appends.iter().map(|entry| Action::Append(*entry)));
        let news = world.applies.iter().filter(|apply| {
            apply.fence != world.machine.applied || self.has(Fault::JobStartedAgain)
        });
        actions.extend(news.map(|apply| Action::Apply(*apply)));
        for (who, client) in world.clients.iter().enumerate() {
            match client {
                Client::Claiming { .. } => actions.push(Action::Beat(who)),
                Client::Reading { .. } => actions.push(Action::Read(who)),
                Client::Writing { wanted, .. } if world.journal.sequence >= wanted.sequence => {
                    actions.push(Action::Answered(who));
                }
                Client::Driving { epoch, known, applied, report } => {
                    if !applied && world.machine.accepted >= (*epoch, known.sequence) {
                        actions.push(Action::Applied(who));
                    }
                    if self.states.with(known.state, |state| state.ended().is_none()) {
                        if *report != world.machine {
                            actions.push(Action::Report(who));
                        }
                        actions.extend([Action::Next(who, false), Action::Next(who, true)]);
                    }
                }
                _ => {}
            }
        }
        let mut events = Vec::new();
        world.machine.events(&mut events);
        actions.extend(events.into_iter().map(Action::Engine));
    }

    fn trouble(&self, world: &World, actions: &mut Vec<Action>) {
        let left = &world.left;
        for (who, client) in world.clients.iter().enumerate() {
            match client {
                Client::Away | Client::Turned { .. } if left.take_overs > 0 => {
                    actions.push(Action::Look(who));
                    continue;
                }
                Client::Away | Client::Turned { .. } => continue,
                Client::Writing { .. } if left.given_up > 0 => actions.push(Action::GivesUp(who)),
                Client::Driving { known, .. } => {
                    if left.cancels > 0 {
                        actions.push(Action::Cancel(who));
                    }
                    let asks = |state: &State| matches!(state.phase, Phase::Operator { .. });
                    if left.answers > 0 && self.states.with(known.state, asks) {
                        actions.extend([true, false].map(|done| Action::Answer(who, done)));
                    }
                }
                _ => {}
            }
            if left.deaths > 0 {
                actions.push(Action::Die(who));
            }
        }
        if left.crashes > 0 {
            actions.extend([Action::Crash(0), Action::Crash(1)]);
        }
    }

    fn happen(&self, world: &mut World, action: Action) -> bool {
        match action {
            Action::Look(who) => {
                world.left.take_overs -= 1;
                world.clients[who] = Client::Claiming { epoch: self.look(world.reign) };
            }
            Action::Beat(who) => {
                let Client::Claiming { epoch } = world.clients[who] else { return false };
                let first = epoch > world.reign
                    || self.has(Fault::LeaseOverwrites)
                    || self.has(Fault::TakeOverKeepsEpoch);
                world.reign = world.reign.max(epoch);
                world.clients[who] = if first { Client::Reading { epoch } } else { Client::Away };
            }
            Action::Read(who) => {
                let Client::Reading { epoch } = world.clients[who] else { return false };
                self.read(world, who, epoch);
            }
            Action::Append(entry) => self.append(world, entry),
            Action::Answered(who) => self.answered(world, who),
            Action::GivesUp(who) => {
                world.left.given_up -= 1;
                let Client::Writing { known, wanted, .. } = world.clients[who] else {
                    return false;
                };
                if known.epoch == wanted.epoch {
                    self.drive(world, who, known.epoch, known);
                } else {
                    world.clients[who] = Client::Reading { epoch: wanted.epoch };
                }
            }
            Action::Apply(apply) => {
                if world.machine.refuses(apply.fence, self.fault) {
                    return false;
                }
                let told = self.states.wanted(apply.state);
                world.machine.accept(apply.fence, told, self.fault);
                // What is older is refused for ever.
                let machine = world.machine;
                world.applies.retain(|apply| !machine.refuses(apply.fence, self.fault));
            }
            Action::Applied(who) => {
                let Client::Driving { epoch, known, applied, .. } = &mut world.clients[who] else {
                    return false;
                };
                let superseded = world.machine.accepted > (*epoch, known.sequence);
                *applied = true;
                if superseded && !self.has(Fault::EngineForgetsFence) {
                    world.clients[who] = Client::Turned { epoch: *epoch };
                }
            }
            Action::Report(who) => {
                let Client::Driving { report, .. } = &mut world.clients[who] else { return false };
                *report = world.machine;
            }
            Action::Next(who, late) => {
                let Client::Driving { report, .. } = world.clients[who] else { return false };
                return self.step(world, who, late, Hears::Report(&report));
            }
            Action::Cancel(who) => {
                world.left.cancels -= 1;
                return self.step(world, who, false, Hears::Cancel);
            }
            Action::Answer(who, done) => {
                world.left.answers -= 1;
                return self.step(world, who, false, Hears::Answer(done));
            }
            Action::Engine(event) => world.machine.happen(event),
            Action::Crash(release) => {
                world.left.crashes -= 1;
                return world.machine.crash(release);
            }
            Action::Die(who) => {
                world.left.deaths -= 1;
                world.clients[who] = Client::Away;
            }
        }
        true
    }
}

enum Hears<'a> {
    Report(&'a Machine),
    Cancel,
    Answer(bool),
}

impl Model for Protocol {
    type State = World;
    type Action = Action;

    fn init_states(&self) -> Vec<World> {
        let begun = State::begin(&self.context, Timestamp(0));
        let state = self.states.id(&self.context, begun);
        let before = State {
            phase: Phase::Ended { outcome: Outcome::Succeeded, why: None },
            shape: self.context.transition().settled(false),
            entered: Timestamp(0),
        };
        let machine = Machine::settled(Wanted::of(&self.context, &before));
        let journal = Entry { sequence: 1, epoch: 1, state, by: 0, answer: None };
        let mut world = World {
            reign: 1,
            journal,
            appends: [].into(),
            applies: [].into(),
            clients: [Client::Away; 2],
            machine,
            left: self.scenario.bounds,
            seen: Seen::default(),
        };
        self.drive(&mut world, 0, 1, journal);
        vec![world]
    }

    fn actions(&self, world: &World, actions: &mut Vec<Action>) {
        self.progress(world, actions);
        self.trouble(world, actions);
    }

    fn next_state(&self, world: &World, action: Action) -> Option<World> {
        let mut after = world.clone();
        (self.happen(&mut after, action) && after != *world).then_some(after)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        properties::all()
    }
}

impl Protocol {
    /// Whether nothing goes on by itself any more.
    pub fn rests(&self, world: &World) -> bool {
        let mut actions = Vec::new();
        self.progress(world, &mut actions);
        actions.into_iter().all(|action| self.next_state(world, action).is_none())
    }

    /// The longest journal that there may be: each step once, each way back once, each attempt at
    /// the hook, and each take-over.
    pub fn longest(&self) -> u8 {
        let forth = self.context.transition().steps().len() + 1;
        let back = 6 + 1;
        let bounds = &self.scenario.bounds;
        let attempts = 2 * (3 + usize::from(bounds.answers));
        let reigns = usize::from(bounds.take_overs);
        u8::try_from(forth + back + attempts + reigns).expect("a short journal")
    }
}
