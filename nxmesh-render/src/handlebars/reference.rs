//! What templates can name, for those who write some.

use std::collections::BTreeMap;

use super::{
    HandlebarsRenderer,
    record::{Kind, Shape},
};

/// A template: its text, and what it can name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TemplateReference {
    /// The name by which it is replaced.
    pub name: String,
    /// Its text.
    pub source: String,
    /// The record it runs over. With `../` it can name what is around it there.
    pub record: &'static str,
    /// That record first, then all that can be entered from it, by name.
    pub records: Vec<TemplateRecord>,
}

/// A record: what `{{#with}}` and `{{#each}}` enter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TemplateRecord {
    /// What errors call it.
    pub name: &'static str,
    /// What it is.
    pub about: String,
    /// What can be named in it.
    pub fields: Vec<TemplateField>,
}

/// A field of a record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TemplateField {
    /// What it is called.
    pub name: &'static str,
    /// How it is used: `{{name}}`, `{{#if name}}`, `{{#with name}}` or `{{#each name}}`,
    /// with what that enters.
    pub usage: String,
    /// What it means; empty where the name says it.
    pub about: String,
}

impl HandlebarsRenderer {
    /// The templates this renderer uses, by name, and what they can name.
    ///
    /// ```
    /// use nxmesh_render::HandlebarsRenderer;
    ///
    /// let renderer = HandlebarsRenderer::new();
    /// let upstream = renderer.templates().find(|it| it.name == "balancing");
    /// let upstream = upstream.ok_or("it is built in")?;
    /// assert_eq!(upstream.record, "UpstreamRecord");
    /// let servers = upstream.records[0].fields.iter().find(|it| it.name == "servers");
    /// assert_eq!(servers.ok_or("it has servers")?.usage, "{{#each servers}} ServerRecord");
    /// # Ok::<(), &str>(())
    /// ```
    pub fn templates(&self) -> impl Iterator<Item = TemplateReference> {
        self.own_programs().uses.iter().map(|(name, shape)| {
            let mut found = BTreeMap::new();
            collect(shape, &mut found);
            found.remove(shape.name);
            TemplateReference {
                name: name.clone(),
                source: self.sources.get(name).cloned().unwrap_or_default(),
                record: shape.name,
                records: std::iter::once(record(shape))
                    .chain(found.into_values().map(record))
                    .collect(),
            }
        })
    }
}

fn collect(shape: &'static Shape, found: &mut BTreeMap<&'static str, &'static Shape>) {
    if found.insert(shape.name, shape).is_some() {
        return;
    }
    for (_, kind, _) in shape.fields {
        if let Kind::Record(inner) | Kind::List(inner) = kind {
            collect(inner, found);
        }
    }
}

fn record(shape: &'static Shape) -> TemplateRecord {
    TemplateRecord {
        name: shape.name,
        about: plain(shape.doc),
        fields: shape
            .fields
            .iter()
            .map(|(name, kind, doc)| TemplateField {
                name,
                usage: match kind {
                    Kind::Word => format!("{{{{{name}}}}}"),
                    Kind::OptionalWord => format!("{{{{#if {name}}}}} {{{{{name}}}}}"),
                    Kind::Flag => format!("{{{{#if {name}}}}}"),
                    Kind::Snippet => format!("{{{{{name}}}}} where directives stand"),
                    Kind::Record(inner) => format!("{{{{#with {name}}}}} {}", inner.name),
                    Kind::List(inner) => format!("{{{{#each {name}}}}} {}", inner.name),
                },
                about: plain(doc),
            })
            .collect(),
    }
}

/// A doc comment as one line.
fn plain(doc: &str) -> String {
    doc.split_whitespace().collect::<Vec<_>>().join(" ")
}
