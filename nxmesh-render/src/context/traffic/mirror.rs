//! Sending copies of requests elsewhere.

use nxmesh_core::{contract::renderer::RenderError, model::traffic::Mirror};

use super::{Asked, InternalRecord, PassRecord, Preamble};
use crate::{
    context::{Scene, maps::on_or_off},
    handlebars::record::record,
    token::{Word, quote},
};

record! {
    /// Where copies go.
    MirrorRecord<'a> {
        /// The path that leads there, or `off`.
        path: Word<'a>,
        /// `on` or `off`.
        body: Word<'a>,
    }
}

pub(super) fn record<'a>(
    scene: &Scene<'_>,
    mirror: &'a Mirror,
    cleared: &[&'a str],
    preamble: &mut Preamble<'a>,
) -> Result<MirrorRecord<'a>, RenderError> {
    scene.require("mirror", (1, 13, 4))?;
    let Mirror::To(target) = mirror else {
        return Ok(MirrorRecord {
            path: Word::fixed("off"),
            body: Word::fixed("on"),
        });
    };
    let percent = target.percent.map(|it| it.to_string());
    let unless = match &percent {
        Some(percent) => {
            let share = quote(percent).map(Word::into_owned);
            let share = share.map_err(|error| scene.unrenderable(error))?;
            let rows = vec![
                (share, Word::fixed("0")),
                (Word::fixed("*"), Word::fixed("1")),
            ];
            let source = Word::variable("request_id");
            Some(Word::condition(preamble.split(source, rows)))
        }
        None => None,
    };
    let asked = Asked {
        upstream: &target.upstream,
        scheme: target.scheme,
        tls: target.tls.as_deref(),
    };
    let mut pass = PassRecord::to(scene, &asked, "", cleared)?;
    pass.target = Word::expression(asked.url(scene)? + "$request_uri");
    pass.body = target.body;
    pass.unless = unless;
    let mut location = InternalRecord::path("mirror", &pass.id("mirror", preamble));
    let path = location.name.clone();
    location.mirror = Some(pass);
    preamble.internal(location);
    Ok(MirrorRecord {
        path,
        body: on_or_off(target.body),
    })
}
