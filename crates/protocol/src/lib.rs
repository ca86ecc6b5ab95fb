//! What the processes of Landfall say to each other.
//!
//! Every conversation is a sequence of [`frame`]s over a Unix socket and starts with a
//! [`Hello`] from both sides: a newer major version is refused in plain words, unknown fields
//! within a major version are ignored.

pub mod agent;
pub mod edge;
pub mod frame;
pub mod shim;

use serde::{Deserialize, Serialize};

/// The protocol's version: the major number changes when an older peer could misunderstand.
pub const MAJOR: u16 = 1;
/// The protocol's minor version: additions that an older peer may ignore.
pub const MINOR: u16 = 0;

/// The first message of both sides.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hello {
    /// The major version of the protocol.
    pub major: u16,
    /// The minor version of the protocol.
    pub minor: u16,
    /// The version of the program, for people.
    pub program: String,
}

impl Hello {
    /// This program's own.
    #[must_use]
    pub fn ours() -> Self {
        Self { major: MAJOR, minor: MINOR, program: env!("CARGO_PKG_VERSION").to_owned() }
    }

    /// Refuses a peer that speaks another major version.
    ///
    /// # Errors
    /// When the major versions differ, in words that say which side to upgrade.
    pub fn accept(&self) -> Result<(), VersionError> {
        if self.major == MAJOR {
            Ok(())
        } else {
            Err(VersionError { theirs: self.major, program: self.program.clone() })
        }
    }
}

/// A peer that speaks another major version of the protocol.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "the other side (landfall {program}) speaks protocol {theirs}, this one {MAJOR}: {}",
    if *theirs > MAJOR { "upgrade this program" } else { "upgrade it, for an agent with `landfall agent restart`" }
)]
pub struct VersionError {
    /// The other side's major version.
    pub theirs: u16,
    /// The other side's program version.
    pub program: String,
}
