//! One stack: what serves, and what is being changed.

mod standing;

use crate::agent::Shared;
use crate::clock;
use crate::ground::Ground;
use crate::reign::Reign;
use crate::run::Run;
use landfall_model::{
    Epoch, ExitCode, Fence, Level, Measured, Outcome, Revision, RunId, Sequence, StackId, Summary,
    Timestamp, Verb,
};
use landfall_protocol::agent::{Failure, ReleaseOutcome};
use landfall_rollout::{
    Command, Context, Drive, DriveError, NoPoints, Phase, RECORD_FORMAT, Record, State, Told,
    begin, drive,
};
use landfall_store::seal::SealedRelease;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::mpsc;

/// How long to wait before a rollout that cannot go on here is tried again.
const AGAIN: Duration = Duration::from_secs(5);

/// One stack on this host.
pub(crate) struct Stack {
    pub(crate) id: StackId,
    shared: Arc<Shared>,
    inner: Mutex<Inner>,
    /// Held while a change is being accepted, so that two never start at once.
    accepting: tokio::sync::Mutex<()>,
}

#[derive(Default)]
struct Inner {
    last: Option<Record>,
    serving: Option<Arc<SealedRelease>>,
    /// The releases of the last entry that was read.
    between: (Option<Arc<SealedRelease>>, Option<Arc<SealedRelease>>),
    run: Option<Arc<Run>>,
    /// The last run, also when it is over, for those who come late.
    told: Option<Arc<Run>>,
    trouble: Option<String>,
    /// The lease of a cluster's stack, while this process holds it.
    reign: Option<Arc<Reign>>,
}

/// What a new run is for.
pub(crate) struct Wanted {
    pub(crate) verb: Verb,
    pub(crate) to: Option<Arc<SealedRelease>>,
    pub(crate) by: String,
    pub(crate) idempotency_key: Option<String>,
}

impl Stack {
    pub(crate) fn new(id: StackId, shared: Arc<Shared>) -> Self {
        Self { id, shared, inner: Mutex::default(), accepting: tokio::sync::Mutex::new(()) }
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn last(&self) -> Option<Record> {
        self.inner().last.clone()
    }

    pub(crate) fn serving(&self) -> Option<Arc<SealedRelease>> {
        self.inner().serving.clone()
    }

    pub(crate) fn run(&self) -> Option<Arc<Run>> {
        self.inner().run.clone()
    }

    pub(crate) fn told(&self) -> Option<Arc<Run>> {
        self.inner().told.clone()
    }

    /// Why the stack could not be taken up again, when it could not.
    pub(crate) fn trouble(&self) -> Option<String> {
        self.inner().trouble.clone()
    }

    /// Held while a change is being accepted.
    pub(crate) async fn accept(&self) -> tokio::sync::MutexGuard<'_, ()> {
        self.accepting.lock().await
    }

    fn fence(&self, sequence: Sequence) -> Fence {
        Fence { epoch: self.epoch(), revision: Revision(sequence.0) }
    }

    /// The reign in which this stack is written; on a cluster that nobody here rules, the last
    /// writer's.
    pub(crate) fn epoch(&self) -> Epoch {
        match &self.shared.ground {
            Ground::Host(host) => host.epoch,
            Ground::Cluster(_) => {
                let inner = self.inner();
                let own = inner.reign.as_ref().map(|reign| reign.epoch);
                own.or_else(|| inner.last.as_ref().map(|last| last.epoch)).unwrap_or_default()
            }
        }
    }

    fn context(
        &self,
        verb: Verb,
        from: Option<&Arc<SealedRelease>>,
        to: Option<&Arc<SealedRelease>>,
    ) -> Context {
        let release = |sealed: Option<&Arc<SealedRelease>>| {
            sealed.map(|sealed| Arc::new(sealed.release.clone()))
        };
        Context { stack: self.id.clone(), verb, from: release(from), to: release(to) }
    }

    /// Writes the first entry of a run and lets it go.
    pub(crate) async fn start(self: &Arc<Self>, wanted: Wanted) -> Result<Arc<Run>, Failure> {
        let (from, sequence) = {
            let inner = self.inner();
            let sequence = inner.last.as_ref().map_or(Sequence(1), |last| last.sequence.next());
            (inner.serving.clone(), sequence)
        };
        let context = self.context(wanted.verb, from.as_ref(), wanted.to.as_ref());
        let now = clock::now();
        let counted = self.shared.engine.watch(&self.id).borrow().measured;
        let number = |release: Option<&Arc<SealedRelease>>| release.map(|it| it.release.number);
        let record = Record {
            format: RECORD_FORMAT,
            sequence,
            epoch: self.epoch(),
            at: now,
            run: RunId(format!("{}.{}.{sequence}", self.id, wanted.verb)),
            verb: wanted.verb,
            from: number(from.as_ref()),
            to: number(wanted.to.as_ref()),
            by: wanted.by,
            idempotency_key: wanted.idempotency_key,
            began: now,
            counted,
            state: State::begin(&context, now),
            because: "asked for".into(),
        };
        let (run, _) = self.make_run(&record);
        let drive = self.drive(context, &run);
        if let Err(error) = begin(&drive, &record).await
            && !self.begun(&record).await
        {
            let message = format!("cannot begin: {}", chain(&error));
            return Err(Failure::new(ExitCode::Unexpected, message).help(
                "should the next try fail as well, `landfall agent restart` looks at the journal again",
            ));
        }
        self.inner().last = Some(record.clone());
        Ok(self.spawn(record, from, wanted.to))
    }

    /// Whether the journal's last entry is this one although its writing seemed to fail: the store
    /// had it, and only the answers were lost.
    async fn begun(&self, record: &Record) -> bool {
        let last = self.shared.store.last_entry(&self.id).await;
        let Ok(Some((_, bytes))) = last else { return false };
        serde_json::from_slice::<Record>(&bytes).is_ok_and(|stands| stands == *record)
    }

    fn make_run(&self, record: &Record) -> (Arc<Run>, mpsc::Receiver<Command>) {
        let (commands, receiver) = mpsc::channel(8);
        (Arc::new(Run::new(record.run.clone(), self.id.clone(), record.to, commands)), receiver)
    }

    fn drive(&self, context: Context, run: &Arc<Run>) -> Drive {
        let (told, stack) = (Arc::clone(run), Arc::downgrade(run));
        let shared = Arc::clone(&self.shared);
        let id = self.id.clone();
        Drive {
            context,
            store: Arc::clone(&self.shared.store),
            engine: Arc::clone(&self.shared.engine),
            materials: Arc::clone(&self.shared.materials),
            epoch: self.epoch(),
            clock: Arc::new(clock::now),
            points: self.shared.points.clone().unwrap_or_else(|| Arc::new(NoPoints)),
            told: Arc::new(move |it| told.tell(it)),
            written: Arc::new(move |record| {
                if let (Some(run), Some(stack)) = (stack.upgrade(), shared.stack(&id)) {
                    stack.written(record, &run);
                }
            }),
        }
    }

    /// Keeps the newest entry at hand, and lets listeners go when a person has to answer.
    fn written(&self, record: &Record, run: &Run) {
        self.inner().last = Some(record.clone());
        if let Phase::Operator { job, .. } = &record.state.phase {
            let mut summary = Summary::new(ExitCode::Unknown, record.from);
            summary.release = record.to;
            summary.message =
                Some(format!("the outcome of {job} is unknown: look, then `landfall resume`"));
            run.conclude(Some(summary));
        } else if record.state.ended().is_none() {
            run.conclude(None);
        }
    }

    fn spawn(
        self: &Arc<Self>,
        record: Record,
        from: Option<Arc<SealedRelease>>,
        to: Option<Arc<SealedRelease>>,
    ) -> Arc<Run> {
        let (run, mut commands) = self.make_run(&record);
        {
            let mut inner = self.inner();
            inner.run = Some(Arc::clone(&run));
            inner.told = Some(Arc::clone(&run));
            inner.between = (from.clone(), to.clone());
        }
        let context = self.context(record.verb, from.as_ref(), to.as_ref());
        let drive_of = self.drive(context, &run);
        self.written(&record, &run);
        let (stack, returned) = (Arc::clone(self), Arc::clone(&run));
        self.shared.tasks.spawn(async move {
            let ended = stack.drive_to_the_end(&drive_of, record, &mut commands, &run).await;
            stack.conclude(ended, from, to, &run).await;
        });
        returned
    }

    async fn drive_to_the_end(
        &self,
        drive_of: &Drive,
        mut record: Record,
        commands: &mut mpsc::Receiver<Command>,
        run: &Run,
    ) -> Result<Record, DriveError> {
        loop {
            match drive(drive_of, record.clone(), commands).await {
                Err(error @ (DriveError::Journal(_) | DriveError::Json(_))) => {
                    tracing::error!(stack = %self.id, error = %chain(&error), "a rollout waits");
                    run.tell(Told {
                        level: Level::Error,
                        kind: landfall_model::EventKind::Notice,
                        step: "waiting",
                        message: format!("{}; trying again", chain(&error)),
                    });
                    tokio::time::sleep(AGAIN).await;
                    record = self.last().unwrap_or(record);
                }
                ended => return ended,
            }
        }
    }

    async fn conclude(
        &self,
        ended: Result<Record, DriveError>,
        from: Option<Arc<SealedRelease>>,
        to: Option<Arc<SealedRelease>>,
        run: &Run,
    ) {
        let summary = match ended {
            Ok(record) => {
                let counts = self.shared.engine.capabilities().counts_requests;
                let measured = counts.then(|| {
                    self.shared.engine.watch(&self.id).borrow().measured.since(&record.counted)
                });
                self.record_outcome(&record, measured).await;
                let mut inner = self.inner();
                inner.serving = match record.state.ended() {
                    Some(Outcome::Succeeded) => to,
                    _ => from,
                };
                inner.last = Some(record.clone());
                inner.run = None;
                summary(&record, measured)
            }
            Err(error) => {
                let mut inner = self.inner();
                inner.run = None;
                let serving = inner.serving.as_ref().map(|it| it.release.number);
                let mut summary = Summary::new(ExitCode::Locked, serving);
                summary.message = Some(chain(&error));
                summary
            }
        };
        // Whoever listens may end this process once it knows.
        self.abdicate().await;
        run.conclude(Some(summary));
    }

    /// How a release's rollout ended, next to the release. Writing it twice changes nothing.
    async fn record_outcome(&self, record: &Record, measured: Option<Measured>) {
        let (Some(number), Some(outcome)) = (record.to, record.state.ended()) else { return };
        let why = match &record.state.phase {
            Phase::Ended { why, .. } => why.clone(),
            _ => None,
        };
        let outcome = ReleaseOutcome {
            format: 1,
            run: record.run.clone(),
            verb: record.verb,
            from: record.from,
            outcome,
            why,
            began: record.began,
            ended: record.at,
            measured,
        };
        let Ok(bytes) = serde_json::to_vec(&outcome) else { return };
        if let Err(error) = self.shared.store.record_outcome(&self.id, number, &bytes).await {
            tracing::error!(stack = %self.id, %error, "cannot record how a release ended");
        }
        if record.sequence.0.is_multiple_of(64)
            && let Err(error) = self.shared.store.trim_journal(&self.id, 512).await
        {
            tracing::warn!(stack = %self.id, %error, "cannot trim the journal");
        }
    }
}

/// The summary of a run that is over.
pub(crate) fn summary(record: &Record, measured: Option<Measured>) -> Summary {
    let code = record.state.ended().map_or(ExitCode::Unknown, Outcome::exit_code);
    let mut summary = Summary::new(code, record.serving());
    summary.release = record.to;
    summary.took = record.at.since(record.began);
    summary.measured = measured;
    if let Phase::Ended { why, .. } = &record.state.phase {
        summary.message.clone_from(why);
    }
    summary
}

/// An error with everything behind it, in one line.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(inner) = source {
        text.push_str(": ");
        text.push_str(&inner.to_string());
        source = inner.source();
    }
    text
}

/// Since when a release serves.
pub(crate) fn since(record: &Record) -> Timestamp {
    match record.state.ended() {
        Some(Outcome::Succeeded) => record.at,
        _ => record.began,
    }
}
