//! TLS towards an upstream.

use nxmesh_core::{
    contract::renderer::RenderError,
    model::{
        ResourceKey, ResourceKind, TlsVersion, Trust, UpstreamScheme, UpstreamTls,
        value::ResourceName,
    },
};

use crate::{
    context::Scene,
    handlebars::record::{Item, record},
    names,
    token::{Word, quote, quote_expanding},
};

record! {
    /// How TLS is spoken with an upstream.
    UpstreamTlsRecord<'a> {
        /// Whether sessions are not resumed: nginx keeps them for all that ask a server,
        /// and with them what one of these found out about its certificate.
        fresh: bool,
        /// Whether the name is said in the handshake.
        sni: bool,
        /// The name; the requested host if there is none.
        name: Option<Word<'a>>,
        /// The file of those who may have signed the certificate.
        trusted: Option<Word<'a>>,
        depth: Option<Word<'a>>,
        protocols: Vec<Item<'a>>,
        ciphers: Option<Word<'a>>,
        /// What nginx shows, and its key.
        certificate: Option<Word<'a>>,
        certificate_key: Option<Word<'a>>,
    }
}

/// What is said of TLS with an upstream that is spoken to so; `None` without TLS.
pub(in crate::context) fn secured<'a>(
    scene: &Scene<'_>,
    scheme: UpstreamScheme,
    tls: Option<&'a UpstreamTls>,
) -> Result<Option<Box<UpstreamTlsRecord<'a>>>, RenderError> {
    if scheme == UpstreamScheme::Http {
        return Ok(None);
    }
    let record = tls.map_or_else(|| Ok(UNSAID), |tls| record(scene, tls))?;
    Ok(Some(Box::new(record)))
}

/// Where nothing is said: the requested host is asked for, and not verified.
const UNSAID: UpstreamTlsRecord<'static> = UpstreamTlsRecord {
    fresh: false,
    sni: true,
    name: None,
    trusted: None,
    depth: None,
    protocols: Vec::new(),
    ciphers: None,
    certificate: None,
    certificate_key: None,
};

pub(in crate::context) fn record<'a>(
    scene: &Scene<'_>,
    tls: &'a UpstreamTls,
) -> Result<UpstreamTlsRecord<'a>, RenderError> {
    if tls.protocols.contains(&TlsVersion::Tls13) {
        scene.require("TLS 1.3", (1, 13, 0))?;
    }
    let quoting = |error| scene.unrenderable(error);
    let name = tls.server_name.as_ref();
    let ciphers = tls.ciphers.as_ref();
    let shown = tls
        .certificate
        .as_ref()
        .map(|name| stem(scene, name))
        .transpose()?;
    let file = |suffix| {
        let stem = shown.as_deref();
        stem.map(|stem| scene.tls_file(stem, suffix)).transpose()
    };
    Ok(UpstreamTlsRecord {
        fresh: true,
        sni: !tls.without_sni,
        name: name
            .map(|name| quote_expanding(name.as_str()).map_err(quoting))
            .transpose()?,
        trusted: match &tls.verify {
            None => None,
            Some(Trust::File(path)) => Some(quote(path.as_str()).map_err(quoting)?),
            Some(Trust::Certificate(name)) => Some(scene.tls_file(&stem(scene, name)?, ".crt")?),
        },
        depth: tls.depth.map(|depth| Word::number(depth.into())),
        protocols: tls
            .protocols
            .iter()
            .map(|version| Item(Word::fixed(version.nginx_name())))
            .collect(),
        ciphers: ciphers
            .map(|ciphers| quote(ciphers.as_str()).map_err(quoting))
            .transpose()?,
        certificate: file(".crt")?,
        certificate_key: file(".key")?,
    })
}

impl UpstreamTlsRecord<'_> {
    /// Parts of a name that only what is spoken to so has.
    pub(in crate::context) fn id_parts(&self) -> Vec<String> {
        let words = [
            ("name", &self.name),
            ("trusted", &self.trusted),
            ("depth", &self.depth),
            ("ciphers", &self.ciphers),
            ("certificate", &self.certificate),
        ];
        let said = words
            .iter()
            .filter_map(|(what, word)| Some((what, word.as_ref()?)));
        let protocols = self.protocols.iter().map(|item| (&"protocol", &item.0));
        let parts = said
            .chain(protocols)
            .map(|(what, word)| format!("{what} {word}"));
        let mut all = vec![format!("tls {} {}", self.fresh, self.sni)];
        all.extend(parts);
        all
    }
}

/// The stem of the files of a certificate.
fn stem(scene: &Scene<'_>, name: &ResourceName) -> Result<String, RenderError> {
    let certificate = scene.resources.certificate(name).ok_or_else(|| {
        scene.missing(ResourceKey {
            kind: ResourceKind::Certificate,
            name: name.clone(),
        })
    })?;
    Ok(names::pem_stem(name, &certificate.spec))
}
