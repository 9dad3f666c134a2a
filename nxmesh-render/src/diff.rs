//! What changed between two trees.

use std::cmp::Ordering;

use nxmesh_core::contract::renderer::RenderedTree;

/// The paths that differ between two trees, sorted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TreeDiff<'a> {
    /// In the new tree only.
    pub added: Vec<&'a str>,
    /// In both, with other contents.
    pub changed: Vec<&'a str>,
    /// In the old tree only.
    pub removed: Vec<&'a str>,
}

impl TreeDiff<'_> {
    /// Whether the trees are the same.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.added.is_empty() && self.changed.is_empty() && self.removed.is_empty()
    }
}

/// Compares the files of two trees by their digests. Certificates count
/// through the files that name them.
///
/// ```
/// use nxmesh_core::contract::renderer::RenderedTree;
/// use nxmesh_render::diff::diff;
///
/// let (mut old, mut new) = (RenderedTree::default(), RenderedTree::default());
/// old.insert("a.conf", *b"same", None);
/// old.insert("b.conf", *b"old", None);
/// new.insert("a.conf", *b"same", None);
/// new.insert("b.conf", *b"new", None);
/// new.insert("c.conf", *b"new", None);
/// let diff = diff(&old, &new);
/// assert_eq!((diff.added, diff.changed, diff.removed), (vec!["c.conf"], vec!["b.conf"], vec![]));
/// ```
#[must_use]
pub fn diff<'a>(old: &'a RenderedTree, new: &'a RenderedTree) -> TreeDiff<'a> {
    let mut diff = TreeDiff::default();
    let (mut olds, mut news) = (old.files().peekable(), new.files().peekable());
    loop {
        let order = match (olds.peek(), news.peek()) {
            (None, None) => return diff,
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (Some((old, _)), Some((new, _))) => old.cmp(new),
        };
        let old = olds.next_if(|_| order.is_le());
        let new = news.next_if(|_| order.is_ge());
        match (old, new) {
            (Some((path, old)), Some((_, new))) if old.digest != new.digest => {
                diff.changed.push(path);
            }
            (Some((path, _)), None) => diff.removed.push(path),
            (None, Some((path, _))) => diff.added.push(path),
            _ => {}
        }
    }
}
