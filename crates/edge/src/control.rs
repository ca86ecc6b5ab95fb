//! The socket on which the agent talks to the edge.

use crate::clock::remaining;
use crate::edge::{Edge, Refusal};
use landfall_protocol::Hello;
use landfall_protocol::edge::passing::{receive, send};
use landfall_protocol::edge::{Reply, Request};
use landfall_protocol::frame::FrameError;
use rustix::net::{RecvFlags, recv};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::io::Interest;
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::watch;
use tokio::time::{sleep, timeout};

/// How long a message may take once its first byte is there, and an answer to be taken.
const MESSAGE: Duration = Duration::from_secs(10);
/// How long nothing is accepted after an error.
const EXHAUSTED: Duration = Duration::from_millis(100);

/// The control socket. Its file disappears with it.
pub(crate) struct Control {
    listener: UnixListener,
    path: PathBuf,
    inode: u64,
    talking: watch::Sender<usize>,
}

impl Control {
    /// Listens at this path, for this user alone. A socket that nobody listens on is replaced.
    pub(crate) fn bind(path: &Path) -> std::io::Result<Self> {
        if path.exists() && std::os::unix::net::UnixStream::connect(path).is_err() {
            std::fs::remove_file(path)?;
        }
        let mask = rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o177));
        let bound = UnixListener::bind(path);
        rustix::process::umask(mask);
        let listener = bound?;
        let inode = std::fs::metadata(path)?.ino();
        Ok(Self { listener, path: path.to_owned(), inode, talking: watch::Sender::new(0) })
    }

    /// Talks to whoever connects, for ever; dropping it ends all conversations.
    pub(crate) async fn serve(&self, edge: &Arc<Edge>) {
        let mut conversations = tokio::task::JoinSet::new();
        loop {
            tokio::select! {
                accepted = self.listener.accept() => match accepted {
                    Ok((stream, _)) => {
                        conversations.spawn(converse(Arc::clone(edge), stream));
                        self.talking.send_replace(conversations.len());
                    }
                    Err(error) => {
                        tracing::warn!(%error, "the agent cannot connect for a moment");
                        sleep(EXHAUSTED).await;
                    }
                },
                Some(ended) = conversations.join_next() => {
                    self.talking.send_replace(conversations.len());
                    if let Err(error) = ended {
                        tracing::error!(%error, "a conversation failed");
                    }
                },
            }
        }
    }

    /// Waits until nobody talks to the edge.
    pub(crate) async fn quiet(&self) {
        let mut talking = self.talking.subscribe();
        drop(talking.wait_for(|count| *count == 0).await);
    }
}

impl Drop for Control {
    fn drop(&mut self) {
        let ours = std::fs::metadata(&self.path).is_ok_and(|found| found.ino() == self.inode);
        if ours && let Err(error) = std::fs::remove_file(&self.path) {
            tracing::debug!(%error, "the control socket's file remains");
        }
    }
}

async fn converse(edge: Arc<Edge>, stream: UnixStream) {
    match conversation(&edge, &stream).await {
        Ok(()) | Err(FrameError::Closed) => {}
        Err(error) => tracing::warn!(%error, "a conversation with the agent broke"),
    }
}

async fn conversation(edge: &Arc<Edge>, stream: &UnixStream) -> Result<(), FrameError> {
    let (theirs, _) = within(receive::<Hello>(stream)).await?;
    within(send(stream, &Hello::ours(), &[])).await?;
    if let Err(error) = theirs.accept() {
        tracing::warn!(%error, "an agent was refused");
        return Ok(());
    }
    loop {
        something(stream).await?;
        let (request, descriptors) = within(receive::<Request>(stream)).await?;
        let (reply, sockets) = answer(edge, request, descriptors).await;
        let borrowed: Vec<BorrowedFd<'_>> = sockets.iter().map(AsFd::as_fd).collect();
        within(send(stream, &reply, &borrowed)).await?;
    }
}

/// Waits, for as long as it takes, until there is something to read, or the end.
async fn something(stream: &UnixStream) -> std::io::Result<()> {
    let peek = || {
        let mut byte = [0_u8; 1];
        recv(stream, &mut byte, RecvFlags::PEEK | RecvFlags::DONTWAIT).map_err(Into::into)
    };
    stream.async_io(Interest::READABLE, peek).await.map(drop)
}

async fn within<T>(doing: impl Future<Output = Result<T, FrameError>>) -> Result<T, FrameError> {
    timeout(MESSAGE, doing)
        .await
        .unwrap_or_else(|_| Err(std::io::Error::from(std::io::ErrorKind::TimedOut).into()))
}

async fn answer(
    edge: &Arc<Edge>,
    request: Request,
    descriptors: Vec<OwnedFd>,
) -> (Reply, Vec<OwnedFd>) {
    match request {
        Request::Configure { config, sockets } => {
            let configured = if sockets.len() == descriptors.len() {
                let offered = sockets.into_iter().zip(descriptors).collect();
                edge.configure(&config, offered).await
            } else {
                let (addresses, descriptors) = (sockets.len(), descriptors.len());
                Err(Refusal::Count { addresses, descriptors })
            };
            let reply = match configured {
                Ok(problems) => Reply::Configured { revision: config.revision, problems },
                Err(refusal) => failed(&refusal),
            };
            (reply, Vec::new())
        }
        Request::Stats => (Reply::Stats(edge.stats()), Vec::new()),
        Request::Sockets => match edge.sockets().await {
            Ok(sockets) => {
                let (addresses, descriptors) = sockets.into_iter().unzip();
                (Reply::Sockets { addresses }, descriptors)
            }
            Err(error) => (failed(&error), Vec::new()),
        },
        Request::Retire { until } => {
            tracing::info!(within = ?remaining(until), "the edge retires");
            edge.retire(until).await;
            (Reply::Retiring, Vec::new())
        }
    }
}

fn failed(error: &dyn std::error::Error) -> Reply {
    let mut why = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        why = format!("{why}: {cause}");
        source = cause.source();
    }
    Reply::Failed { why }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tls::with_rustls::Rustls;
    use landfall_protocol::edge::Stats;

    #[tokio::test(start_paused = true)]
    async fn an_agent_may_be_silent_for_long() {
        let (agent, ours) = UnixStream::pair().expect("a pair");
        let edge = Arc::new(Edge::new(Box::new(Rustls::new().expect("keys")), 1));
        let conversing = tokio::spawn(async move { conversation(&edge, &ours).await });
        send(&agent, &Hello::ours(), &[]).await.expect("sent");
        receive::<Hello>(&agent).await.expect("received");
        for _ in 0..3 {
            sleep(MESSAGE * 10).await;
            send(&agent, &Request::Stats, &[]).await.expect("sent");
            let (reply, _) = receive::<Reply>(&agent).await.expect("received");
            assert!(matches!(reply, Reply::Stats(Stats { revision: 0, .. })), "{reply:?}");
        }
        drop(agent);
        let ended = conversing.await.expect("joined");
        assert!(matches!(ended, Err(FrameError::Closed)), "{ended:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_message_that_does_not_end_is_given_up() {
        let (agent, ours) = UnixStream::pair().expect("a pair");
        let edge = Arc::new(Edge::new(Box::new(Rustls::new().expect("keys")), 1));
        agent.try_write(b"J\0\0").expect("written");
        let ended = conversation(&edge, &ours).await.expect_err("given up");
        assert!(matches!(ended, FrameError::Io(_)), "{ended:?}");
    }
}
