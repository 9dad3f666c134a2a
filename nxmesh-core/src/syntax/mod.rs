//! nginx's configuration language: reading it as nginx does, and writing it.
//!
//! - [`parse`] makes a tree of a text, and the tree shown is text again.
//! - [`Reader`] walks through a text without building anything.
//!
//! Nothing here knows what directives mean, only how they are written.

mod error;
mod lexer;
mod parser;
mod reader;
mod tree;
mod write;

pub use error::{SyntaxError, SyntaxRule};
pub use parser::parse;
pub use reader::{Event, Reader};
pub use tree::{Block, BlockKind, Comment, Config, Directive, Entry, Position, Quoting, Word};

/// The longest text a tree is made of, in bytes.
pub const MAX_BYTES: usize = 16 << 20;

/// The most words of a tree, names and arguments together.
pub const MAX_WORDS: usize = 2_000_000;

/// How deep blocks may lie in each other. nginx has no bound but its stack.
pub const MAX_DEPTH: usize = 100;
