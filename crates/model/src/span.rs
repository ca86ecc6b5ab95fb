//! Quantities as people write them: durations, sizes, shares of a processor, points in time.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// A text that is not a quantity.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not {what}: write it like {example}")]
pub struct QuantityError {
    /// What was written.
    pub text: String,
    /// What was expected, with its article.
    pub what: &'static str,
    /// How it is written.
    pub example: &'static str,
}

/// A duration in whole milliseconds, written `250ms`, `10s`, `5m`, `2h`, `1d`, or several of them
/// from large to small (`1m30s`).
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Millis(pub u64);

impl Millis {
    /// Whole seconds.
    #[must_use]
    pub const fn from_secs(seconds: u64) -> Self {
        Self(seconds * 1000)
    }

    /// As the standard library's duration.
    #[must_use]
    pub const fn duration(self) -> std::time::Duration {
        std::time::Duration::from_millis(self.0)
    }
}

const UNITS: [(&str, u64); 5] =
    [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1000), ("ms", 1)];

impl FromStr for Millis {
    type Err = QuantityError;
    fn from_str(text: &str) -> Result<Self, QuantityError> {
        let wrong = || QuantityError {
            text: text.to_owned(),
            what: "a duration",
            example: "500ms, 10s, 5m, 1h30m",
        };
        let mut rest = text.trim();
        if rest == "0" {
            return Ok(Self(0));
        }
        let mut total = 0_u64;
        let mut smallest = u64::MAX;
        if rest.is_empty() {
            return Err(wrong());
        }
        while !rest.is_empty() {
            let digits = rest.find(|c: char| !c.is_ascii_digit()).ok_or_else(wrong)?;
            let amount: u64 = rest[..digits].parse().map_err(|_| wrong())?;
            rest = &rest[digits..];
            let letters = rest.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(rest.len());
            let (_, unit) =
                UNITS.iter().find(|(name, _)| *name == &rest[..letters]).ok_or_else(wrong)?;
            if *unit >= smallest {
                return Err(wrong());
            }
            smallest = *unit;
            total =
                amount.checked_mul(*unit).and_then(|v| total.checked_add(v)).ok_or_else(wrong)?;
            rest = &rest[letters..];
        }
        Ok(Self(total))
    }
}

impl fmt::Display for Millis {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0 == 0 {
            return formatter.write_str("0s");
        }
        let mut rest = self.0;
        for (name, unit) in UNITS {
            if rest >= unit {
                write!(formatter, "{}{name}", rest / unit)?;
                rest %= unit;
            }
        }
        Ok(())
    }
}

/// A size in bytes, written `512`, `64Ki`, `256Mi`, `2Gi`, `10M` as Kubernetes does.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Bytes(pub u64);

const SIZES: [(&str, u64); 8] = [
    ("Ti", 1 << 40),
    ("Gi", 1 << 30),
    ("Mi", 1 << 20),
    ("Ki", 1 << 10),
    ("T", 1_000_000_000_000),
    ("G", 1_000_000_000),
    ("M", 1_000_000),
    ("k", 1000),
];

impl FromStr for Bytes {
    type Err = QuantityError;
    fn from_str(text: &str) -> Result<Self, QuantityError> {
        let wrong =
            || QuantityError { text: text.to_owned(), what: "a size", example: "256Mi, 2Gi, 500M" };
        let text_ = text.trim();
        let (digits, unit) = SIZES
            .iter()
            .find_map(|(name, unit)| text_.strip_suffix(name).map(|digits| (digits, *unit)))
            .unwrap_or((text_, 1));
        let amount: u64 = digits.parse().map_err(|_| wrong())?;
        amount.checked_mul(unit).map(Self).ok_or_else(wrong)
    }
}

impl fmt::Display for Bytes {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (name, unit) in SIZES {
            if self.0 >= unit && self.0.is_multiple_of(unit) {
                return write!(formatter, "{}{name}", self.0 / unit);
            }
        }
        self.0.fmt(formatter)
    }
}

/// A share of processors in thousandths, written `500m` or `2` as Kubernetes does.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Cpu(pub u64);

impl FromStr for Cpu {
    type Err = QuantityError;
    fn from_str(text: &str) -> Result<Self, QuantityError> {
        let wrong = || QuantityError {
            text: text.to_owned(),
            what: "a share of processors",
            example: "500m (half a core) or 2",
        };
        match text.trim().strip_suffix('m') {
            Some(digits) => digits.parse().map(Self).map_err(|_| wrong()),
            None => text
                .trim()
                .parse::<u64>()
                .ok()
                .and_then(|cores| cores.checked_mul(1000))
                .map(Self)
                .ok_or_else(wrong),
        }
    }
}

impl fmt::Display for Cpu {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_multiple_of(1000) {
            write!(formatter, "{}", self.0 / 1000)
        } else {
            write!(formatter, "{}m", self.0)
        }
    }
}

/// A point in time: milliseconds since 1970-01-01 UTC, of the wall clock.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Timestamp(pub u64);

impl Timestamp {
    /// This much later.
    #[must_use]
    pub const fn after(self, span: Millis) -> Self {
        Self(self.0.saturating_add(span.0))
    }

    /// How long after `earlier` this is; nothing when it is before.
    #[must_use]
    pub const fn since(self, earlier: Self) -> Millis {
        Millis(self.0.saturating_sub(earlier.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_and_written() {
        for (text, millis) in
            [("250ms", 250), ("10s", 10_000), ("1m30s", 90_000), ("2h", 7_200_000), ("0", 0)]
        {
            assert_eq!(text.parse(), Ok(Millis(millis)));
        }
        assert_eq!(Millis(90_250).to_string(), "1m30s250ms");
        for text in ["", "10", "s", "10x", "1s1m", "1s1s", "-1s", "99999999999999999999s", "1.5s"] {
            assert!(text.parse::<Millis>().is_err(), "{text}");
        }
    }

    #[test]
    fn sizes_and_shares_are_read_and_written() {
        assert_eq!("256Mi".parse(), Ok(Bytes(268_435_456)));
        assert_eq!("10k".parse(), Ok(Bytes(10_000)));
        assert_eq!(Bytes(268_435_456).to_string(), "256Mi");
        assert!("lots".parse::<Bytes>().is_err());
        assert_eq!("500m".parse(), Ok(Cpu(500)));
        assert_eq!("2".parse(), Ok(Cpu(2000)));
        assert_eq!(Cpu(2000).to_string(), "2");
        assert_eq!(Cpu(1500).to_string(), "1500m");
        assert!("half".parse::<Cpu>().is_err());
    }
}
