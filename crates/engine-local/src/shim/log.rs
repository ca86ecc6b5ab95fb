//! The log of one run: lines become records, files follow one another by size.

use crate::disk;
use landfall_protocol::shim::{LINE_MAXIMUM, LogKind, write_record};
use std::fs::{File, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

/// The name of the log file with this number.
pub fn file_name(number: u64) -> String {
    format!("{number:08}.log")
}

/// Cuts the bytes of one stream into records.
#[derive(Debug)]
pub struct Lines {
    whole: LogKind,
    part: LogKind,
    rest: Vec<u8>,
}

impl Default for Lines {
    fn default() -> Self {
        Self::new(LogKind::Out, LogKind::OutPart)
    }
}

impl Lines {
    /// Of a stream whose records have these kinds.
    pub const fn new(whole: LogKind, part: LogKind) -> Self {
        Self { whole, part, rest: Vec::new() }
    }

    /// Takes what was read and appends the records that are complete.
    pub fn feed(&mut self, bytes: &[u8], records: &mut Vec<u8>) {
        let at = disk::now();
        let mut from = bytes;
        while let Some(end) = from.iter().position(|byte| *byte == b'\n') {
            self.take(&from[..end], records);
            write_record(records, at, self.whole, &self.rest);
            self.rest.clear();
            from = &from[end + 1..];
        }
        self.take(from, records);
    }

    fn take(&mut self, mut piece: &[u8], records: &mut Vec<u8>) {
        while self.rest.len() + piece.len() > LINE_MAXIMUM {
            let (head, tail) = piece.split_at(LINE_MAXIMUM - self.rest.len());
            self.rest.extend_from_slice(head);
            write_record(records, disk::now(), self.part, &self.rest);
            self.rest.clear();
            piece = tail;
        }
        self.rest.extend_from_slice(piece);
    }

    /// The stream has ended: a last line without its end is a line too.
    pub fn finish(&mut self, records: &mut Vec<u8>) {
        if !self.rest.is_empty() {
            write_record(records, disk::now(), self.whole, &self.rest);
            self.rest.clear();
        }
    }
}

/// Writes records to files.
#[derive(Debug)]
pub struct Log {
    folder: PathBuf,
    size_maximum: u64,
    files: u64,
    number: u64,
    file: Option<File>,
    size: u64,
    /// Bytes that could not be written. The application is never held up for a full disk.
    pub lost: u64,
}

impl Log {
    /// A log in this folder, with files of this size, of which this many are kept.
    pub fn new(folder: &Path, size_maximum: u64, files: u32) -> Self {
        Self {
            folder: folder.to_owned(),
            size_maximum: size_maximum.max(1),
            files: u64::from(files.max(1)),
            number: 0,
            file: None,
            size: 0,
            lost: 0,
        }
    }

    /// Writes whole records, into the next file when this one is full.
    pub fn write(&mut self, records: &[u8]) {
        let mut rest = records;
        while !rest.is_empty() {
            let piece = self.fitting(rest);
            if self.try_write(&rest[..piece]).is_err() {
                self.lost += piece as u64;
                self.file = None;
            }
            rest = &rest[piece..];
        }
    }

    /// How many bytes of whole records go into the current file; at least one record.
    fn fitting(&self, records: &[u8]) -> usize {
        let room =
            self.size_maximum.saturating_sub(if self.file.is_some() { self.size } else { 0 });
        let room = usize::try_from(room).unwrap_or(usize::MAX);
        if records.len() <= room {
            return records.len();
        }
        let whole = records[..room].iter().rposition(|byte| *byte == b'\n');
        let first = || records.iter().position(|byte| *byte == b'\n');
        whole.or_else(first).map_or(records.len(), |end| end + 1)
    }

    fn try_write(&mut self, records: &[u8]) -> std::io::Result<()> {
        let full = self.size > 0 && self.size + records.len() as u64 > self.size_maximum;
        if self.file.is_none() || full {
            self.next_file()?;
        }
        if let Some(file) = &mut self.file {
            file.write_all(records)?;
            self.size += records.len() as u64;
        }
        Ok(())
    }

    fn next_file(&mut self) -> std::io::Result<()> {
        let next = self.number + 1;
        let path = self.folder.join(file_name(next));
        let file = OpenOptions::new().append(true).create(true).mode(0o600).open(path)?;
        self.number = next;
        self.size = 0;
        self.file = Some(file);
        if next > self.files {
            let _ = std::fs::remove_file(self.folder.join(file_name(next - self.files)));
        }
        Ok(())
    }

    /// A line of Landfall's own.
    pub fn say(&mut self, text: &str) {
        let mut record = Vec::new();
        write_record(
            &mut record,
            disk::now(),
            LogKind::Landfall,
            text.replace('\n', " ").as_bytes(),
        );
        self.write(&record);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_lines_are_split_and_nothing_is_lost() {
        let mut lines = Lines::new(LogKind::Out, LogKind::OutPart);
        let mut records = Vec::new();
        let long = vec![b'x'; LINE_MAXIMUM * 2 + 10];
        lines.feed(&long, &mut records);
        lines.feed(b"y\nlast", &mut records);
        lines.finish(&mut records);
        let kinds: Vec<(LogKind, usize)> = records
            .split(|byte| *byte == b'\n')
            .filter_map(landfall_protocol::shim::read_record)
            .map(|(_, kind, text)| (kind, text.len()))
            .collect();
        assert_eq!(
            kinds,
            [
                (LogKind::OutPart, LINE_MAXIMUM),
                (LogKind::OutPart, LINE_MAXIMUM),
                (LogKind::Out, 11),
                (LogKind::Out, 4)
            ]
        );
    }

    #[test]
    fn files_follow_one_another_and_old_ones_go() {
        let folder = tempfile::tempdir().expect("a folder");
        let mut log = Log::new(folder.path(), 100, 3);
        for index in 0..40 {
            log.say(&format!("line {index:03}"));
        }
        let mut names: Vec<_> = std::fs::read_dir(folder.path())
            .expect("a folder")
            .map(|entry| entry.expect("an entry").file_name().into_string().expect("text"))
            .collect();
        names.sort();
        assert_eq!(names.len(), 3);
        for name in &names {
            assert!(std::fs::metadata(folder.path().join(name)).expect("a file").len() <= 100);
        }
        let last = std::fs::read_to_string(folder.path().join(&names[2])).expect("text");
        assert!(last.contains("line 039"));
        assert_eq!(log.lost, 0);
    }
}
