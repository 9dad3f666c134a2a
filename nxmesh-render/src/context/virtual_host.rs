//! Virtual hosts: which servers they need, and what those say.

use nxmesh_core::{
    contract::renderer::RenderError,
    model::{
        Listen, PathMatch, ResourceKey, ResourceKind, Tls, TlsPolicy, TrafficSettings, VirtualHost,
        VirtualHostSpec,
    },
    snippet::SnippetContext,
};

use super::{
    Scene,
    headers::{self, HeaderRecord},
    location::{self, LocationRecord},
    maps::{GeoRecord, MapRecord, SplitRecord},
    snippet::{self, SnippetRecord},
    traffic::{
        self, CacheZoneRecord, Effective, GatesRecord, InternalRecord, LogFormatRecord, Preamble,
        TellingRecord, TrafficRecord, ZoneRecord,
    },
};
use crate::{
    handlebars::record::{Item, record},
    names::Identity,
    token::{Word, quote},
};

record! {
    /// A virtual host.
    VirtualHostRecord<'a> {
        zones: Vec<ZoneRecord<'a>>,
        geos: Vec<GeoRecord<'a>>,
        splits: Vec<SplitRecord<'a>>,
        maps: Vec<MapRecord<'a>>,
        caches: Vec<CacheZoneRecord<'a>>,
        log_formats: Vec<LogFormatRecord<'a>>,
        servers: Vec<ServerRecord<'a>>,
        server_names: Vec<Item<'a>>,
        max_body_size: Option<Word<'a>>,
        headers: &'a [HeaderRecord<'a>],
        /// What is told beside the headers.
        telling: Option<Box<TellingRecord<'a>>>,
        snippets: Vec<SnippetRecord<'a>>,
        traffic: Option<Box<TrafficRecord<'a>>>,
        locations: Vec<LocationRecord<'a>>,
        /// Locations that only nginx leads to.
        internals: Vec<InternalRecord<'a>>,
        /// Who is turned away where no location matches.
        gates: Option<Box<GatesRecord<'a>>>,
        /// Whether a location of its own is for every path.
        matches_all: bool,
    }
}

record! {
    /// One `server` block.
    ServerRecord<'a> {
        listens: Vec<ListenRecord<'a>>,
        /// HTTP/2 as a directive; older versions have it in `listens`.
        http2: bool,
        tls: Option<TlsRecord<'a>>,
        /// The value of Strict-Transport-Security.
        hsts: Option<Word<'a>>,
        /// Whether it answers everything by leading to HTTPS.
        leads_to_https: bool,
        /// The port to lead to, unless it is the usual one.
        https_port: Option<Word<'a>>,
    }
}

record! {
    /// One `listen` directive.
    ListenRecord<'a> {
        address: Word<'a>,
        default_server: bool,
        tls: bool,
        http2: bool,
    }
}

record! {
    /// TLS of a server.
    TlsRecord<'a> {
        certificate: Word<'a>,
        key: Word<'a>,
        /// TLS 1.3 only.
        modern: bool,
    }
}

impl<'a> VirtualHostRecord<'a> {
    /// `effective` is what counts in it; `headers` are those of the host;
    /// `pem_stem` names the files of its certificate.
    pub(crate) fn of(
        scene: &Scene<'a>,
        document: &'a VirtualHost,
        effective: &'a Effective,
        headers: &'a [HeaderRecord<'a>],
        pem_stem: Option<&str>,
    ) -> Result<Self, RenderError> {
        let spec = &document.spec;
        let settings = effective.host(spec);
        let identity = Identity::of(
            &document.metadata.workspace,
            ResourceKind::VirtualHost,
            &document.metadata.name,
        );
        let mut preamble = Preamble::new(identity);
        let traffic = traffic::record(scene, settings, settings, &mut preamble)?;
        let telling = traffic::telling(scene, settings, settings, &mut preamble)?;
        let gates = traffic::gates(scene, settings, settings, &mut preamble)?;
        let snippets = snippet::named(scene, &settings.snippets, SnippetContext::Server)?;
        let mut lines = 0;
        let locations = spec
            .locations
            .iter()
            .enumerate()
            .map(|(index, location)| {
                let own = effective.location(index, location);
                let host = (&settings.response_headers[..], headers);
                let inherited = if traffic::tells(own) {
                    headers::inherited(scene, host, &own.response_headers, &mut lines)?
                } else {
                    Vec::new()
                };
                let place = location::Place {
                    settings: own,
                    host: settings,
                    guarded: traffic::guards(own) || traffic::guards(settings),
                    inherited,
                };
                location::record(scene, location, place, &mut preamble)
            })
            .collect::<Result<_, _>>()?;
        let snippets_match_all = snippet::match_all(&snippets);
        Ok(Self {
            zones: preamble.zones,
            geos: preamble.geos,
            splits: preamble.splits,
            maps: preamble.maps,
            caches: preamble.caches,
            log_formats: preamble.log_formats,
            internals: preamble.internals,
            gates,
            telling,
            servers: servers(scene, spec, settings, pem_stem)?,
            server_names: spec
                .server_names
                .iter()
                .map(|name| quote(name.as_str()).map(Item))
                .collect::<Result<_, _>>()
                .map_err(|error| scene.unrenderable(error))?,
            max_body_size: settings.max_body_size.map(Word::own),
            headers,
            snippets,
            traffic,
            locations,
            matches_all: snippets_match_all
                || spec.locations.iter().any(|location| {
                    matches!(&location.path, PathMatch::Prefix(path) | PathMatch::PrefixPriority(path) if path.as_str() == "/")
                }),
        })
    }
}

/// Addresses that differ only in what `listen` itself says share a server.
fn servers(
    scene: &Scene<'_>,
    spec: &VirtualHostSpec,
    settings: &TrafficSettings,
    pem_stem: Option<&str>,
) -> Result<Vec<ServerRecord<'static>>, RenderError> {
    let http2_is_a_directive = scene.nginx_is(HTTP2_DIRECTIVE);
    let tls = spec.tls.as_ref();
    let plain_differs = tls.is_some_and(|tls| tls.redirect_http || tls.hsts.is_some());
    // What sets servers apart: whether they are for plain HTTP alone, and HTTP/2.
    let group = |listen: &Listen| {
        (
            plain_differs && !listen.tls,
            http2_is_a_directive && listen.http2,
        )
    };
    let mut servers = Vec::new();
    for (plain_alone, http2) in [(true, false), (false, false), (false, true)] {
        let members = || {
            spec.listen
                .iter()
                .filter(|listen| group(listen) == (plain_alone, http2))
        };
        if members().next().is_none() {
            continue;
        }
        let secure = members().any(|listen| listen.tls);
        servers.push(ServerRecord {
            listens: members()
                .flat_map(|listen| self::listens(scene, listen, !http2_is_a_directive))
                .collect(),
            http2,
            tls: if secure {
                Some(self::tls(scene, tls, pem_stem)?)
            } else {
                None
            },
            hsts: tls
                .filter(|_| secure && !headers::sets_hsts(&settings.response_headers))
                .and_then(hsts),
            leads_to_https: plain_alone && tls.is_some_and(|tls| tls.redirect_http),
            https_port: https_port(spec),
        });
    }
    Ok(servers)
}

/// nginx changes, 1.25.1: the `http2` directive instead of the parameter.
const HTTP2_DIRECTIVE: (u16, u16, u16) = (1, 25, 1);

fn listens(
    scene: &Scene<'_>,
    listen: &Listen,
    http2_is_a_parameter: bool,
) -> Vec<ListenRecord<'static>> {
    let port = listen.port;
    let mut addresses = match listen.address {
        Some(address) => vec![std::net::SocketAddr::new(address.ip(), port.get()).to_string()],
        None => vec![port.to_string()],
    };
    if listen.address.is_none() && scene.settings.ipv6 {
        addresses.push(format!("[::]:{port}"));
    }
    addresses
        .into_iter()
        .map(|address| ListenRecord {
            address: Word::own(address),
            default_server: listen.default_server,
            tls: listen.tls,
            http2: listen.http2 && http2_is_a_parameter,
        })
        .collect()
}

fn tls(
    scene: &Scene<'_>,
    tls: Option<&Tls>,
    pem_stem: Option<&str>,
) -> Result<TlsRecord<'static>, RenderError> {
    scene.require("TLS 1.3", (1, 13, 0))?;
    let Some(tls) = tls else {
        return Err(scene.unrenderable("a port has TLS, but the virtual host has no spec.tls"));
    };
    let Some(stem) = pem_stem else {
        return Err(scene.missing(ResourceKey {
            kind: ResourceKind::Certificate,
            name: tls.certificate.clone(),
        }));
    };
    Ok(TlsRecord {
        certificate: scene.tls_file(stem, ".crt")?,
        key: scene.tls_file(stem, ".key")?,
        modern: tls.policy == TlsPolicy::Modern,
    })
}

/// The value of the header (RFC 6797, section 6.1).
fn hsts(tls: &Tls) -> Option<Word<'static>> {
    let hsts = tls.hsts.as_ref()?;
    let mut value = format!("max-age={}", hsts.max_age.whole_seconds());
    if hsts.include_subdomains {
        value += "; includeSubDomains";
    }
    if hsts.preload {
        value += "; preload";
    }
    quote(&value).map(Word::into_owned).ok()
}

/// The first port with TLS, unless it is the one of the scheme.
fn https_port(spec: &VirtualHostSpec) -> Option<Word<'static>> {
    let port = spec.listen.iter().find(|listen| listen.tls)?.port.get();
    (port != 443).then(|| Word::number(port.into()))
}
