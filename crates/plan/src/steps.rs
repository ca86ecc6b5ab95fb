//! The way from one release to another as data: every choice is made here, none later.

use crate::Shape;
use crate::nlb::makes_targets;
use landfall_model::{
    GroupId, Listener, ListenerName, Millis, Nlb, Release, ReleaseNumber, Route, Service,
    ServiceName, Strategy, Timestamp, Verb,
};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

/// One step of a rollout. It is over when its gate is: see each variant.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(tag = "step", rename_all = "kebab-case")]
pub enum Step {
    /// Run a hook of the new release. Over when it exited with 0.
    Hook {
        /// Its place in the release's list.
        hook: usize,
    },
    /// Run these groups with this many replicas. Over when all of them are healthy.
    Start {
        /// Replicas by group.
        groups: BTreeMap<GroupId, u16>,
    },
    /// Move traffic. Over when the load balancer says it did.
    Shift {
        /// The release whose listeners are open afterwards.
        listeners: Option<ReleaseNumber>,
        /// The shares.
        weights: BTreeMap<ListenerName, BTreeMap<GroupId, u16>>,
    },
    /// Watch the new groups under traffic. Over when the time is.
    Bake {
        /// How long.
        time: Millis,
        /// What is watched.
        groups: BTreeSet<GroupId>,
    },
    /// Let the connections of these groups finish. Over when none is left, or the time is over.
    Drain {
        /// The groups.
        groups: BTreeSet<GroupId>,
        /// How long at most.
        time: Millis,
    },
    /// Run these groups with fewer replicas, or not at all. Over when that is so.
    Stop {
        /// What remains of each group.
        groups: BTreeMap<GroupId, u16>,
        /// Whether to wait for it. In the middle of a rolling update nothing waits.
        wait: bool,
        /// The longest grace of an instance in it.
        grace: Millis,
    },
}

impl Step {
    /// One word for it.
    #[must_use]
    pub const fn word(&self) -> &'static str {
        match self {
            Self::Hook { .. } => "hook",
            Self::Start { .. } => "starting",
            Self::Shift { .. } => "shifting",
            Self::Bake { .. } => "baking",
            Self::Drain { .. } => "draining",
            Self::Stop { .. } => "stopping",
        }
    }

    /// The shape that is wanted while this step runs, given the one before.
    pub fn enter(&self, shape: &mut Shape, now: Timestamp) {
        match self {
            Self::Hook { .. } | Self::Bake { .. } => {}
            Self::Start { groups } => {
                for (group, replicas) in groups {
                    shape.groups.insert(group.clone(), *replicas);
                    shape.draining.remove(group);
                }
            }
            Self::Shift { listeners, weights } => {
                shape.listeners = *listeners;
                shape.weights.clone_from(weights);
                let served: BTreeSet<GroupId> = shape.served().cloned().collect();
                shape.draining.retain(|group, _| !served.contains(group));
            }
            Self::Drain { groups, time } => {
                for group in groups.iter().filter(|group| shape.groups.contains_key(*group)) {
                    shape.draining.insert(group.clone(), now.after(*time));
                }
            }
            Self::Stop { groups, .. } => {
                for (group, remain) in groups {
                    if *remain == 0 {
                        shape.groups.remove(group);
                        shape.draining.remove(group);
                    } else {
                        shape.groups.insert(group.clone(), *remain);
                    }
                }
            }
        }
    }
}

fn list<T: fmt::Display>(items: impl IntoIterator<Item = T>) -> String {
    items.into_iter().map(|item| item.to_string()).collect::<Vec<_>>().join(", ")
}

/// A switch in words. Listeners that only redirect are left out, unless there is nothing else.
fn switch(weights: &BTreeMap<ListenerName, BTreeMap<GroupId, u16>>) -> String {
    let share = |(group, weight): (&GroupId, &u16), alone: bool| {
        if alone { group.to_string() } else { format!("{group} ({weight})") }
    };
    let served: Vec<String> = weights
        .iter()
        .filter(|(_, shares)| !shares.is_empty())
        .map(|(listener, shares)| {
            let alone = shares.len() == 1;
            let words: Vec<String> = shares.iter().map(|it| share(it, alone)).collect();
            format!("{listener} to {}", words.join(" and "))
        })
        .collect();
    if served.is_empty() {
        format!("keep {} open with nothing behind", list(weights.keys()))
    } else {
        format!("switch {}", served.join(", "))
    }
}

impl fmt::Display for Step {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Hook { hook } => write!(formatter, "run hook {}", hook + 1),
            Self::Start { groups } => write!(
                formatter,
                "start {} and wait until healthy",
                list(groups.iter().map(|(group, replicas)| format!("{replicas} × {group}")))
            ),
            Self::Shift { listeners: None, .. } => formatter.write_str("close the listeners"),
            Self::Shift { weights, .. } if weights.is_empty() => {
                formatter.write_str("close the listeners that are gone")
            }
            Self::Shift { weights, .. } => formatter.write_str(&switch(weights)),
            Self::Bake { time, groups } => {
                write!(formatter, "watch {} for {time}, ready to go back", list(groups))
            }
            Self::Drain { groups, time } => {
                write!(formatter, "let connections to {} finish, at most {time}", list(groups))
            }
            Self::Stop { groups, .. } => write!(
                formatter,
                "stop {}",
                list(groups.iter().map(|(group, remain)| if *remain == 0 {
                    group.to_string()
                } else {
                    format!("all but {remain} of {group}")
                }))
            ),
        }
    }
}

/// What a rollout is between: the releases it comes from and goes to.
#[derive(Debug, Clone, Copy)]
pub struct Transition<'a> {
    /// What it is for.
    pub verb: Verb,
    /// What serves.
    pub from: Option<&'a Release>,
    /// What should serve; nothing for `down`.
    pub to: Option<&'a Release>,
}

impl Transition<'_> {
    /// The steps, in order.
    #[must_use]
    pub fn steps(&self) -> Vec<Step> {
        let mut steps = Vec::new();
        let Some(to) = self.to else {
            self.stop_old(&mut steps);
            return steps;
        };
        let hooks = to.content.hooks.iter().enumerate();
        steps.extend(
            hooks
                .filter(|(_, hook)| hook.on.contains(&self.verb))
                .map(|(hook, _)| Step::Hook { hook }),
        );
        self.open_first(to, &mut steps);
        match (to.content.rollout.strategy, self.from) {
            (Strategy::Rolling, Some(from)) => self.rolling(from, to, &mut steps),
            (Strategy::Rolling | Strategy::BlueGreen, _) => self.blue_green(to, &mut steps),
        }
        if to.content.rollout.bake.0 > 0 && self.from.is_some() {
            let groups = shape_of(to).groups.into_keys().collect();
            steps.push(Step::Bake { time: to.content.rollout.bake, groups });
        }
        self.stop_old(&mut steps);
        steps
    }

    /// An NLB has to be there before its targets: an instance that is made before gets no readiness
    /// gate, and would count as ready long before the NLB sends to it.
    fn open_first(&self, to: &Release, steps: &mut Vec<Step>) {
        let old = |name: &ListenerName| self.from.and_then(|it| it.content.listeners.get(name));
        if !to.content.nlbs().any(|(name, new, _)| makes_targets(old(name), new)) {
            return;
        }
        let running = |name: &ServiceName| {
            let (from, service) = self.old(name)?;
            let group = GroupId { service: name.clone(), release: from.number };
            (service.replicas > 0).then(|| BTreeMap::from([(group, 1)]))
        };
        let weights = |listener: &Listener| match &listener.route {
            Route::To(service) => running(service).unwrap_or_default(),
            Route::RedirectHttps { .. } => BTreeMap::new(),
        };
        let all = to.content.listeners.iter().map(|(name, it)| (name.clone(), weights(it)));
        steps.push(Step::Shift { listeners: Some(to.number), weights: all.collect() });
    }

    fn blue_green(&self, to: &Release, steps: &mut Vec<Step>) {
        let beside = groups_where(to, |service| service.overlap);
        if !beside.is_empty() {
            steps.push(Step::Start { groups: beside });
        }
        self.replace(to, steps);
        steps.push(shift_to(to));
    }

    /// Services that may never run twice: the old one goes first.
    fn replace(&self, to: &Release, steps: &mut Vec<Step>) {
        for (name, service) in to.content.services.iter().filter(|(_, service)| !service.overlap) {
            if let Some((from, old)) = self.old(name).filter(|(_, old)| old.replicas > 0) {
                let group = GroupId { service: name.clone(), release: from.number };
                unserve(steps, from, &group);
                steps.push(Step::Stop {
                    groups: BTreeMap::from([(group, 0)]),
                    wait: true,
                    grace: old.stop.grace,
                });
            }
            if service.replicas > 0 {
                let group = GroupId { service: name.clone(), release: to.number };
                steps.push(Step::Start { groups: BTreeMap::from([(group, service.replicas)]) });
            }
        }
    }

    fn old(&self, name: &ServiceName) -> Option<(&Release, &Service)> {
        let from = self.from?;
        from.content.services.get(name).map(|service| (from, service))
    }

    fn rolling(&self, from: &Release, to: &Release, steps: &mut Vec<Step>) {
        let new = groups_where(to, |service| service.overlap);
        let old_replicas = |name: &ServiceName| {
            from.content.services.get(name).map_or(0, |service| service.replicas)
        };
        let stages = new
            .iter()
            .map(|(group, replicas)| (*replicas).max(old_replicas(&group.service)))
            .max()
            .unwrap_or(0);
        let mut weights_before = None;
        for stage in 1..=stages {
            let started: BTreeMap<GroupId, u16> = new
                .iter()
                .filter(|(_, replicas)| stage <= **replicas)
                .map(|(group, _)| (group.clone(), stage))
                .collect();
            if !started.is_empty() {
                steps.push(Step::Start { groups: started });
            }
            if stage == stages {
                break;
            }
            let remain: BTreeMap<GroupId, u16> = new
                .keys()
                .map(|group| &group.service)
                .filter(|name| from.content.services.contains_key(*name))
                .map(|name| {
                    let group = GroupId { service: name.clone(), release: from.number };
                    (group, old_replicas(name).saturating_sub(stage))
                })
                .collect();
            let mut kept = remain.clone();
            kept.extend(groups_where(from, |_| true).into_iter().filter(|(group, _)| {
                to.content.services.get(&group.service).is_some_and(|service| !service.overlap)
            }));
            let weights = mixed(to, &new, stage, &kept);
            if weights_before.as_ref() != Some(&weights) {
                steps.push(Step::Shift { listeners: Some(to.number), weights: weights.clone() });
                weights_before = Some(weights);
            }
            // A group that would be empty is left to the end: it drains as a whole there.
            let fewer: BTreeMap<GroupId, u16> = remain
                .into_iter()
                .filter(|(group, left)| *left > 0 && *left < old_replicas(&group.service))
                .collect();
            if !fewer.is_empty() {
                let grace = longest_grace(from);
                steps.push(Step::Stop { groups: fewer, wait: false, grace });
            }
        }
        self.replace(to, steps);
        steps.push(shift_to(to));
    }

    /// What remains of the old release: close what the new one does not have, drain, stop.
    fn stop_old(&self, steps: &mut Vec<Step>) {
        let Some(from) = self.from else { return };
        let policy = self.to.unwrap_or(from);
        if self.to.is_none() {
            steps.push(Step::Shift { listeners: None, weights: BTreeMap::new() });
        }
        let replaced = |name: &ServiceName| {
            self.to
                .and_then(|to| to.content.services.get(name))
                .is_some_and(|service| !service.overlap)
        };
        let remaining: BTreeSet<GroupId> =
            shape_of(from).groups.into_keys().filter(|group| !replaced(&group.service)).collect();
        let served: BTreeSet<GroupId> = from
            .content
            .served()
            .into_iter()
            .filter(|name| !replaced(name))
            .map(|name| GroupId { service: name.clone(), release: from.number })
            .filter(|group| remaining.contains(group))
            .collect();
        if !served.is_empty() {
            steps.push(Step::Drain { groups: served, time: policy.content.rollout.drain });
        }
        if !remaining.is_empty() {
            steps.push(Step::Stop {
                groups: remaining.into_iter().map(|group| (group, 0)).collect(),
                wait: true,
                grace: longest_grace(from),
            });
        }
    }

    /// The steps that bring back what served, from any shape that a rollout can be in.
    #[must_use]
    pub fn undo(&self, shape: &Shape) -> Vec<Step> {
        let mut steps = Vec::new();
        let base = self.from.map(shape_of).unwrap_or_default();
        let number = self.to.map(|release| release.number);
        let mut remaining: BTreeSet<GroupId> = shape
            .groups
            .keys()
            .filter(|group| Some(group.release) == number && !base.groups.contains_key(*group))
            .cloned()
            .collect();
        // A service that may never run twice: its new instances go before the old ones come back.
        let alone: BTreeSet<GroupId> = remaining
            .iter()
            .filter(|group| self.alone(&group.service))
            .filter(|group| base.groups.keys().any(|old| old.service == group.service))
            .cloned()
            .collect();
        if !alone.is_empty() {
            let weights = without(&shape.weights, &alone);
            if weights != shape.weights {
                steps.push(Step::Shift { listeners: shape.listeners, weights });
            }
            steps.push(self.stop(&alone));
            remaining.retain(|group| !alone.contains(group));
        }
        if !base.groups.is_empty() {
            steps.push(Step::Start { groups: base.groups.clone() });
        }
        if shape.listeners != base.listeners || shape.weights != base.weights {
            steps.push(Step::Shift { listeners: base.listeners, weights: base.weights });
        }
        if !remaining.is_empty() {
            let served: BTreeSet<GroupId> =
                shape.served().filter(|group| remaining.contains(*group)).cloned().collect();
            if !served.is_empty() {
                let drain = self.to.map_or(Millis(0), |to| to.content.rollout.drain);
                steps.push(Step::Drain { groups: served, time: drain });
            }
            steps.push(self.stop(&remaining));
        }
        steps
    }

    fn alone(&self, name: &ServiceName) -> bool {
        [self.to, self.from]
            .into_iter()
            .flatten()
            .filter_map(|release| release.content.services.get(name))
            .any(|service| !service.overlap)
    }

    fn stop(&self, groups: &BTreeSet<GroupId>) -> Step {
        Step::Stop {
            groups: groups.iter().map(|group| (group.clone(), 0)).collect(),
            wait: true,
            grace: self.to.map_or(Millis(0), longest_grace),
        }
    }

    /// The shape that is wanted when the rollout has gone well, or has been undone.
    #[must_use]
    pub fn settled(&self, forward: bool) -> Shape {
        let release = if forward { self.to } else { self.from };
        release.map(shape_of).unwrap_or_default()
    }
}

/// The shape of a release that serves alone.
fn shape_of(release: &Release) -> Shape {
    let groups = groups_where(release, |_| true);
    Shape {
        groups,
        listeners: Some(release.number),
        weights: full_weights(release),
        draining: BTreeMap::new(),
    }
}

fn groups_where(release: &Release, wanted: impl Fn(&Service) -> bool) -> BTreeMap<GroupId, u16> {
    release
        .content
        .services
        .iter()
        .filter(|(_, service)| service.replicas > 0 && wanted(service))
        .map(|(name, service)| {
            (GroupId { service: name.clone(), release: release.number }, service.replicas)
        })
        .collect()
}

fn full_weights(release: &Release) -> BTreeMap<ListenerName, BTreeMap<GroupId, u16>> {
    let weight_of = |name: &ServiceName| {
        let running = release.content.services.get(name).is_some_and(|it| it.replicas > 0);
        let group = GroupId { service: name.clone(), release: release.number };
        if running { BTreeMap::from([(group, 1)]) } else { BTreeMap::new() }
    };
    release
        .content
        .listeners
        .iter()
        .map(|(name, listener)| match &listener.route {
            Route::To(service) => (name.clone(), weight_of(service)),
            Route::RedirectHttps { .. } => (name.clone(), BTreeMap::new()),
        })
        .collect()
}

fn shift_to(release: &Release) -> Step {
    Step::Shift { listeners: Some(release.number), weights: full_weights(release) }
}

/// Shares by replicas in the middle of a rolling update.
fn mixed(
    to: &Release,
    new: &BTreeMap<GroupId, u16>,
    stage: u16,
    remain: &BTreeMap<GroupId, u16>,
) -> BTreeMap<ListenerName, BTreeMap<GroupId, u16>> {
    let mut weights = BTreeMap::new();
    for (name, listener) in &to.content.listeners {
        let mut shares = BTreeMap::new();
        if let Route::To(service) = &listener.route {
            let mine = new.iter().filter(|(group, _)| group.service == *service);
            shares.extend(mine.map(|(group, replicas)| (group.clone(), (*replicas).min(stage))));
            let theirs =
                remain.iter().filter(|(group, left)| group.service == *service && **left > 0);
            shares.extend(theirs.map(|(group, left)| (group.clone(), *left)));
        }
        weights.insert(name.clone(), shares);
    }
    weights
}

fn without(
    weights: &BTreeMap<ListenerName, BTreeMap<GroupId, u16>>,
    gone: &BTreeSet<GroupId>,
) -> BTreeMap<ListenerName, BTreeMap<GroupId, u16>> {
    weights
        .iter()
        .map(|(listener, shares)| {
            let mut shares = shares.clone();
            shares.retain(|group, _| !gone.contains(group));
            (listener.clone(), shares)
        })
        .collect()
}

/// Takes traffic away from a group of the old release that must stop before its successor starts.
fn unserve(steps: &mut Vec<Step>, from: &Release, group: &GroupId) {
    let before = steps
        .iter()
        .rev()
        .find_map(|step| match step {
            Step::Shift { listeners, weights } => Some((*listeners, weights.clone())),
            _ => None,
        })
        .unwrap_or_else(|| (Some(from.number), full_weights(from)));
    let weights = without(&before.1, &BTreeSet::from([group.clone()]));
    if weights != before.1 {
        steps.push(Step::Shift { listeners: before.0, weights });
    }
}

/// Behind an NLB an instance serves on first.
fn longest_grace(release: &Release) -> Millis {
    let behind = release.content.behind_nlbs();
    let drain = Nlb::drain(release.content.rollout.drain);
    let graces = release.content.services.iter().map(|(name, service)| {
        let grace = service.stop.grace;
        if behind.contains(name) { Nlb::gone_within(drain, grace) } else { grace }
    });
    graces.max().unwrap_or_default()
}
