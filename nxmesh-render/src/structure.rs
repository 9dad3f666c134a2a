//! Proof that a rendered file has the structure that its templates say.
//!
//! A file is read again as nginx will read it, with the knowledge of which
//! bytes came from values. If every value is one whole word, or a plain part of
//! one, and none is a name, a comment or a brace, then every directive, block
//! and word begins and ends in the text of a template: the structure is the one
//! the templates give to the model, whatever the values say. So a mistake in
//! quoting, or a template that splits a value, cannot get out.

use std::ops::Range;

use nxmesh_core::{
    contract::renderer::NginxVersion,
    snippet::overflows,
    syntax::{BlockKind, Event, Position, Reader, SyntaxError, parse},
};

use crate::token::is_plain;

/// Where a file does not come from its templates.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Mismatch {
    pub(crate) position: Position,
    pub(crate) reason: String,
}

/// The bytes of a value in a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Value {
    pub(crate) start: usize,
    /// The byte behind it.
    pub(crate) end: usize,
    pub(crate) kind: ValueKind,
}

/// What a value has to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ValueKind {
    /// A word, or a part of one.
    Word,
    /// Whole directives.
    Snippet,
}

/// Verifies `text`, whose values stand at `values`, in order, for `nginx`.
pub(crate) fn verify(text: &[u8], values: &[Value], nginx: NginxVersion) -> Result<(), Mismatch> {
    let mut reader = Reader::new(text);
    let mut verifier = Verifier {
        text,
        values,
        snippet: None,
        in_directive: false,
        has_rewrite: false,
    };
    loop {
        let block = reader.block();
        let depth = reader.depth();
        let event = reader.next().map_err(malformed)?;
        verifier
            .event(event, block, depth)
            .map_err(|(at, reason)| mismatch(text, at, reason))?;
        if event == Event::Done {
            break;
        }
    }
    if verifier.has_rewrite {
        rewrites(text, nginx)?;
    }
    Ok(())
}

/// Two snippets may be harmless each and not together.
fn rewrites(text: &[u8], nginx: NginxVersion) -> Result<(), Mismatch> {
    let text = std::str::from_utf8(text)
        .map_err(|error| mismatch(text, error.valid_up_to(), "the file is not UTF-8"))?;
    let config = parse(text).map_err(malformed)?;
    let mut overflows = overflows(config.directives()).into_iter();
    match overflows.find(|overflow| nginx <= overflow.flaw.last_version()) {
        Some(overflow) => Err(Mismatch {
            position: overflow.position,
            reason: overflow.flaw.to_string(),
        }),
        None => Ok(()),
    }
}

fn malformed(error: SyntaxError) -> Mismatch {
    Mismatch {
        position: error.position,
        reason: error.rule.to_string(),
    }
}

#[cold]
fn mismatch(text: &[u8], at: usize, reason: &str) -> Mismatch {
    Mismatch {
        position: Position::of(text, at),
        reason: reason.to_owned(),
    }
}

/// The byte, and what is wrong there.
type Fault = (usize, &'static str);

struct Verifier<'f> {
    text: &'f [u8],
    /// Those that were not met yet.
    values: &'f [Value],
    /// The snippet that is being read, and how many blocks are open around it.
    snippet: Option<(Value, usize)>,
    /// Whether a directive was begun and not ended.
    in_directive: bool,
    has_rewrite: bool,
}

impl Verifier<'_> {
    /// Judges an event that was read in `block`, `depth` deep.
    fn event(&mut self, event: Event, block: BlockKind, depth: usize) -> Result<(), Fault> {
        let (start, end) = match event {
            Event::Word { start, end, .. }
            | Event::Comment { start, end }
            | Event::Lua { start, end } => (start, end),
            Event::End { at } | Event::Open { at, .. } | Event::Close { at } => (at, at + 1),
            Event::Done => (self.text.len(), self.text.len()),
        };
        self.leave_snippet(start, depth)?;
        while let Some(&value) = self.values.first()
            && (value.start < end || event == Event::Done)
        {
            self.values = &self.values[1..];
            match (value.kind, event) {
                (ValueKind::Word, Event::Word { index, .. }) => {
                    self.value(value, start..end)?;
                    if index == 0 {
                        self.first_value(value, block)?;
                    }
                }
                (ValueKind::Word, _) => return Err((value.start, "a value is not a word")),
                (ValueKind::Snippet, _) => {
                    if self.in_directive || block != BlockKind::Directives || value.start > start {
                        return Err((value.start, "a snippet stands where no directive does"));
                    }
                    self.snippet = Some((value, depth));
                    self.leave_snippet(start, depth)?;
                }
            }
        }
        if let Some((snippet, around)) = self.snippet {
            let closes = matches!(event, Event::Close { .. }) && depth == around;
            if end > snippet.end || closes {
                return Err((start, "a snippet leaves its place"));
            }
        }
        match event {
            Event::Word { index: 0, .. } => {
                self.in_directive = true;
                self.has_rewrite |= self.is_rewrite(start, end);
            }
            Event::End { .. } | Event::Open { .. } => self.in_directive = false,
            _ => {}
        }
        Ok(())
    }

    /// A value has to be the word, or a plain part of it: plain bytes mean
    /// themselves anywhere, so the word is the same whatever they are.
    fn value(&self, value: Value, word: Range<usize>) -> Result<(), Fault> {
        if value.start < word.start || value.end > word.end {
            return Err((value.start, "a value is not one word"));
        }
        if (value.start..value.end) == word {
            return Ok(());
        }
        let part = &self.text[value.start..value.end];
        if !is_plain(part) {
            return Err((
                value.start,
                "a value that needs quotes is a part of a word; it has to stand alone",
            ));
        }
        let before = &self.text[word.start..value.start];
        if before.ends_with(b"$") || before.ends_with(b"${") {
            return Err((value.start, "a value is the name of a variable"));
        }
        if before.ends_with(b"\\") {
            return Err((value.start, "a value stands behind a backslash"));
        }
        Ok(())
    }

    /// Where nginx looks for the name of a directive, or in a block of values for
    /// some words of its own, of which one reads files.
    fn first_value(&self, value: Value, block: BlockKind) -> Result<(), Fault> {
        if block != BlockKind::Values {
            return Err((value.start, "a value is the name of a directive"));
        }
        match &self.text[value.start..value.end] {
            b"include" | b"\"include\"" => Err((value.start, "a value would include a file")),
            _ => Ok(()),
        }
    }

    /// Ends the snippet whose last byte lies before `start`.
    fn leave_snippet(&mut self, start: usize, depth: usize) -> Result<(), Fault> {
        if let Some((snippet, around)) = self.snippet
            && start >= snippet.end
        {
            if self.in_directive || depth != around {
                return Err((snippet.end, "a snippet leaves something open"));
            }
            self.snippet = None;
        }
        Ok(())
    }

    fn is_rewrite(&self, start: usize, end: usize) -> bool {
        matches!(
            &self.text[start..end],
            b"rewrite" | b"'rewrite'" | b"\"rewrite\""
        )
    }
}

#[cfg(test)]
mod tests;
