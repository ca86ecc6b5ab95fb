//! What an engine is: something that brings about a desired state and says what it sees.
//!
//! An engine is told *this is the desired state, revision R* and never *do this now*; so applying
//! the last state again is the whole of recovery. It keeps the highest fence it has accepted,
//! durably, and refuses anything older: the receiver checks, not the sender.
//!
//! A new engine is a crate that implements [`Engine`], a test that calls
//! [`conformance::run`], and one line where engines are made.

pub mod conformance;
pub mod simulated;

use async_trait::async_trait;
use futures::stream::BoxStream;
use landfall_model::{
    Certificate, CertificateName, Content, Desired, Difference, Digest, Fence, Finding, GroupId,
    Manifest, Observed, ServiceName, StackId, Strategy, Timestamp,
};

// What engines are given and what they keep to themselves is wrapped in it.
pub use landfall_model::Secret;
use std::path::PathBuf;
use std::sync::Arc;

/// What an engine can do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Capabilities {
    /// Its name in the file.
    pub name: &'static str,
    /// The strategies it supports.
    pub strategies: Vec<Strategy>,
    /// Whether it reports connections, so that a drain can end early.
    pub counts_connections: bool,
    /// Whether it counts requests, so that it can say how many were lost.
    pub counts_requests: bool,
    /// Whether commands can be run beside an instance.
    pub exec: bool,
}

/// Why an engine could not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// A newer writer was here.
    #[error("a newer writer holds this stack: accepted {accepted}, offered {offered}")]
    Superseded {
        /// The highest fence accepted so far.
        accepted: Fence,
        /// The fence that was offered.
        offered: Fence,
    },
    /// Something that was named does not exist.
    #[error("{0} does not exist")]
    NotFound(String),
    /// A part of the release cannot be had.
    #[error("cannot get {what}: {why}")]
    Material {
        /// The part.
        what: String,
        /// Why not.
        why: String,
    },
    /// It is not allowed, or a part of it is somebody else's: trying again does not help.
    #[error("cannot {operation}: {why}")]
    Refused {
        /// What was tried.
        operation: String,
        /// Why it was refused, and what to do.
        why: String,
    },
    /// The engine itself is in trouble; trying again may help.
    #[error("cannot {operation}: {why}")]
    Failed {
        /// What was tried.
        operation: String,
        /// Why it failed.
        why: String,
    },
}

/// The parts of a release that are not in it: blobs by digest, certificates by version.
#[async_trait]
pub trait Materials: Send + Sync {
    /// A local file that holds the blob with this digest, verified.
    async fn blob(&self, digest: &Digest) -> Result<PathBuf, EngineError>;

    /// The chain and key of one version of a certificate.
    async fn certificate(
        &self,
        stack: &StackId,
        name: &CertificateName,
        certificate: &Certificate,
    ) -> Result<KeyPair, EngineError>;
}

/// A certificate chain and its private key. The key cannot be printed.
#[derive(Clone)]
pub struct KeyPair {
    /// The chain as PEM, leaf first.
    pub chain_pem: String,
    /// The private key as PEM.
    pub key_pem: Secret,
}

/// Which log lines are wanted.
#[derive(Debug, Clone)]
pub struct LogQuery {
    /// The stack.
    pub stack: StackId,
    /// Only this service.
    pub service: Option<ServiceName>,
    /// Only this instance.
    pub instance: Option<String>,
    /// At most this many lines of the past from each instance.
    pub tail: usize,
    /// Go on with new lines, also of instances that start later.
    pub follow: bool,
}

/// One line that an instance wrote.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogLine {
    /// When it was read.
    pub at: Timestamp,
    /// The group.
    pub group: GroupId,
    /// The instance.
    pub instance: String,
    /// Whether it was written to standard error.
    pub error: bool,
    /// The line without its end.
    pub text: String,
}

/// A command to run beside an instance: same artifact, environment and user.
#[derive(Debug, Clone)]
pub struct ExecRequest {
    /// The stack.
    pub stack: StackId,
    /// The service whose newest ready instance is meant.
    pub service: ServiceName,
    /// The program and its arguments.
    pub command: Vec<String>,
}

/// A running command.
pub struct Session {
    /// Bytes for its standard input; dropping it closes the input.
    pub input: tokio::sync::mpsc::Sender<Vec<u8>>,
    /// What it writes, then how it ended.
    pub output: tokio::sync::mpsc::Receiver<SessionOutput>,
}

/// What a running command does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SessionOutput {
    /// Bytes of its standard output.
    Stdout(Vec<u8>),
    /// Bytes of its standard error.
    Stderr(Vec<u8>),
    /// It ended; 128 + signal when a signal ended it. Nothing follows.
    Exit(i32),
}

/// Something that brings about a desired state and says what it sees.
#[async_trait]
pub trait Engine: Send + Sync {
    /// What it can do.
    fn capabilities(&self) -> Capabilities;

    /// What stands in the way of this content. Reads only.
    async fn check(&self, stack: &StackId, content: &Content) -> Vec<Finding>;

    /// Takes over a desired state, durably, and returns at once; the work goes on behind it.
    /// Equal fences are accepted again.
    ///
    /// # Errors
    /// [`EngineError::Superseded`] when a newer fence was accepted before.
    async fn apply(
        &self,
        desired: Desired,
        materials: Arc<dyn Materials>,
    ) -> Result<(), EngineError>;

    /// The objects that a desired state becomes, for people; none where an engine writes none.
    fn render(&self, _desired: &Desired) -> Vec<Manifest> {
        Vec::new()
    }

    /// How what stands differs from what a desired state wants. Reads only.
    ///
    /// # Errors
    /// When it cannot be read.
    async fn differences(&self, _desired: &Desired) -> Result<Vec<Difference>, EngineError> {
        Ok(Vec::new())
    }

    /// What it sees, now and after every change.
    fn watch(&self, stack: &StackId) -> tokio::sync::watch::Receiver<Observed>;

    /// Log lines, the past first.
    fn logs(&self, query: LogQuery) -> BoxStream<'static, Result<LogLine, EngineError>>;

    /// Forgets a stack of which nothing is wanted any more: its desired state, its fence and, for
    /// good, its volumes.
    ///
    /// # Errors
    /// When something of it still runs or is wanted, or cannot be removed.
    async fn forget(&self, stack: &StackId) -> Result<(), EngineError>;

    /// Runs a command beside an instance.
    ///
    /// # Errors
    /// When there is no such instance, or the command cannot be started.
    async fn exec(&self, request: ExecRequest) -> Result<Session, EngineError>;
}
