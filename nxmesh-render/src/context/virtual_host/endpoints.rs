//! Paths that are answered whatever the locations say.

use nxmesh_core::{
    contract::renderer::RenderError,
    model::{AcmeChallenge, VirtualHostSpec},
};

use crate::{
    context::Scene,
    handlebars::record::{Item, record},
    token::{Word, quote, quote_expanding},
};

record! {
    /// Paths that are answered whatever the locations say.
    EndpointsRecord<'a> {
        health: Option<Word<'a>>,
        config_version: Option<Word<'a>>,
        /// The path of counts, and who may ask for them.
        status: Option<Word<'a>>,
        status_allow: Vec<Item<'a>>,
        /// Whether nginx has an external authentication that is to be left out.
        auth_request: bool,
        /// Where answers to challenges lie.
        challenge_root: Option<Word<'a>>,
        /// Who answers challenges: a URL.
        challenge_upstream: Option<Word<'a>>,
    }
}

pub(super) fn record<'a>(
    scene: &Scene<'_>,
    spec: &'a VirtualHostSpec,
) -> Result<Option<Box<EndpointsRecord<'a>>>, RenderError> {
    if spec.health.is_none()
        && spec.acme_challenge.is_none()
        && spec.config_version.is_none()
        && spec.status.is_none()
    {
        return Ok(None);
    }
    let quoting = |error| scene.unrenderable(error);
    let (root, upstream) = match &spec.acme_challenge {
        Some(AcmeChallenge::Root(root)) => {
            (Some(quote_expanding(root.as_str()).map_err(quoting)?), None)
        }
        Some(AcmeChallenge::Upstream(name)) => {
            let url = format!("http://{}", scene.upstream(name)?);
            (None, Some(Word::own(url)))
        }
        None => (None, None),
    };
    let health = spec.health.as_ref().map(|path| quote(path.as_str()));
    let version = spec.config_version.as_ref();
    let version = version.map(|path| quote(path.as_str()));
    let status = spec.status.as_ref();
    if status.is_some() {
        scene.require_module("status", "http_stub_status_module")?;
    }
    let allow = status.iter().flat_map(|status| &status.allow);
    Ok(Some(Box::new(EndpointsRecord {
        config_version: version.transpose().map_err(quoting)?,
        status: status
            .map(|status| quote(status.path.as_str()))
            .transpose()
            .map_err(quoting)?,
        status_allow: allow.map(|network| Item(Word::own(network))).collect(),
        health: health.transpose().map_err(quoting)?,
        auth_request: scene.has_module("http_auth_request_module"),
        challenge_root: root,
        challenge_upstream: upstream,
    })))
}
