//! Documents while they are put together: only what parses stays in them.

use std::{cell::RefCell, collections::BTreeSet, rc::Rc};

use nxmesh_core::{
    check,
    document::parse_value,
    model::{Resource, ResourceKind},
    snippet::{SnippetContext, SnippetText},
};
use serde_json::{Map, Value, json};

use super::{fit, node::Node, protect::protects, report::Report};

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

    /// Sets a field, if a document with it breaks no more rules than before.
    pub(super) fn set(&mut self, field: &str, value: Value) -> bool {
        Fields::of(self, "").set(field, value)
    }

    /// Adds to a list, if a document with it breaks no more rules than before.
    pub(super) fn push(&mut self, field: &str, value: Value) -> bool {
        let list = self.with(field, value);
        self.set(field, list)
    }

    /// Adds to a list what needs another field that is still missing, if a document
    /// with it is well-formed.
    pub(super) fn push_ahead(&mut self, field: &str, value: Value) -> bool {
        let list = self.with(field, value);
        let before = self.spec.insert(field.to_owned(), list);
        let fits = self.resource().is_some();
        if !fits {
            match before {
                Some(before) => self.spec.insert(field.to_owned(), before),
                None => self.spec.remove(field),
            };
        }
        fits
    }

    /// A list with one more.
    fn with(&self, field: &str, value: Value) -> Value {
        let mut list = match self.spec.get(field) {
            Some(Value::Array(list)) => list.clone(),
            _ => Vec::new(),
        };
        list.push(value);
        Value::Array(list)
    }

    /// How many rules the document breaks; it may still lack something. The most
    /// if it is not well-formed.
    fn problems(&self) -> usize {
        let resource = self.resource();
        resource.map_or(usize::MAX, |it| check::document(&it).len())
    }

    /// Whether it keeps all rules.
    pub(super) fn is_sound(&self) -> bool {
        self.problems() == 0
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

/// The fields of a part of a document.
pub(super) struct Fields<'d> {
    draft: &'d mut Draft,
    /// The JSON pointer of the part in the `spec`.
    at: String,
}

impl<'d> Fields<'d> {
    pub(super) fn of(draft: &'d mut Draft, at: impl Into<String>) -> Self {
        let at = at.into();
        Self { draft, at }
    }

    /// Sets the field with this path (`client/keepalive/requests`), if a document
    /// with it breaks no more rules than before.
    pub(super) fn set(&mut self, field: &str, value: Value) -> bool {
        let mut spec = Value::Object(self.draft.spec.clone());
        let Some(mut place) = spec.pointer_mut(&self.at) else {
            return false;
        };
        for part in field.split('/') {
            if place.is_null() {
                *place = json!({});
            }
            let Value::Object(fields) = place else {
                return false;
            };
            place = fields.entry(part).or_insert(Value::Null);
        }
        *place = value;
        let Value::Object(spec) = spec else {
            return false;
        };
        let tolerated = self.draft.problems();
        let before = std::mem::replace(&mut self.draft.spec, spec);
        let fits = self.draft.problems() <= tolerated;
        if !fits {
            self.draft.spec = before;
        }
        fits
    }
}

/// Names of one kind, each given once. Clones share what was given.
#[derive(Debug, Clone, Default)]
pub(super) struct Names(Rc<RefCell<BTreeSet<String>>>);

impl Names {
    /// A name like `text` that nobody has yet: letters, digits, `-` and `.`.
    pub(super) fn take(&self, text: &str) -> String {
        let plain = |c: char| match c.to_ascii_lowercase() {
            c @ ('a'..='z' | '0'..='9' | '.') => c,
            _ => '-',
        };
        let name: String = text.chars().map(plain).take(50).collect();
        let name = name.trim_matches(['-', '.']);
        let name = if name.is_empty() { "imported" } else { name };
        let mut candidate = name.to_owned();
        let mut number = 1;
        while !self.0.borrow_mut().insert(candidate.clone()) {
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
    /// Whether what stands around it names people with passwords.
    users: bool,
    text: String,
}

impl Leftover {
    pub(super) fn new(name: String, context: SnippetContext) -> Self {
        let text = String::new();
        Self {
            name,
            context,
            users: false,
            text,
        }
    }

    /// For a place in which people with passwords are named by a field.
    pub(super) const fn among_users(mut self, users: bool) -> Self {
        self.users = users;
        self
    }

    pub(super) fn is_empty(&self) -> bool {
        self.text.is_empty()
    }

    pub(super) fn text(&self) -> &str {
        &self.text
    }

    /// Adds a directive that is nobody's.
    pub(super) fn add(&mut self, text: &str) {
        self.text.push_str(text);
    }

    /// Takes in what of a directive can be said here, and tells the rest. Whether the
    /// place may serve: nothing that protects it is missing.
    pub(super) fn take(&mut self, node: &Node, report: &mut Report) -> bool {
        let place = fit::Place::of(self.context, self.users);
        let fitting = fit::fitting(node, &place, report).and_then(|fit| {
            let text = fit.node.text();
            let most = self.context.max_bytes();
            match SnippetText::parse(&text) {
                Ok(_) if self.text.len() + text.len() > most => Err(format!(
                    "Snippet/{} would be longer than {most} bytes",
                    self.name
                )),
                Ok(_) => Ok((fit.is_closed, text)),
                Err(error) => Err(error.to_string()),
            }
        });
        match fitting {
            Ok((is_closed, text)) => {
                self.text.push_str(&text);
                if !is_closed {
                    report.snippet(node, &self.name);
                }
                true
            }
            Err(reason) => {
                report.lost(node, reason);
                !protects(&node.name)
            }
        }
    }

    /// The same for a directive without a block; whether it was taken in.
    pub(super) fn takes(&mut self, node: &Node, report: &mut Report) -> bool {
        let before = self.text.len();
        self.take(node, report);
        self.text.len() > before
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
