//! A log that is a file.

use std::{
    fs::File,
    io::{self, Read as _, Seek as _, SeekFrom},
    os::unix::fs::MetadataExt as _,
};

use super::{
    LINES_PER_LOOK,
    lines::{Added, Lines},
};

/// How far back its last lines are looked for.
const BACK_BYTES: u64 = 256 << 10;
/// What is read at most at one look.
const BYTES_PER_LOOK: u64 = 64 << 20;

/// A file that grows.
#[derive(Debug)]
pub(super) struct Log {
    file: File,
    at: u64,
    lines: Lines,
}

impl Log {
    /// At its end, with the last `count` lines.
    pub(super) fn end_of(mut file: File, count: usize) -> io::Result<(Self, Vec<String>)> {
        let length = file.metadata()?.len();
        let from = length.saturating_sub(BACK_BYTES);
        file.seek(SeekFrom::Start(from))?;
        let mut log = Self {
            file,
            at: from,
            lines: Lines::default(),
        };
        let mut lines = log.read(usize::MAX, BACK_BYTES)?.lines;
        if from > 0 && !lines.is_empty() {
            // The first may have lost its beginning.
            lines.remove(0);
        }
        let first = lines.len().saturating_sub(count);
        Ok((log, lines.split_off(first)))
    }

    pub(super) fn added(&mut self) -> io::Result<Added> {
        if self.file.metadata()?.len() < self.at {
            // Begun anew.
            self.file.seek(SeekFrom::Start(0))?;
            self.at = 0;
            self.lines = Lines::default();
        }
        self.read(LINES_PER_LOOK, BYTES_PER_LOOK)
    }

    fn read(&mut self, keep: usize, most: u64) -> io::Result<Added> {
        let mut added = Added::default();
        let mut chunk = vec![0; 64 << 10];
        let mut left = most;
        while left > 0 {
            let read = self.file.read(&mut chunk)?;
            if read == 0 {
                break;
            }
            self.at += read as u64;
            left = left.saturating_sub(read as u64);
            let filled = chunk.get(..read).unwrap_or_default();
            self.lines.take(filled, keep, &mut added);
        }
        Ok(added)
    }

    /// Goes on in `newer`, from its beginning, if that is another file.
    pub(super) fn or(self, newer: File) -> io::Result<Self> {
        let (ours, theirs) = (self.file.metadata()?, newer.metadata()?);
        if (ours.dev(), ours.ino()) == (theirs.dev(), theirs.ino()) {
            return Ok(self);
        }
        Ok(Self {
            file: newer,
            at: 0,
            lines: Lines::default(),
        })
    }
}
