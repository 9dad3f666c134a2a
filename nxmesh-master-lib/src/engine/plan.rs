//! What a write would do, and whether it may. Pure.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::SystemTime,
};

use nxmesh_core::{
    api::{Change, ChangeKind},
    bundle::with_references,
    check::{check_with, disruptions, references_of, referrers},
    contract::{
        renderer::{NginxVersion, RenderSettings, Renderer},
        storage::{Expected, NewChange, StoredResource},
    },
    document::Problem,
    model::{Resource, ResourceKey, ResourceKind, ResourceSet, Selector, VirtualHost},
    snippet::SnippetPolicy,
};

use super::{DesiredChange, EngineError, WriteRequest, certificate, current::Workspace};

/// A write that may happen.
#[derive(Debug)]
pub(super) struct Plan {
    /// What is to be stored; empty if nothing changes.
    pub(super) changes: Vec<NewChange>,
    /// What becomes of each resource named.
    pub(super) summaries: Vec<Change>,
    /// The workspace afterwards.
    pub(super) after: ResourceSet,
    /// The selectors of the resources whose configuration changes.
    pub(super) selectors: Vec<Selector>,
    /// The selectors of the resources named, and of what refers to them.
    pub(super) concerned: Vec<Selector>,
    /// New and changed resources that choose agents.
    pub(super) choosing: Vec<Arc<Resource>>,
    pub(super) warnings: Vec<String>,
}

/// What a workspace has to keep to.
#[derive(Debug)]
pub(super) struct Rules<'a> {
    pub(super) renderer: &'a dyn Renderer,
    pub(super) snippets: &'a Arc<SnippetPolicy>,
    pub(super) now: SystemTime,
}

/// Plans the changes of `request` on a workspace that is `before`.
pub(super) fn plan(
    request: &WriteRequest,
    before: &Workspace,
    rules: &Rules<'_>,
) -> Result<Plan, EngineError> {
    sound(request)?;
    let mut after = before.resources().clone();
    let mut changes = Vec::new();
    let mut summaries = Vec::new();
    for wanted in &request.changes {
        let stored = before.stored(&wanted.key);
        expect(wanted, stored.as_ref())?;
        let old = stored.as_ref().map(|it| &it.resource);
        let kind = match (old, &wanted.after) {
            (Some(old), Some(new)) if old == new => ChangeKind::Unchanged,
            (None, None) => ChangeKind::Unchanged,
            (None, Some(_)) => ChangeKind::Created,
            (Some(_), Some(_)) => ChangeKind::Updated,
            (Some(_), None) => ChangeKind::Deleted,
        };
        let differs = kind != ChangeKind::Unchanged;
        summaries.push(Change {
            resource: wanted.key.clone(),
            change: kind,
            before: old.filter(|_| differs).map(|it| it.redacted()),
            after: wanted
                .after
                .as_ref()
                .filter(|_| differs)
                .map(|it| it.redacted()),
        });
        if !differs {
            continue;
        }
        match &wanted.after {
            Some(resource) => after.insert(Arc::clone(resource)),
            None => after.remove(&wanted.key),
        };
        changes.push(NewChange {
            key: wanted.key.clone(),
            // What was seen, so that a store that lets writers run at the same
            // time still tells when another came first.
            expected: stored
                .as_ref()
                .map_or(Expected::Absent, |it| Expected::Revision(it.revision)),
            after: wanted.after.clone(),
        });
    }
    let named = request.changes.iter().map(|change| &change.key);
    let changed = changes.iter().map(|change| &change.key);
    let mut plan = Plan {
        selectors: selectors(changed, before.resources(), &after),
        concerned: selectors(named, before.resources(), &after),
        choosing: changes
            .iter()
            .filter_map(|change| change.after.clone())
            .filter(|resource| resource.selector().is_some())
            .collect(),
        warnings: Vec::new(),
        changes,
        summaries,
        after,
    };
    if !plan.changes.is_empty() {
        plan.examine(rules)?;
        let dropped = disruptions(before.resources(), &plan.after);
        plan.warnings
            .extend(dropped.iter().map(ToString::to_string));
    }
    Ok(plan)
}

impl Plan {
    fn examine(&mut self, rules: &Rules<'_>) -> Result<(), EngineError> {
        let mut problems = self.orphaned();
        for change in &self.changes {
            if let Some(Resource::Certificate(document)) = change.after.as_deref() {
                problems.extend(certificate::problems(&change.key, &document.spec));
            }
        }
        if !problems.is_empty() {
            return Err(EngineError::Invalid(problems));
        }
        let after = std::mem::take(&mut self.after);
        self.after = check_with(after, rules.snippets)
            .map_err(EngineError::Invalid)?
            .into_resources();
        self.render(rules)
            .map_err(|problem| EngineError::Invalid(vec![problem]))?;
        self.warnings = self.certificate_warnings(rules.now);
        Ok(())
    }

    /// Deleted resources that others still refer to.
    fn orphaned(&self) -> Vec<Problem> {
        let deleted: BTreeSet<&ResourceKey> = self
            .changes
            .iter()
            .filter(|change| change.after.is_none())
            .map(|change| &change.key)
            .collect();
        if deleted.is_empty() {
            return Vec::new();
        }
        let mut problems = Vec::new();
        for (key, resource) in self.after.iter() {
            for (pointer, target) in references_of(resource) {
                if deleted.contains(&target) {
                    let rule = format!("cannot be deleted while {key} refers to it at {pointer}");
                    problems.push(Problem::new(&target, "", &rule));
                }
            }
        }
        problems
    }

    /// Renders what changed, and what that refers to, on trial.
    fn render(&self, rules: &Rules<'_>) -> Result<(), Problem> {
        let changed = self.changes.iter().map(|change| change.key.clone());
        // Others name upstreams and certificates, whatever these say; all else
        // becomes part of what refers to it.
        let by_name = |key: &ResourceKey| {
            matches!(key.kind, ResourceKind::Upstream | ResourceKind::Certificate)
        };
        let woven: BTreeSet<_> = changed.clone().filter(|key| !by_name(key)).collect();
        let referrers = referrers(&self.after, &woven);
        let templates = self.after.templates().map(|template| ResourceKey {
            kind: ResourceKind::Template,
            name: template.metadata.name.clone(),
        });
        let shapes_all = self
            .changes
            .iter()
            .any(|it| it.key.kind == ResourceKind::Template);
        let everything = self.after.iter().filter(|_| shapes_all);
        let everything = everything.map(|(key, _)| key.clone());
        let roots = changed.chain(referrers).chain(templates).chain(everything);
        let all = with_references(roots, |key| self.after.get(key).map(|found| &**found));
        let trial: ResourceSet = all
            .iter()
            .filter_map(|key| self.after.get(key).cloned())
            .collect();
        let settings = RenderSettings {
            // Which nginx an agent has is its renderer's business.
            nginx: NginxVersion::NEWEST,
            snippets: Arc::clone(rules.snippets),
            ..RenderSettings::default()
        };
        rules
            .renderer
            .render(&trial, &settings)
            .map(drop)
            .map_err(|error| error.problem())
    }

    /// What is doubtful about certificates that changed, or that changed hosts use.
    fn certificate_warnings(&self, now: SystemTime) -> Vec<String> {
        let changed: BTreeSet<&ResourceKey> = self.changes.iter().map(|it| &it.key).collect();
        let mut uses: BTreeMap<ResourceKey, Vec<&VirtualHost>> = BTreeMap::new();
        for key in &changed {
            if key.kind == ResourceKind::Certificate {
                uses.insert((*key).clone(), Vec::new());
            }
        }
        for host in self.after.virtual_hosts() {
            let Some(tls) = &host.spec.tls else { continue };
            let certificate = ResourceKey {
                kind: ResourceKind::Certificate,
                name: tls.certificate.clone(),
            };
            let key = ResourceKey {
                kind: ResourceKind::VirtualHost,
                name: host.metadata.name.clone(),
            };
            if changed.contains(&key) || changed.contains(&certificate) {
                uses.entry(certificate).or_default().push(host);
            }
        }
        let mut warnings = Vec::new();
        for (key, hosts) in &uses {
            if let Some(document) = self.after.certificate(&key.name) {
                warnings.extend(certificate::warnings(key, &document.spec, hosts, now));
            }
        }
        warnings
    }
}

/// Whether the request is well formed: no resource twice, every document of
/// the workspace and under its own key.
fn sound(request: &WriteRequest) -> Result<(), EngineError> {
    let mut problems = Vec::new();
    let mut seen = BTreeSet::new();
    for change in &request.changes {
        if !seen.insert(&change.key) {
            problems.push(Problem::new(
                &change.key,
                "/metadata/name",
                "a resource is written once per change set",
            ));
        }
        let Some(resource) = &change.after else {
            continue;
        };
        let metadata = resource.metadata();
        if metadata.workspace != request.workspace {
            let rule = format!(
                "the workspace is the one written to, for example {}",
                request.workspace
            );
            problems.push(Problem::new(&change.key, "/metadata/workspace", &rule));
        }
        if resource.key() != change.key {
            let rule = format!(
                "the document is called as it is addressed, for example {}",
                change.key.name
            );
            problems.push(Problem::new(&change.key, "/metadata/name", &rule));
        }
    }
    if problems.is_empty() {
        Ok(())
    } else {
        Err(EngineError::Invalid(problems))
    }
}

/// Whether a resource is in the state the caller expects.
fn expect(wanted: &DesiredChange, stored: Option<&StoredResource>) -> Result<(), EngineError> {
    let as_expected = match (wanted.expected, stored) {
        (Expected::Any, None) if wanted.after.is_none() => {
            return Err(EngineError::NotFound {
                what: wanted.key.to_string(),
            });
        }
        (Expected::Any, _) | (Expected::Absent, None) => true,
        (Expected::Revision(revision), Some(stored)) => stored.revision == revision,
        (Expected::Absent, Some(_)) | (Expected::Revision(_), None) => false,
    };
    if as_expected {
        return Ok(());
    }
    Err(EngineError::Conflict {
        what: wanted.key.to_string(),
        expected: match wanted.expected {
            Expected::Revision(revision) => format!("revision {revision}"),
            _ => "no such resource".to_owned(),
        },
        found: stored.map_or_else(
            || "no such resource".to_owned(),
            |stored| format!("revision {}", stored.revision),
        ),
    })
}

/// The selectors of resources, and of what refers to them.
fn selectors<'a>(
    keys: impl Iterator<Item = &'a ResourceKey>,
    before: &ResourceSet,
    after: &ResourceSet,
) -> Vec<Selector> {
    let keys: BTreeSet<ResourceKey> = keys.cloned().collect();
    let mut selectors = BTreeMap::new();
    for resources in [before, after] {
        let concerned = referrers(resources, &keys);
        for key in concerned.union(&keys) {
            let resource = resources.get(key);
            if let Some(selector) = resource.and_then(|resource| resource.selector()) {
                selectors.insert(selector.to_string(), selector.clone());
            }
        }
    }
    selectors.into_values().collect()
}
