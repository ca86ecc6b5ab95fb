//! Between the command line and the agent.
//!
//! One connection carries one request. The answer is one [`Reply`], or a stream of them that ends
//! with [`Reply::Summary`], [`Reply::End`], [`Reply::Exit`] or [`Reply::Failed`].

use landfall_model::{
    Certificate, CertificateName, CertificateVersion, Content, Difference, Digest, Event, ExitCode,
    Finding, GroupId, GroupStatus, ListenerName, ListenerProtocol, Manifest, Measured, Millis,
    Outcome, ReleaseNumber, RunId, ServiceName, Source, StackId, Summary, Timestamp, Verb,
};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::net::SocketAddr;

/// What a client asks.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(tag = "ask", rename_all = "kebab-case")]
pub enum Request {
    /// Which stacks there are, and how they are. Answered with [`Reply::Status`].
    Status {
        /// Only this one.
        stack: Option<StackId>,
    },
    /// What a plan starts from. Answered with [`Reply::Base`].
    Base {
        /// The stack.
        stack: StackId,
    },
    /// Releases, newest first. Answered with [`Reply::History`].
    History {
        /// The stack.
        stack: StackId,
        /// Only older ones than this.
        before: Option<ReleaseNumber>,
        /// At most this many.
        limit: usize,
    },
    /// One release. Answered with [`Reply::Release`].
    Show {
        /// The stack.
        stack: StackId,
        /// Its number.
        number: ReleaseNumber,
    },
    /// What stands in the way of a content on this host. Answered with [`Reply::Findings`].
    Check {
        /// The stack.
        stack: StackId,
        /// The content.
        content: Box<Content>,
    },
    /// The objects that a release becomes on a cluster. Answered with [`Reply::Objects`].
    Objects {
        /// The stack.
        stack: StackId,
        /// The content, and the number it would have; nothing for the release that serves.
        content: Option<(Box<Content>, ReleaseNumber)>,
        /// Also say how what stands there differs.
        live: bool,
    },
    /// Which of these blobs are not there. Answered with [`Reply::Missing`].
    Missing {
        /// The digests.
        digests: Vec<Digest>,
    },
    /// A blob, whose bytes follow in byte frames; an empty one ends it. Answered with
    /// [`Reply::End`].
    PutBlob {
        /// Its digest, which is checked.
        digest: Digest,
    },
    /// Seal this release and bring it about. Answered with events and a summary.
    Apply(Box<Apply>),
    /// Stop everything that runs. Answered with events and a summary.
    Down {
        /// The stack.
        stack: StackId,
        /// Who asks, as `user@host`.
        by: String,
    },
    /// Follow the run in progress, or the last one. Answered with events and a summary.
    Attach {
        /// The stack.
        stack: StackId,
    },
    /// Stop the run in progress. Answered with [`Reply::End`].
    Cancel {
        /// The stack.
        stack: StackId,
        /// Who asks, in words.
        why: String,
    },
    /// Say what became of a hook whose outcome is unknown, and go on. Answered with events and a
    /// summary.
    Resume {
        /// The stack.
        stack: StackId,
        /// Whether its job is done; nothing when nobody says.
        done: Option<bool>,
        /// The hook that is meant.
        hook: Option<String>,
    },
    /// Health, listeners and certificates of what serves. Answered with [`Reply::Verified`].
    Verify {
        /// The stack.
        stack: StackId,
    },
    /// Log lines. Answered with [`Reply::Log`]s.
    Logs {
        /// The stack.
        stack: StackId,
        /// Only this service.
        service: Option<ServiceName>,
        /// Only this instance.
        instance: Option<String>,
        /// Lines of the past.
        tail: usize,
        /// Go on.
        follow: bool,
    },
    /// Run a command beside an instance. Its input follows in byte frames; an empty one ends it.
    /// Answered with [`Reply::Output`], each followed by a byte frame, and [`Reply::Exit`].
    Exec {
        /// The stack.
        stack: StackId,
        /// The service.
        service: ServiceName,
        /// The program and its arguments.
        command: Vec<String>,
    },
    /// Remove old releases and what only they need. Answered with [`Reply::Pruned`].
    Prune {
        /// The stack.
        stack: StackId,
        /// How many releases stay.
        keep: usize,
        /// Only say what would go.
        dry_run: bool,
    },
    /// Forget a stack that is down, with its volumes. Answered with [`Reply::End`].
    Purge {
        /// The stack.
        stack: StackId,
    },
    /// Take over a certificate. Answered with [`Reply::Certificate`].
    ImportCertificate {
        /// The stack.
        stack: StackId,
        /// Its name in the file.
        name: CertificateName,
        /// The chain as PEM, leaf first.
        chain_pem: String,
        /// The private key as PEM.
        key_pem: PrivateKey,
    },
    /// Issue a certificate by the local CA. Answered with [`Reply::Certificate`].
    IssueCertificate {
        /// The stack.
        stack: StackId,
        /// Its name in the file.
        name: CertificateName,
        /// The names it should be good for; all of them local.
        names: Vec<String>,
    },
    /// Every version of every certificate of a stack. Answered with [`Reply::Certificates`].
    Certificates {
        /// The stack.
        stack: StackId,
    },
    /// The certificate of the local CA. Answered with [`Reply::Authority`].
    Authority,
    /// How the agent itself is. Answered with [`Reply::Doctor`].
    Doctor,
    /// End the agent; instances and the edge go on. Answered with [`Reply::End`].
    Stop,
}

/// A private key as PEM, which cannot be printed.
#[derive(Clone, Serialize, Deserialize)]
#[serde(transparent)]
pub struct PrivateKey(pub String);

impl std::fmt::Debug for PrivateKey {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("PrivateKey(…)")
    }
}

/// A sealed release and the world it was made for.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Apply {
    /// What it is for.
    pub verb: Verb,
    /// The release as canonical JSON, whose SHA-256 is its digest.
    pub release: String,
    /// The detached signature over that digest: the key's name and the signature.
    pub signature: String,
    /// The newest release when it was made. If it moved, the release is stale.
    pub head: Option<ReleaseNumber>,
    /// What served when it was made. If it moved, the release is stale.
    pub serving: Option<ReleaseNumber>,
    /// What makes a repeated request join this run.
    pub idempotency_key: Option<String>,
    /// Who asks, as `user@host`.
    pub by: String,
}

/// What the agent answers.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(tag = "reply", rename_all = "kebab-case")]
pub enum Reply {
    /// How stacks are.
    Status {
        /// The stacks, sorted.
        stacks: Vec<StackStatus>,
    },
    /// What a plan starts from.
    Base(Box<Base>),
    /// Releases, newest first.
    History {
        /// One page.
        entries: Vec<HistoryEntry>,
    },
    /// One release.
    Release {
        /// Its canonical JSON.
        release: String,
        /// Its digest.
        digest: Digest,
        /// How its rollout ended, when it did.
        outcome: Option<ReleaseOutcome>,
    },
    /// What was found.
    Findings {
        /// Everything that a person should know.
        findings: Vec<Finding>,
    },
    /// Objects of a cluster, in the order in which they are made.
    Objects {
        /// Them; none where an engine writes none.
        objects: Vec<Manifest>,
        /// How what stands there differs, when that was asked for.
        differences: Vec<Difference>,
        /// The release they are of; nothing when none serves.
        release: Option<ReleaseNumber>,
    },
    /// Blobs that are not there.
    Missing {
        /// Their digests.
        digests: Vec<Digest>,
    },
    /// Something happened.
    Event(Box<Event>),
    /// The run is over.
    Summary(Box<Summary>),
    /// What a verification found.
    Verified {
        /// Everything that was looked at, good or bad.
        checks: Vec<Check>,
        /// What serves.
        serving: Option<ReleaseNumber>,
    },
    /// A line of a log.
    Log {
        /// When.
        at: Timestamp,
        /// The group.
        group: GroupId,
        /// The instance.
        instance: String,
        /// Whether it was written to standard error.
        error: bool,
        /// The line.
        text: String,
    },
    /// A byte frame with output of a command follows.
    Output {
        /// Whether it was written to standard error.
        error: bool,
    },
    /// A command ended.
    Exit {
        /// Its code.
        code: i32,
    },
    /// What was, or would be, removed.
    Pruned {
        /// The releases.
        releases: Vec<ReleaseNumber>,
        /// How many blobs; those that were just found unused are deleted by a later prune.
        blobs: u64,
        /// Their size in bytes.
        bytes: u64,
    },
    /// A certificate.
    Certificate {
        /// It.
        certificate: Certificate,
        /// What somebody should know about it.
        findings: Vec<Finding>,
    },
    /// Every version of every certificate, newest first.
    Certificates {
        /// By name.
        certificates: BTreeMap<CertificateName, Vec<Certificate>>,
    },
    /// The certificate of the local CA.
    Authority {
        /// As PEM.
        pem: String,
        /// Where it is on this machine.
        path: String,
    },
    /// How the agent is.
    Doctor(Box<Doctor>),
    /// Done; nothing more to say.
    End,
    /// It could not be done.
    Failed(Failure),
}

/// Why something could not be done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{message}")]
pub struct Failure {
    /// The exit code of the verb.
    pub exit: ExitCode,
    /// In words.
    pub message: String,
    /// The next step.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub help: Option<String>,
}

impl Failure {
    /// A failure without a next step.
    #[must_use]
    pub fn new(exit: ExitCode, message: impl Into<String>) -> Self {
        Self { exit, message: message.into(), help: None }
    }

    /// The same with a next step.
    #[must_use]
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }
}

/// What a plan starts from.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Base {
    /// The newest release.
    pub head: Option<(ReleaseNumber, Digest)>,
    /// What serves.
    pub serving: Option<ReleaseNumber>,
    /// What serves, as canonical JSON.
    pub serving_release: Option<String>,
    /// The run in progress.
    pub run: Option<RunStatus>,
    /// The idempotency key of the last run, whether it is over or not.
    #[serde(default)]
    pub idempotency_key: Option<String>,
    /// The newest version of each certificate.
    pub certificates: BTreeMap<CertificateName, Certificate>,
}

/// A release in the history.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HistoryEntry {
    /// Its number.
    pub number: ReleaseNumber,
    /// Its digest.
    pub digest: Digest,
    /// When it was sealed.
    pub sealed_at: Timestamp,
    /// Who sealed it.
    pub sealed_by: String,
    /// Where it came from.
    pub source: Source,
    /// What it restores.
    pub restores: Option<ReleaseNumber>,
    /// How its rollout ended, when it did.
    pub outcome: Option<ReleaseOutcome>,
    /// Whether it serves.
    pub serving: bool,
    /// What changed against the release before it, in one line.
    pub changed: String,
    /// What is gone of it, when something is, in words.
    pub gone: Option<String>,
}

/// How a release's rollout ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReleaseOutcome {
    /// The format of this record: 1.
    pub format: u16,
    /// The run.
    pub run: RunId,
    /// What it was for.
    pub verb: Verb,
    /// What served before.
    pub from: Option<ReleaseNumber>,
    /// How it ended.
    pub outcome: Outcome,
    /// Why, when it did not succeed.
    pub why: Option<String>,
    /// When it began.
    pub began: Timestamp,
    /// When it ended.
    pub ended: Timestamp,
    /// What the load balancer counted meanwhile; nothing where none of ours does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub measured: Option<Measured>,
}

/// A run in progress.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunStatus {
    /// Its name.
    pub run: RunId,
    /// What it is for.
    pub verb: Verb,
    /// Where it comes from.
    pub from: Option<ReleaseNumber>,
    /// Where it goes.
    pub to: Option<ReleaseNumber>,
    /// Its step, in one word.
    pub step: String,
    /// Since when.
    pub since: Timestamp,
    /// Who asked.
    pub by: String,
    /// Whether it waits for `resume`.
    pub waits: bool,
}

/// How a stack is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StackStatus {
    /// The stack.
    pub stack: StackId,
    /// What serves.
    pub serving: Option<Serving>,
    /// The run in progress.
    pub run: Option<RunStatus>,
    /// How the last run ended.
    pub last: Option<(Verb, Outcome, Option<String>)>,
    /// The groups.
    pub groups: BTreeMap<GroupId, GroupStatus>,
    /// The listeners.
    pub listeners: Vec<ListenerStatus>,
    /// What stands in the way.
    pub problems: Vec<String>,
    /// What the load balancer counted since it started.
    pub measured: Measured,
}

/// What serves.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Serving {
    /// Its number.
    pub number: ReleaseNumber,
    /// Its digest.
    pub digest: Digest,
    /// Since when.
    pub since: Timestamp,
    /// Where it came from.
    pub source: Source,
    /// What it restores.
    pub restores: Option<ReleaseNumber>,
}

/// How a listener is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ListenerStatus {
    /// Its name.
    pub name: ListenerName,
    /// Where it listens.
    pub listen: SocketAddr,
    /// Where clients reach it, in words, when that is somewhere else.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reached: Option<String>,
    /// What is spoken there.
    pub protocol: ListenerProtocol,
    /// An address to open, when it is one for browsers.
    pub url: Option<String>,
    /// The shares in force.
    pub weights: BTreeMap<GroupId, u16>,
    /// Whether it is open.
    pub open: bool,
    /// Its certificate: name, version, end of validity.
    pub certificate: Option<(CertificateName, CertificateVersion, Timestamp)>,
}

/// One thing that was looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Check {
    /// What.
    pub name: String,
    /// Whether it is as it should be.
    pub good: bool,
    /// What was seen.
    pub message: String,
}

/// How the agent is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Doctor {
    /// The version of its program.
    pub version: String,
    /// Its process.
    pub pid: u32,
    /// Since when it runs.
    pub since: Timestamp,
    /// Its folder.
    pub home: String,
    /// Where its metrics are.
    pub metrics: Option<SocketAddr>,
    /// The edge's process and whether it answers.
    pub edge: Option<(u32, bool)>,
    /// Whether it will come back after a reboot.
    pub unit: bool,
    /// How long it took to answer, measured by the agent over its stacks.
    pub took: Millis,
    /// Everything that was looked at.
    pub findings: Vec<Finding>,
}
