//! What was found to differ, for people: bounded, and without secrets.

use std::{
    fmt::Display,
    time::{Duration, Instant},
};

use nxmesh_core::model::{Drift, DriftedFile, FileChange};
use similar::{
    DiffTag,
    algorithms::{Capture, Replace, myers},
    udiff::UnifiedHunkHeader,
};

/// How long one comparison may look for the shortest difference.
const PATIENCE: Duration = Duration::from_millis(200);
/// How many lines are shown around those that differ.
const AROUND: usize = 3;
/// So many digits in a row are a digest, which is part of a file's name that
/// nobody is to guess.
const DIGITS: usize = 32;
/// What is told of a path.
const PATH_CHARS: usize = 256;

/// Files that are not as they were written.
#[derive(Debug, Default)]
pub(super) struct Findings {
    files: Vec<DriftedFile>,
    more: u64,
    diff: String,
    is_cut: bool,
}

impl Findings {
    /// Adds a file of which only the name is told.
    pub(super) fn add(&mut self, path: impl Display, change: FileChange) {
        if self.files.len() == Drift::FILES {
            self.more += 1;
            return;
        }
        let path = printable(&path.to_string())
            .chars()
            .take(PATH_CHARS)
            .collect();
        self.files.push(DriftedFile { path, change });
    }

    /// Adds a file that says something else; `found` if that can be shown.
    pub(super) fn differs(&mut self, path: impl Display, expected: &[u8], found: Option<&str>) {
        let path = path.to_string();
        if let (Some(found), Ok(expected)) = (found, str::from_utf8(expected))
            && !self.is_cut
        {
            self.note(&unified(&path, expected, found));
        }
        self.add(path, FileChange::Changed);
    }

    /// Adds a line, or some, to what is shown.
    pub(super) fn note(&mut self, text: &str) {
        if self.is_cut {
            return;
        }
        let text = printable(text);
        let room = Drift::DIFF_BYTES.saturating_sub(self.diff.len());
        self.is_cut = text.len() > room;
        let end = match self.is_cut {
            true => text.floor_char_boundary(room),
            false => text.len(),
        };
        self.diff.push_str(&text[..end]);
    }

    /// The files, how many more there are, and the differences.
    pub(super) fn finish(mut self) -> (Vec<DriftedFile>, u64, String) {
        if self.is_cut {
            // What is cut off ends with a whole line.
            let end = self.diff.rfind('\n').map_or(0, |end| end + 1);
            self.diff.truncate(end);
            self.diff.push_str("…\n");
        }
        (self.files, self.more, self.diff)
    }
}

/// One algorithm alone: all that the crate knows are half a megabyte of an agent.
fn unified(path: &str, expected: &str, found: &str) -> String {
    if expected == found {
        return String::new();
    }
    let old: Vec<&str> = expected.split_inclusive('\n').collect();
    let new: Vec<&str> = found.split_inclusive('\n').collect();
    let mut changes = Replace::new(Capture::new());
    let end = Instant::now() + PATIENCE;
    let Ok(()) = myers::diff_deadline_raw(
        &mut changes,
        &old,
        0..old.len(),
        &new,
        0..new.len(),
        Some(end),
    );
    let mut text = format!("--- {path} (written)\n+++ {path} (found)\n");
    for hunk in changes.into_inner().into_grouped_ops(AROUND) {
        text.push_str(&format!("{}\n", UnifiedHunkHeader::new(&hunk)));
        for change in hunk {
            match change.as_tag_tuple() {
                (DiffTag::Equal, same, _) => show(&mut text, ' ', &old[same]),
                (_, gone, come) => {
                    show(&mut text, '-', &old[gone]);
                    show(&mut text, '+', &new[come]);
                }
            }
        }
    }
    text
}

fn show(text: &mut String, sign: char, lines: &[&str]) {
    for line in lines {
        text.push(sign);
        text.push_str(line);
        if !line.ends_with('\n') {
            text.push_str("\n\\ No newline at end of file\n");
        }
    }
}

/// As it may be told and shown on a terminal.
fn printable(text: &str) -> String {
    let shown = |c: &char| !c.is_control() || matches!(c, '\n' | '\t');
    without_digests(&text.chars().filter(shown).collect::<String>())
}

/// Digests cut to their beginnings.
fn without_digests(text: &str) -> String {
    const KEPT: usize = 8;
    let mut short = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(start) = rest.find(|c: char| c.is_ascii_hexdigit()) {
        let digits = &rest[start..];
        let end = digits
            .find(|c: char| !c.is_ascii_hexdigit())
            .unwrap_or(digits.len());
        short.push_str(&rest[..start]);
        match end >= DIGITS {
            true => {
                short.push_str(&digits[..KEPT]);
                short.push('…');
            }
            false => short.push_str(&digits[..end]),
        }
        rest = &digits[end..];
    }
    short.push_str(rest);
    short
}

#[cfg(test)]
mod tests {
    use nxmesh_core::digest::Digest;

    use super::*;

    #[test]
    fn what_differs_is_shown_with_its_file() {
        let mut found = Findings::default();
        found.differs("a.conf", b"one\ntwo\n", Some("one\n2\n"));
        found.differs("b\u{1b}[2J.conf", b"one\n", None);
        let (files, more, diff) = found.finish();
        assert_eq!((files.len(), more), (2, 0));
        assert_eq!(files[1].path, "b[2J.conf");
        assert_eq!(
            diff,
            "--- a.conf (written)\n+++ a.conf (found)\n@@ -1,2 +1,2 @@\n one\n-two\n+2\n"
        );
    }

    #[test]
    fn names_that_nobody_is_to_guess_are_cut() {
        let digest = Digest::of(b"passwords").to_string();
        let mut found = Findings::default();
        let line = format!("auth_basic_user_file /run/tls/shop-{digest}.users;\n");
        found.differs("a.conf", line.as_bytes(), Some(""));
        found.add(format!("tls/shop-{digest}.users"), FileChange::Missing);
        let (files, _, diff) = found.finish();
        let cut = format!("shop-{}….users", &digest[..8]);
        assert!(diff.contains(&cut) && !diff.contains(&digest), "{diff}");
        assert_eq!(files[1].path, format!("tls/{cut}"));
        assert_eq!(
            without_digests("ä 1.7-0123456789ab f"),
            "ä 1.7-0123456789ab f"
        );
    }

    #[test]
    fn there_is_an_end_to_it() {
        let mut found = Findings::default();
        for number in 0..100 {
            let text = format!("{number} ü\n").repeat(50);
            found.differs(format!("{number}.conf"), b"", Some(&text));
        }
        let (files, more, diff) = found.finish();
        assert_eq!((files.len(), more), (Drift::FILES, 68));
        assert!(
            diff.len() <= Drift::DIFF_BYTES + "…\n".len(),
            "{}",
            diff.len()
        );
        assert!(diff.ends_with(" ü\n…\n"), "{diff}");
    }
}
