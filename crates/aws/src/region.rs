//! Regions and the partitions they are in.

use std::fmt;
use std::str::FromStr;

/// A separate AWS: accounts, ARNs and host names of one say nothing in another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Partition {
    /// The commercial regions.
    Aws,
    /// Beijing and Ningxia.
    China,
    /// The regions for the government of the United States.
    GovCloud,
}

impl Partition {
    /// The partition as ARNs write it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Aws => "aws",
            Self::China => "aws-cn",
            Self::GovCloud => "aws-us-gov",
        }
    }

    /// What host names of its services end in.
    #[must_use]
    pub const fn suffix(self) -> &'static str {
        match self {
            Self::Aws | Self::GovCloud => "amazonaws.com",
            Self::China => "amazonaws.com.cn",
        }
    }

    pub(crate) fn named(name: &str) -> Option<Self> {
        [Self::Aws, Self::China, Self::GovCloud].into_iter().find(|it| it.name() == name)
    }
}

impl fmt::Display for Partition {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name())
    }
}

/// A region such as `eu-west-1`. It becomes part of host names, so only its own letters get in.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Region(String);

/// A text that is no region.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not an AWS region: write one such as `eu-west-1`")]
pub struct RegionError(String);

impl Region {
    /// The region's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.0
    }

    /// The partition that the region is in.
    #[must_use]
    pub fn partition(&self) -> Partition {
        if self.0.starts_with("cn-") {
            Partition::China
        } else if self.0.starts_with("us-gov-") {
            Partition::GovCloud
        } else {
            Partition::Aws
        }
    }
}

impl FromStr for Region {
    type Err = RegionError;

    fn from_str(text: &str) -> Result<Self, RegionError> {
        let parts: Vec<&str> = text.split('-').collect();
        let letters = |part: &&str| {
            !part.is_empty()
                && part.chars().all(|it| it.is_ascii_lowercase() || it.is_ascii_digit())
        };
        let good = parts.len() >= 3
            && parts.iter().all(letters)
            && parts.last().is_some_and(|it| it.chars().all(|it| it.is_ascii_digit()))
            && text.len() <= 32;
        if good { Ok(Self(text.to_owned())) } else { Err(RegionError(text.to_owned())) }
    }
}

impl fmt::Display for Region {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn regions_know_their_partition_and_nothing_else_is_one() {
        for (text, partition) in [
            ("eu-west-1", Partition::Aws),
            ("ap-southeast-4", Partition::Aws),
            ("cn-north-1", Partition::China),
            ("us-gov-west-1", Partition::GovCloud),
        ] {
            assert_eq!(text.parse::<Region>().map(|it| it.partition()), Ok(partition));
        }
        for text in [
            "",
            "eu",
            "eu-west",
            "eu-west-",
            "EU-WEST-1",
            "a.b-c-1",
            "x/eu-west-1",
            "eu-west-1@h-1",
        ] {
            assert!(text.parse::<Region>().is_err(), "{text}");
        }
    }
}
