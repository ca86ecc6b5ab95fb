//! The agent's socket: who may speak, and what happens to what they say.

use crate::agent::Shared;
use crate::stack::Stack;
use crate::{changes, doctor, history, objects, status, streams, verify};
use landfall_engine::{ExecRequest, LogQuery};
use landfall_model::{Content, ExitCode, Finding, StackId};
use landfall_protocol::Hello;
use landfall_protocol::agent::{Base, Failure, Reply, Request};
use landfall_protocol::frame::{self, FrameError};
use landfall_store::StoreError;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::mpsc;

/// How long a client may take to say what it wants.
const PATIENCE: Duration = Duration::from_secs(10);

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

pub(crate) async fn converse(shared: &Arc<Shared>, stream: UnixStream) -> Result<(), FrameError> {
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
            let reply = streams::put_blob(shared, &digest, &mut input).await?;
            frame::write_json(&mut output, &reply).await
        }
        Request::Exec { stack, service, command } => {
            let request = ExecRequest { stack, service, command };
            streams::exec(shared, request, input, output).await
        }
        other => answer(shared, other, input, output).await,
    }
}

/// What a client says is said in time.
pub(crate) async fn within<T>(
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
        Request::Status { stack } => {
            if shared.ground.cluster().is_some() {
                // It has only begun to look.
                for stack in shared.stacks() {
                    verify::settled(shared, &stack).await;
                }
            }
            Reply::Status { stacks: status::all(shared, stack.as_ref()) }
        }
        Request::Base { stack } => Reply::Base(Box::new(base(shared, &stack).await?)),
        Request::History { stack, before, limit } => {
            history::page(shared, &stack, before, limit).await?
        }
        Request::Show { stack, number } => history::show(shared, &stack, number).await?,
        Request::Check { stack, content } => {
            Reply::Findings { findings: check(shared, &stack, &content).await }
        }
        Request::Objects { stack, content, live } => {
            objects::objects(shared, &stack, content, live).await?
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
        Request::Apply(apply) => return changes::apply(shared, *apply, replies).await,
        Request::Down { stack, by } => return changes::down(shared, &stack, by, replies).await,
        Request::Attach { stack } => return changes::attach(shared, &stack, replies).await,
        Request::Cancel { stack, why } => changes::cancel(shared, &stack, why).await?,
        Request::Resume { stack, done, hook } => {
            return changes::resume(shared, &stack, done, hook.as_deref(), replies).await;
        }
        Request::Verify { stack } => verify::verify(shared, &stack).await?,
        Request::Logs { stack, service, instance, tail, follow } => {
            let query = LogQuery { stack, service, instance, tail, follow };
            return streams::logs(shared, query, replies).await;
        }
        Request::Prune { stack, keep, dry_run } => {
            history::prune(shared, &stack, keep, dry_run).await?
        }
        Request::Purge { stack } => changes::purge(shared, &stack).await?,
        Request::ImportCertificate { stack, name, chain_pem, key_pem } => {
            let certificate =
                shared.ground.host()?.certificates.import(&stack, &name, &chain_pem, &key_pem.0)?;
            Reply::Certificate { certificate, findings: Vec::new() }
        }
        Request::IssueCertificate { stack, name, names } => {
            let certificate = shared.ground.host()?.certificates.issue(&stack, &name, &names)?;
            Reply::Certificate { certificate, findings: Vec::new() }
        }
        Request::Certificates { stack } => {
            Reply::Certificates { certificates: shared.ground.host()?.certificates.all(&stack) }
        }
        Request::Authority => {
            let authority = shared.ground.host()?.certificates.authority();
            let pem = authority
                .certificate()
                .map_err(|error| Failure::new(ExitCode::Unexpected, error.to_string()))?;
            let path = authority.certificate_file().display().to_string();
            Reply::Authority { pem, path }
        }
        Request::Doctor => {
            Reply::Doctor(Box::new(doctor::look(shared, shared.ground.host()?).await))
        }
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
    found.extend(shared.ground.check(id, content).await);
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
        certificates: shared.ground.newest_certificates(id),
    })
}
