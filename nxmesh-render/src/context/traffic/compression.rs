//! Compressing responses.

use nxmesh_core::{contract::renderer::RenderError, model::traffic::Gzip};

use crate::{
    context::Scene,
    handlebars::record::{Item, record},
    token::{Word, quote},
};

record! {
    /// gzip; what is said further out is said anew, as nginx takes it over otherwise.
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
        /// `on` or `off`.
        unpack: Option<Word<'a>>,
    }
}

record! {
    /// Memory for compressing one response.
    BuffersRecord<'a> {
        count: Word<'a>,
        size: Word<'a>,
    }
}

/// A type that no response has, for those that have none to replace others by;
/// `text/html`, which is compressed anyway, may not be named.
const NO_TYPE: &str = "application/x-nxmesh-none";
/// A pattern that nothing matches.
const NOBODY: &str = "\"(?!)\"";

/// The record of `gzip`, which counts in place of what is said further out, `over`.
pub(super) fn record<'a>(
    scene: &Scene<'_>,
    gzip: &'a Gzip,
    over: Option<&Gzip>,
) -> Result<GzipRecord<'a>, RenderError> {
    let types = gzip.types.iter().map(|kind| quote(kind.as_str()));
    let words: Result<Vec<Word<'a>>, _> = types.collect();
    let mut words = words.map_err(|error| scene.unrenderable(error))?;
    let disable = gzip.disable.iter().map(|it| quote(it.as_str()));
    let disable: Result<Vec<Word<'a>>, _> = disable.collect();
    let mut disable = disable.map_err(|error| scene.unrenderable(error))?;
    let said = |is: fn(&Gzip) -> bool| over.is_some_and(is);
    if words.is_empty() && said(|it| !it.types.is_empty()) {
        words.push(Word::fixed(NO_TYPE));
    }
    if disable.is_empty() && said(|it| !it.disable.is_empty()) {
        disable.push(Word::fixed(NOBODY));
    }
    let default = |is: fn(&Gzip) -> bool, number| said(is).then(|| Word::number(number));
    let buffers = gzip.buffers.map(|it| BuffersRecord {
        count: Word::number(it.count.into()),
        size: Word::own(it.size),
    });
    let default_buffers = said(|it| it.buffers.is_some()).then(|| BuffersRecord {
        count: Word::number(32),
        size: Word::fixed("4k"),
    });
    if gzip.unpack {
        scene.require_module("gzip.unpack", "http_gunzip_module")?;
    }
    let switch = |on| Word::fixed(if on { "on" } else { "off" });
    Ok(GzipRecord {
        enabled: switch(gzip.enabled),
        vary: switch(gzip.vary),
        proxied: Word::fixed(if gzip.proxied { "any" } else { "off" }),
        level: gzip
            .level
            .map(|level| Word::number(level.into()))
            .or_else(|| default(|it| it.level.is_some(), 1)),
        min_length: gzip
            .min_length
            .map(|size| Word::number(size.bytes()))
            .or_else(|| default(|it| it.min_length.is_some(), 20)),
        types: super::items(words.into_iter()),
        disable: super::items(disable.into_iter()),
        buffers: buffers.or(default_buffers),
        unpack: (gzip.unpack || said(|it| it.unpack)).then(|| switch(gzip.unpack)),
    })
}
