//! What can go wrong in a call, with the call, the region and the next step.

use crate::region::Region;
use std::fmt;
use std::time::Duration;

/// A result of this crate.
pub type Result<T, E = AwsError> = std::result::Result<T, E>;

/// A call and where it went, written `acm:DescribeCertificate in eu-west-1`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Call {
    /// The permission that it needs.
    pub action: String,
    /// The region.
    pub region: Region,
}

impl fmt::Display for Call {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} in {}", self.action, self.region)
    }
}

/// What went wrong.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AwsError {
    /// Nothing says which region is meant.
    #[error("no AWS region: set AWS_REGION, or `region` in the profile")]
    NoRegion,
    /// The settings cannot be used.
    #[error("the settings for AWS cannot be used: {0}")]
    Settings(String),
    /// No source has credentials, or the one that should have them failed.
    #[error(
        "no AWS credentials ({why}); tried {tried}. Set AWS_PROFILE or AWS_ACCESS_KEY_ID, or run `aws sso login`"
    )]
    NoCredentials {
        /// The sources, in the order in which they are asked.
        tried: String,
        /// What the last one says.
        why: String,
    },
    /// The credentials were good once.
    #[error(
        "the AWS credentials have expired, so {call} was refused ({code}): run `aws sso login`, or get new ones, then try again"
    )]
    Expired {
        /// The call.
        call: Call,
        /// AWS's code.
        code: String,
    },
    /// A permission is missing, or the credentials are not good.
    #[error("AWS refused {call} ({code}): {message}. {}", denied(call, code))]
    Denied {
        /// The call.
        call: Call,
        /// AWS's code.
        code: String,
        /// What AWS says.
        message: String,
    },
    /// What is asked for is not there.
    #[error("{call} found nothing ({code}): {message}. Check the name, the account and the region")]
    NotFound {
        /// The call.
        call: Call,
        /// AWS's code.
        code: String,
        /// What AWS says.
        message: String,
    },
    /// The account calls too often.
    #[error(
        "AWS throttled {call} ({code}) {tries} times: wait a minute, and see what else in the account calls so often"
    )]
    Throttled {
        /// The call.
        call: Call,
        /// AWS's code.
        code: String,
        /// How often it was tried.
        tries: u32,
    },
    /// No connection, or one that broke.
    #[error(
        "cannot reach {endpoint} for {call}: {why}. Check the network, the proxy and the region's name"
    )]
    Unreachable {
        /// The call.
        call: Call,
        /// The address.
        endpoint: String,
        /// Why not.
        why: String,
    },
    /// No answer in time.
    #[error("{call} had no answer within {} s: try again, and check the network if it stays so", after.as_secs_f32())]
    Timeout {
        /// The call.
        call: Call,
        /// How long was waited, over all tries.
        after: Duration,
    },
    /// Any other error that the service answers.
    #[error("{call} failed with {code} (status {status}): {message}")]
    Service {
        /// The call.
        call: Call,
        /// AWS's code.
        code: String,
        /// What AWS says.
        message: String,
        /// The HTTP status.
        status: u16,
    },
    /// An answer that cannot be understood.
    #[error("the answer to {call} cannot be read: {why}. Is something between here and AWS?")]
    Unreadable {
        /// The call.
        call: Call,
        /// Why not.
        why: String,
    },
}

impl AwsError {
    /// Names what was asked for: AWS says at times no more than that one or more were not found.
    pub(crate) fn naming(mut self, object: impl fmt::Display) -> Self {
        if let Self::NotFound { message, .. } = &mut self {
            let object = object.to_string();
            if !message.contains(&object) {
                *message = format!("`{object}`: {message}");
            }
        }
        self
    }
}

/// The next step after a refusal.
fn denied(call: &Call, code: &str) -> String {
    match code {
        "RequestExpired" | "RequestTimeTooSkewed" => "Set this machine's clock".to_owned(),
        "SignatureDoesNotMatch" | "InvalidSignatureException" | "IncompleteSignature" => {
            "Check the secret access key, and this machine's clock".to_owned()
        }
        "InvalidClientTokenId" | "UnrecognizedClientException" | "AuthFailure" => {
            "Check the access key, and that its account may use the region".to_owned()
        }
        _ => format!("Allow `{}` in the policy of the role or user", call.action),
    }
}

/// What the code of an answer means for the caller.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Meaning {
    Expired,
    Denied,
    NotFound,
    Throttled,
    /// The service's own trouble: it may pass.
    Transient,
    Other,
}

impl Meaning {
    /// Reads a code, or the status where the code says nothing.
    pub fn of(code: &str, status: u16) -> Self {
        match code {
            "ExpiredToken" | "ExpiredTokenException" | "TokenRefreshRequired" => Self::Expired,
            "AccessDenied"
            | "AccessDeniedException"
            | "UnauthorizedOperation"
            | "NotAuthorized"
            | "OptInRequired"
            | "InvalidClientTokenId"
            | "UnrecognizedClientException"
            | "AuthFailure"
            | "SignatureDoesNotMatch"
            | "InvalidSignatureException"
            | "IncompleteSignature"
            | "RequestExpired"
            | "RequestTimeTooSkewed"
            | "MissingAuthenticationToken"
            | "MissingAuthenticationTokenException" => Self::Denied,
            "Throttling"
            | "ThrottlingException"
            | "ThrottledException"
            | "RequestThrottled"
            | "RequestThrottledException"
            | "RequestLimitExceeded"
            | "TooManyRequestsException"
            | "SlowDown"
            | "PriorRequestNotComplete" => Self::Throttled,
            "RequestTimeout"
            | "RequestTimeoutException"
            | "InternalError"
            | "InternalFailure"
            | "ServiceUnavailable" => Self::Transient,
            _ if code.ends_with("NotFound") || code.ends_with("NotFoundException") => {
                Self::NotFound
            }
            _ => match status {
                401 | 403 => Self::Denied,
                404 => Self::NotFound,
                429 => Self::Throttled,
                500..=599 => Self::Transient,
                _ => Self::Other,
            },
        }
    }
}
