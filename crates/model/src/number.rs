//! Counters that only rise.

use serde::{Deserialize, Serialize};
use std::fmt;

macro_rules! number {
    ($(#[$doc:meta])* $type:ident) => {
        $(#[$doc])*
        #[derive(
            Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
        )]
        #[serde(transparent)]
        pub struct $type(pub u64);

        impl $type {
            /// The one after this.
            #[must_use]
            pub fn next(self) -> Self {
                Self(self.0 + 1)
            }
        }

        impl fmt::Display for $type {
            fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(formatter)
            }
        }
    };
}

number!(/// The number of a release in its stack: 1, 2, 3, never used twice.
    ReleaseNumber);
number!(/// The reign of one writer over a stack. A take-over writes the next one.
    Epoch);
number!(/// The revision of a desired state within an epoch: the journal entry that justifies it.
    Revision);
number!(/// The position of an entry in a stack's journal.
    Sequence);
number!(/// The version of a certificate: 1, 2, 3.
    CertificateVersion);

impl std::str::FromStr for ReleaseNumber {
    type Err = std::num::ParseIntError;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        text.strip_prefix('#').unwrap_or(text).parse().map(Self)
    }
}
