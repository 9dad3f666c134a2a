//! What is said to an older nginx in another form than to a newer one, and what that form
//! does not do; and what hosts of one port cannot each have for themselves.

mod ports;

use nxmesh_core::{
    contract::renderer::RenderSettings,
    model::{ResourceKey, ResourceKind, ResourceSet},
};

use crate::context::{asked_again, at_least, upstream::STICKY};

/// A resource of which an nginx, most often an older one, does less than it says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OlderForm {
    /// The resource.
    pub resource: ResourceKey,
    /// How it is said, and what that does not do: a sentence for people.
    pub note: String,
}

/// The resources that this nginx is told of in an older form, which does less, and hosts
/// of which not all counts that they say, as they share a port. What cannot be said to it
/// at all is an error when they are rendered.
///
/// ```
/// use nxmesh_core::{contract::renderer::RenderSettings, document, model::ResourceSet};
///
/// let yaml = "
/// kind: Upstream
/// metadata: { name: shop }
/// spec: { affinity: { cookie: route }, servers: [{ address: '10.0.0.1:80' }, { address: '10.0.0.2:80' }] }
/// ";
/// let parsed = document::parse("shop.yaml", yaml).map_err(|problems| problems[0].clone())?;
/// let resources: ResourceSet = parsed.into_iter().map(|parsed| parsed.resource).collect();
/// let with = |nginx: &str| RenderSettings {
///     nginx: nginx.parse().expect("a version"),
///     ..RenderSettings::default()
/// };
/// assert_eq!(nxmesh_render::older_forms(&resources, &with("1.28.3")).len(), 1);
/// assert_eq!(nxmesh_render::older_forms(&resources, &with("1.29.6")).len(), 0);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[must_use]
pub fn older_forms(resources: &ResourceSet, settings: &RenderSettings) -> Vec<OlderForm> {
    let mut forms = Vec::new();
    for upstream in resources.upstreams() {
        let key = ResourceKey {
            kind: ResourceKind::Upstream,
            name: upstream.metadata.name.clone(),
        };
        let mut add = |note| {
            forms.push(OlderForm {
                resource: key.clone(),
                note,
            });
        };
        let nginx = settings.nginx;
        if asked_again(settings, upstream).is_some() {
            add(format!(
                "nginx {nginx} does not ask for the addresses of an upstream again (1.27.3 does): requests are passed to a variable instead, so idle connections are not kept and failures not counted"
            ));
        }
        if upstream.spec.affinity.is_some() && !at_least(nginx, STICKY) {
            add(format!(
                "nginx {nginx} sets no cookie for affinity (1.29.6 does): servers are chosen by what the cookie holds, and have to set it themselves"
            ));
        }
    }
    ports::add(resources, settings, &mut forms);
    forms
}
