//! A command beside an instance, in its container.

use crate::error::failed;
use crate::objects::selector;
use crate::observe::is_ready;
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Status;
use kube::api::{AttachParams, AttachedProcess, ListParams};
use kube::{Api, Client, ResourceExt};
use landfall_engine::{EngineError, ExecRequest, Session, SessionOutput};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::sync::mpsc;

/// Pieces that wait for the other side.
const WAITING: usize = 16;
/// The largest piece.
const PIECE: usize = 32 * 1024;
/// What a shell says of a command that ended without a status.
const NO_STATUS: i32 = 255;

pub(crate) async fn exec(
    client: &Client,
    namespace: &str,
    request: ExecRequest,
) -> Result<Session, EngineError> {
    let pods: Api<Pod> = Api::namespaced(client.clone(), namespace);
    let labels = selector(&request.stack, &request.service, None);
    let labels: Vec<String> = labels.iter().map(|(key, value)| format!("{key}={value}")).collect();
    let listed = pods.list(&ListParams::default().labels(&labels.join(","))).await;
    let listed = listed.map_err(|error| failed("list the pods", &error))?;
    let newest = listed
        .items
        .into_iter()
        .filter(is_ready)
        .max_by_key(|pod| pod.metadata.creation_timestamp.as_ref().map(|time| time.0));
    let pod = newest
        .ok_or_else(|| EngineError::NotFound(format!("a ready instance of {}", request.service)))?;
    let params = AttachParams::default()
        .stdin(true)
        .stdout(true)
        .stderr(true)
        .container(request.service.as_str());
    let process = pods
        .exec(&pod.name_any(), &request.command, &params)
        .await
        .map_err(|error| failed(format!("run a command in {}", pod.name_any()), &error))?;
    Ok(session(process))
}

fn session(mut process: AttachedProcess) -> Session {
    let (input, mut typed) = mpsc::channel::<Vec<u8>>(WAITING);
    let (said, output) = mpsc::channel(WAITING);
    let stdin = process.stdin();
    let (stdout, stderr) = (process.stdout(), process.stderr());
    let status = process.take_status();
    tokio::spawn(async move {
        let Some(mut stdin) = stdin else { return };
        while let Some(bytes) = typed.recv().await {
            if stdin.write_all(&bytes).await.is_err() {
                return;
            }
        }
        let _ = stdin.shutdown().await;
    });
    tokio::spawn(async move {
        let out = copy(stdout, said.clone(), SessionOutput::Stdout);
        let errors = copy(stderr, said.clone(), SessionOutput::Stderr);
        tokio::join!(out, errors);
        let status = match status {
            Some(status) => status.await,
            None => None,
        };
        let (code, why) = status.map_or((NO_STATUS, None), |status| ended(&status));
        if let Some(why) = why {
            let _ = said.send(SessionOutput::Stderr(format!("{why}\n").into_bytes())).await;
        }
        let _ = said.send(SessionOutput::Exit(code)).await;
        drop(process);
    });
    Session { input, output }
}

/// The exit code, and why the command could not even be started.
fn ended(status: &Status) -> (i32, Option<String>) {
    if status.status.as_deref() == Some("Success") {
        return (0, None);
    }
    let causes = status.details.as_ref().and_then(|details| details.causes.as_ref());
    let mut causes = causes.into_iter().flatten();
    let code = causes.find(|it| it.reason.as_deref() == Some("ExitCode"));
    match code.and_then(|it| it.message.as_ref()?.parse().ok()) {
        Some(code) => (code, None),
        None => (NO_STATUS, status.message.clone()),
    }
}

async fn copy(
    from: Option<impl AsyncRead + Unpin>,
    to: mpsc::Sender<SessionOutput>,
    wrap: impl Fn(Vec<u8>) -> SessionOutput,
) {
    let Some(mut from) = from else { return };
    let mut buffer = vec![0; PIECE];
    while let Ok(count) = from.read(&mut buffer).await {
        if count == 0 || to.send(wrap(buffer[..count].to_vec())).await.is_err() {
            return;
        }
    }
}
