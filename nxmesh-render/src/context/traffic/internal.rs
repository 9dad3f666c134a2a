//! Locations that only nginx leads to.

use nxmesh_core::{
    contract::renderer::RenderError,
    model::{
        UpstreamScheme, UpstreamTls,
        value::{FilePath, ResourceName},
    },
};

use super::{
    super::location::{RequestHeaderRecord, RespondRecord, UpstreamTlsRecord, secured},
    Preamble,
};
use crate::{
    context::{Scene, headers::OwnHeadersRecord},
    handlebars::record::{Item, record},
    token::{QuoteError, Word, quote, quote_expanding},
};

record! {
    /// A location beside those of the document; exactly one of auth, mirror, page,
    /// file and respond is there.
    InternalRecord<'a> {
        /// `@name`, or a path.
        name: Word<'a>,
        /// Whether it is a path.
        is_path: bool,
        auth: Option<PassRecord<'a>>,
        mirror: Option<PassRecord<'a>>,
        /// Of an error.
        page: Option<PassRecord<'a>>,
        /// The file of an error.
        file: Option<Word<'a>>,
        /// Whether nginx has an external authentication that is to be left out
        /// for the file.
        auth_request: bool,
        respond: Option<RespondRecord<'a>>,
        /// The value of Retry-After.
        retry_after: Option<Word<'a>>,
        /// Absent where it sends the headers of the host alone.
        own_headers: Option<Box<OwnHeadersRecord<'a>>>,
    }
}

record! {
    /// Passing a request on.
    PassRecord<'a> {
        /// A URL.
        target: Word<'a>,
        /// How TLS is spoken with `https`.
        tls: Option<Box<UpstreamTlsRecord<'a>>>,
        /// Where it is not GET.
        method: Option<Word<'a>>,
        /// Headers that are nobody's business there.
        cleared: Vec<Item<'a>>,
        /// Headers of its own.
        headers: Vec<RequestHeaderRecord<'a>>,
        /// Where answers are kept, by what, and how long.
        cache: Option<KeptRecord<'a>>,
        /// Whether nginx has an external authentication that is to be left out.
        auth_request: bool,
        /// With its body.
        body: bool,
        /// What it says about other origins is not sent.
        hides_cors: bool,
        /// A condition under which it is not passed.
        unless: Option<Word<'a>>,
    }
}

record! {
    /// Answers that are kept.
    KeptRecord<'a> {
        zone: Word<'a>,
        key: Word<'a>,
        time: Word<'a>,
    }
}

impl<'a> InternalRecord<'a> {
    /// A location called `id` of its kind, led to by its path.
    pub(super) fn path(kind: &str, id: &str) -> Self {
        Self::called(Word::own(format!("/.nxmesh/{kind}/{id}")), true)
    }

    /// A location called `id` of its kind, led to by its path, which ends as the
    /// `file`: nginx takes the media type from it.
    pub(super) fn file(kind: &str, id: &str, file: &FilePath) -> Self {
        let ending = file.as_str().rsplit_once('.').map_or("", |(_, it)| it);
        let plain = ending.len() <= 10 && ending.bytes().all(|it| it.is_ascii_alphanumeric());
        let ending = if plain { ending } else { "" };
        Self::called(Word::own(format!("/.nxmesh/{kind}/{id}.{ending}")), true)
    }

    /// A location called `id` of its kind, led to by its name.
    pub(super) fn named(kind: &str, id: &str) -> Self {
        Self::called(
            Word::internal_location(&format!("nxmesh_{kind}_{id}")),
            false,
        )
    }

    const fn called(name: Word<'a>, is_path: bool) -> Self {
        Self {
            name,
            is_path,
            auth: None,
            mirror: None,
            page: None,
            file: None,
            auth_request: false,
            respond: None,
            retry_after: None,
            own_headers: None,
        }
    }
}

/// An upstream, and how it is spoken to.
pub(super) struct Asked<'a> {
    pub(super) upstream: &'a ResourceName,
    pub(super) scheme: UpstreamScheme,
    pub(super) tls: Option<&'a UpstreamTls>,
}

impl Asked<'_> {
    /// Its URL without a path.
    pub(super) fn url(&self, scene: &Scene<'_>) -> Result<String, RenderError> {
        let upstream = scene.upstream(self.upstream)?;
        Ok(format!("{}://{upstream}", self.scheme.as_str()))
    }
}

impl<'a> PassRecord<'a> {
    /// Passing to `path` of an upstream, without the headers `cleared`.
    pub(super) fn to(
        scene: &Scene<'_>,
        asked: &Asked<'a>,
        path: &str,
        cleared: &[&'a str],
    ) -> Result<Self, RenderError> {
        let url = asked.url(scene)? + path;
        let words = || -> Result<_, QuoteError> {
            let cleared = cleared.iter().map(|name| quote(name).map(Item));
            Ok((
                quote_expanding(&url).map(Word::into_owned)?,
                cleared.collect::<Result<_, _>>()?,
            ))
        };
        let (target, cleared) = words().map_err(|error| scene.unrenderable(error))?;
        Ok(Self {
            target,
            tls: secured(scene, asked.scheme, asked.tls)?,
            method: None,
            cleared,
            headers: Vec::new(),
            cache: None,
            auth_request: scene.has_module("http_auth_request_module"),
            body: false,
            hides_cors: false,
            unless: None,
        })
    }

    /// A part of a name that only what is passed so has.
    pub(super) fn id(&self, kind: &str, preamble: &Preamble<'_>) -> String {
        let mut parts = vec![
            kind.to_owned(),
            self.target.to_string(),
            self.body.to_string(),
        ];
        parts.extend(self.tls.iter().flat_map(|tls| tls.id_parts()));
        parts.extend(self.method.iter().map(|it| format!("method {it}")));
        parts.extend(self.unless.iter().map(ToString::to_string));
        parts.extend(self.cleared.iter().map(|item| item.0.to_string()));
        for header in &self.headers {
            parts.extend([header.name.to_string(), header.value.to_string()]);
        }
        if let Some(kept) = &self.cache {
            parts.extend([&kept.zone, &kept.key, &kept.time].map(ToString::to_string));
        }
        preamble.id(parts.iter().map(String::as_str))
    }
}
