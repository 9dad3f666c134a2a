//! Where the client's address comes from.

use nxmesh_core::{
    contract::renderer::RenderError,
    model::traffic::{RealIp, RealIpSource},
};

use crate::{
    context::Scene,
    handlebars::record::{Item, record},
    token::{Word, quote},
};

record! {
    /// Whom to believe about the client's address.
    RealIpRecord<'a> {
        trusted: Vec<Item<'a>>,
        header: Word<'a>,
        /// `on` or `off`.
        recursive: Word<'a>,
    }
}

pub(super) fn record<'a>(
    scene: &Scene<'_>,
    real_ip: &'a RealIp,
) -> Result<RealIpRecord<'a>, RenderError> {
    scene.require_module("real_ip", "http_realip_module")?;
    let header = match &real_ip.from {
        RealIpSource::XForwardedFor => Word::fixed("X-Forwarded-For"),
        RealIpSource::XRealIp => Word::fixed("X-Real-IP"),
        RealIpSource::ProxyProtocol => Word::fixed("proxy_protocol"),
        RealIpSource::Header(name) => {
            quote(name.as_str()).map_err(|error| scene.unrenderable(error))?
        }
    };
    Ok(RealIpRecord {
        trusted: super::items(real_ip.trusted.iter().map(Word::own)),
        header,
        recursive: Word::fixed(if real_ip.recursive { "on" } else { "off" }),
    })
}
