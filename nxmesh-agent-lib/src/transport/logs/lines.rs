//! Lines of what comes in pieces.

/// The longest line; the rest of a longer one is cut off.
pub(super) const LINE_BYTES: usize = 4 << 10;

/// Puts lines together.
#[derive(Debug, Default)]
pub(super) struct Lines {
    /// The line that is not whole yet.
    partial: Vec<u8>,
}

/// What was added since the last look.
#[derive(Debug, Default)]
pub(super) struct Added {
    pub(super) lines: Vec<String>,
    /// Lines that came after these and are not kept.
    pub(super) dropped: u64,
}

impl Lines {
    /// Adds the lines that are whole by now to `added`, up to `keep` there.
    pub(super) fn take(&mut self, bytes: &[u8], keep: usize, added: &mut Added) {
        for part in bytes.split_inclusive(|it| *it == b'\n') {
            let (text, whole) = match part.split_last() {
                Some((b'\n', text)) => (text, true),
                _ => (part, false),
            };
            let room = LINE_BYTES.saturating_sub(self.partial.len());
            self.partial.extend(text.iter().take(room));
            if !whole {
                continue;
            }
            let line = std::mem::take(&mut self.partial);
            if added.lines.len() < keep {
                let line = String::from_utf8_lossy(&line);
                added.lines.push(line.into_owned());
            } else {
                added.dropped += 1;
            }
        }
    }
}
