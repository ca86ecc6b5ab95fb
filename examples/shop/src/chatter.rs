//! A service that writes a lot: numbered lines at a steady rate, for tests of logs.

use std::io::Write as _;
use std::path::Path;
use std::time::{Duration, Instant};

/// The length of a line with its end, in bytes.
const LINE: usize = 128;
/// How often lines are written.
const BEAT: Duration = Duration::from_millis(10);
/// The exit code in the end.
const EXIT: i32 = 7;

/// Writes so many bytes a second until a file exists, then the number of lines, and ends.
pub fn chatter(bytes_per_second: u64, stop: &Path) -> std::io::Result<()> {
    let mut output = std::io::stdout().lock();
    let (began, mut number) = (Instant::now(), 0_u64);
    while !stop.exists() {
        let milliseconds = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
        let due = bytes_per_second.saturating_mul(milliseconds) / 1_000 / LINE as u64;
        // Never more than a second's worth at once, however long nobody read.
        let due = due.min(number + bytes_per_second / LINE as u64);
        let mut lines = Vec::new();
        while number < due {
            number += 1;
            let start = lines.len();
            lines.extend_from_slice(format!("{number:012} ").as_bytes());
            lines.resize(start + LINE - 1, b'.');
            lines.push(b'\n');
        }
        output.write_all(&lines)?;
        std::thread::sleep(BEAT);
    }
    writeln!(output, "end {number}")?;
    output.flush()?;
    std::process::exit(EXIT);
}
