//! What can go wrong with a registry, each with the name and the next step.

use crate::credentials::{CredentialsError, Source};
use crate::wire::Failure;
use landfall_model::chain;
use std::time::Duration;

/// Why an image cannot be resolved, looked for, or pushed. Each names the image or the place.
#[derive(Debug, thiserror::Error)]
pub enum RegistryError {
    /// The registry answers and has no such image.
    #[error("{reference} is not there: the registry has no such {missing}; {}", missing.next_step())]
    NotFound {
        /// The image.
        reference: String,
        /// What of it is missing.
        missing: Missing,
    },
    /// The registry wants other credentials, or does not tell that there is no such repository.
    #[error(
        "{host} does not allow to {operation} {reference} {credentials}: {why}; check the name, since many registries say the same of what is not there, or run `docker login {host}`"
    )]
    Unauthorized {
        /// The image or the place.
        reference: String,
        /// What was tried with it.
        operation: &'static str,
        /// The registry that refused.
        host: String,
        /// Where the credentials were from.
        credentials: Source,
        /// What the registry says, or its status.
        why: String,
    },
    /// No answer, or nothing but failures, after all tries.
    #[error(
        "cannot {operation} {reference}: {host} cannot be reached ({why}); check the host's name and the network from here, then try again"
    )]
    Unreachable {
        /// The image or the place.
        reference: String,
        /// What was tried with it.
        operation: &'static str,
        /// The registry.
        host: String,
        /// The last failure.
        why: String,
    },
    /// No answer in time, in all tries.
    #[error(
        "cannot {operation} {reference}: {host} did not answer within {} s; try again, or look at the registry's own health", after.as_secs_f32()
    )]
    Timeout {
        /// The image or the place.
        reference: String,
        /// What was tried with it.
        operation: &'static str,
        /// The registry.
        host: String,
        /// How long one try was given.
        after: Duration,
    },
    /// What is there is no image, is not what its digest says, or is larger than allowed.
    #[error("{reference} cannot be used: {why}")]
    Invalid {
        /// The image or the place.
        reference: String,
        /// What is wrong, and where there is one the next step.
        why: String,
    },
    /// The registry refuses for a reason of its own.
    #[error("cannot {operation} {reference}: {host} refuses it ({why})")]
    Refused {
        /// The image or the place.
        reference: String,
        /// What was tried with it.
        operation: &'static str,
        /// The registry.
        host: String,
        /// Its status and what it says.
        why: String,
    },
    /// The credentials themselves cannot be had.
    #[error("cannot {operation} {reference}: {why}")]
    Credentials {
        /// The image or the place.
        reference: String,
        /// What was tried with it.
        operation: &'static str,
        /// Why not.
        why: Box<CredentialsError>,
    },
}

/// Which part of a name the registry does not know.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Missing {
    /// The repository.
    Repository,
    /// The tag; the repository is there.
    Tag,
    /// The digest; the repository is there.
    Digest,
    /// One of them: the registry does not tell which.
    Image,
}

impl Missing {
    fn next_step(self) -> &'static str {
        match self {
            Self::Repository => "check its name, or push to it first",
            Self::Tag => "push it, or name a tag that is there",
            Self::Digest => {
                "it was deleted or never pushed here: push it again from where it was built"
            }
            Self::Image => "check its name, or push it first",
        }
    }
}

impl std::fmt::Display for Missing {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(match self {
            Self::Repository => "repository",
            Self::Tag => "tag",
            Self::Digest => "digest",
            Self::Image => "image",
        })
    }
}

/// What a request was for, to say so when it fails.
#[derive(Clone, Copy)]
pub(crate) struct Purpose<'a> {
    pub operation: &'static str,
    /// The image or the place.
    pub object: &'a (dyn std::fmt::Display + Sync),
    pub host: &'a str,
}

impl Purpose<'_> {
    /// The failure of a request as an error about this.
    pub(crate) fn failed(&self, failure: Failure) -> RegistryError {
        let (reference, operation, host) =
            (self.object.to_string(), self.operation, self.host.to_owned());
        match failure {
            Failure::Timeout(after) => RegistryError::Timeout { reference, operation, host, after },
            Failure::Connection(why) => {
                RegistryError::Unreachable { reference, operation, host, why }
            }
            Failure::Unauthorized { credentials, why } => {
                RegistryError::Unauthorized { reference, operation, host, credentials, why }
            }
            Failure::Credentials(why) => {
                RegistryError::Credentials { reference, operation, why: Box::new(why) }
            }
            Failure::Invalid(why) => RegistryError::Invalid { reference, why },
            Failure::Status { status: 404, code, .. } => {
                let missing = match code.as_deref() {
                    Some("NAME_UNKNOWN") => Missing::Repository,
                    _ => Missing::Image,
                };
                RegistryError::NotFound { reference, missing }
            }
            Failure::Status { status, ref said, .. } if status >= 500 || status == 429 => {
                let why = format!("it answers {status} again and again{}", with(said));
                RegistryError::Unreachable { reference, operation, host, why }
            }
            Failure::Status { status, ref said, .. } => {
                let why = format!("status {status}{}", with(said));
                RegistryError::Refused { reference, operation, host, why }
            }
            Failure::Local(why) => RegistryError::Invalid { reference, why },
        }
    }

    pub(crate) fn invalid(&self, why: impl Into<String>) -> RegistryError {
        RegistryError::Invalid { reference: self.object.to_string(), why: why.into() }
    }
}

fn with(said: &str) -> String {
    if said.is_empty() { String::new() } else { format!(": {said}") }
}

/// What a request's error is, with its causes and without the address, whose query may be secret.
pub(crate) fn words(error: reqwest::Error) -> String {
    chain(&error.without_url())
}
