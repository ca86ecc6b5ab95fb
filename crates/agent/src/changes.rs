//! What is asked of a stack: changes, and what becomes of those in progress.

use crate::agent::Shared;
use crate::server::{known, store_failure};
use crate::stack::{Stack, Wanted, summary};
use crate::{history, status};
use landfall_model::{ExitCode, Severity, StackId, Summary, Verb};
use landfall_protocol::agent::{Apply, Failure, Reply};
use landfall_rollout::{Command, Phase};
use landfall_store::seal::{SealedRelease, SignatureError};
use std::sync::Arc;
use tokio::sync::mpsc;

async fn verified(shared: &Shared, apply: &Apply) -> Result<SealedRelease, Failure> {
    let integrity = |message: String| Failure::new(ExitCode::Integrity, message);
    let signature = apply.signature.parse().map_err(|error| integrity(format!("{error}")))?;
    let bytes = apply.release.clone().into_bytes().into();
    let sealed = SealedRelease::parse(bytes, Some(signature))
        .map_err(|error| integrity(error.to_string()))?;
    let trusted = shared.ground.trusted().await?;
    trusted.verify(&sealed).map_err(|error: SignatureError| {
        integrity(error.to_string()).help(format!(
            "the keys that may deploy here are listed in {}",
            shared.ground.keys_place()
        ))
    })?;
    Ok(sealed)
}

pub(crate) async fn apply(
    shared: &Arc<Shared>,
    apply: Apply,
    replies: &mpsc::Sender<Reply>,
) -> Result<(), Failure> {
    let owned = Arc::clone(shared);
    detached(shared, async move { begin_apply(&owned, apply).await }).await?.follow(replies).await;
    Ok(())
}

/// Does it to its end even when the client that asked is gone: what was half begun would hold the
/// place of a run that nobody drives.
async fn detached<T: Send + 'static>(
    shared: &Shared,
    work: impl Future<Output = Result<T, Failure>> + Send + 'static,
) -> Result<T, Failure> {
    let (sender, receiver) = tokio::sync::oneshot::channel();
    shared.tasks.spawn(async move {
        let _ = sender.send(work.await);
    });
    let ends = |_| Err(Failure::new(ExitCode::Unknown, "the agent is ending"));
    receiver.await.unwrap_or_else(ends)
}

/// What became of a request for a change.
enum Begun {
    /// It runs.
    Run(Arc<crate::run::Run>),
    /// There is nothing left to do.
    Done(Box<Summary>),
}

impl Begun {
    async fn follow(self, replies: &mpsc::Sender<Reply>) {
        match self {
            Self::Run(run) => run.follow(replies).await,
            Self::Done(summary) => {
                let _ = replies.send(Reply::Summary(summary)).await;
            }
        }
    }
}

/// Checks and seals the release and begins its run, or finds the run it asks for.
async fn begin_apply(shared: &Arc<Shared>, apply: Apply) -> Result<Begun, Failure> {
    let sealed = verified(shared, &apply).await?;
    let id = StackId { app: sealed.release.app.clone(), stack: sealed.release.stack.clone() };
    let stack = shared.stack_or_new(&id);
    if let Some(trouble) = stack.trouble() {
        return Err(Failure::new(ExitCode::Integrity, format!("{id}: {trouble}")));
    }
    let _accepting = stack.accept().await;
    stack.rule().await?;
    if let Some(begun) = join(&stack, &apply) {
        return Ok(begun);
    }
    let begun = seal_and_start(shared, &stack, sealed, apply).await;
    if begun.is_err() && stack.run().is_none() {
        stack.abdicate().await;
    }
    begun
}

async fn seal_and_start(
    shared: &Arc<Shared>,
    stack: &Arc<Stack>,
    sealed: SealedRelease,
    apply: Apply,
) -> Result<Begun, Failure> {
    free(stack)?;
    fresh(shared, stack, &apply).await?;
    let id = &stack.id;
    for digest in sealed.release.content.blobs() {
        if !shared.store.has_blob(&digest).await.map_err(store_failure)? {
            return Err(Failure::new(ExitCode::NotFound, format!("the blob {digest} is not here")));
        }
    }
    for finding in shared.engine.check(id, &sealed.release.content).await {
        if finding.severity == Severity::Error {
            let mut failure = Failure::new(ExitCode::Usage, finding.message);
            failure.help = finding.help;
            return Err(failure);
        }
    }
    match shared.store.seal(&sealed).await.map_err(store_failure)? {
        landfall_store::Sealed::Created => {}
        landfall_store::Sealed::Taken(number) => {
            return Err(stale(format!("release {number} is there already")));
        }
    }
    let wanted = Wanted {
        verb: apply.verb,
        to: Some(Arc::new(sealed)),
        by: apply.by,
        idempotency_key: apply.idempotency_key,
    };
    stack.start(wanted).await.map(Begun::Run)
}

/// A repeated request joins its run, or gets its summary.
fn join(stack: &Stack, apply: &Apply) -> Option<Begun> {
    let last = stack.last()?;
    let same_key = apply.idempotency_key.is_some() && apply.idempotency_key == last.idempotency_key;
    if let Some(run) = stack.run() {
        return same_key.then_some(Begun::Run(run));
    }
    (same_key && last.state.ended().is_some()).then(|| Begun::Done(Box::new(summary(&last, None))))
}

/// Nobody else changes the stack.
fn free(stack: &Stack) -> Result<(), Failure> {
    let Some(run) = status::run(stack) else { return Ok(()) };
    let help = if run.waits {
        "`landfall resume` goes on with it".to_owned()
    } else {
        "wait for it, follow it with `landfall resume`, or end it with Ctrl-C where it was started"
            .to_owned()
    };
    Err(Failure::new(
        ExitCode::Locked,
        format!("{} is being changed: {} by {}, {}", stack.id, run.verb, run.by, run.step),
    )
    .help(help))
}

fn stale(message: String) -> Failure {
    Failure::new(ExitCode::Stale, message).help("plan again: `landfall plan`, then `landfall up`")
}

/// The world is the one that the release was made for.
async fn fresh(shared: &Shared, stack: &Stack, apply: &Apply) -> Result<(), Failure> {
    let head = shared.store.head(&stack.id).await.map_err(store_failure)?;
    let head = head.map(|head| head.release.number);
    let words = |number: Option<landfall_model::ReleaseNumber>| {
        number.map_or_else(|| "none".to_owned(), |number| number.to_string())
    };
    if head != apply.head {
        return Err(stale(format!(
            "the newest release was {} and is {} now",
            words(apply.head),
            words(head)
        )));
    }
    let serving = stack.serving().map(|it| it.release.number);
    if serving != apply.serving {
        return Err(stale(format!(
            "release {} served and {} does now",
            words(apply.serving),
            words(serving)
        )));
    }
    Ok(())
}

pub(crate) async fn down(
    shared: &Arc<Shared>,
    id: &StackId,
    by: String,
    replies: &mpsc::Sender<Reply>,
) -> Result<(), Failure> {
    let stack = known(shared, id)?;
    detached(shared, async move { begin_down(&stack, by).await }).await?.follow(replies).await;
    Ok(())
}

async fn begin_down(stack: &Arc<Stack>, by: String) -> Result<Begun, Failure> {
    let _accepting = stack.accept().await;
    stack.rule().await?;
    free(stack)?;
    if stack.serving().is_none() {
        stack.abdicate().await;
        let mut summary = Summary::new(ExitCode::Done, None);
        summary.message = Some("nothing runs".into());
        return Ok(Begun::Done(Box::new(summary)));
    }
    let wanted = Wanted { verb: Verb::Down, to: None, by, idempotency_key: None };
    stack.start(wanted).await.map(Begun::Run)
}

/// On a cluster, drives what nobody drives any more.
async fn go_on(stack: &Arc<Stack>) -> Result<(), Failure> {
    let open = stack.last().is_some_and(|last| last.state.ended().is_none());
    if open && stack.run().is_none() { stack.rule().await } else { Ok(()) }
}

pub(crate) async fn attach(
    shared: &Arc<Shared>,
    id: &StackId,
    replies: &mpsc::Sender<Reply>,
) -> Result<(), Failure> {
    let stack = known(shared, id)?;
    go_on(&stack).await?;
    match stack.told() {
        Some(run) => run.follow(replies).await,
        None => {
            let last = stack.last().ok_or_else(|| {
                Failure::new(ExitCode::NotFound, format!("{id} was never changed here"))
            })?;
            let summary = summary(&last, None);
            let _ = replies.send(Reply::Summary(Box::new(summary))).await;
        }
    }
    Ok(())
}

pub(crate) async fn cancel(
    shared: &Arc<Shared>,
    id: &StackId,
    why: String,
) -> Result<Reply, Failure> {
    let stack = known(shared, id)?;
    go_on(&stack).await?;
    let Some(run) = stack.run() else {
        return Err(Failure::new(ExitCode::NotFound, format!("nothing of {id} is in progress")));
    };
    // It goes on from now, also when it waits for a person: who follows it waits for its end.
    run.conclude(None);
    let _ = run.commands.send(Command::Cancel(why)).await;
    Ok(Reply::End)
}

pub(crate) async fn resume(
    shared: &Arc<Shared>,
    id: &StackId,
    done: Option<bool>,
    hook: Option<&str>,
    replies: &mpsc::Sender<Reply>,
) -> Result<(), Failure> {
    let stack = known(shared, id)?;
    go_on(&stack).await?;
    let waiting = stack.last().and_then(|last| match last.state.phase {
        Phase::Operator { job, .. } => Some(job),
        _ => None,
    });
    match (waiting, done) {
        (Some(job), Some(done)) => {
            let meant = hook.is_none_or(|hook| job.0.starts_with(&format!("{hook}-r")));
            if !meant {
                return Err(Failure::new(
                    ExitCode::Usage,
                    format!("{job} waits for an answer, not {}", hook.unwrap_or_default()),
                ));
            }
            let Some(run) = stack.run() else {
                return Err(Failure::new(ExitCode::NotFound, "nothing is in progress"));
            };
            run.conclude(None);
            let _ = run.commands.send(Command::Answer { done }).await;
            run.follow(replies).await;
            Ok(())
        }
        (None, Some(_)) => Err(Failure::new(ExitCode::Usage, "no hook waits for an answer")),
        (_, None) => attach(shared, id, replies).await,
    }
}

pub(crate) async fn purge(shared: &Arc<Shared>, id: &StackId) -> Result<Reply, Failure> {
    let stack = known(shared, id)?;
    let _accepting = stack.accept().await;
    stack.rule().await?;
    free(&stack)?;
    if stack.serving().is_some() {
        stack.abdicate().await;
        return Err(
            Failure::new(ExitCode::Usage, format!("{id} still runs")).help("`landfall down` first")
        );
    }
    history::purge(shared, id).await?;
    stack.abdicate().await;
    shared.forget(id);
    Ok(Reply::End)
}
