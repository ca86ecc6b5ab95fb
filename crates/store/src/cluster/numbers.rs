//! Labels by which the API server leaves out the numbers that nobody asked for.
//!
//! A selector of labels knows equal and not equal, and no order. So an object with a number carries
//! it at four scales: as it is, and by 32, by 1024 and by 32768. "After 5000" is then a few lists
//! of neighbours that are not wanted: at each scale those before the one that 5000 is in, up to
//! the border of the next scale. That is exact for up to a million numbers, and beyond it leaves
//! in too much, never too little; what is left in too much is sorted out by key afterwards.

use std::fmt::Write as _;

/// How far a number is shifted at each scale, and what its label ends with.
const SCALES: [(u32, &str); 4] = [(0, ""), (5, ".32"), (10, ".1024"), (15, ".32768")];
/// How many there are at a scale in one of the next.
const MASK: u64 = 31;

/// The labels of an object with this number, which is directly in the folder of this label.
pub(super) fn labels(folder: &str, number: u64) -> impl Iterator<Item = (String, String)> {
    SCALES
        .iter()
        .map(move |(shift, scale)| (format!("{folder}{scale}"), (number >> shift).to_string()))
}

/// What leaves out numbers up to `after` and numbers from `before` on; a part of a selector.
///
/// Objects without these labels are all left in: they have names that are no numbers.
pub(super) fn without(folder: &str, after: Option<u64>, before: Option<u64>) -> String {
    let mut selector = String::new();
    for (shift, scale) in SCALES {
        let values: Vec<String> = low(after, shift)
            .into_iter()
            .flatten()
            .chain(high(before, shift).into_iter().flatten())
            .map(|value| value.to_string())
            .collect();
        if !values.is_empty() {
            let _ = write!(selector, ",{folder}{scale} notin ({})", values.join(","));
        }
    }
    selector
}

/// Whether what a number is in at this scale is left out with it: only the number itself is.
const fn is_itself(shift: u32) -> bool {
    shift == 0
}

/// The values of a label that are not after a number, among those of one value of the next scale.
fn low(after: Option<u64>, shift: u32) -> Option<impl Iterator<Item = u64>> {
    let own = after? >> shift;
    Some((own & !MASK..=own).filter(move |value| *value < own || is_itself(shift)))
}

/// The values of a label that are not before a number, among those of one value of the next scale.
fn high(before: Option<u64>, shift: u32) -> Option<impl Iterator<Item = u64>> {
    let own = before? >> shift;
    Some((own..=own | MASK).filter(move |value| *value > own || is_itself(shift)))
}
