//! Reading the logs that shims write: the last lines, and what comes after them.

use crate::shim::log_file_name;
use landfall_model::Timestamp;
use landfall_protocol::shim::{LogKind, read_record};
use std::collections::VecDeque;
use std::fs::File;
use std::io::{Read as _, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};

/// How much is read at once when following.
const PIECE: usize = 256 << 10;

/// A line of a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Line {
    pub at: Timestamp,
    pub error: bool,
    pub text: String,
}

fn parse(record: &[u8]) -> Option<Line> {
    let (at, kind, text) = read_record(record)?;
    let error = matches!(kind, LogKind::Error | LogKind::ErrorPart | LogKind::Landfall);
    let text = String::from_utf8_lossy(text);
    let text = match kind {
        LogKind::Landfall => format!("landfall: {text}"),
        _ => text.into_owned(),
    };
    Some(Line { at, error, text })
}

/// The numbers of the files in a log folder, ascending.
fn numbers(folder: &Path) -> Vec<u64> {
    let Ok(entries) = std::fs::read_dir(folder) else { return Vec::new() };
    let mut numbers: Vec<u64> = entries
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.strip_suffix(".log")?.parse().ok())
        .collect();
    numbers.sort_unstable();
    numbers
}

/// The last lines of a log, and a reader that goes on behind them.
pub(crate) fn tail(folder: &Path, lines: usize) -> (Vec<Line>, Follower) {
    let mut last: VecDeque<Line> = VecDeque::new();
    let mut follower = Follower::new(folder.to_owned());
    for (index, number) in numbers(folder).into_iter().rev().enumerate() {
        let bytes = std::fs::read(folder.join(log_file_name(number))).unwrap_or_default();
        let whole = bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
        if index == 0 {
            follower.number = number;
            follower.offset = whole as u64;
        }
        if lines == 0 {
            break;
        }
        let records = bytes[..whole].rsplit(|byte| *byte == b'\n').skip(1);
        for line in records.filter_map(parse) {
            last.push_front(line);
            if last.len() == lines {
                return (last.into(), follower);
            }
        }
    }
    (last.into(), follower)
}

/// The last lines as one text for people, bounded in lines and bytes.
pub(crate) fn last_words(folder: &Path, lines: usize, bytes: usize) -> String {
    let mut words: VecDeque<String> = VecDeque::new();
    let mut size = 0;
    for number in numbers(folder).into_iter().rev() {
        let end = end_of_file(&folder.join(log_file_name(number))).unwrap_or_default();
        for line in end.rsplit(|byte| *byte == b'\n').filter_map(parse) {
            size += line.text.len() + 1;
            if words.len() == lines || (size > bytes + 1 && !words.is_empty()) {
                return join(words);
            }
            let mut text = line.text;
            let fits = (0..=bytes.min(text.len())).rev().find(|at| text.is_char_boundary(*at));
            text.truncate(fits.unwrap_or(0));
            words.push_front(text);
        }
    }
    join(words)
}

fn join(words: VecDeque<String>) -> String {
    Vec::from(words).join("\n")
}

/// The last piece of a file.
fn end_of_file(path: &Path) -> std::io::Result<Vec<u8>> {
    let mut file = File::open(path)?;
    let size = file.metadata()?.len();
    file.seek(SeekFrom::Start(size.saturating_sub(PIECE as u64)))?;
    let mut bytes = Vec::new();
    file.take(PIECE as u64).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Reads new lines, across files.
#[derive(Debug)]
pub(crate) struct Follower {
    folder: PathBuf,
    number: u64,
    offset: u64,
    file: Option<File>,
    rest: Vec<u8>,
}

impl Follower {
    /// From the very beginning.
    pub const fn new(folder: PathBuf) -> Self {
        Self { folder, number: 0, offset: 0, file: None, rest: Vec::new() }
    }

    /// A bounded piece of what is new; empty when there is nothing.
    pub fn read(&mut self) -> std::io::Result<Vec<Line>> {
        loop {
            if self.file.is_none() && !self.open()? {
                return Ok(Vec::new());
            }
            // Looked up before reading: what is read after it is all that this file will have.
            let next = numbers(&self.folder).into_iter().find(|number| *number > self.number);
            let lines = self.read_piece()?;
            if !lines.is_empty() {
                return Ok(lines);
            }
            match next {
                Some(number) => {
                    self.number = number;
                    self.offset = 0;
                    self.file = None;
                    self.rest.clear();
                }
                None => return Ok(Vec::new()),
            }
        }
    }

    fn open(&mut self) -> std::io::Result<bool> {
        let Some(number) = numbers(&self.folder).into_iter().find(|n| *n >= self.number) else {
            return Ok(false);
        };
        if number != self.number {
            self.offset = 0;
        }
        self.number = number;
        match File::open(self.folder.join(log_file_name(number))) {
            Ok(mut file) => {
                file.seek(SeekFrom::Start(self.offset))?;
                self.file = Some(file);
                Ok(true)
            }
            // Removed between the two looks: the next look finds a later one.
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(error),
        }
    }

    fn read_piece(&mut self) -> std::io::Result<Vec<Line>> {
        let Some(file) = &mut self.file else { return Ok(Vec::new()) };
        let mut lines = Vec::new();
        let mut piece = vec![0_u8; PIECE];
        while lines.is_empty() {
            let count = file.read(&mut piece)?;
            if count == 0 {
                break;
            }
            self.offset += count as u64;
            self.rest.extend_from_slice(&piece[..count]);
            let whole = self.rest.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
            lines.extend(self.rest[..whole].split(|byte| *byte == b'\n').filter_map(parse));
            self.rest.drain(..whole);
        }
        Ok(lines)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use landfall_protocol::shim::write_record;

    fn append(folder: &Path, number: u64, texts: &[&str]) {
        use std::io::Write as _;
        let mut records = Vec::new();
        for text in texts {
            write_record(&mut records, Timestamp(number), LogKind::Out, text.as_bytes());
        }
        let path = folder.join(log_file_name(number));
        let mut file = File::options().append(true).create(true).open(path).expect("a file");
        file.write_all(&records).expect("written");
    }

    fn texts(lines: Vec<Line>) -> Vec<String> {
        lines.into_iter().map(|line| line.text).collect()
    }

    #[test]
    fn following_crosses_files_and_loses_nothing() {
        let folder = tempfile::tempdir().expect("a folder");
        append(folder.path(), 1, &["a", "b"]);
        append(folder.path(), 2, &["c"]);
        let (last, mut follower) = tail(folder.path(), 2);
        assert_eq!(texts(last), ["b", "c"]);
        assert!(follower.read().expect("read").is_empty());
        append(folder.path(), 2, &["d"]);
        append(folder.path(), 3, &["e"]);
        assert_eq!(texts(follower.read().expect("read")), ["d"]);
        assert_eq!(texts(follower.read().expect("read")), ["e"]);
        assert!(follower.read().expect("read").is_empty());
        assert_eq!(last_words(folder.path(), 3, 100), "c\nd\ne");
        assert_eq!(last_words(folder.path(), 3, 3), "d\ne");
    }

    #[test]
    fn a_log_that_is_not_there_yet_is_followed_from_its_beginning() {
        let folder = tempfile::tempdir().expect("a folder");
        let (last, mut follower) = tail(&folder.path().join("log"), 5);
        assert!(last.is_empty() && follower.read().expect("read").is_empty());
        std::fs::create_dir(folder.path().join("log")).expect("made");
        append(&folder.path().join("log"), 1, &["a"]);
        assert_eq!(texts(follower.read().expect("read")), ["a"]);
    }
}
