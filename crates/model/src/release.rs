//! A release: everything that is needed to run one version of an application, sealed once.

use crate::{
    AppName, Balancer, Bytes, CertificateName, CertificateVersion, Cpu, Digest, HookName,
    ListenerName, Millis, OptionName, OptionValue, ReleaseNumber, ServiceName, StackName,
    Timestamp, VolumeName,
};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::net::SocketAddr;

/// The format of sealed releases that this program writes. Older formats stay readable.
pub const FORMAT: u16 = 1;

/// A release as sealed: never edited afterwards, named by the SHA-256 of its canonical JSON.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Release {
    /// The format of this record, see [`FORMAT`].
    pub format: u16,
    /// The application.
    pub app: AppName,
    /// The stack.
    pub stack: StackName,
    /// Its number in the stack.
    pub number: ReleaseNumber,
    /// The release that a roll back or forward brings back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub restores: Option<ReleaseNumber>,
    /// What differs from the release that this one restores, and why.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub substitutions: Vec<Substitution>,
    /// When it was sealed.
    pub sealed_at: Timestamp,
    /// Who sealed it, as `user@host`.
    pub sealed_by: String,
    /// The source revision it was made from.
    pub source: Source,
    /// What runs. Two releases with equal content are the same thing under two numbers.
    pub content: Content,
}

/// Something that a restored release does not bring back, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Substitution {
    /// The path in the content, like `certificates.shop`.
    pub path: String,
    /// What the restored release had.
    pub from: String,
    /// What this release has.
    pub to: String,
    /// Why.
    pub because: String,
}

/// Where the release came from.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Source {
    /// The revision of the working tree, when it is under version control.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revision: Option<String>,
    /// Whether the working tree differed from that revision.
    #[serde(default)]
    pub dirty: bool,
}

/// Everything that decides what runs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Content {
    /// Every option with the place its value came from.
    pub options: BTreeMap<OptionName, (OptionValue, Provenance)>,
    /// Certificates by version; their keys stay where the engine is.
    pub certificates: BTreeMap<CertificateName, Certificate>,
    /// The services.
    pub services: BTreeMap<ServiceName, Service>,
    /// The listeners.
    pub listeners: BTreeMap<ListenerName, Listener>,
    /// Commands that run before traffic moves, in order.
    pub hooks: Vec<Hook>,
    /// How to get there.
    pub rollout: RolloutPolicy,
}

/// Where a value came from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Provenance {
    /// In words: `default`, `set by stack prod`.
    pub from: String,
    /// `file:line:column`, where there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub place: Option<String>,
}

/// A packed artifact in the blob store.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Artifact {
    /// The digest of the compressed archive, which is its name in the store.
    pub digest: Digest,
    /// The size of the compressed archive.
    pub size: Bytes,
    /// The path it was packed from, as written in the file.
    pub path: String,
}

/// One version of a certificate.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Certificate {
    /// Its version.
    pub version: CertificateVersion,
    /// The names it is good for.
    pub names: Vec<String>,
    /// The SHA-256 of the leaf's DER.
    pub fingerprint: Digest,
    /// The start of its validity.
    pub not_before: Timestamp,
    /// The end of its validity.
    pub not_after: Timestamp,
    /// Who made it.
    pub source: CertificateSource,
    /// What AWS's certificate manager knows it by, when it is there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub acm: Option<AcmCertificate>,
}

/// A certificate in AWS's certificate manager. Each ARN is one version: what is behind one may be
/// replaced there, and ACM cannot go back to what it had before.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AcmCertificate {
    /// Its ARN.
    pub arn: String,
    /// Its key, in ACM's words: `RSA_2048`, `EC_prime256v1`; nothing when ACM could not be asked.
    /// Names and dates of the certificate are then those that the file says, or unlimited.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
}

/// Who made a certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum CertificateSource {
    /// Brought by `landfall cert import`.
    Imported,
    /// Issued by the local development CA.
    LocalCa,
    /// In AWS's certificate manager.
    Acm,
}

/// A group of equal processes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Service {
    /// What it runs from, on engines that run processes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub artifact: Option<Artifact>,
    /// The OCI image it runs from, by digest, on engines that run containers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image: Option<String>,
    /// Whether the image is on every node already, so that no registry is asked for it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub preloaded: bool,
    /// The port it listens on where it has an address of its own; elsewhere the engine chooses.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub port: Option<u16>,
    /// The program and its arguments; a relative program is looked up in the artifact first.
    pub command: Vec<String>,
    /// How many instances.
    pub replicas: u16,
    /// The environment, beside `HOST`, `PORT` and `LANDFALL_RELEASE`.
    pub env: BTreeMap<String, String>,
    /// When an instance is ready for traffic.
    pub health: Health,
    /// How an instance is stopped.
    pub stop: Stop,
    /// Whether two releases of it may run at once.
    pub overlap: bool,
    /// Folders that outlive a release, by the path inside the working folder.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub volumes: BTreeMap<VolumeName, Volume>,
    /// Limits.
    #[serde(default)]
    pub resources: Resources,
}

/// A folder that outlives a release.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Volume {
    /// Where the service finds it, relative to its working folder.
    pub path: String,
}

/// Limits of one instance.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Resources {
    /// At most this share of processors.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cpu: Option<Cpu>,
    /// At most this much memory.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory: Option<Bytes>,
}

/// How the health of an instance is found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Health {
    /// What is asked.
    pub check: HealthCheck,
    /// Time between two checks.
    pub every: Millis,
    /// Time within which an answer must come.
    pub timeout: Millis,
    /// Good answers in a row that make an instance healthy.
    pub healthy: u16,
    /// Bad answers in a row that make it unhealthy.
    pub unhealthy: u16,
}

/// What a health check asks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum HealthCheck {
    /// `GET` this path: 200 to 399 is good.
    Http {
        /// The path, with its leading slash.
        path: String,
    },
    /// The port takes a connection.
    Tcp,
    /// The process runs.
    Process,
}

/// How an instance is stopped.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stop {
    /// The signal that asks it to end.
    pub signal: Signal,
    /// How long it may take before it is killed.
    pub grace: Millis,
}

/// A signal that asks a process to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Signal {
    /// SIGTERM.
    Term,
    /// SIGINT.
    Int,
    /// SIGQUIT.
    Quit,
    /// SIGHUP.
    Hup,
    /// SIGUSR1.
    Usr1,
    /// SIGUSR2.
    Usr2,
}

/// A port that the load balancer listens on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Listener {
    /// The address and port.
    pub listen: SocketAddr,
    /// What is spoken there, in AWS's words.
    pub protocol: ListenerProtocol,
    /// The certificate, for `tls` and `https`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub certificate: Option<CertificateName>,
    /// The named TLS policy, for `tls` and `https`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub policy: Option<String>,
    /// The host names it answers to; none means all. Listeners on one port are told apart by them.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub hosts: BTreeSet<String>,
    /// Where it goes.
    pub route: Route,
    /// What listens, on a cluster; nothing where the edge does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub balancer: Option<Balancer>,
}

/// What is spoken on a listener, in AWS's words.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ListenerProtocol {
    /// TLS ends here and the bytes go on as they are (what an NLB does).
    Tls,
    /// Bytes go on as they are.
    Tcp,
    /// TLS ends here and requests are understood.
    Https,
    /// Requests without TLS.
    Http,
}

impl ListenerProtocol {
    /// The word in the file.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Tls => "tls",
            Self::Tcp => "tcp",
            Self::Https => "https",
            Self::Http => "http",
        }
    }

    /// Whether TLS ends here.
    #[must_use]
    pub const fn terminates_tls(self) -> bool {
        matches!(self, Self::Tls | Self::Https)
    }
}

impl fmt::Display for ListenerProtocol {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.word())
    }
}

/// Where a listener's traffic goes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Route {
    /// To the instances of a service.
    To(ServiceName),
    /// Back to the client, with the `https` address on this port.
    RedirectHttps {
        /// The port in the address; 443 is left out of it.
        port: u16,
    },
}

/// A command that runs once in a rollout, before traffic moves.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hook {
    /// Its name.
    pub name: HookName,
    /// The service whose artifact and environment it uses.
    pub service: ServiceName,
    /// The program and its arguments.
    pub command: Vec<String>,
    /// How long it may take.
    pub timeout: Millis,
    /// The verbs it runs on.
    pub on: BTreeSet<Verb>,
    /// Whether it may be started again when its outcome is unknown.
    pub retry_safe: bool,
}

/// What a rollout is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verb {
    /// A new release.
    Up,
    /// An older release brought back.
    Rollback,
    /// The undoing of a roll back.
    Forward,
    /// The end of everything that runs.
    Down,
}

impl fmt::Display for Verb {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Up => "up",
            Self::Rollback => "rollback",
            Self::Forward => "forward",
            Self::Down => "down",
        })
    }
}

/// How to get from one release to the next.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RolloutPolicy {
    /// All at once or one by one.
    pub strategy: Strategy,
    /// How long connections to the old instances may finish.
    pub drain: Millis,
    /// How long the new release is watched with traffic before the old one goes.
    pub bake: Millis,
    /// How long the new instances may take to become healthy.
    pub deadline: Millis,
}

/// All at once or one by one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Strategy {
    /// All new instances beside all old ones, then one switch.
    BlueGreen,
    /// One new instance, one old one less, until all are new.
    Rolling,
}

impl Content {
    /// The services that a listener sends traffic to.
    #[must_use]
    pub fn served(&self) -> BTreeSet<&ServiceName> {
        self.listeners
            .values()
            .filter_map(|listener| match &listener.route {
                Route::To(service) => Some(service),
                Route::RedirectHttps { .. } => None,
            })
            .collect()
    }

    /// Every blob that an engine needs to run this.
    #[must_use]
    pub fn blobs(&self) -> BTreeSet<Digest> {
        self.services.values().filter_map(|it| it.artifact.as_ref()).map(|it| it.digest).collect()
    }
}
