//! The one table of exit codes, from which the reference is generated.

use serde::{Deserialize, Serialize};
use std::fmt;

macro_rules! exit_codes {
    ($($(#[$doc:meta])* $name:ident = $code:literal, $word:literal, $text:literal;)*) => {
        /// How a verb ended, as the exit code of the process.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(rename_all = "kebab-case")]
        #[repr(u8)]
        pub enum ExitCode {
            $($(#[$doc])* $name = $code,)*
        }

        impl ExitCode {
            /// Every code, ascending.
            pub const ALL: &'static [Self] = &[$(Self::$name,)*];

            /// One word for it.
            #[must_use]
            pub const fn word(self) -> &'static str {
                match self { $(Self::$name => $word,)* }
            }

            /// What it means, for people.
            #[must_use]
            pub const fn meaning(self) -> &'static str {
                match self { $(Self::$name => $text,)* }
            }
        }
    };
}

exit_codes! {
    /// Done, or nothing to do.
    Done = 0, "done", "Done, or nothing to do.";
    /// Something unexpected.
    Unexpected = 1, "unexpected", "Something unexpected: a defect, or an environment that broke.";
    /// A usage or configuration error.
    Usage = 2, "usage", "The command line or the file is wrong. Nothing was touched.";
    /// Not allowed.
    Permission = 3, "permission", "Authentication failed, or a permission is missing.";
    /// Failed, and the previous release still serves.
    Failed = 4, "failed", "Failed; the previous release still serves, or none ever did.";
    /// Failed and degraded.
    Degraded = 5, "degraded", "Failed, and what serves is degraded: page someone.";
    /// Not found.
    NotFound = 6, "not-found", "What was named does not exist.";
    /// There are changes where none were expected.
    Changes = 7, "changes", "There are changes, and `--expect-no-changes` was given.";
    /// Cancelled.
    Cancelled = 8, "cancelled", "Cancelled. The summary says what serves.";
    /// Timed out, or the outcome is unknown.
    Unknown = 9, "unknown", "Timed out, or the outcome is unknown: look, then `landfall resume`.";
    /// Somebody else is at work.
    Locked = 10, "locked", "Another change of this stack is in progress.";
    /// The plan is stale.
    Stale = 11, "stale", "The world moved since the plan was made: plan again.";
    /// Integrity or signature.
    Integrity = 12, "integrity", "A digest or a signature does not match, or a key is not enrolled.";
}

impl fmt::Display for ExitCode {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.word())
    }
}

impl ExitCode {
    /// The number the process exits with.
    #[must_use]
    pub const fn code(self) -> u8 {
        self as u8
    }
}

/// How a rollout ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// The new release serves.
    Succeeded,
    /// It failed, and the previous release serves.
    Failed,
    /// It failed, and the previous release does not serve as it should.
    Degraded,
    /// It was cancelled, and the previous release serves.
    Cancelled,
}

impl Outcome {
    /// The exit code of the verb.
    #[must_use]
    pub const fn exit_code(self) -> ExitCode {
        match self {
            Self::Succeeded => ExitCode::Done,
            Self::Failed => ExitCode::Failed,
            Self::Degraded => ExitCode::Degraded,
            Self::Cancelled => ExitCode::Cancelled,
        }
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
            Self::Degraded => "degraded",
            Self::Cancelled => "cancelled",
        })
    }
}
