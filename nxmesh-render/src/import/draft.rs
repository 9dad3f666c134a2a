//! Documents while they are put together: only what parses stays in them.

use std::collections::BTreeSet;

use nxmesh_core::{
    document::parse_value,
    model::{Resource, ResourceKind},
    snippet::{SnippetContext, SnippetPolicy, SnippetText},
};
use serde_json::{Map, Value, json};

use super::{node::Node, report::Report};

/// A document that may grow.
#[derive(Debug, Clone)]
pub(super) struct Draft {
    kind: ResourceKind,
    pub(super) name: String,
    pub(super) spec: Map<String, Value>,
}

impl Draft {
    pub(super) fn new(kind: ResourceKind, name: String, spec: Value) -> Self {
        let Value::Object(spec) = spec else {
            return Self::new(kind, name, json!({}));
        };
        Self { kind, name, spec }
    }

    /// Sets a field, if a document with it is well-formed.
    pub(super) fn set(&mut self, field: &str, value: Value) -> bool {
        let before = self.spec.insert(field.to_owned(), value);
        if self.resource().is_some() {
            return true;
        }
        match before {
            Some(before) => self.spec.insert(field.to_owned(), before),
            None => self.spec.remove(field),
        };
        false
    }

    /// Adds to a list, if a document with it is well-formed.
    pub(super) fn push(&mut self, field: &str, value: Value) -> bool {
        let mut list = match self.spec.get(field) {
            Some(Value::Array(list)) => list.clone(),
            _ => Vec::new(),
        };
        list.push(value);
        self.set(field, Value::Array(list))
    }

    /// The resource, if the document is well-formed.
    pub(super) fn resource(&self) -> Option<Resource> {
        let document = json!({
            "kind": self.kind.as_str(),
            "metadata": { "name": self.name },
            "spec": self.spec,
        });
        parse_value("import", document).ok()
    }
}

/// Names of one kind, each given once.
#[derive(Debug, Default)]
pub(super) struct Names(BTreeSet<String>);

impl Names {
    /// A name like `text` that nobody has yet: letters, digits, `-` and `.`.
    pub(super) fn take(&mut self, text: &str) -> String {
        let plain = |c: char| match c.to_ascii_lowercase() {
            c @ ('a'..='z' | '0'..='9' | '.') => c,
            _ => '-',
        };
        let name: String = text.chars().map(plain).take(50).collect();
        let name = name.trim_matches(['-', '.']);
        let name = if name.is_empty() { "imported" } else { name };
        let mut candidate = name.to_owned();
        let mut number = 1;
        while !self.0.insert(candidate.clone()) {
            number += 1;
            candidate = format!("{name}-{number}");
        }
        candidate
    }
}

/// Directives that become a Snippet, if there are any.
pub(super) struct Leftover {
    name: String,
    context: SnippetContext,
    text: String,
}

impl Leftover {
    pub(super) fn new(name: String, context: SnippetContext) -> Self {
        let text = String::new();
        Self {
            name,
            context,
            text,
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.text.is_empty()
    }

    /// Adds a directive that is nobody's.
    pub(super) fn add(&mut self, text: &str) {
        self.text.push_str(text);
    }

    /// Takes a directive in, or says why it cannot.
    pub(super) fn take(&mut self, node: &Node, report: &mut Report) {
        let text = node.text();
        let approved = SnippetText::parse(&text).and_then(|parsed| {
            SnippetPolicy::default()
                .approve(self.context, &parsed)
                .map(drop)
        });
        let together = format!("{}{text}", self.text);
        match approved.and_then(|()| SnippetText::parse(&together).map(drop)) {
            Ok(()) => {
                self.text = together;
                report.snippet(node, &self.name);
            }
            Err(error) => report.lost(node, error),
        }
    }

    /// The Snippet's name and document; `None` if nothing was left over.
    pub(super) fn draft(self) -> Option<Draft> {
        if self.text.is_empty() {
            return None;
        }
        let mut spec = json!({ "context": self.context.as_str() });
        spec["directives"] = Value::from(self.text);
        Some(Draft::new(ResourceKind::Snippet, self.name, spec))
    }
}

/// A time as documents have it: nginx counts in seconds without a unit.
pub(super) fn time(text: &str) -> String {
    if text.bytes().all(|byte| byte.is_ascii_digit()) {
        format!("{text}s")
    } else {
        text.to_owned()
    }
}
