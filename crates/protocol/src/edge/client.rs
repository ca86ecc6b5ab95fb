//! The agent's side of the conversation with an edge.

use super::passing;
use super::{Config, Reply, Request, Stats};
use crate::frame::FrameError;
use crate::{Hello, VersionError};
use landfall_model::Timestamp;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::net::UnixStream;
use tokio::time::timeout;

/// How long connecting and the greeting may take.
const GREETING: Duration = Duration::from_secs(5);
/// How long an answer may take.
const ANSWER: Duration = Duration::from_secs(15);

/// Why the edge could not be talked to, or did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum EdgeError {
    /// Nobody listens on the socket, or it may not be opened.
    #[error("could not connect to the edge at {}", path.display())]
    Connect {
        /// The socket.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// No answer in time. The connection is of no more use.
    #[error("the edge did not answer {ask} in time")]
    Deadline {
        /// What was asked.
        ask: &'static str,
    },
    /// The conversation broke. The connection is of no more use.
    #[error("the conversation with the edge broke at {ask}")]
    Broken {
        /// What was asked.
        ask: &'static str,
        /// Why.
        source: FrameError,
    },
    /// An earlier question broke the conversation.
    #[error("the conversation with the edge broke before {ask}")]
    Unusable {
        /// What was asked.
        ask: &'static str,
    },
    /// The edge speaks another version.
    #[error("the edge cannot be understood")]
    Version(#[from] VersionError),
    /// The edge refused.
    #[error("the edge refused {ask}: {why}")]
    Refused {
        /// What was asked.
        ask: &'static str,
        /// Its words.
        why: String,
    },
    /// The edge answered something else. The connection is of no more use.
    #[error("the edge answered {ask} with something else")]
    Unexpected {
        /// What was asked.
        ask: &'static str,
    },
}

/// A configuration that is in force.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Configured {
    /// Its revision.
    pub revision: u64,
    /// Listeners that could not be served as asked, by `app/stack listener`, and why.
    pub problems: BTreeMap<String, String>,
}

/// A conversation with one edge process. Every question has a deadline; after a failed one (other
/// than a refusal) connect again.
#[derive(Debug)]
pub struct EdgeClient {
    stream: UnixStream,
    program: String,
    usable: bool,
}

impl EdgeClient {
    /// Connects and exchanges greetings.
    ///
    /// # Errors
    /// When nobody listens there, or another version of the protocol is spoken.
    pub async fn connect(path: &Path) -> Result<Self, EdgeError> {
        const ASK: &str = "the greeting";
        let stream = timeout(GREETING, UnixStream::connect(path))
            .await
            .map_err(|_| EdgeError::Deadline { ask: ASK })?
            .map_err(|source| EdgeError::Connect { path: path.to_owned(), source })?;
        let mut client = Self { stream, program: String::new(), usable: true };
        let (theirs, _) = client.ask::<Hello>(ASK, &Hello::ours(), &[], GREETING).await?;
        theirs.accept()?;
        client.program = theirs.program;
        Ok(client)
    }

    /// The version of the edge's program.
    #[must_use]
    pub fn program(&self) -> &str {
        &self.program
    }

    /// Puts a whole configuration in force. Only sockets that this edge does not have yet need to
    /// come with it.
    ///
    /// # Errors
    /// When it is older than what is in force, or the conversation broke.
    pub async fn configure(
        &mut self,
        config: Config,
        sockets: &[(SocketAddr, BorrowedFd<'_>)],
    ) -> Result<Configured, EdgeError> {
        const ASK: &str = "a configuration";
        let (addresses, descriptors): (Vec<_>, Vec<_>) = sockets.iter().copied().unzip();
        let request = Request::Configure { config, sockets: addresses };
        match self.ask(ASK, &request, &descriptors, ANSWER).await? {
            (Reply::Configured { revision, problems }, _) => Ok(Configured { revision, problems }),
            (reply, _) => Err(self.otherwise(ASK, reply)),
        }
    }

    /// What has been counted.
    ///
    /// # Errors
    /// When the conversation broke.
    pub async fn stats(&mut self) -> Result<Stats, EdgeError> {
        const ASK: &str = "for its counts";
        match self.ask(ASK, &Request::Stats, &[], ANSWER).await? {
            (Reply::Stats(stats), _) => Ok(stats),
            (reply, _) => Err(self.otherwise(ASK, reply)),
        }
    }

    /// Duplicates of the listening sockets that the edge has. A retiring edge has none.
    ///
    /// # Errors
    /// When the conversation broke.
    pub async fn sockets(&mut self) -> Result<Vec<(SocketAddr, OwnedFd)>, EdgeError> {
        const ASK: &str = "for its sockets";
        match self.ask(ASK, &Request::Sockets, &[], ANSWER).await? {
            (Reply::Sockets { addresses }, descriptors) if addresses.len() == descriptors.len() => {
                Ok(addresses.into_iter().zip(descriptors).collect())
            }
            (reply, _) => Err(self.otherwise(ASK, reply)),
        }
    }

    /// Lets the edge stop accepting, finish what runs until then, and exit. When this returns it
    /// accepts nothing more. It can still be configured and asked for its counts until it exits.
    ///
    /// # Errors
    /// When the conversation broke.
    pub async fn retire(&mut self, until: Timestamp) -> Result<(), EdgeError> {
        const ASK: &str = "to retire";
        match self.ask(ASK, &Request::Retire { until }, &[], ANSWER).await? {
            (Reply::Retiring, _) => Ok(()),
            (reply, _) => Err(self.otherwise(ASK, reply)),
        }
    }

    fn otherwise(&mut self, ask: &'static str, reply: Reply) -> EdgeError {
        if let Reply::Failed { why } = reply {
            EdgeError::Refused { ask, why }
        } else {
            self.usable = false;
            EdgeError::Unexpected { ask }
        }
    }

    async fn ask<T: DeserializeOwned>(
        &mut self,
        ask: &'static str,
        message: &impl Serialize,
        descriptors: &[BorrowedFd<'_>],
        within: Duration,
    ) -> Result<(T, Vec<OwnedFd>), EdgeError> {
        if !std::mem::replace(&mut self.usable, false) {
            return Err(EdgeError::Unusable { ask });
        }
        let exchange = async {
            passing::send(&self.stream, message, descriptors).await?;
            passing::receive(&self.stream).await
        };
        let answer = timeout(within, exchange)
            .await
            .map_err(|_| EdgeError::Deadline { ask })?
            .map_err(|source| EdgeError::Broken { ask, source })?;
        self.usable = true;
        Ok(answer)
    }
}
