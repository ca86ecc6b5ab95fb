//! What must hold in every reachable state, and what must be reachable at all.

use crate::machine::Fate;
use crate::protocol::Protocol;
use crate::scenario::Wanted;
use crate::world::{Client, World};
use landfall_model::Outcome;
use landfall_rollout::{Phase, State};
use stateright::Property;

pub const TRAFFIC: &str = "traffic goes only to groups that run and were healthy";
pub const MOVED: &str = "no group stops while the load balancer still sends it traffic";
pub const FENCED: &str = "a late state of an older writer changes nothing";
pub const JOURNALED: &str = "what the engine is told is in the journal";
pub const OWNED: &str = "an entry of the journal never changes and has one owner";
pub const REIGN: &str = "a reign has one holder";
pub const ONCE: &str = "a job starts once for its name, and again only when that is allowed";
pub const HOOKED: &str = "nothing of the new release runs before its hook is done";
pub const ALONE: &str = "two releases of a service that may not overlap never run at once";
pub const NEWEST: &str = "the newest writer is never turned away";
pub const SHORT: &str = "every path ends";
pub const SETTLED: &str = "what rests is over, or asks, and runs as its end says";

pub const SUCCEEDED: &str = "it can succeed";
pub const FAILED: &str = "it can fail";
pub const DEGRADED: &str = "it can end degraded";
pub const CANCELLED: &str = "it can be cancelled";
pub const ASKED: &str = "it can ask";
pub const TURNED: &str = "a writer can be turned away";

pub fn all() -> Vec<Property<Protocol>> {
    vec![
        Property::always(TRAFFIC, traffic),
        Property::always(MOVED, moved),
        Property::always(FENCED, |_, world: &World| {
            world.machine.applied == world.machine.accepted
        }),
        Property::always(JOURNALED, journaled),
        Property::always(OWNED, |_, world: &World| !world.seen.split),
        Property::always(REIGN, |_, world| reign(world)),
        Property::always(ONCE, once),
        Property::always(HOOKED, hooked),
        Property::always(ALONE, alone),
        Property::always(NEWEST, |_, world| newest(world)),
        Property::always(SHORT, |model: &Protocol, world: &World| {
            world.journal.sequence <= model.longest()
        }),
        Property::always(SETTLED, settled),
        Property::sometimes(SUCCEEDED, |model, world| ended(model, world, Outcome::Succeeded)),
        Property::sometimes(FAILED, |model, world| ended(model, world, Outcome::Failed)),
        Property::sometimes(DEGRADED, |model, world| ended(model, world, Outcome::Degraded)),
        Property::sometimes(CANCELLED, |model, world| ended(model, world, Outcome::Cancelled)),
        Property::sometimes(ASKED, asks),
        Property::sometimes(TURNED, |_, world: &World| {
            world.clients.iter().any(|client| matches!(client, Client::Turned { .. }))
        }),
    ]
}

/// When the old release does not get well again either, traffic is for it to take as soon as it
/// does; that end is called degraded, and pages somebody.
fn traffic(model: &Protocol, world: &World) -> bool {
    let machine = &world.machine;
    (0..2).all(|release| {
        let served = machine.told.weights.is_some_and(|weights| weights[release] > 0);
        let proven = machine.groups[release].proven || release == 0 && troubled(model, world);
        !served || machine.told.replicas[release] > 0 && proven
    })
}

/// A load balancer that does not obey for so long that going back is given up is a reason to page
/// somebody, and the one exception.
fn moved(model: &Protocol, world: &World) -> bool {
    let machine = &world.machine;
    let kept = (0..2).all(|release| {
        let served = machine.traffic.is_some_and(|weights| weights[release] > 0);
        !served || machine.told.replicas[release] > 0
    });
    kept || troubled(model, world)
}

fn troubled(model: &Protocol, world: &World) -> bool {
    model.states.with(world.journal.state, |state| match &state.phase {
        Phase::Undoing(undo) => undo.troubled,
        Phase::Ended { outcome, .. } => *outcome == Outcome::Degraded,
        _ => false,
    })
}

fn journaled(model: &Protocol, world: &World) -> bool {
    let (machine, last) = (&world.machine, &world.journal);
    match machine.accepted.1.cmp(&last.sequence) {
        std::cmp::Ordering::Less => true,
        std::cmp::Ordering::Equal => machine.told == model.states.wanted(last.state),
        std::cmp::Ordering::Greater => false,
    }
}

fn reign(world: &World) -> bool {
    let [one, other] = &world.clients;
    one.epoch().is_none() || one.epoch() != other.epoch()
}

fn once(model: &Protocol, world: &World) -> bool {
    let jobs = &world.machine.jobs;
    let started = jobs.iter().filter(|job| job.starts > 0).count();
    let safe = if model.scenario.hook == Some(true) { 3 } else { 1 };
    let running = jobs.iter().filter(|job| job.is == Fate::Running).count();
    let allowed = safe + usize::from(world.seen.agains);
    jobs.iter().all(|job| job.starts <= 1) && started <= allowed && running <= 1
}

fn hooked(model: &Protocol, world: &World) -> bool {
    let machine = &world.machine;
    let done = machine.jobs.iter().any(|job| job.is == Fate::Done) || world.seen.done;
    model.scenario.hook.is_none() || machine.told.replicas[1] == 0 || done
}

fn alone(model: &Protocol, world: &World) -> bool {
    let runs = world
        .machine
        .groups
        .iter()
        .filter(|group| group.starting + group.ready > 0 || group.stopping);
    // Instances that do not stop in time are a failure of its own kind.
    model.scenario.overlap
        || runs.count() < 2
        || !world
            .machine
            .groups
            .iter()
            .any(|group| group.starting + group.ready > 0 && !group.stopping)
        || late(model, world)
}

fn late(model: &Protocol, world: &World) -> bool {
    model.states.with(world.journal.state, |state| {
        !matches!(
            state.phase,
            Phase::Doing { .. } | Phase::Ended { outcome: Outcome::Succeeded, .. }
        )
    })
}

fn newest(world: &World) -> bool {
    world.clients.iter().all(|client| match client {
        Client::Turned { epoch } => *epoch < world.reign,
        _ => true,
    })
}

fn settled(model: &Protocol, world: &World) -> bool {
    let newest = world.clients.iter().find(|client| client.epoch() == Some(world.reign));
    let Some(client) = newest else { return true };
    if !model.rests(world) {
        return true;
    }
    let Client::Driving { known, applied, .. } = client else { return false };
    let machine = &world.machine;
    let state = model.states.get(known.state);
    let runs = machine.groups.map(|group| group.starting + group.ready);
    let obeyed = machine.told == model.states.wanted(known.state)
        && machine.traffic == machine.told.weights
        && runs == machine.told.replicas;
    let good = match &state.phase {
        Phase::Ended { outcome, .. } => {
            let forward = *outcome == Outcome::Succeeded;
            let shape = model.context.transition().settled(forward);
            machine.told == Wanted::of(&model.context, &State { shape, ..state.clone() })
        }
        Phase::Operator { .. } => true,
        _ => false,
    };
    *applied && obeyed && good
}

fn ended(model: &Protocol, world: &World, outcome: Outcome) -> bool {
    model.states.with(world.journal.state, |state| state.ended() == Some(outcome))
}

fn asks(model: &Protocol, world: &World) -> bool {
    model.states.with(world.journal.state, |state| matches!(state.phase, Phase::Operator { .. }))
}
