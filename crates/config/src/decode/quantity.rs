//! What somebody meant by a text that is not quite a quantity.

use landfall_model::{Bytes, Millis, QuantityError};

/// Units of time as people also write them, in milliseconds.
const TIMES: [(&[&str], f64); 5] = [
    (&["ms", "msec", "millis", "milliseconds"], 1.0),
    (&["s", "sec", "secs", "second", "seconds"], 1000.0),
    (&["m", "min", "mins", "minute", "minutes"], 60_000.0),
    (&["h", "hr", "hour", "hours"], 3_600_000.0),
    (&["d", "day", "days"], 86_400_000.0),
];

/// What to write instead, as exactly as it can be guessed.
pub(crate) fn quantity_help(text: &str, error: &QuantityError) -> String {
    let text = text.trim();
    let better = match error.what {
        "a duration" => better_duration(text),
        "a size" => better_size(text),
        _ => None,
    };
    better.unwrap_or_else(|| format!("write it like {}", error.example))
}

fn better_duration(text: &str) -> Option<String> {
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at(end);
    let amount: f64 = number.parse().ok().filter(|amount| *amount >= 0.0 && *amount < 1e6)?;
    let unit = unit.trim().to_ascii_lowercase();
    if unit.is_empty() {
        let whole = amount.fract() == 0.0;
        return whole.then(|| {
            format!("a duration has a unit: write `{number}s` for seconds, `{number}m` for minutes")
        });
    }
    let (_, millis) = TIMES.iter().find(|(names, _)| names.contains(&unit.as_str()))?;
    let millis = (amount * millis).round();
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "bounded above")]
    let better = Millis(millis as u64);
    Some(format!("write `{better}`"))
}

fn better_size(text: &str) -> Option<String> {
    let compact: String = text.chars().filter(|c| !c.is_whitespace()).collect();
    let bare = compact.strip_suffix(['B', 'b']).unwrap_or(&compact);
    let number = bare.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let unit = bare[number.len()..].to_ascii_lowercase();
    let (decimal, binary) = match unit.as_str() {
        "k" | "ki" => ("k", "Ki"),
        "m" | "mi" => ("M", "Mi"),
        "g" | "gi" => ("G", "Gi"),
        "t" | "ti" => ("T", "Ti"),
        _ => return None,
    };
    format!("{number}{binary}").parse::<Bytes>().ok()?;
    if unit.ends_with('i') {
        return Some(format!("write `{number}{binary}`"));
    }
    Some(format!(
        "write `{number}{binary}` for powers of 1024, or `{number}{decimal}` for powers of 1000"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_meant_is_found() {
        assert_eq!(better_duration("1.5s").as_deref(), Some("write `1s500ms`"));
        assert_eq!(better_duration("5 minutes").as_deref(), Some("write `5m`"));
        assert_eq!(better_duration("soon"), None);
        assert_eq!(better_size("256mib").as_deref(), Some("write `256Mi`"));
        assert!(better_size("1 GB").is_some_and(|help| help.contains("`1Gi`")));
        assert_eq!(better_size("1.5G"), None);
        assert_eq!(better_size("lots"), None);
    }
}
