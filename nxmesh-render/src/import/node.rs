//! A configuration with its includes in place.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
    sync::Arc,
};

use nxmesh_core::syntax::{Block, Directive, Entry, parse};

use super::{Files, ImportError};

/// How deep files may include each other.
const MAX_INCLUDES: usize = 16;
/// The most directives in all files together.
const MAX_DIRECTIVES: usize = 200_000;

/// A directive, and where it stands.
#[derive(Debug, Clone)]
pub(super) struct Node {
    pub(super) name: String,
    /// As nginx understands them.
    pub(super) arguments: Vec<String>,
    /// Its words as they are written.
    words: Vec<String>,
    /// What stands in its block, if it has one.
    pub(super) body: Option<Body>,
    /// The words of each entry, if that is what stands there.
    pub(super) entries: Vec<Vec<String>>,
    pub(super) file: Arc<Path>,
    pub(super) line: u32,
}

/// What stands in a block.
#[derive(Debug, Clone)]
pub(super) enum Body {
    Directives(Vec<Node>),
    /// Entries or code, as text of the whole directive.
    Text(String),
}

impl Node {
    /// The first argument, or nothing.
    pub(super) fn first(&self) -> &str {
        self.arguments.first().map_or("", String::as_str)
    }

    pub(super) fn children(&self) -> &[Self] {
        match &self.body {
            Some(Body::Directives(nodes)) => nodes,
            _ => &[],
        }
    }

    /// The directive with another block.
    pub(super) fn with_children(&self, nodes: Vec<Self>) -> Self {
        let mut other = self.clone();
        other.body = Some(Body::Directives(nodes));
        other
    }

    /// Another directive at the same place; its arguments need no quotes.
    pub(super) fn beside(&self, name: &str, arguments: &[&str]) -> Self {
        let arguments: Vec<String> = arguments.iter().map(|&it| it.to_owned()).collect();
        let words = std::iter::once(name.to_owned()).chain(arguments.iter().cloned());
        Self {
            name: name.to_owned(),
            words: words.collect(),
            arguments,
            body: None,
            entries: Vec::new(),
            file: Arc::clone(&self.file),
            line: self.line,
        }
    }

    /// The location for another path.
    pub(super) fn located(&self, modifier: &str, path: &str) -> Self {
        let quoted = path.replace('\\', r"\\").replace('"', "\\\"");
        let written = [
            self.name.clone(),
            modifier.to_owned(),
            format!("\"{quoted}\""),
        ];
        let said = |word: &String| !word.is_empty();
        let mut other = self.clone();
        other.words = written.into_iter().filter(said).collect();
        let arguments = [modifier.to_owned(), path.to_owned()];
        other.arguments = arguments.into_iter().filter(said).collect();
        other
    }

    /// The directive, and those of its block, with other words.
    pub(super) fn reworded(&self, change: &dyn Fn(&str) -> String) -> Self {
        let mut other = self.clone();
        let all = |words: &[String]| words.iter().map(|word| change(word)).collect();
        other.words = all(&self.words);
        other.arguments = all(&self.arguments);
        if let Some(Body::Directives(nodes)) = &self.body {
            let nodes = nodes.iter().map(|node| node.reworded(change));
            other.body = Some(Body::Directives(nodes.collect()));
        }
        other
    }

    /// Whether this is so of the directive or of one in its block.
    pub(super) fn any(&self, is: &dyn Fn(&Self) -> bool) -> bool {
        is(self) || self.children().iter().any(|node| node.any(is))
    }

    /// The variables, with their `$`, that hold the hosts which the directive, and those of
    /// its block, pass to.
    pub(super) fn passes_to<'n>(&'n self, found: &mut BTreeSet<&'n str>) {
        if self.name.ends_with("_pass") {
            let url = self.first();
            let host = url.split_once("://").map_or(url, |(_, host)| host);
            if let Some(name) = host.strip_prefix('$') {
                let end = name.find(['/', '$', ':']).unwrap_or(name.len());
                found.insert(&host[..=end]);
            }
        }
        for node in self.children() {
            node.passes_to(found);
        }
    }

    /// The directive as text, with what its block includes in place.
    pub(super) fn text(&self) -> String {
        let mut text = String::new();
        self.write(&mut text, 0);
        text
    }

    /// The directive as text, with this in its block.
    pub(super) fn text_around(&self, inner: &str) -> String {
        format!("{} {{\n{inner}}}\n", self.words.join(" "))
    }

    fn write(&self, text: &mut String, depth: usize) {
        let indent = "    ".repeat(depth);
        if let Some(Body::Text(whole)) = &self.body {
            for line in whole.lines() {
                text.push_str(&format!("{indent}{line}\n"));
            }
            return;
        }
        text.push_str(&format!("{indent}{}", self.words.join(" ")));
        match &self.body {
            Some(Body::Directives(nodes)) => {
                text.push_str(" {\n");
                for node in nodes {
                    node.write(text, depth + 1);
                }
                text.push_str(&format!("{indent}}}\n"));
            }
            _ => text.push_str(";\n"),
        }
    }
}

/// Reads the file `entry` and all it includes.
pub(super) fn read(files: &dyn Files, entry: &Path) -> Result<Vec<Node>, ImportError> {
    let mut reading = Reading {
        files,
        // nginx takes relative includes from the folder of the main file.
        home: entry.parent().unwrap_or(Path::new("/")).to_owned(),
        count: 0,
    };
    reading.file(entry, 0)
}

struct Reading<'f> {
    files: &'f dyn Files,
    home: PathBuf,
    count: usize,
}

impl Reading<'_> {
    fn file(&mut self, path: &Path, depth: usize) -> Result<Vec<Node>, ImportError> {
        let missing = || ImportError::Missing {
            path: path.to_owned(),
        };
        if depth > MAX_INCLUDES {
            return Err(too_large(path));
        }
        let bytes = self.files.read(path).ok_or_else(missing)?;
        let text = String::from_utf8_lossy(&bytes);
        let config = parse(&text).map_err(|error| ImportError::Syntax {
            path: path.to_owned(),
            error,
        })?;
        self.nodes(config.directives(), &Arc::from(path), depth)
    }

    /// Blocks lie at most so deep that this may recurse.
    fn nodes(
        &mut self,
        directives: &[Directive<'_>],
        file: &Arc<Path>,
        depth: usize,
    ) -> Result<Vec<Node>, ImportError> {
        let mut nodes = Vec::new();
        for directive in directives {
            self.count += 1;
            if self.count > MAX_DIRECTIVES {
                return Err(too_large(file));
            }
            if directive.name() == "include" && directive.block().is_none() {
                for argument in directive.arguments() {
                    for path in self.included(argument.value()) {
                        nodes.extend(self.file(&path, depth + 1)?);
                    }
                }
                continue;
            }
            let words = std::iter::once(directive.name_word()).chain(directive.arguments());
            nodes.push(Node {
                name: directive.name().to_owned(),
                arguments: directive
                    .arguments()
                    .iter()
                    .map(|word| word.value().to_owned())
                    .collect(),
                words: words.map(|word| word.raw().to_owned()).collect(),
                body: match directive.block() {
                    None => None,
                    Some(Block::Directives(inner)) => {
                        Some(Body::Directives(self.nodes(inner, file, depth)?))
                    }
                    Some(_) => Some(Body::Text(directive.to_string())),
                },
                entries: match directive.block() {
                    Some(Block::Values(entries)) => entries.iter().map(entry_words).collect(),
                    _ => Vec::new(),
                },
                file: Arc::clone(file),
                line: directive.position().line,
            });
        }
        Ok(nodes)
    }

    fn included(&self, path: &str) -> Vec<PathBuf> {
        let path = self.home.join(path);
        let text = path.to_string_lossy();
        if text.contains(['*', '?', '[']) {
            self.files.matching(&text)
        } else {
            vec![path]
        }
    }
}

fn entry_words(entry: &Entry<'_>) -> Vec<String> {
    let words = entry.words().iter();
    words.map(|word| word.value().to_owned()).collect()
}

fn too_large(path: &Path) -> ImportError {
    ImportError::TooLarge {
        path: path.to_owned(),
        depth: MAX_INCLUDES,
    }
}
