//! What of a directive a Snippet can say.

use nxmesh_core::snippet::{SnippetContext, SnippetPolicy, SnippetText};

use super::{
    node::Node,
    protect::{closed_block, protects},
    report::Report,
};

/// Where a directive would stand.
pub(super) struct Place<'p> {
    context: SnippetContext,
    /// Whether people with passwords are named around it.
    users: bool,
    /// The blocks of the Snippet that it stands in, the outermost first.
    blocks: Vec<&'p Node>,
}

/// A directive that a Snippet can say.
pub(super) struct Fit {
    pub(super) node: Node,
    /// It is a location that turns everybody away.
    pub(super) is_closed: bool,
}

impl<'p> Place<'p> {
    pub(super) const fn of(context: SnippetContext, users: bool) -> Self {
        Self {
            context,
            users,
            blocks: Vec::new(),
        }
    }

    fn inside<'q>(&self, node: &'q Node) -> Place<'q>
    where
        'p: 'q,
    {
        let mut blocks = self.blocks.clone();
        blocks.push(node);
        Place { blocks, ..*self }
    }

    /// Whether the built-in policy has the directive here, with all of its block.
    fn approves(&self, node: &Node) -> Result<(), String> {
        if node.any(&names_cache) {
            return Err("the cache it names is a field, for example cache: { rules: { valid: [{ time: 10m }] } }".to_owned());
        }
        if !self.users && node.any(&asks_for_password) {
            return Err(
                "who knows a password is a field, basic_auth, of the location or the virtual host"
                    .to_owned(),
            );
        }
        let mut text = node.text();
        for block in self.blocks.iter().rev() {
            text = block.text_around(&text);
        }
        let parsed = SnippetText::parse(&text).map_err(|error| error.to_string())?;
        let policy = SnippetPolicy::default();
        let approved = policy.approve(self.context, &parsed);
        approved.map(drop).map_err(|error| error.to_string())
    }
}

/// No Snippet can define a cache.
fn names_cache(node: &Node) -> bool {
    let kinds = ["proxy_cache", "fastcgi_cache", "uwsgi_cache", "scgi_cache"];
    kinds.contains(&node.name.as_str()) && node.first() != "off"
}

/// nginx asks nobody where no file of people is named, and no Snippet can name one.
fn asks_for_password(node: &Node) -> bool {
    node.name == "auth_basic" && node.first() != "off"
}

/// The part of a directive that may stand in a place; what is left out is told. Else why
/// nothing of it may.
///
/// A location without what protects it turns everybody away.
pub(super) fn fitting(node: &Node, place: &Place<'_>, report: &mut Report) -> Result<Fit, String> {
    let Err(reason) = place.approves(node) else {
        let node = node.clone();
        return Ok(Fit {
            node,
            is_closed: false,
        });
    };
    if node.children().is_empty() {
        return Err(reason);
    }
    let inside = place.inside(node);
    let mut kept = Vec::new();
    for child in node.children() {
        match fitting(child, &inside, report) {
            Ok(fit) => kept.push(fit.node),
            Err(reason) => {
                report.lost(child, reason);
                if protects(&child.name) {
                    return closed(node, place, report);
                }
            }
        }
    }
    let node_with_rest = node.with_children(kept);
    match place.approves(&node_with_rest) {
        Ok(()) => Ok(Fit {
            node: node_with_rest,
            is_closed: false,
        }),
        Err(reason) => {
            report.lost(node, reason);
            closed(node, place, report)
        }
    }
}

fn closed(node: &Node, place: &Place<'_>, report: &mut Report) -> Result<Fit, String> {
    let closed = closed_block(node);
    if node.name != "location" || place.approves(&closed).is_err() {
        return Err("something in it cannot be said".to_owned());
    }
    report.lost(node, CLOSED);
    Ok(Fit {
        node: closed,
        is_closed: true,
    })
}

/// What is told of a location or a server that cannot be said as a whole.
pub(super) const CLOSED: &str = "not all that it says can be said, so it answers 503 to everybody";
