//! From tree to text.

use std::fmt;

use super::tree::{Block, Config, Directive, Entry, Word};

const INDENT: &str = "    ";

/// A longer word has no room for a space before `{` in nginx's buffer.
const ROOMY: usize = 4000;

impl fmt::Display for Config<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.directives()
            .iter()
            .try_for_each(|directive| write_directive(f, directive, 0))
    }
}

impl fmt::Display for Directive<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_directive(f, self, 0)
    }
}

/// The depth of a tree is bounded, so this may recurse.
fn write_directive(
    f: &mut fmt::Formatter<'_>,
    directive: &Directive<'_>,
    depth: usize,
) -> fmt::Result {
    indent(f, depth)?;
    write_words(
        f,
        std::iter::once(directive.name_word()).chain(directive.arguments()),
    )?;
    let Some(block) = directive.block() else {
        return f.write_str(";\n");
    };
    let last = directive
        .arguments()
        .last()
        .unwrap_or(directive.name_word());
    if last.raw().len() <= ROOMY {
        f.write_str(" ")?;
    }
    match block {
        Block::Lua(code) => return writeln!(f, "{{{code}}}"),
        Block::Directives(directives) => {
            f.write_str("{\n")?;
            for directive in directives {
                write_directive(f, directive, depth + 1)?;
            }
        }
        Block::Values(entries) => {
            f.write_str("{\n")?;
            for Entry(words) in entries {
                indent(f, depth + 1)?;
                write_words(f, words.iter())?;
                f.write_str(";\n")?;
            }
        }
    }
    indent(f, depth)?;
    f.write_str("}\n")
}

fn indent(f: &mut fmt::Formatter<'_>, depth: usize) -> fmt::Result {
    (0..depth).try_for_each(|_| f.write_str(INDENT))
}

fn write_words<'w, 'a: 'w>(
    f: &mut fmt::Formatter<'_>,
    words: impl Iterator<Item = &'w Word<'a>>,
) -> fmt::Result {
    for (index, word) in words.enumerate() {
        if index > 0 {
            f.write_str(" ")?;
        }
        f.write_str(word.raw())?;
    }
    Ok(())
}
