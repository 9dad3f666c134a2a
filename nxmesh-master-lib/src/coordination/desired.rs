//! The desired state as it is in memory: every workspace at one point of the
//! history.

use std::collections::{BTreeMap, HashMap};

use nxmesh_core::{
    contract::storage::{Revision, StoredResource},
    model::{Labels, Selector, Version, value::WorkspaceName},
};

use super::slices::{Target, Workspace};

/// Revisions of which it is known whom they concerned.
const REMEMBERED: usize = 1000;

/// Everything there was at one revision.
#[derive(Debug)]
pub(super) struct Snapshot {
    pub(super) head: Version,
    pub(super) resources: BTreeMap<WorkspaceName, Vec<StoredResource>>,
}

/// The workspaces, at `head`.
#[derive(Debug, Default)]
pub(super) struct Desired {
    head: Version,
    workspaces: HashMap<WorkspaceName, Workspace>,
    /// The selectors of the virtual hosts that a revision concerned.
    concerned: BTreeMap<u64, Vec<Selector>>,
}

/// The labels, by workspace, of agents that are to serve something new.
pub(super) type Renewed = Vec<(WorkspaceName, Labels)>;

impl Desired {
    pub(super) const fn head(&self) -> Version {
        self.head
    }

    /// Starts over from a snapshot.
    pub(super) fn reload(&mut self, mut snapshot: Snapshot) -> Renewed {
        self.head = snapshot.head;
        for workspace in snapshot.resources.keys() {
            self.workspaces.entry(workspace.clone()).or_default();
        }
        let mut renewed = Renewed::new();
        for (name, workspace) in &mut self.workspaces {
            let resources = snapshot.resources.remove(name).unwrap_or_default();
            let labels = workspace.reload(resources, snapshot.head);
            renewed.extend(labels.into_iter().map(|labels| (name.clone(), labels)));
        }
        renewed
    }

    /// Follows the history. `revisions` go on where `head` is, without a hole;
    /// nothing is taken in otherwise and `None` returned.
    pub(super) fn advance(&mut self, revisions: &[Revision]) -> Option<Renewed> {
        let mut expected = self.head;
        for revision in revisions {
            expected.revision += 1;
            if revision.version != expected {
                return None;
            }
        }
        self.head = expected;
        let mut renewed = Renewed::new();
        let mut by_workspace: BTreeMap<&WorkspaceName, Vec<&Revision>> = BTreeMap::new();
        for revision in revisions {
            by_workspace
                .entry(&revision.workspace)
                .or_default()
                .push(revision);
        }
        for (name, revisions) in by_workspace {
            let workspace = self.workspaces.entry(name.clone()).or_default();
            let advanced = workspace.advance(
                revisions
                    .iter()
                    .map(|revision| (revision.version, &revision.changes[..])),
            );
            for (version, selectors) in advanced.concerned {
                self.concerned.insert(version.revision, selectors);
            }
            let labels = advanced.renewed.into_iter();
            renewed.extend(labels.map(|labels| (name.clone(), labels)));
        }
        while self.concerned.len() > REMEMBERED {
            self.concerned.pop_first();
        }
        Some(renewed)
    }

    /// What agents with `labels` are to serve.
    pub(super) fn target(&mut self, workspace: &WorkspaceName, labels: &Labels) -> Target {
        let head = self.head;
        self.workspace(workspace).target(labels, head)
    }

    pub(super) fn workspace(&mut self, name: &WorkspaceName) -> &mut Workspace {
        self.workspaces.entry(name.clone()).or_default()
    }

    /// The selectors of the virtual hosts a revision concerned; for one that is
    /// long past or still to come, as far as the present tells.
    pub(super) fn concerned(&mut self, revision: &Revision) -> Vec<Selector> {
        if let Some(selectors) = self.concerned.get(&revision.version.revision) {
            return selectors.clone();
        }
        let workspace = self.workspace(&revision.workspace);
        revision
            .changes
            .iter()
            .flat_map(|change| workspace.selectors(change))
            .collect()
    }
}
