//! Names: short, lower-case, safe in paths, in DNS labels and in environment variables.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// Why a text is not a name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// The text is empty.
    #[error("a name cannot be empty")]
    Empty,
    /// Longer than 40 bytes: Kubernetes object names must fit in 63 with our suffixes.
    #[error("`{0}` is longer than 40 characters")]
    TooLong(String),
    /// A character outside the alphabet.
    #[error(
        "`{name}` has the character `{character}`: use lower-case letters, digits and `{also}`, and start with a letter"
    )]
    Character {
        /// The whole text.
        name: String,
        /// The first character that is not allowed.
        character: char,
        /// The punctuation that would be allowed.
        also: char,
    },
}

fn check(name: &str, also: char) -> Result<(), NameError> {
    if name.is_empty() {
        return Err(NameError::Empty);
    }
    if name.len() > 40 {
        return Err(NameError::TooLong(name.to_owned()));
    }
    for (index, character) in name.chars().enumerate() {
        let fine = character.is_ascii_lowercase()
            || (index > 0 && (character.is_ascii_digit() || character == also));
        if !fine {
            return Err(NameError::Character { name: name.to_owned(), character, also });
        }
    }
    Ok(())
}

macro_rules! name {
    ($(#[$doc:meta])* $type:ident, $also:literal) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $type(String);

        impl $type {
            /// Checks and wraps a text.
            ///
            /// # Errors
            /// When the text is empty, longer than 40 characters or has a character outside the
            /// alphabet.
            pub fn new(name: impl Into<String>) -> Result<Self, NameError> {
                let name = name.into();
                check(&name, $also)?;
                Ok(Self(name))
            }

            /// The name as text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $type {
            fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str(&self.0)
            }
        }

        impl FromStr for $type {
            type Err = NameError;
            fn from_str(text: &str) -> Result<Self, NameError> {
                Self::new(text)
            }
        }

        impl TryFrom<String> for $type {
            type Error = NameError;
            fn try_from(text: String) -> Result<Self, NameError> {
                Self::new(text)
            }
        }

        impl From<$type> for String {
            fn from(name: $type) -> String {
                name.0
            }
        }

        impl AsRef<str> for $type {
            fn as_ref(&self) -> &str {
                &self.0
            }
        }
    };
}

name!(/// The application: one `landfall.yaml`.
    AppName, '-');
name!(/// A place where the application runs: `local`, `staging`, `prod`.
    StackName, '-');
name!(/// A group of equal processes.
    ServiceName, '-');
name!(/// A port that the load balancer listens on.
    ListenerName, '-');
name!(/// A command that runs once in a rollout.
    HookName, '-');
name!(/// A typed option.
    OptionName, '_');
name!(/// A certificate with versions.
    CertificateName, '-');
name!(/// A folder that outlives a release.
    VolumeName, '-');

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_checked() {
        assert!(AppName::new("shop-2").is_ok());
        assert_eq!(AppName::new(""), Err(NameError::Empty));
        assert!(matches!(AppName::new("Shop"), Err(NameError::Character { character: 'S', .. })));
        assert!(AppName::new("2shop").is_err());
        assert!(OptionName::new("node_type").is_ok());
        assert!(OptionName::new("node-type").is_err());
        assert!(AppName::new("a".repeat(41)).is_err());
        assert!(serde_json::from_str::<AppName>("\"../x\"").is_err());
    }
}
