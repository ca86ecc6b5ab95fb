//! One stack: a single task that compares what is desired with what there is, and acts.
//!
//! Everything that happens reaches it as a message: a new desired state, news of an instance or a
//! job, words from the load balancer, the passing of time. After each it looks at the whole again.
//! It never waits for anything but the next message, so nothing can hold it up.

mod adopt;
mod instances;
mod jobs;
mod observe;
mod shares;

use crate::disk;
use crate::flag::raised;
use crate::host::{Host, Offer, StackFolder};
use crate::instance::News;
use crate::job::JobNews;
use crate::load_balancer::StackStats;
use crate::traffic::{Heard, Talker, Wanted};
use instances::{Instance, Slot};
use jobs::JobEntry;
use landfall_engine::Materials;
use landfall_model::{Desired, Fence, GroupId, JobId, ListenerName, Observed, StackId, Timestamp};
use landfall_protocol::shim::Spec;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinSet;
use tokio::time::Instant;

/// How often the view is renewed when nothing happens.
const TICK: Duration = Duration::from_secs(1);

/// What a stack is asked.
pub(crate) enum Ask {
    /// Bring this about. It is on disk already.
    Apply(Box<Desired>, Arc<dyn Materials>),
    /// The newest instance of a service that is ready.
    Newest(landfall_model::ServiceName, oneshot::Sender<Option<Arc<Spec>>>),
    /// End when nothing is left; answers whether it does.
    End(oneshot::Sender<Result<(), String>>),
}

/// A stack's task.
pub(crate) struct Stack {
    host: Arc<Host>,
    id: StackId,
    folder: StackFolder,
    desired: Desired,
    materials: Offer,
    instances: BTreeMap<String, Instance>,
    slots: BTreeMap<(GroupId, u16), Slot>,
    /// Until when groups that drained may go on draining after they are not desired any more.
    drained: BTreeMap<GroupId, Timestamp>,
    jobs: BTreeMap<JobId, JobEntry>,
    tasks: JoinSet<()>,
    news: mpsc::UnboundedSender<(String, News)>,
    job_news: mpsc::UnboundedSender<(JobId, JobNews)>,
    wanted: watch::Sender<Option<Arc<Wanted>>>,
    heard: LoadBalancerView,
    observed: watch::Sender<Observed>,
}

/// What the load balancer last said.
#[derive(Debug, Default)]
struct LoadBalancerView {
    /// The newest revision that is in force.
    in_force: u64,
    traffic: BTreeMap<ListenerName, BTreeMap<GroupId, u16>>,
    problems: Vec<String>,
    /// Why it cannot be told, and since when.
    failing: Option<(String, Instant)>,
    /// The revision that was in force when was counted.
    counted_at: u64,
    stats: StackStats,
}

/// The ends of the messages that a stack gets.
pub(crate) struct Ears {
    pub asks: mpsc::UnboundedReceiver<Ask>,
    news: mpsc::UnboundedReceiver<(String, News)>,
    job_news: mpsc::UnboundedReceiver<(JobId, JobNews)>,
    heard: mpsc::UnboundedReceiver<Heard>,
    pub closing: watch::Receiver<bool>,
}

/// What a stack is opened with.
pub(crate) struct Opening {
    pub host: Arc<Host>,
    pub id: StackId,
    pub desired: Option<Desired>,
    pub materials: Option<Arc<dyn Materials>>,
    pub asks: mpsc::UnboundedReceiver<Ask>,
    pub closing: watch::Receiver<bool>,
    pub observed: watch::Sender<Observed>,
}

impl Stack {
    /// Finds what is there from an earlier life and takes it over.
    pub fn open(opening: Opening) -> Result<(Self, Ears), disk::DiskError> {
        let Opening { host, id, desired, materials, asks, closing, observed } = opening;
        let folder = host.stack(&id);
        for path in [folder.0.clone(), folder.instances(), folder.jobs()] {
            host.folder(&path)?;
        }
        let (news_in, news) = mpsc::unbounded_channel();
        let (job_news_in, job_news) = mpsc::unbounded_channel();
        let (heard_in, heard) = mpsc::unbounded_channel();
        let (wanted, wanted_out) = watch::channel(None);
        let mut tasks = JoinSet::new();
        let talker = Talker {
            stack: id.clone(),
            load_balancer: Arc::clone(&host.load_balancer),
            tell: heard_in,
            certificates: BTreeMap::new(),
        };
        tasks.spawn(talker.talk(wanted_out));
        let desired = desired.unwrap_or_else(|| Desired::nothing(id.clone(), Fence::default()));
        let mut stack = Self {
            host,
            id,
            folder,
            desired,
            materials: Offer::new(materials),
            instances: BTreeMap::new(),
            slots: BTreeMap::new(),
            drained: BTreeMap::new(),
            jobs: BTreeMap::new(),
            tasks,
            news: news_in,
            job_news: job_news_in,
            wanted,
            heard: LoadBalancerView::default(),
            observed,
        };
        stack.adopt_instances();
        stack.adopt_jobs();
        Ok((stack, Ears { asks, news, job_news, heard, closing }))
    }

    /// Lives until the engine closes. What runs goes on running.
    pub async fn live(mut self, mut ears: Ears) {
        loop {
            self.act();
            self.publish();
            let alarm = self.next_alarm();
            tokio::select! {
                ask = ears.asks.recv() => match ask {
                    None => break,
                    Some(ask) => if self.answer(ask) { break },
                },
                Some((id, news)) = ears.news.recv() => self.hear_of_instance(&id, news),
                Some((id, news)) = ears.job_news.recv() => self.hear_of_job(&id, news),
                Some(heard) = ears.heard.recv() => self.hear_of_load_balancer(heard),
                () = raised(&mut ears.closing) => break,
                () = tokio::time::sleep_until(alarm) => {}
            }
            while self.tasks.try_join_next().is_some() {}
        }
        // Ends the tasks, not the processes: the next life takes them over.
        self.tasks.shutdown().await;
    }

    fn act(&mut self) {
        self.drain_surplus();
        self.stop_drained();
        self.fill_places();
        self.start_jobs();
        self.tell_load_balancer();
    }

    /// Answers, and says whether this was the last question.
    fn answer(&mut self, ask: Ask) -> bool {
        match ask {
            Ask::Apply(desired, materials) => self.take_over(*desired, materials),
            Ask::Newest(service, answer) => {
                let _ = answer.send(self.newest_ready(&service));
            }
            Ask::End(answer) => {
                let left = self.instances.len() + self.jobs.values().filter(|j| j.runs()).count();
                let idle = self.desired.groups.is_empty() && left == 0;
                let said = if idle {
                    Ok(())
                } else {
                    Err(format!("{} still has {left} processes, or wants some", self.id))
                };
                let _ = answer.send(said);
                return idle;
            }
        }
        false
    }

    fn take_over(&mut self, desired: Desired, materials: Arc<dyn Materials>) {
        for (group, draining) in &self.desired.draining {
            if !desired.groups.contains_key(group) {
                self.drained.insert(group.clone(), draining.until);
            }
        }
        self.drained.retain(|group, _| {
            !desired.groups.contains_key(group)
                && self.instances.values().any(|instance| instance.group == *group)
        });
        self.slots.retain(|(group, place), _| {
            desired.groups.get(group).is_some_and(|wanted| *place < wanted.replicas)
        });
        // What could not be prepared is tried again at once: the offer is new.
        for slot in self.slots.values_mut() {
            if slot.last.as_ref().is_some_and(|last| last.id.is_none()) {
                slot.place.not_before = None;
            }
        }
        self.desired = desired;
        self.materials.take_over(materials);
    }

    fn hear_of_load_balancer(&mut self, heard: Heard) {
        match heard {
            Heard::InForce { revision, traffic, problems } => {
                self.heard.in_force = revision;
                self.heard.traffic = traffic;
                self.heard.problems = problems;
                self.heard.failing = None;
            }
            Heard::Failed(why) => {
                let since = self.heard.failing.take().map_or_else(Instant::now, |(_, since)| since);
                self.heard.failing = Some((why, since));
            }
            Heard::Counted { revision, stats } => {
                self.heard.counted_at = revision;
                self.heard.stats = stats;
            }
        }
    }

    /// When something is to be done without a message.
    fn next_alarm(&self) -> Instant {
        let now = Instant::now();
        let mut alarm = now + TICK;
        for slot in self.slots.values() {
            if let Some(at) = slot.place.not_before {
                let at = Instant::from_std(at);
                if at > now {
                    alarm = alarm.min(at);
                }
            }
        }
        let clock = disk::now();
        for until in self.instances.values().filter_map(Instance::draining_until) {
            if until > clock {
                alarm = alarm.min(now + until.since(clock).duration() + Duration::from_millis(1));
            }
        }
        alarm
    }
}
