//! One way through templates, character by character, as nginx would read it.

use nxmesh_core::{
    contract::renderer::RenderError,
    syntax::{BlockKind, MAX_DEPTH, SyntaxRule, parse},
};

use super::{At, Cursor, SAME_PART};

/// The longest block of Lua, in bytes: it is read again at each brace in it.
const MAX_LUA: usize = 16 << 10;

/// A way through the templates: where it has led to.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Way {
    place: Place,
    /// The blocks that are open, and where they were opened.
    pub(super) open: Vec<(BlockKind, At)>,
    /// For each part that it is in: how many blocks were open where that begins,
    /// and whether a quote was.
    pub(super) parts: Vec<(usize, bool)>,
    /// Where the directive began that is being written.
    pub(super) begun: Option<At>,
    /// Its name, as far as it is written.
    name: String,
    /// Whether the name is written to its end.
    named: bool,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord)]
enum Place {
    /// Between words.
    #[default]
    Between,
    Comment,
    /// In a word without quotes.
    Bare(Last),
    /// In a word with this quote.
    Quoted(char, Last),
    /// Behind the closing quote of a word.
    AfterQuote,
    /// Behind a value, in case it has quotes.
    AfterValue,
    /// In a block of Lua, of which so much is written.
    Lua(String),
}

/// What the last character of a word means for the next one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Last {
    Plain,
    Backslash,
    /// `$`, or a brace behind it.
    Dollar,
}

impl Last {
    const fn then(self, character: char) -> Self {
        match (self, character) {
            (Self::Backslash, _) => Self::Plain,
            (_, '\\') => Self::Backslash,
            (_, '$') | (Self::Dollar, '{') => Self::Dollar,
            _ => Self::Plain,
        }
    }
}

impl Way {
    fn block(&self) -> BlockKind {
        self.open
            .last()
            .map_or(BlockKind::Directives, |(kind, _)| *kind)
    }

    pub(super) const fn is_quoted(&self) -> bool {
        matches!(self.place, Place::Quoted(..))
    }

    pub(super) fn takes_directives(&self) -> bool {
        let between = matches!(self.place, Place::Between);
        between && self.begun.is_none() && self.block() == BlockKind::Directives
    }

    /// A word of which nothing is known but that it is one.
    pub(super) fn word(mut self, at: &At) -> Result<Vec<Self>, RenderError> {
        let last = match &self.place {
            Place::Comment => return Err(at.error("a value does not stand in a comment")),
            Place::Lua(_) => return Err(at.error("a value does not stand in code")),
            // Only where quotes would be wrong anyway.
            Place::AfterValue => return Ok(Vec::new()),
            Place::AfterQuote => return Err(at.error(SyntaxRule::AfterQuote.to_string())),
            Place::Between => Last::Plain,
            Place::Bare(last) | Place::Quoted(_, last) => *last,
        };
        match last {
            Last::Plain => {}
            Last::Backslash => return Err(at.error("a value does not stand behind a backslash")),
            Last::Dollar => return Err(at.error("a value is not the name of a variable")),
        }
        if self.block() == BlockKind::Directives && !self.named {
            return Err(at.error("a value is not the name of a directive"));
        }
        if self.place != Place::Between {
            return Ok(vec![self]);
        }
        self.begin(|| at.clone());
        let quoted = Self {
            place: Place::AfterValue,
            ..self.clone()
        };
        self.place = Place::Bare(Last::Plain);
        Ok(vec![self, quoted])
    }

    /// Begins a word, and with the first one a directive.
    fn begin(&mut self, at: impl FnOnce() -> At) {
        self.named = self.begun.is_some();
        self.begun.get_or_insert_with(at);
    }

    /// Text of a template. Gives nothing where it cannot follow a quote.
    pub(super) fn text(mut self, text: &str, mut at: Cursor) -> Result<Option<Self>, RenderError> {
        for character in text.chars() {
            match self.character(character, &at) {
                Ok(true) => at.advance(character),
                Ok(false) => return Ok(None),
                Err(reason) => return Err(at.at().error(reason)),
            }
        }
        Ok(Some(self))
    }

    fn character(&mut self, character: char, at: &Cursor) -> Result<bool, String> {
        let space = matches!(character, ' ' | '\t' | '\r' | '\n');
        match &mut self.place {
            Place::Comment if character == '\n' => self.place = Place::Between,
            Place::Comment => {}
            Place::Lua(code) => {
                code.push(character);
                let code = std::mem::take(code);
                self.lua(code)?;
            }
            Place::Quoted(quote, last) => {
                if *last != Last::Backslash && character == *quote {
                    self.end_word(Place::AfterQuote);
                    return Ok(true);
                }
                *last = last.then(character);
                self.spell(character);
            }
            Place::Bare(last) => {
                let escaped = *last == Last::Backslash;
                let braces = *last == Last::Dollar && character == '{';
                if escaped || braces || !(space || matches!(character, ';' | '{')) {
                    *last = last.then(character);
                    self.spell(character);
                } else {
                    self.end_word(Place::Between);
                    self.between(character, at)?;
                }
            }
            Place::AfterQuote | Place::AfterValue => {
                if !space && !matches!(character, ';' | '{' | ')') {
                    if self.place == Place::AfterValue {
                        return Ok(false);
                    }
                    return Err(SyntaxRule::AfterQuote.to_string());
                }
                self.place = Place::Between;
                self.between(character, at)?;
            }
            Place::Between => self.between(character, at)?,
        }
        Ok(true)
    }

    fn spell(&mut self, character: char) {
        if !self.named {
            self.name.push(character);
        }
    }

    fn end_word(&mut self, place: Place) {
        self.named = true;
        self.place = place;
    }

    fn between(&mut self, character: char, at: &Cursor) -> Result<(), String> {
        match character {
            ' ' | '\t' | '\r' | '\n' => {}
            '#' => self.place = Place::Comment,
            ';' => {
                self.end_directive()?;
            }
            '{' => {
                if self.block() == BlockKind::Values {
                    return Err(SyntaxRule::BlockInValues.to_string());
                }
                let name = self.end_directive()?;
                if self.open.len() == MAX_DEPTH {
                    return Err(SyntaxRule::TooDeep.to_string());
                }
                let kind = BlockKind::of(&name);
                self.open.push((kind, at.at()));
                if kind == BlockKind::Lua {
                    self.place = Place::Lua(String::new());
                }
            }
            '}' if self.begun.is_some() => return Err(SyntaxRule::CloseInDirective.to_string()),
            '}' if self
                .parts
                .last()
                .is_some_and(|(before, _)| self.open.len() <= *before) =>
            {
                return Err(format!("{}, {SAME_PART}", SyntaxRule::NothingToClose));
            }
            '}' => {
                self.open
                    .pop()
                    .ok_or_else(|| SyntaxRule::NothingToClose.to_string())?;
            }
            quote @ ('"' | '\'') => {
                self.begin(|| at.at());
                self.place = Place::Quoted(quote, Last::Plain);
            }
            first => {
                self.begin(|| at.at());
                self.place = Place::Bare(Last::Plain.then(first));
                self.spell(first);
            }
        }
        Ok(())
    }

    /// Gives the name of the directive that ends.
    fn end_directive(&mut self) -> Result<String, String> {
        if self.begun.take().is_none() {
            return Err(SyntaxRule::NoName.to_string());
        }
        self.named = false;
        Ok(std::mem::take(&mut self.name))
    }

    /// Reads the code of a block of Lua again when it may have ended.
    fn lua(&mut self, code: String) -> Result<(), String> {
        if code.len() > MAX_LUA {
            return Err(format!("a block of Lua is at most {MAX_LUA} bytes long"));
        }
        if code.ends_with('}') && parse(&format!("a_by_lua_block {{{code}")).is_ok() {
            self.open.pop();
            self.place = Place::Between;
        } else {
            self.place = Place::Lua(code);
        }
        Ok(())
    }
}
