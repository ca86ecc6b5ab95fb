//! The agent's socket: who may speak, and what happens to what they say.

use crate::agent::Shared;
use crate::stack::{Stack, Wanted, summary};
use crate::{doctor, history, keys, status, verify};
use futures::StreamExt;
use landfall_engine::{Engine, EngineError, ExecRequest, LogQuery, SessionOutput};
use landfall_model::{Content, ExitCode, Finding, Measured, Severity, StackId, Summary, Verb};
use landfall_protocol::Hello;
use landfall_protocol::agent::{Apply, Base, Failure, Reply, Request};
use landfall_protocol::frame::{self, Frame, FrameError};
use landfall_rollout::{Command, Phase};
use landfall_store::StoreError;
use landfall_store::seal::{SealedRelease, SignatureError};
use std::sync::Arc;
use std::time::Duration;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::mpsc;

/// How long a client may take to say what it wants.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long a client may take for one piece of a blob.
const PIECE: Duration = Duration::from_secs(60);

/// Takes connections until the listener fails for good.
pub(crate) async fn accept(shared: &Arc<Shared>, listener: UnixListener) {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                let shared = Arc::clone(shared);
                shared.clone().tasks.spawn(async move {
                    if let Err(error) = converse(&shared, stream).await {
                        tracing::debug!(%error, "a client is gone");
                    }
                });
            }
            Err(error) => {
                tracing::warn!(%error, "cannot take a connection");
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
}

/// Only the owner of this process, and root, may speak to it.
fn allowed(stream: &UnixStream) -> bool {
    let owner = rustix::process::geteuid().as_raw();
    stream.peer_cred().is_ok_and(|peer| peer.uid() == owner || peer.uid() == 0)
}

async fn converse(shared: &Arc<Shared>, stream: UnixStream) -> Result<(), FrameError> {
    let allowed = allowed(&stream);
    let (mut input, mut output) = stream.into_split();
    if !allowed {
        let failure = Failure::new(ExitCode::Permission, "this agent belongs to another user");
        return frame::write_json(&mut output, &Reply::Failed(failure)).await;
    }
    frame::write_json(&mut output, &Hello::ours()).await?;
    let theirs: Hello = within(PATIENCE, frame::read_json(&mut input)).await?;
    if let Err(error) = theirs.accept() {
        let failure = Failure::new(ExitCode::Usage, error.to_string());
        return frame::write_json(&mut output, &Reply::Failed(failure)).await;
    }
    let request: Request = within(PATIENCE, frame::read_json(&mut input)).await?;
    match request {
        Request::PutBlob { digest } => {
            let reply = put_blob(shared, &digest, &mut input).await?;
            frame::write_json(&mut output, &reply).await
        }
        Request::Exec { stack, service, command } => {
            let request = ExecRequest { stack, service, command };
            exec(shared, request, input, output).await
        }
        other => answer(shared, other, input, output).await,
    }
}

async fn within<T>(
    patience: Duration,
    work: impl Future<Output = Result<T, FrameError>>,
) -> Result<T, FrameError> {
    tokio::time::timeout(patience, work)
        .await
        .unwrap_or_else(|_| Err(std::io::Error::from(std::io::ErrorKind::TimedOut).into()))
}

/// Streams replies until there are no more, or the client is gone.
async fn answer(
    shared: &Arc<Shared>,
    request: Request,
    mut input: OwnedReadHalf,
    mut output: OwnedWriteHalf,
) -> Result<(), FrameError> {
    let (replies, mut receiver) = mpsc::channel(64);
    let worker = {
        let shared = Arc::clone(shared);
        async move {
            if let Err(failure) = handle(&shared, request, &replies).await {
                let _ = replies.send(Reply::Failed(failure)).await;
            }
        }
    };
    let writer = async {
        while let Some(reply) = receiver.recv().await {
            frame::write_json(&mut output, &reply).await?;
        }
        Ok(())
    };
    // A client says one thing; when its side closes, nobody listens any more.
    let gone = async {
        let _ = frame::read(&mut input).await;
    };
    tokio::pin!(worker);
    tokio::select! {
        result = async { tokio::join!(&mut worker, writer).1 } => result,
        () = gone => Ok(()),
    }
}

async fn handle(
    shared: &Arc<Shared>,
    request: Request,
    replies: &mpsc::Sender<Reply>,
) -> Result<(), Failure> {
    let reply = match request {
        Request::Status { stack } => Reply::Status { stacks: status::all(shared, stack.as_ref()) },
        Request::Base { stack } => Reply::Base(Box::new(base(shared, &stack).await?)),
        Request::History { stack, before, limit } => {
            history::page(shared, &stack, before, limit).await?
        }
        Request::Show { stack, number } => history::show(shared, &stack, number).await?,
        Request::Check { stack, content } => {
            Reply::Findings { findings: check(shared, &stack, &content).await }
        }
        Request::Missing { digests } => {
            let mut missing = Vec::new();
            for digest in digests {
                if !shared.store.has_blob(&digest).await.map_err(store_failure)? {
                    missing.push(digest);
                }
            }
            Reply::Missing { digests: missing }
        }
        Request::Apply(apply) => return self::apply(shared, *apply, replies).await,
        Request::Down { stack, by } => return down(shared, &stack, by, replies).await,
        Request::Attach { stack } => return attach(shared, &stack, replies).await,
        Request::Cancel { stack, why } => cancel(shared, &stack, why).await?,
        Request::Resume { stack, done, hook } => {
            return resume(shared, &stack, done, hook.as_deref(), replies).await;
        }
        Request::Verify { stack } => verify::verify(shared, &stack).await?,
        Request::Logs { stack, service, instance, tail, follow } => {
            let query = LogQuery { stack, service, instance, tail, follow };
            return logs(shared, query, replies).await;
        }
        Request::Prune { stack, keep, dry_run } => {
            history::prune(shared, &stack, keep, dry_run).await?
        }
        Request::Purge { stack } => purge(shared, &stack).await?,
        Request::ImportCertificate { stack, name, chain_pem, key_pem } => {
            let certificate = shared.certificates.import(&stack, &name, &chain_pem, &key_pem.0)?;
            Reply::Certificate { certificate, findings: Vec::new() }
        }
        Request::IssueCertificate { stack, name, names } => {
            let certificate = shared.certificates.issue(&stack, &name, &names)?;
            Reply::Certificate { certificate, findings: Vec::new() }
        }
        Request::Certificates { stack } => {
            Reply::Certificates { certificates: shared.certificates.all(&stack) }
        }
        Request::Authority => {
            let authority = shared.certificates.authority();
            let pem = authority
                .certificate()
                .map_err(|error| Failure::new(ExitCode::Unexpected, error.to_string()))?;
            let path = authority.certificate_file().display().to_string();
            Reply::Authority { pem, path }
        }
        Request::Doctor => Reply::Doctor(Box::new(doctor::look(shared).await)),
        Request::Stop => {
            shared.stop.notify_one();
            Reply::End
        }
        Request::PutBlob { .. } | Request::Exec { .. } => {
            Reply::Failed(Failure::new(ExitCode::Unexpected, "handled elsewhere"))
        }
    };
    let _ = replies.send(reply).await;
    Ok(())
}

/// What went wrong in the store, as an exit code.
pub(crate) fn store_failure(error: StoreError) -> Failure {
    let exit = match &error {
        StoreError::Corrupt { .. } => ExitCode::Integrity,
        StoreError::Permission { .. } | StoreError::ReadOnly { .. } => ExitCode::Permission,
        StoreError::Missing(_) | StoreError::MissingBlob(_) => ExitCode::NotFound,
        _ => ExitCode::Unexpected,
    };
    Failure::new(exit, error.to_string())
}

/// What stands in the way of a content on this host.
async fn check(shared: &Shared, id: &StackId, content: &Content) -> Vec<Finding> {
    let mut found = shared.engine.check(id, content).await;
    found.extend(shared.edge.check(id, content).await);
    found
}

/// The stack, when there is one of this name.
pub(crate) fn known(shared: &Shared, id: &StackId) -> Result<Arc<Stack>, Failure> {
    let stack = shared.stack(id).ok_or_else(|| {
        Failure::new(ExitCode::NotFound, format!("nothing of {id} is here"))
            .help("`landfall up` brings it here, `landfall status` says what is here")
    })?;
    match stack.trouble() {
        Some(trouble) => Err(Failure::new(ExitCode::Integrity, format!("{id}: {trouble}"))),
        None => Ok(stack),
    }
}

async fn base(shared: &Arc<Shared>, id: &StackId) -> Result<Base, Failure> {
    let head = shared.store.head(id).await.map_err(store_failure)?;
    let stack = shared.stack(id);
    if let Some(trouble) = stack.as_ref().and_then(|stack| stack.trouble()) {
        return Err(Failure::new(ExitCode::Integrity, format!("{id}: {trouble}")));
    }
    let serving = stack.as_ref().and_then(|stack| stack.serving());
    Ok(Base {
        head: head.map(|head| (head.release.number, head.digest)),
        serving: serving.as_ref().map(|it| it.release.number),
        serving_release: serving.map(|it| String::from_utf8_lossy(&it.bytes).into_owned()),
        run: stack.as_ref().and_then(|stack| status::run(stack)),
        idempotency_key: stack.as_ref().and_then(|it| it.last()).and_then(|it| it.idempotency_key),
        certificates: shared.certificates.newest(id),
    })
}

async fn put_blob(
    shared: &Arc<Shared>,
    digest: &landfall_model::Digest,
    input: &mut OwnedReadHalf,
) -> Result<Reply, FrameError> {
    use tokio::io::AsyncWriteExt;
    let folder = shared.options.home.uploads();
    crate::durable::private_folder(&folder)?;
    let file = folder.join(format!("{}.{}", digest.hex(), shared.upload()));
    let mut output = tokio::fs::File::create(&file).await?;
    let received = loop {
        match within(PIECE, frame::read(input)).await {
            Ok(Frame::Bytes(bytes)) if bytes.is_empty() => break Ok(()),
            Ok(Frame::Bytes(bytes)) => {
                if let Err(error) = output.write_all(&bytes).await {
                    break Err(error.into());
                }
            }
            Ok(Frame::Json(_)) => break Err(FrameError::Kind(b'J')),
            Err(error) => break Err(error),
        }
    };
    let received = match received {
        Ok(()) => output.flush().await.map_err(FrameError::from),
        Err(error) => Err(error),
    };
    drop(output);
    let stored = match received {
        Ok(()) => shared.store.put_blob_file(&file).await,
        Err(error) => {
            let _ = tokio::fs::remove_file(&file).await;
            return Err(error);
        }
    };
    let _ = tokio::fs::remove_file(&file).await;
    Ok(match stored {
        Ok((found, _)) if found == *digest => Reply::End,
        Ok((found, _)) => Reply::Failed(Failure::new(
            ExitCode::Integrity,
            format!("the blob that arrived is {found}, not {digest}"),
        )),
        Err(error) => Reply::Failed(store_failure(error)),
    })
}

fn verified(shared: &Shared, apply: &Apply) -> Result<SealedRelease, Failure> {
    let integrity = |message: String| Failure::new(ExitCode::Integrity, message);
    let signature = apply.signature.parse().map_err(|error| integrity(format!("{error}")))?;
    let bytes = apply.release.clone().into_bytes().into();
    let sealed = SealedRelease::parse(bytes, Some(signature))
        .map_err(|error| integrity(error.to_string()))?;
    let trusted = shared.trusted().map_err(|error| integrity(keys_text(&error)))?;
    trusted.verify(&sealed).map_err(|error: SignatureError| {
        integrity(error.to_string()).help(format!(
            "the keys that may deploy here are listed in {}",
            shared.options.home.trusted_keys().display()
        ))
    })?;
    Ok(sealed)
}

fn keys_text(error: &keys::KeysError) -> String {
    crate::stack::chain(error)
}

async fn apply(
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
    let sealed = verified(shared, &apply)?;
    let id = StackId { app: sealed.release.app.clone(), stack: sealed.release.stack.clone() };
    let stack = shared.stack_or_new(&id);
    if let Some(trouble) = stack.trouble() {
        return Err(Failure::new(ExitCode::Integrity, format!("{id}: {trouble}")));
    }
    let _accepting = stack.accept().await;
    if let Some(begun) = join(&stack, &apply) {
        return Ok(begun);
    }
    free(&stack)?;
    fresh(shared, &stack, &apply).await?;
    for digest in sealed.release.content.blobs() {
        if !shared.store.has_blob(&digest).await.map_err(store_failure)? {
            return Err(Failure::new(ExitCode::NotFound, format!("the blob {digest} is not here")));
        }
    }
    for finding in shared.engine.check(&id, &sealed.release.content).await {
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
    (same_key && last.state.ended().is_some())
        .then(|| Begun::Done(Box::new(summary(&last, Measured::default()))))
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

async fn down(
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
    free(stack)?;
    if stack.serving().is_none() {
        let mut summary = Summary::new(ExitCode::Done, None);
        summary.message = Some("nothing runs".into());
        return Ok(Begun::Done(Box::new(summary)));
    }
    let wanted = Wanted { verb: Verb::Down, to: None, by, idempotency_key: None };
    stack.start(wanted).await.map(Begun::Run)
}

async fn attach(
    shared: &Arc<Shared>,
    id: &StackId,
    replies: &mpsc::Sender<Reply>,
) -> Result<(), Failure> {
    let stack = known(shared, id)?;
    match stack.told() {
        Some(run) => run.follow(replies).await,
        None => {
            let last = stack.last().ok_or_else(|| {
                Failure::new(ExitCode::NotFound, format!("{id} was never changed here"))
            })?;
            let summary = summary(&last, Measured::default());
            let _ = replies.send(Reply::Summary(Box::new(summary))).await;
        }
    }
    Ok(())
}

async fn cancel(shared: &Arc<Shared>, id: &StackId, why: String) -> Result<Reply, Failure> {
    let stack = known(shared, id)?;
    let Some(run) = stack.run() else {
        return Err(Failure::new(ExitCode::NotFound, format!("nothing of {id} is in progress")));
    };
    let _ = run.commands.send(Command::Cancel(why)).await;
    Ok(Reply::End)
}

async fn resume(
    shared: &Arc<Shared>,
    id: &StackId,
    done: Option<bool>,
    hook: Option<&str>,
    replies: &mpsc::Sender<Reply>,
) -> Result<(), Failure> {
    let stack = known(shared, id)?;
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

async fn logs(
    shared: &Arc<Shared>,
    query: LogQuery,
    replies: &mpsc::Sender<Reply>,
) -> Result<(), Failure> {
    known(shared, &query.stack)?;
    let mut lines = shared.engine.logs(query);
    while let Some(line) = lines.next().await {
        let line = line.map_err(engine_failure)?;
        let reply = Reply::Log {
            at: line.at,
            group: line.group,
            instance: line.instance,
            error: line.error,
            text: line.text,
        };
        if replies.send(reply).await.is_err() {
            return Ok(());
        }
    }
    let _ = replies.send(Reply::End).await;
    Ok(())
}

fn engine_failure(error: EngineError) -> Failure {
    let exit = match &error {
        EngineError::NotFound(_) => ExitCode::NotFound,
        _ => ExitCode::Unexpected,
    };
    Failure::new(exit, error.to_string())
}

async fn exec(
    shared: &Arc<Shared>,
    request: ExecRequest,
    mut input: OwnedReadHalf,
    mut output: OwnedWriteHalf,
) -> Result<(), FrameError> {
    let known = known(shared, &request.stack);
    let session = match known {
        Ok(_) => shared.engine.exec(request).await.map_err(engine_failure),
        Err(failure) => Err(failure),
    };
    let mut session = match session {
        Ok(session) => session,
        Err(failure) => return frame::write_json(&mut output, &Reply::Failed(failure)).await,
    };
    let keyboard = session.input;
    let typing = async move {
        loop {
            match frame::read(&mut input).await {
                Ok(Frame::Bytes(bytes)) if bytes.is_empty() => return true,
                Ok(Frame::Bytes(bytes)) => {
                    let _ = keyboard.send(bytes).await;
                }
                _ => return false,
            }
        }
    };
    tokio::pin!(typing);
    let mut typed = false;
    loop {
        tokio::select! {
            ended = &mut typing, if !typed => {
                if !ended {
                    return Ok(());
                }
                typed = true;
            }
            event = session.output.recv() => match event {
                Some(SessionOutput::Stdout(bytes)) => write_output(&mut output, false, &bytes).await?,
                Some(SessionOutput::Stderr(bytes)) => write_output(&mut output, true, &bytes).await?,
                Some(SessionOutput::Exit(code)) => {
                    return frame::write_json(&mut output, &Reply::Exit { code }).await;
                }
                None => {
                    let failure = Failure::new(ExitCode::Unknown, "the command is gone");
                    return frame::write_json(&mut output, &Reply::Failed(failure)).await;
                }
            },
        }
    }
}

async fn write_output(
    output: &mut OwnedWriteHalf,
    error: bool,
    bytes: &[u8],
) -> Result<(), FrameError> {
    frame::write_json(output, &Reply::Output { error }).await?;
    frame::write_bytes(output, bytes).await
}

async fn purge(shared: &Arc<Shared>, id: &StackId) -> Result<Reply, Failure> {
    let stack = known(shared, id)?;
    let _accepting = stack.accept().await;
    free(&stack)?;
    if stack.serving().is_some() {
        return Err(
            Failure::new(ExitCode::Usage, format!("{id} still runs")).help("`landfall down` first")
        );
    }
    history::purge(shared, id).await?;
    shared.forget(id);
    Ok(Reply::End)
}
