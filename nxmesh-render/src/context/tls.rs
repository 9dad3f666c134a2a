//! TLS towards clients.

use nxmesh_core::{
    contract::renderer::RenderError,
    model::{
        ClientVerify, ResourceKey, ResourceKind, StreamTls, Tls, TlsPolicy, TlsSession, TlsVersion,
        Trust, VirtualHostSpec,
        value::{CipherList, CurveList, FilePath, ResourceName},
    },
};

use crate::{
    context::{Scene, maps::on_or_off},
    handlebars::record::{Item, record},
    names,
    token::{Word, quote},
};

record! {
    /// TLS of a server.
    TlsRecord<'a> {
        certificates: Vec<PairRecord<'a>>,
        protocols: Vec<Item<'a>>,
        /// Absent where nothing older than TLS 1.3 is spoken.
        ciphers: Option<Word<'a>>,
        /// `on` or `off`, as the next ones that are no sizes and times.
        prefer_server_ciphers: Word<'a>,
        curves: Word<'a>,
        dh_parameters: Option<Word<'a>>,
        session_timeout: Word<'a>,
        session_cache: Word<'a>,
        session_tickets: Word<'a>,
        early_data: bool,
        buffer_size: Option<Word<'a>>,
        stapling: bool,
        /// Who has to have signed what is stapled.
        stapling_trusted: Option<Word<'a>>,
        client: Option<ClientRecord<'a>>,
    }
}

record! {
    /// A certificate and its key.
    PairRecord<'a> {
        certificate: Word<'a>,
        key: Word<'a>,
    }
}

record! {
    /// Asking clients for certificates.
    ClientRecord<'a> {
        trusted: Word<'a>,
        verify: Word<'a>,
        depth: Option<Word<'a>>,
        revoked: Option<Word<'a>>,
    }
}

const INTERMEDIATE: &str = "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256:ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-RSA-AES256-GCM-SHA384:ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-RSA-CHACHA20-POLY1305:DHE-RSA-AES128-GCM-SHA256:DHE-RSA-AES256-GCM-SHA384:DHE-RSA-CHACHA20-POLY1305";
/// OpenSSL 3 has the old ones at this level only.
const OLD: &str = "\"@SECLEVEL=0:ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256:ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-RSA-AES256-GCM-SHA384:ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-RSA-CHACHA20-POLY1305:DHE-RSA-AES128-GCM-SHA256:DHE-RSA-AES256-GCM-SHA384:DHE-RSA-CHACHA20-POLY1305:ECDHE-ECDSA-AES128-SHA256:ECDHE-RSA-AES128-SHA256:ECDHE-ECDSA-AES128-SHA:ECDHE-RSA-AES128-SHA:ECDHE-ECDSA-AES256-SHA384:ECDHE-RSA-AES256-SHA384:ECDHE-ECDSA-AES256-SHA:ECDHE-RSA-AES256-SHA:DHE-RSA-AES128-SHA256:DHE-RSA-AES256-SHA256:AES128-GCM-SHA256:AES256-GCM-SHA384:AES128-SHA256:AES256-SHA256:AES128-SHA:AES256-SHA:DES-CBC3-SHA\"";
const AWS_RESTRICTED: &str = "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256:ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-RSA-AES256-GCM-SHA384";
const AWS: &str = "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256:ECDHE-ECDSA-AES128-SHA256:ECDHE-RSA-AES128-SHA256:ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-RSA-AES256-GCM-SHA384:ECDHE-ECDSA-AES256-SHA384:ECDHE-RSA-AES256-SHA384";
const CURVES: &str = "X25519:prime256v1:secp384r1";

const fn protocols(policy: TlsPolicy) -> &'static [TlsVersion] {
    match policy {
        TlsPolicy::Modern | TlsPolicy::Aws13 => &[TlsVersion::Tls13],
        TlsPolicy::Intermediate | TlsPolicy::Aws12Restricted | TlsPolicy::Aws12 => {
            &[TlsVersion::Tls12, TlsVersion::Tls13]
        }
        TlsPolicy::Old => &[
            TlsVersion::Tls10,
            TlsVersion::Tls11,
            TlsVersion::Tls12,
            TlsVersion::Tls13,
        ],
    }
}

/// nginx changes, 1.29.2: `ssl_protocols` of others than the default server of a port count.
pub(crate) const OWN_VERSIONS: (u16, u16, u16) = (1, 29, 2);

/// The versions of TLS that a virtual host speaks.
pub(crate) fn versions(tls: &Tls) -> &[TlsVersion] {
    if tls.protocols.is_empty() {
        protocols(tls.policy)
    } else {
        &tls.protocols
    }
}

/// What documents say of TLS for HTTP and for streams alike.
struct Terms<'a> {
    /// The stem of the files of the first certificate.
    stem: &'a str,
    more_certificates: &'a [ResourceName],
    policy: TlsPolicy,
    protocols: &'a [TlsVersion],
    ciphers: Option<&'a CipherList>,
    curves: Option<&'a CurveList>,
    dh_parameters: Option<&'a FilePath>,
    prefer_server_ciphers: Option<bool>,
    session: Option<&'a TlsSession>,
    /// What the memory for sessions is called; nginx has one for each protocol.
    cache: &'static str,
    client: Option<ClientTerms<'a>>,
}

/// How clients are asked for certificates.
struct ClientTerms<'a> {
    trusted: &'a Trust,
    verify: ClientVerify,
    depth: Option<u8>,
    revoked: Option<&'a FilePath>,
}

/// TLS of a virtual host.
pub(super) fn record<'a>(
    scene: &Scene<'_>,
    spec: &'a VirtualHostSpec,
    pem_stem: Option<&str>,
) -> Result<TlsRecord<'a>, RenderError> {
    scene.require_module("TLS", "http_ssl_module")?;
    let Some(tls) = &spec.tls else {
        return Err(scene.unrenderable("a port has TLS, but the virtual host has no spec.tls"));
    };
    let Some(stem) = pem_stem else {
        return Err(missing(scene, &tls.certificate));
    };
    if tls.early_data {
        scene.require("early data", (1, 15, 3))?;
    }
    let terms = Terms {
        stem,
        more_certificates: &tls.more_certificates,
        policy: tls.policy,
        protocols: &tls.protocols,
        ciphers: tls.ciphers.as_ref(),
        curves: tls.curves.as_ref(),
        dh_parameters: tls.dh_parameters.as_ref(),
        prefer_server_ciphers: tls.prefer_server_ciphers,
        session: tls.session.as_ref(),
        cache: "nxmesh_tls",
        client: tls.client.as_deref().map(|client| ClientTerms {
            trusted: &client.trusted,
            verify: client.verify,
            depth: client.depth,
            revoked: client.revoked.as_ref(),
        }),
    };
    let stapling = tls.stapling.as_ref();
    Ok(TlsRecord {
        early_data: tls.early_data,
        buffer_size: tls.buffer_size.map(Word::own),
        stapling: stapling.is_some(),
        stapling_trusted: stapling
            .and_then(|it| it.verify.as_ref())
            .map(|trust| trusted(scene, trust))
            .transpose()?,
        ..common(scene, &terms)?
    })
}

/// TLS of a stream server.
pub(super) fn of_stream<'a>(
    scene: &Scene<'_>,
    tls: &'a StreamTls,
) -> Result<TlsRecord<'a>, RenderError> {
    scene.require_module("TLS of streams", "stream_ssl_module")?;
    let first = stem(scene, &tls.certificate)?;
    let terms = Terms {
        stem: &first,
        more_certificates: &tls.more_certificates,
        policy: tls.policy,
        protocols: &tls.protocols,
        ciphers: tls.ciphers.as_ref(),
        curves: tls.curves.as_ref(),
        dh_parameters: tls.dh_parameters.as_ref(),
        prefer_server_ciphers: None,
        session: tls.session.as_ref(),
        cache: "nxmesh_stream_tls",
        client: tls.client.as_ref().map(|client| ClientTerms {
            trusted: &client.trusted,
            verify: client.verify,
            depth: client.depth,
            revoked: client.revoked.as_ref(),
        }),
    };
    common(scene, &terms)
}

fn common<'a>(scene: &Scene<'_>, tls: &Terms<'_>) -> Result<TlsRecord<'a>, RenderError> {
    scene.require("TLS 1.3", (1, 13, 0))?;
    let quoting = |error| scene.unrenderable(error);
    let mut certificates = vec![pair(scene, tls.stem)?];
    for name in tls.more_certificates {
        certificates.push(pair(scene, &self::stem(scene, name)?)?);
    }
    let versions = if tls.protocols.is_empty() {
        protocols(tls.policy)
    } else {
        tls.protocols
    };
    let ciphers = match (tls.ciphers, tls.policy) {
        (Some(ciphers), _) => Some(quote(ciphers.as_str()).map_err(quoting)?.into_owned()),
        (None, _) if versions == [TlsVersion::Tls13] => None,
        (None, TlsPolicy::Old) => Some(Word::fixed(OLD)),
        (None, TlsPolicy::Aws12) => Some(Word::fixed(AWS)),
        (None, TlsPolicy::Aws12Restricted) => Some(Word::fixed(AWS_RESTRICTED)),
        (None, _) => Some(Word::fixed(INTERMEDIATE)),
    };
    let session = tls.session.cloned().unwrap_or_default();
    let prefers = tls.prefer_server_ciphers;
    Ok(TlsRecord {
        certificates,
        protocols: versions
            .iter()
            .map(|version| Item(Word::fixed(version.nginx_name())))
            .collect(),
        ciphers,
        prefer_server_ciphers: on_or_off(prefers.unwrap_or(matches!(
            tls.policy,
            TlsPolicy::Old | TlsPolicy::Aws12 | TlsPolicy::Aws12Restricted
        ))),
        curves: match tls.curves {
            Some(curves) => quote(curves.as_str()).map_err(quoting)?.into_owned(),
            None => Word::fixed(CURVES),
        },
        dh_parameters: file(scene, tls.dh_parameters)?,
        session_timeout: session.timeout.map_or(Word::fixed("1d"), Word::own),
        // nginx refuses one name with two sizes.
        session_cache: Word::own(match session.cache {
            Some(size) => format!("shared:{}_{size}:{size}", tls.cache),
            None => format!("shared:{}:10m", tls.cache),
        }),
        session_tickets: on_or_off(session.tickets),
        early_data: false,
        buffer_size: None,
        stapling: false,
        stapling_trusted: None,
        client: tls
            .client
            .as_ref()
            .map(|client| self::client(scene, client))
            .transpose()?,
    })
}

fn client<'a>(
    scene: &Scene<'_>,
    client: &ClientTerms<'_>,
) -> Result<ClientRecord<'a>, RenderError> {
    Ok(ClientRecord {
        trusted: trusted(scene, client.trusted)?,
        verify: Word::fixed(match client.verify {
            ClientVerify::Required => "on",
            ClientVerify::Optional => "optional",
            ClientVerify::OptionalUnsigned => "optional_no_ca",
        }),
        depth: client.depth.map(|depth| Word::number(depth.into())),
        revoked: file(scene, client.revoked)?,
    })
}

/// A file of the agent's machine.
fn file<'a>(scene: &Scene<'_>, path: Option<&FilePath>) -> Result<Option<Word<'a>>, RenderError> {
    path.map(|path| quote(path.as_str()).map(Word::into_owned))
        .transpose()
        .map_err(|error| scene.unrenderable(error))
}

fn trusted<'a>(scene: &Scene<'_>, trust: &Trust) -> Result<Word<'a>, RenderError> {
    match trust {
        Trust::File(path) => quote(path.as_str())
            .map(Word::into_owned)
            .map_err(|error| scene.unrenderable(error)),
        Trust::Certificate(name) => scene.tls_file(&stem(scene, name)?, ".crt"),
    }
}

fn pair<'a>(scene: &Scene<'_>, stem: &str) -> Result<PairRecord<'a>, RenderError> {
    Ok(PairRecord {
        certificate: scene.tls_file(stem, ".crt")?,
        key: scene.tls_file(stem, ".key")?,
    })
}

fn stem(scene: &Scene<'_>, name: &ResourceName) -> Result<String, RenderError> {
    let certificate = scene.resources.certificate(name);
    let certificate = certificate.ok_or_else(|| missing(scene, name))?;
    Ok(names::pem_stem(name, &certificate.spec))
}

fn missing(scene: &Scene<'_>, name: &ResourceName) -> RenderError {
    scene.missing(ResourceKey {
        kind: ResourceKind::Certificate,
        name: name.clone(),
    })
}
