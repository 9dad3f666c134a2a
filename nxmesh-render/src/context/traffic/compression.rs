//! Compressing responses.

use nxmesh_core::{contract::renderer::RenderError, model::traffic::Gzip};

use crate::{
    context::Scene,
    handlebars::record::{Item, record},
    token::{Word, quote},
};

record! {
    /// gzip; every field is written, as each has to replace what is said further out.
    GzipRecord<'a> {
        enabled: Word<'a>,
        vary: Word<'a>,
        proxied: Word<'a>,
        level: Option<Word<'a>>,
        min_length: Option<Word<'a>>,
        types: Vec<Item<'a>>,
        /// Patterns of `User-Agent`.
        disable: Vec<Item<'a>>,
        buffers: Option<BuffersRecord<'a>>,
        unpack: bool,
    }
}

record! {
    /// Memory for compressing one response.
    BuffersRecord<'a> {
        count: Word<'a>,
        size: Word<'a>,
    }
}

pub(super) fn record<'a>(scene: &Scene<'_>, gzip: &'a Gzip) -> Result<GzipRecord<'a>, RenderError> {
    let types = gzip.types.iter().map(|kind| quote(kind.as_str()));
    let words: Result<Vec<Word<'a>>, _> = types.collect();
    let words = words.map_err(|error| scene.unrenderable(error))?;
    let disable = gzip.disable.iter().map(|it| quote(it.as_str()));
    if gzip.unpack {
        scene.require_module("gzip.unpack", "http_gunzip_module")?;
    }
    let switch = |on| Word::fixed(if on { "on" } else { "off" });
    Ok(GzipRecord {
        enabled: switch(gzip.enabled),
        vary: switch(gzip.vary),
        proxied: Word::fixed(if gzip.proxied { "any" } else { "off" }),
        level: gzip.level.map(|level| Word::number(level.into())),
        min_length: gzip.min_length.map(|size| Word::number(size.bytes())),
        types: super::items(words.into_iter()),
        disable: super::items(
            disable
                .collect::<Result<Vec<_>, _>>()
                .map_err(|error| scene.unrenderable(error))?
                .into_iter(),
        ),
        buffers: gzip.buffers.map(|it| BuffersRecord {
            count: Word::number(it.count.into()),
            size: Word::own(it.size),
        }),
        unpack: gzip.unpack,
    })
}
