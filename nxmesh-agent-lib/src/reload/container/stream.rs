//! The output of a container: two streams in one (Docker Engine API, "Attach to
//! a container", "Stream format").

use std::{
    io::{self, Read},
    sync::{Arc, Mutex, PoisonError},
};

use bytes::Bytes;
use futures_util::stream;
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use nxmesh_core::contract::reloader::Output;
use tokio::task::AbortHandle;

/// More of what a command says is thrown away.
const KEPT_BYTES: usize = 64 << 10;
/// So much of a log may wait to be read; more is thrown away.
const WAITING_BYTES: usize = 1 << 20;
/// A byte for the stream, three of nothing, four for the length.
const HEADER: usize = 8;

/// Takes the frames apart, wherever chunks of them begin and end.
#[derive(Debug)]
pub(super) struct Demux {
    /// A terminal has one stream and no frames.
    raw: bool,
    header: Vec<u8>,
    left: usize,
}

impl Demux {
    pub(super) fn new(raw: bool) -> Self {
        Self {
            raw,
            header: Vec::with_capacity(HEADER),
            left: 0,
        }
    }

    pub(super) fn take(&mut self, mut chunk: &[u8], keep: &mut dyn FnMut(&[u8])) {
        if self.raw {
            keep(chunk);
            return;
        }
        while !chunk.is_empty() {
            if self.left == 0 {
                let (head, rest) = chunk.split_at(chunk.len().min(HEADER - self.header.len()));
                self.header.extend_from_slice(head);
                chunk = rest;
                if let [_, _, _, _, a, b, c, d] = self.header[..] {
                    self.left = u32::from_be_bytes([a, b, c, d]) as usize;
                    self.header.clear();
                }
                continue;
            }
            let (said, rest) = chunk.split_at(chunk.len().min(self.left));
            keep(said);
            self.left -= said.len();
            chunk = rest;
        }
    }
}

/// The beginning of what a command says.
#[derive(Debug, Default)]
pub(super) struct Kept(Vec<u8>);

impl Kept {
    pub(super) fn keep(&mut self, said: &[u8]) {
        let room = KEPT_BYTES.saturating_sub(self.0.len());
        self.0.extend_from_slice(&said[..said.len().min(room)]);
    }

    pub(super) fn into_text(self) -> String {
        String::from_utf8_lossy(&self.0).into_owned()
    }
}

/// Reads a log to its end.
pub(super) async fn read_log(mut log: Incoming, raw: bool) -> Result<String, hyper::Error> {
    let (mut demux, mut kept) = (Demux::new(raw), Kept::default());
    while let Some(frame) = log.frame().await {
        if let Some(chunk) = frame?.data_ref() {
            demux.take(chunk, &mut |said| kept.keep(said));
        }
    }
    Ok(kept.into_text())
}

/// A log, piece by piece.
pub(super) fn output(log: Incoming, raw: bool) -> Output {
    let pieces = stream::unfold((log, Demux::new(raw)), |(mut log, mut demux)| async move {
        let piece = log.frame().await?.map_err(io::Error::other);
        let said = piece.map(|frame| {
            let mut said = Vec::new();
            if let Some(chunk) = frame.data_ref() {
                demux.take(chunk, &mut |part| said.extend_from_slice(part));
            }
            Bytes::from(said)
        });
        Some((said, (log, demux)))
    });
    Box::pin(pieces)
}

/// A log that grows: reading never waits, and reads nothing where there is nothing.
#[derive(Debug)]
pub(super) struct Followed {
    waiting: Arc<Mutex<Vec<u8>>>,
    task: AbortHandle,
}

impl Followed {
    pub(super) fn new(mut log: Incoming, raw: bool) -> Self {
        let waiting: Arc<Mutex<Vec<u8>>> = Arc::default();
        let filled = Arc::clone(&waiting);
        let task = tokio::spawn(async move {
            let mut demux = Demux::new(raw);
            // What breaks the log off leaves what was read of it.
            while let Some(Ok(frame)) = log.frame().await {
                if let Some(chunk) = frame.data_ref() {
                    let mut filled = filled.lock().unwrap_or_else(PoisonError::into_inner);
                    demux.take(chunk, &mut |said| {
                        let room = WAITING_BYTES.saturating_sub(filled.len());
                        filled.extend_from_slice(&said[..said.len().min(room)]);
                    });
                }
            }
        });
        Self {
            waiting,
            task: task.abort_handle(),
        }
    }
}

impl Read for Followed {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        let length = waiting.len().min(buffer.len());
        buffer[..length].copy_from_slice(&waiting[..length]);
        waiting.drain(..length);
        Ok(length)
    }
}

impl Drop for Followed {
    fn drop(&mut self) {
        self.task.abort();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(stream: u8, said: &str) -> Vec<u8> {
        let length = u32::try_from(said.len()).unwrap().to_be_bytes();
        [&[stream, 0, 0, 0], &length[..], said.as_bytes()].concat()
    }

    #[test]
    fn frames_are_taken_apart_however_they_are_cut() {
        let bytes = [
            frame(1, "one "),
            frame(2, ""),
            frame(2, "two "),
            frame(1, "three"),
        ]
        .concat();
        for size in 1..bytes.len() {
            let (mut demux, mut kept) = (Demux::new(false), Kept::default());
            for chunk in bytes.chunks(size) {
                demux.take(chunk, &mut |said| kept.keep(said));
            }
            assert_eq!(kept.into_text(), "one two three", "in chunks of {size}");
        }
    }

    #[test]
    fn a_terminal_has_no_frames_and_what_is_kept_is_bounded() {
        let mut kept = Kept::default();
        let mut demux = Demux::new(true);
        for _ in 0..100 {
            demux.take(&[b'x'; 4096], &mut |said| kept.keep(said));
        }
        assert_eq!(kept.into_text().len(), KEPT_BYTES);
    }

    #[test]
    fn a_length_that_is_a_lie_takes_no_memory() {
        let (mut demux, mut kept) = (Demux::new(false), Kept::default());
        demux.take(&[1, 0, 0, 0, 255, 255, 255, 255, b'x'], &mut |said| {
            kept.keep(said);
        });
        assert_eq!(kept.into_text(), "x");
    }
}
