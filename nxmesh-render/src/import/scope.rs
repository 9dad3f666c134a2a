//! What counts in a block: its own directives, and those around it.

use super::node::Node;

/// A block and the blocks around it, the outermost first.
#[derive(Debug, Clone)]
pub(super) struct Scope<'n> {
    levels: Vec<&'n [Node]>,
}

impl<'n> Scope<'n> {
    pub(super) fn new(outermost: &'n [Node]) -> Self {
        let levels = vec![outermost];
        Self { levels }
    }

    /// A block in this one.
    pub(super) fn below(&self, nodes: &'n [Node]) -> Self {
        let mut levels = self.levels.clone();
        levels.push(nodes);
        Self { levels }
    }

    /// The directives of the block itself.
    pub(super) fn own(&self) -> &'n [Node] {
        self.levels.last().copied().unwrap_or_default()
    }

    /// Whether one of the block's own directives is called so.
    pub(super) fn has(&self, name: &str) -> bool {
        self.own().iter().any(|node| node.name == name)
    }

    /// The directives of a name that count: those of the innermost block that
    /// has some.
    pub(super) fn all(&self, name: &str) -> Vec<&'n Node> {
        let named = |nodes: &&'n [Node]| -> Vec<&'n Node> {
            nodes.iter().filter(|node| node.name == name).collect()
        };
        let mut levels = self.levels.iter().rev().map(named);
        levels.find(|found| !found.is_empty()).unwrap_or_default()
    }

    /// Whether a directive of this name stands around the block.
    pub(super) fn is_said_around(&self, name: &str) -> bool {
        let around = self
            .levels
            .split_last()
            .map_or(&[][..], |(_, around)| around);
        let mut nodes = around.iter().flat_map(|nodes| nodes.iter());
        nodes.any(|node| node.name == name)
    }

    /// The directive of a name that counts, if there is one.
    pub(super) fn find(&self, name: &str) -> Option<&'n Node> {
        self.all(name).pop()
    }

    /// The first word of the directive that counts.
    pub(super) fn word(&self, name: &str) -> Option<&'n str> {
        self.find(name).map(Node::first)
    }

    /// Whether a switch is on.
    pub(super) fn on(&self, name: &str) -> bool {
        self.word(name) == Some("on")
    }

    /// The location of the server for exactly this path.
    pub(super) fn exact_location(&self, path: &str) -> Option<&'n Node> {
        let mut nodes = self.levels.iter().flat_map(|nodes| nodes.iter());
        nodes.find(|node| node.name == "location" && node.arguments == ["=", path])
    }

    /// The location of the server that has this name, `@name`.
    pub(super) fn named_location(&self, name: &str) -> Option<&'n Node> {
        let mut nodes = self.levels.iter().flat_map(|nodes| nodes.iter());
        nodes.find(|node| node.name == "location" && node.arguments == [name])
    }
}
