//! Sending copies of requests elsewhere.

use nxmesh_core::{contract::renderer::RenderError, model::traffic::Mirror};

use super::{InternalRecord, PassRecord, Preamble};
use crate::{
    context::Scene,
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
    let body = if target.body { "on" } else { "off" };
    let id = preamble.id([
        "mirror",
        target.upstream.as_str(),
        percent.as_deref().unwrap_or_default(),
        body,
    ]);
    let mut location = InternalRecord::path("mirror", &id);
    let path = location.name.clone();
    let upstream = scene.upstream(&target.upstream)?;
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
    location.mirror = Some(PassRecord {
        body: target.body,
        unless,
        ..PassRecord::to(Word::expression(format!("http://{upstream}$request_uri")))
    });
    preamble.internal(location);
    Ok(MirrorRecord {
        path,
        body: Word::fixed(body),
    })
}
