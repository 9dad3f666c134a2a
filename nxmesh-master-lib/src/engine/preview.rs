//! What a write would make of the files of nginx.

use std::sync::Arc;

use nxmesh_core::{
    api::{Change, ChangeKind, FileChange},
    bundle::Slice,
    contract::renderer::{RenderSettings, RenderedFile, RenderedTree, Renderer},
    model::{AgentId, Labels, ResourceSet},
};
use nxmesh_render::{diff::diff, older_forms};

use super::{Engine, EngineError, WriteRequest, current::Workspace};

/// The most text of files in one preview, in bytes; what follows is left out.
const MOST_TEXT: usize = 8 << 20;

/// A write that was checked and can be rendered.
#[derive(Debug)]
pub struct Preview {
    /// What becomes of each resource named, in the order asked, without secrets.
    pub changes: Vec<Change>,
    /// The agents whose configuration changes, by id.
    pub agents: Vec<AgentId>,
    /// What is allowed but probably not meant, as sentences for people.
    pub warnings: Vec<String>,
    before: Arc<Workspace>,
    after: ResourceSet,
    renderer: Arc<dyn Renderer>,
}

impl Engine {
    /// Checks `request` as [`write`](Self::write) does; nothing is stored.
    ///
    /// # Errors
    ///
    /// As [`write`](Self::write).
    pub async fn preview(&self, request: &WriteRequest) -> Result<Preview, EngineError> {
        let workspace = &request.workspace;
        let mut unit = self.storage.read().await?;
        let before = self.current.of(&mut *unit, workspace).await?;
        drop(unit);
        let plan = self.plan(request, &before)?;
        Ok(Preview {
            agents: self.fleet.chosen(workspace, &plan.selectors),
            changes: plan.summaries,
            warnings: plan.warnings,
            before,
            after: plan.after,
            renderer: Arc::clone(&self.renderer),
        })
    }
}

impl Preview {
    /// Adds what an agent with `labels`, or some agent, is told in a form that does
    /// less, as its nginx is older, to the warnings.
    pub fn warn_of_older_forms(&mut self, labels: Option<&Labels>, settings: &RenderSettings) {
        let slice = labels.map(|labels| Slice::cut(&self.after, labels));
        let resources = slice.as_ref().map_or(&self.after, Slice::resources);
        let forms = older_forms(resources, settings).into_iter();
        self.warnings
            .extend(forms.map(|form| format!("{}: {}", form.resource, form.note)));
    }

    /// The files that differ, by path, and how many do not: of an agent with
    /// `labels`, or of the whole workspace. What is there now and cannot be
    /// rendered with these `settings` counts as no files.
    ///
    /// Renders the workspace twice, so this is not for a thread that others
    /// wait for.
    ///
    /// # Errors
    ///
    /// [`EngineError::Invalid`] for what cannot be rendered with these settings.
    pub fn files(
        &self,
        labels: Option<&Labels>,
        settings: &RenderSettings,
    ) -> Result<(Vec<FileChange>, usize), EngineError> {
        let render = |workspace| render(workspace, labels, settings, &*self.renderer);
        let old = render(self.before.resources()).unwrap_or_default();
        Ok(compare(&old, &render(&self.after)?))
    }
}

fn render(
    workspace: &ResourceSet,
    labels: Option<&Labels>,
    settings: &RenderSettings,
    renderer: &dyn Renderer,
) -> Result<RenderedTree, EngineError> {
    let slice = labels.map(|labels| Slice::cut(workspace, labels));
    let resources = slice.as_ref().map_or(workspace, Slice::resources);
    renderer
        .render(resources, settings)
        .map_err(|error| EngineError::Invalid(vec![error.problem()]))
}

/// The files that differ, and how many do not.
fn compare(old: &RenderedTree, new: &RenderedTree) -> (Vec<FileChange>, usize) {
    let differing = diff(old, new);
    let unchanged = new.files().len() - differing.added.len() - differing.changed.len();
    let kinds = [
        (ChangeKind::Created, differing.added),
        (ChangeKind::Updated, differing.changed),
        (ChangeKind::Deleted, differing.removed),
    ];
    let mut paths: Vec<(&str, ChangeKind)> = kinds
        .into_iter()
        .flat_map(|(kind, paths)| paths.into_iter().map(move |path| (path, kind)))
        .collect();
    paths.sort_unstable_by_key(|(path, _)| *path);
    let mut room = MOST_TEXT;
    let files = paths
        .into_iter()
        .map(|(path, change)| file_change(path, change, old.file(path), new.file(path), &mut room))
        .collect();
    (files, unchanged)
}

fn file_change(
    path: &str,
    change: ChangeKind,
    before: Option<&RenderedFile>,
    after: Option<&RenderedFile>,
    room: &mut usize,
) -> FileChange {
    let size = |file: Option<&RenderedFile>| file.map_or(0, |file| file.contents.len());
    let needed = size(before) + size(after);
    let fits = needed <= *room;
    *room = if fits { *room - needed } else { 0 };
    let text = |file: Option<&RenderedFile>| {
        file.filter(|_| fits)
            .map(|file| String::from_utf8_lossy(&file.contents).into_owned())
    };
    FileChange {
        path: path.to_owned(),
        resource: after.or(before).and_then(|file| file.resource.clone()),
        change,
        before: text(before),
        after: text(after),
        omitted: !fits,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree(files: &[(&str, usize)]) -> RenderedTree {
        let mut tree = RenderedTree::default();
        for (path, size) in files {
            tree.insert(*path, vec![b'x'; *size], None);
        }
        tree
    }

    #[test]
    fn texts_are_left_out_once_they_are_too_many() {
        let old = tree(&[("a", 10), ("gone", 5), ("same", 7)]);
        let new = tree(&[("a", MOST_TEXT - 20), ("b", 11), ("same", 7)]);
        let (files, unchanged) = compare(&old, &new);
        let told: Vec<_> = files
            .iter()
            .map(|it| (&*it.path, it.change, it.after.is_some(), it.omitted))
            .collect();
        let expected = [
            ("a", ChangeKind::Updated, true, false),
            ("b", ChangeKind::Created, false, true),
            ("gone", ChangeKind::Deleted, false, true),
        ];
        assert_eq!((&told[..], unchanged), (&expected[..], 1));
    }
}
