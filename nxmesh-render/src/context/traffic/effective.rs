//! What counts in a virtual host and its locations once policies are taken in.

use std::collections::BTreeMap;

use nxmesh_core::{
    contract::renderer::RenderError,
    model::{Location, ResourceKey, ResourceKind, TrafficSettings, VirtualHostSpec},
};

use crate::context::Scene;

/// The settings of those that name policies; the others are as they are written.
#[derive(Default)]
pub(crate) struct Effective {
    host: Option<TrafficSettings>,
    locations: BTreeMap<usize, TrafficSettings>,
}

impl Effective {
    pub(crate) fn of(scene: &Scene<'_>, spec: &VirtualHostSpec) -> Result<Self, RenderError> {
        let mut effective = Self::default();
        if !spec.traffic.policies.is_empty() {
            effective.host = Some(over_policies(scene, &spec.traffic)?);
        }
        for (index, location) in spec.locations.iter().enumerate() {
            if !location.traffic.policies.is_empty() {
                let settings = over_policies(scene, &location.traffic)?;
                effective.locations.insert(index, settings);
            }
        }
        Ok(effective)
    }

    pub(crate) fn host<'s>(&'s self, spec: &'s VirtualHostSpec) -> &'s TrafficSettings {
        self.host.as_ref().unwrap_or(&spec.traffic)
    }

    pub(crate) fn location<'s>(
        &'s self,
        index: usize,
        location: &'s Location,
    ) -> &'s TrafficSettings {
        self.locations.get(&index).unwrap_or(&location.traffic)
    }
}

/// `own` settings over its policies; of two policies the one named first counts.
fn over_policies(scene: &Scene<'_>, own: &TrafficSettings) -> Result<TrafficSettings, RenderError> {
    let mut joined = own.clone();
    for name in &own.policies {
        let policy = scene.resources.policy(name).ok_or_else(|| {
            scene.missing(ResourceKey {
                kind: ResourceKind::Policy,
                name: name.clone(),
            })
        })?;
        joined = joined.over(&policy.spec);
    }
    Ok(joined)
}
