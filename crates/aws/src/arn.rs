//! Names of resources, `arn:partition:service:region:account:resource`.

use crate::region::{Partition, Region};
use serde::Deserialize;
use std::fmt;
use std::str::FromStr;

/// The name of one resource.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize)]
#[serde(try_from = "String")]
pub struct Arn {
    partition: Partition,
    service: String,
    region: Option<Region>,
    account: Option<String>,
    resource: String,
}

/// Why a text is no ARN.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ArnError {
    /// It has another shape.
    #[error("`{0}` is not an ARN: write `arn:partition:service:region:account:resource`")]
    Shape(String),
    /// Its partition is none that is known.
    #[error("`{arn}` is in the partition `{partition}`; known ones are aws, aws-cn and aws-us-gov")]
    Partition {
        /// The text.
        arn: String,
        /// Its partition.
        partition: String,
    },
    /// Its region is none, or is not in its partition.
    #[error("`{arn}` names the region `{region}`, which the partition {partition} cannot have")]
    Region {
        /// The text.
        arn: String,
        /// Its region.
        region: String,
        /// Its partition.
        partition: Partition,
    },
    /// An account has twelve digits.
    #[error("`{arn}` names the account `{account}`: an account has twelve digits")]
    Account {
        /// The text.
        arn: String,
        /// Its account.
        account: String,
    },
}

impl Arn {
    /// The partition.
    #[must_use]
    pub const fn partition(&self) -> Partition {
        self.partition
    }

    /// The service, such as `acm`.
    #[must_use]
    pub fn service(&self) -> &str {
        &self.service
    }

    /// The region; none for what is global.
    #[must_use]
    pub const fn region(&self) -> Option<&Region> {
        self.region.as_ref()
    }

    /// The account; none where the service leaves it out.
    #[must_use]
    pub fn account(&self) -> Option<&str> {
        self.account.as_deref()
    }

    /// The rest, such as `certificate/4f…`.
    #[must_use]
    pub fn resource(&self) -> &str {
        &self.resource
    }
}

impl FromStr for Arn {
    type Err = ArnError;

    fn from_str(text: &str) -> Result<Self, ArnError> {
        let parts: Vec<&str> = text.splitn(6, ':').collect();
        let ["arn", partition, service, region, account, resource] = parts[..] else {
            return Err(ArnError::Shape(text.to_owned()));
        };
        let blank = |it: &str| it.is_empty() || it.chars().any(char::is_whitespace);
        if blank(service) || blank(resource) {
            return Err(ArnError::Shape(text.to_owned()));
        }
        let partition = Partition::named(partition).ok_or_else(|| ArnError::Partition {
            arn: text.to_owned(),
            partition: partition.to_owned(),
        })?;
        let region = match region {
            "" => None,
            name => match name.parse::<Region>() {
                Ok(region) if region.partition() == partition => Some(region),
                _ => {
                    let (arn, region) = (text.to_owned(), name.to_owned());
                    return Err(ArnError::Region { arn, region, partition });
                }
            },
        };
        // IAM's own managed policies have the account `aws`.
        let good = account.is_empty()
            || account == "aws"
            || (account.len() == 12 && account.chars().all(|it| it.is_ascii_digit()));
        if !good {
            let (arn, account) = (text.to_owned(), account.to_owned());
            return Err(ArnError::Account { arn, account });
        }
        Ok(Self {
            partition,
            service: service.to_owned(),
            region,
            account: (!account.is_empty()).then(|| account.to_owned()),
            resource: resource.to_owned(),
        })
    }
}

impl TryFrom<String> for Arn {
    type Error = ArnError;

    fn try_from(text: String) -> Result<Self, ArnError> {
        text.parse()
    }
}

impl fmt::Display for Arn {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { partition, service, region, account, resource } = self;
        let region = region.as_ref().map(Region::name).unwrap_or_default();
        let account = account.as_deref().unwrap_or_default();
        write!(formatter, "arn:{partition}:{service}:{region}:{account}:{resource}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arns_are_read_and_written() {
        for text in [
            "arn:aws:acm:eu-west-1:123456789012:certificate/4f1c-9a",
            "arn:aws-cn:elasticloadbalancing:cn-north-1:123456789012:loadbalancer/net/a/b",
            "arn:aws-us-gov:eks:us-gov-west-1:123456789012:cluster/main",
            "arn:aws:iam::123456789012:role/a:b",
            "arn:aws:iam::aws:policy/ReadOnlyAccess",
            "arn:aws:s3:::bucket/key",
        ] {
            assert_eq!(text.parse::<Arn>().map(|it| it.to_string()).as_deref(), Ok(text));
        }
        let arn: Arn = "arn:aws:sts::123456789012:assumed-role/a/b".parse().expect("an ARN");
        assert_eq!((arn.region(), arn.account()), (None, Some("123456789012")));
        assert_eq!(arn.resource(), "assumed-role/a/b");
    }

    #[test]
    fn what_is_no_arn_says_why() {
        for (text, why) in [
            ("arn:aws:acm:eu-west-1", "is not an ARN"),
            ("certificate/4f1c", "is not an ARN"),
            ("arn:aws:acm:eu-west-1:123456789012:", "is not an ARN"),
            ("arn:aws:acm:eu-west-1:123456789012:a b", "is not an ARN"),
            ("arn:azure:acm:eu-west-1:123456789012:x", "partition `azure`"),
            ("arn:aws:acm:cn-north-1:123456789012:x", "region `cn-north-1`"),
            ("arn:aws:acm:evil.example/:123456789012:x", "region `evil.example/`"),
            ("arn:aws:acm:eu-west-1:12345:x", "twelve digits"),
        ] {
            let error = text.parse::<Arn>().expect_err(text).to_string();
            assert!(error.contains(why), "{error}");
        }
    }
}
