//! Pure types that every other crate speaks.
//!
//! Nothing in here does input or output, reads a clock, or knows an engine. A type belongs here as
//! soon as two crates need it, so that arrows between crates only ever point down.
//!
//! What flows: the file is resolved to a [`Content`], sealed as a [`Release`], turned into a
//! [`Desired`] state with a [`Fence`], answered by an engine's [`Observed`] state, and told to
//! people as [`Event`]s that end in an [`ExitCode`].

mod balancer;
mod chain;
mod desired;
mod digest;
mod event;
mod exit;
mod finding;
mod manifest;
mod name;
mod number;
mod observed;
mod release;
mod secret;
mod span;
mod value;

pub use balancer::{
    Balancer, NLB_PREFIX, NLB_STATED, Nlb, NlbAlpn, NlbClass, NlbHealth, NlbScheme, Provider,
    ServiceKind,
};
pub use chain::chain;
pub use desired::{Desired, Draining, Fence, Group, GroupId, Job, JobId, ListenerState, StackId};
pub use digest::{Digest, DigestError};
pub use event::{EVENT_SCHEMA, Event, EventKind, Level, Measured, RunId, Summary};
pub use exit::{ExitCode, Outcome};
pub use finding::{Finding, Severity};
pub use manifest::{Difference, Manifest, manifest_fields, manifest_step};
pub use name::{
    AppName, CertificateName, HookName, ListenerName, NameError, OptionName, ServiceName,
    StackName, VolumeName,
};
pub use number::{CertificateVersion, Epoch, ReleaseNumber, Revision, Sequence};
pub use observed::{GroupStatus, InstanceState, InstanceStatus, JobState, Observed};
pub use release::{
    AcmCertificate, Artifact, Certificate, CertificateSource, Content, FORMAT, Health, HealthCheck,
    Hook, Listener, ListenerProtocol, Provenance, Release, Resources, RolloutPolicy, Route,
    Service, Signal, Source, Stop, Strategy, Substitution, Verb, Volume,
};
pub use secret::Secret;
pub use span::{Bytes, Cpu, Millis, QuantityError, Timestamp};
pub use value::{OptionType, OptionValue};
