//! Watches of everything of one stack, and the report that they add up to.

use crate::apply::Standing;
use crate::binding;
use crate::fence;
use crate::objects::{FENCE, HASH, Kind, STACK, fence_name, is_nlb, stack_label};
use crate::observe::{self, Seen};
use crate::reasons::Details;
use futures::stream::{BoxStream, StreamExt, select_all};
use k8s_openapi::api::apps::v1::{Deployment, ReplicaSet};
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{ConfigMap, Event as Said, Pod, Service};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use k8s_openapi::serde::de::DeserializeOwned;
use kube::api::DynamicObject;
use kube::runtime::watcher::{self, Event};
use kube::runtime::{WatchStreamExt as _, watcher as watch_of};
use kube::{Api, Client, Resource, ResourceExt};
use landfall_model::{Desired, Fence, Observed, StackId, chain};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::watch;
use tokio_util::task::AbortOnDropHandle;

/// How often the reasons of what is not ready are asked for again.
const LOOK: Duration = Duration::from_millis(1000);

/// What this engine has brought about, for reports that are not older than that.
#[derive(Debug, Clone)]
pub(crate) struct Accepted {
    pub(crate) desired: Arc<Desired>,
    pub(crate) standing: Arc<Standing>,
}

/// The watches of one stack. They end when this is dropped.
pub(crate) struct Watch {
    reports: watch::Receiver<Observed>,
    accepted: Arc<Mutex<Option<Accepted>>>,
    nudge: Arc<tokio::sync::Notify>,
    _task: AbortOnDropHandle<()>,
}

/// One object that came, changed or went.
pub(crate) enum Change {
    Map(Event<ConfigMap>),
    Deployment(Event<Deployment>),
    ReplicaSet(Event<ReplicaSet>),
    Service(Event<Service>),
    Slice(Event<EndpointSlice>),
    Job(Event<Job>),
    Pod(Event<Pod>),
    Binding(Event<DynamicObject>),
    Event(Event<Said>),
    Broken(String),
}

impl Watch {
    pub(crate) fn start(client: &Client, namespace: &str, stack: &StackId) -> Self {
        let (sender, reports) = watch::channel(Observed::default());
        let accepted = Arc::new(Mutex::new(None));
        let nudge = Arc::new(tokio::sync::Notify::new());
        let watching = Watching {
            client: client.clone(),
            namespace: namespace.to_owned(),
            stack: stack.clone(),
            accepted: Arc::clone(&accepted),
            nudge: Arc::clone(&nudge),
            sender,
        };
        let task = AbortOnDropHandle::new(tokio::spawn(watching.run()));
        Self { reports, accepted, nudge, _task: task }
    }

    pub(crate) fn reports(&self) -> watch::Receiver<Observed> {
        self.reports.clone()
    }

    /// Says what was brought about, so that an older look is not taken for a newer one.
    pub(crate) fn accept(&self, accepted: Accepted) {
        *self.accepted.lock().unwrap_or_else(PoisonError::into_inner) = Some(accepted);
        self.nudge.notify_one();
    }
}

struct Watching {
    client: Client,
    namespace: String,
    stack: StackId,
    accepted: Arc<Mutex<Option<Accepted>>>,
    nudge: Arc<tokio::sync::Notify>,
    sender: watch::Sender<Observed>,
}

impl Watching {
    async fn run(self) {
        let mut changes = self.changes();
        let mut seen = Seen::default();
        let mut details = Details::new(&self.client, &self.namespace);
        let mut look = tokio::time::interval(LOOK);
        let mut problem = None;
        let mut balanced = false;
        loop {
            tokio::select! {
                change = changes.next() => match change {
                    Some(Change::Broken(why)) => problem = Some(why),
                    Some(change) => {
                        problem = None;
                        seen.take(change);
                        // What came together is looked at together.
                        while let Some(Some(change)) = futures::FutureExt::now_or_never(changes.next()) {
                            seen.take(change);
                        }
                    }
                    None => return,
                },
                () = self.nudge.notified() => {}
                _ = look.tick() => details.look(&seen).await,
            }
            if !balanced && let Some(streams) = self.of_balancers(&seen) {
                changes.extend(streams);
                balanced = true;
            }
            if details.lacks(&seen) {
                details.look(&seen).await;
            }
            if !seen.is_whole() && problem.is_none() {
                continue;
            }
            let report = self.report(&seen, &details, problem.as_deref());
            self.sender.send_if_modified(|last| {
                let same = Observed { at: last.at, ..report.clone() } == *last;
                if !same {
                    *last = report.clone();
                }
                !same
            });
        }
    }

    fn report(&self, seen: &Seen, details: &Details, problem: Option<&str>) -> Observed {
        let accepted = self.accepted.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let mut report = observe::report(seen, details, accepted.as_ref().map(|it| &*it.desired));
        // What it brought about itself counts once it is seen; while it is at work, the fence in the
        // cluster is ahead of the objects.
        report.accepted = match (seen.fence(&self.stack), accepted.as_ref()) {
            (Some(fence), None) => fence,
            (Some(fence), Some(own))
                if fence >= own.desired.fence && seen.stands(&own.standing) =>
            {
                own.desired.fence
            }
            _ => self.sender.borrow().accepted,
        };
        for (id, why) in accepted.iter().flat_map(|it| &it.standing.withheld) {
            report.groups.entry(id.clone()).or_default().failing = Some(why.clone());
        }
        report.problems.extend(problem.map(str::to_owned));
        report
    }

    fn changes(&self) -> futures::stream::SelectAll<BoxStream<'static, Change>> {
        let ours = format!("{STACK}={}", stack_label(&self.stack));
        select_all([
            self.stream(&ours, Change::Map),
            self.stream(&ours, Change::Deployment),
            self.stream(&ours, Change::ReplicaSet),
            self.stream(&ours, Change::Service),
            self.stream(&ours, Change::Slice),
            self.stream(&ours, Change::Job),
            self.stream(&ours, Change::Pod),
        ])
    }

    /// What is watched once there is an NLB. It explains, so not being allowed to is no problem.
    fn of_balancers(&self, seen: &Seen) -> Option<[BoxStream<'static, Change>; 2]> {
        let service = seen.services.iter().find(|it| is_nlb(it))?;
        let bindings = binding::watch(&self.client, &self.namespace, service);
        let said: Api<Said> = Api::namespaced(self.client.clone(), &self.namespace);
        let of_services = watcher::Config::default().fields("involvedObject.kind=Service");
        let said = watch_of(said, of_services).default_backoff();
        Some([
            bindings.filter_map(async |it| it.ok().map(Change::Binding)).boxed(),
            said.filter_map(async |it| it.ok().map(Change::Event)).boxed(),
        ])
    }

    fn stream<K>(
        &self,
        labels: &str,
        wrap: impl Fn(Event<K>) -> Change + Send + 'static,
    ) -> BoxStream<'static, Change>
    where
        K: Resource<Scope = k8s_openapi::NamespaceResourceScope>
            + Clone
            + std::fmt::Debug
            + DeserializeOwned
            + Send
            + 'static,
        <K as Resource>::DynamicType: Default,
    {
        let api: Api<K> = Api::namespaced(self.client.clone(), &self.namespace);
        watch_of(api, watcher::Config::default().labels(labels))
            .default_backoff()
            .map(move |event| match event {
                Ok(event) => wrap(event),
                Err(error) => {
                    Change::Broken(format!("cannot watch the cluster: {}", chain(&error)))
                }
            })
            .boxed()
    }
}

/// Objects of one kind by name, as a watch tells them.
#[derive(Debug)]
pub(crate) struct Objects<K> {
    all: BTreeMap<String, K>,
    coming: BTreeMap<String, K>,
    whole: bool,
}

impl<K> Default for Objects<K> {
    fn default() -> Self {
        Self { all: BTreeMap::new(), coming: BTreeMap::new(), whole: false }
    }
}

impl<K: ResourceExt> Objects<K> {
    pub(crate) fn take(&mut self, event: Event<K>) {
        match event {
            Event::Apply(object) => {
                self.all.insert(object.name_any(), object);
            }
            Event::Delete(object) => {
                self.all.remove(&object.name_any());
            }
            Event::Init => self.coming.clear(),
            Event::InitApply(object) => {
                self.coming.insert(object.name_any(), object);
            }
            Event::InitDone => {
                self.all = std::mem::take(&mut self.coming);
                self.whole = true;
            }
        }
    }

    pub(crate) const fn is_whole(&self) -> bool {
        self.whole
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &K> {
        self.all.values()
    }

    pub(crate) fn get(&self, name: &str) -> Option<&K> {
        self.all.get(name)
    }

    /// The hash of what was written last into an object; nothing when it is not there, or going.
    fn hash(&self, name: &str) -> Option<&str> {
        let object = self.get(name)?;
        if object.meta().deletion_timestamp.is_some() {
            return None;
        }
        object.annotations().get(HASH).map(String::as_str)
    }
}

impl Seen {
    fn hash(&self, kind: Kind, name: &str) -> Option<&str> {
        match kind {
            Kind::ConfigMap => self.maps.hash(name),
            Kind::Service => self.services.hash(name),
            Kind::Job => self.jobs.hash(name),
            Kind::Deployment => self.deployments.hash(name),
            Kind::PodDisruptionBudget => None,
        }
    }

    /// Whether the watches have come as far as what was written.
    fn stands(&self, standing: &Standing) -> bool {
        let watched = |kind: Kind| kind != Kind::PodDisruptionBudget;
        // A job that stood before keeps the hash it was made with.
        let there = standing.there.iter().filter(|((kind, _), _)| watched(*kind)).all(
            |((kind, name), hash)| {
                let seen = self.hash(*kind, name);
                if *kind == Kind::Job { seen.is_some() } else { seen == Some(hash.as_str()) }
            },
        );
        there
            && standing
                .gone
                .iter()
                .filter(|(kind, _)| watched(*kind))
                .all(|(kind, name)| self.hash(*kind, name).is_none())
    }

    fn fence(&self, stack: &StackId) -> Option<Fence> {
        let map = self.maps.get(&fence_name(stack))?;
        debug_assert!(!map.annotations().contains_key(FENCE), "the fence itself bears no fence");
        fence::of(map)
    }
}
