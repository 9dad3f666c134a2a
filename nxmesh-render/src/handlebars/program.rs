//! A compiled template and how it runs.

use super::record::{Field, Record};
use crate::{
    structure::{Value, ValueKind},
    token::Word,
};

/// Where a field is: how many records outwards, and its slot there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) up: usize,
    pub(crate) slot: usize,
}

/// What an `{{#if}}` asks.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Test {
    Field(Place),
    /// Whether the item so many records outwards is the first of its list.
    First(usize),
    Last(usize),
}

/// One step of a program.
#[derive(Debug)]
pub(crate) enum Step {
    Literal(String),
    Word(Place),
    If {
        test: Test,
        then: Program,
        otherwise: Program,
    },
    With {
        record: Place,
        body: Program,
        otherwise: Program,
    },
    Each {
        list: Place,
        body: Program,
        otherwise: Program,
    },
}

/// A compiled template.
#[derive(Debug, Default)]
pub(crate) struct Program(pub(crate) Box<[Step]>);

/// A file while it is written.
#[derive(Debug, Default)]
pub(crate) struct Output {
    pub(crate) text: Vec<u8>,
    /// Which of its bytes are not from templates, in order.
    pub(crate) values: Vec<Value>,
    /// What stands in place of one of the values, as if quoting were broken.
    #[cfg(test)]
    pub(crate) sabotage: Option<(usize, &'static str)>,
}

impl Output {
    pub(crate) fn clear(&mut self) {
        self.text.clear();
        self.values.clear();
    }

    fn value(&mut self, field: &Field<'_>) {
        let start = self.text.len();
        let kind = match field {
            Field::Word(word) => {
                self.word(word);
                ValueKind::Word
            }
            Field::Snippet(snippet) => {
                self.text.extend_from_slice(snippet.as_str().as_bytes());
                // It may end in a comment.
                self.text.push(b'\n');
                ValueKind::Snippet
            }
            // The compiler saw to it that there is one of the two.
            _ => return,
        };
        let end = self.text.len();
        self.values.push(Value { start, end, kind });
    }
}

#[cfg(not(test))]
impl Output {
    fn word(&mut self, word: &Word<'_>) {
        word.write_to(&mut self.text);
    }
}

#[cfg(test)]
impl Output {
    fn word(&mut self, word: &Word<'_>) {
        match self.sabotage {
            Some((at, broken)) if at == self.values.len() => {
                self.text.extend_from_slice(broken.as_bytes());
            }
            _ => word.write_to(&mut self.text),
        }
    }
}

/// The output grew beyond its bound.
#[derive(Debug)]
pub(crate) struct TooLarge;

/// A record and the records around it.
#[derive(Clone, Copy)]
struct Frame<'f> {
    record: &'f dyn Record,
    outer: Option<&'f Self>,
    first: bool,
    last: bool,
}

impl<'f> Frame<'f> {
    fn out(&'f self, up: usize) -> &'f Self {
        let mut frame = self;
        for _ in 0..up {
            frame = frame.outer.unwrap_or(frame);
        }
        frame
    }

    fn field(&'f self, place: Place) -> Field<'f> {
        self.out(place.up).record.field(place.slot)
    }

    fn within(&'f self, record: &'f dyn Record) -> Self {
        Self {
            record,
            outer: Some(self),
            first: false,
            last: false,
        }
    }
}

impl Program {
    /// Appends what the template says about `record` to `output`, which stays
    /// below `limit` bytes but for the text of one step.
    pub(crate) fn run(
        &self,
        record: &dyn Record,
        output: &mut Output,
        limit: usize,
    ) -> Result<(), TooLarge> {
        let frame = Frame {
            record,
            outer: None,
            first: false,
            last: false,
        };
        self.run_in(&frame, output, limit)
    }

    fn run_in(&self, frame: &Frame<'_>, output: &mut Output, limit: usize) -> Result<(), TooLarge> {
        for step in &self.0 {
            match step {
                Step::Literal(text) => output.text.extend_from_slice(text.as_bytes()),
                Step::Word(place) => output.value(&frame.field(*place)),
                Step::If {
                    test,
                    then,
                    otherwise,
                } => {
                    let holds = match *test {
                        Test::Field(place) => frame.field(place).is_true(),
                        Test::First(up) => frame.out(up).first,
                        Test::Last(up) => frame.out(up).last,
                    };
                    let branch = if holds { then } else { otherwise };
                    // Most settings are not said, and most tests have no else.
                    if !branch.0.is_empty() {
                        branch.run_in(frame, output, limit)?;
                    }
                }
                Step::With {
                    record,
                    body,
                    otherwise,
                } => match frame.field(*record) {
                    Field::Record(record) => body.run_in(&frame.within(record), output, limit)?,
                    _ if otherwise.0.is_empty() => {}
                    _ => otherwise.run_in(frame, output, limit)?,
                },
                Step::Each {
                    list,
                    body,
                    otherwise,
                } => match frame.field(*list) {
                    Field::List(list) if list.len() > 0 => {
                        for index in 0..list.len() {
                            let item = Frame {
                                first: index == 0,
                                last: index + 1 == list.len(),
                                ..frame.within(list.get(index))
                            };
                            body.run_in(&item, output, limit)?;
                            if output.text.len() > limit {
                                return Err(TooLarge);
                            }
                        }
                    }
                    _ => otherwise.run_in(frame, output, limit)?,
                },
            }
        }
        Ok(())
    }
}
