//! Virtual hosts: which servers they need, and what those say.

mod client;
mod endpoints;
mod entrance;
mod servers;

use nxmesh_core::{
    contract::renderer::RenderError,
    model::{PathMatch, VirtualHost},
    snippet::SnippetContext,
};

use self::{client::ClientRecord, endpoints::EndpointsRecord, servers::ServerRecord};
use super::{
    Scene,
    headers::{self, HeaderRecord, Headers},
    location::{self, LocationRecord},
    maps::{GeoRecord, MapRecord, SplitRecord},
    snippet::{self, SnippetRecord},
    traffic::{
        self, Backends, CacheZoneRecord, Effective, GatesRecord, InternalRecord, KeysRecord, Local,
        LogFormatRecord, Preamble, Secrets, TellingRecord, TrafficRecord, ZoneRecord,
    },
};
use crate::{
    handlebars::record::{Item, record},
    names::Identity,
    token::{Word, quote},
};
pub(super) use entrance::Entrance;
pub(crate) use servers::HTTP2_DIRECTIVE;

record! {
    /// A virtual host.
    VirtualHostRecord<'a> {
        zones: Vec<ZoneRecord<'a>>,
        keys: Vec<KeysRecord<'a>>,
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
        /// Whether errors are told as a status of gRPC.
        grpc_errors: bool,
        /// Locations that only nginx leads to.
        internals: Vec<InternalRecord<'a>>,
        /// Who is turned away where no location matches.
        gates: Option<Box<GatesRecord<'a>>>,
        /// Whether a location of its own is for every path.
        matches_all: bool,
        client: Option<Box<ClientRecord<'a>>>,
        /// `on`, `off` or `build`.
        server_tokens: Option<Word<'a>>,
        endpoints: Option<Box<EndpointsRecord<'a>>>,
    }
}

impl<'a> VirtualHostRecord<'a> {
    /// `effective` is what counts in it; `headers` are those of the host;
    /// `pem_stem` names the files of its certificate; `secrets` gets what its file
    /// only names.
    pub(crate) fn of(
        scene: &Scene<'a>,
        document: &'a VirtualHost,
        identity: Identity,
        effective: &'a Effective,
        (headers, pem_stem): (&'a [HeaderRecord<'a>], Option<&str>),
        secrets: &mut Secrets,
    ) -> Result<Self, RenderError> {
        let spec = &document.spec;
        let settings = effective.host(spec);
        let mut preamble = Preamble::new(
            identity,
            &document.metadata.name,
            spec.behind_tls_proxy.is_some(),
        );
        let backends = Backends::of_host(spec);
        let local = Local {
            own: settings,
            host: settings,
            headers: &Headers {
                host: headers,
                inherited: Vec::new(),
                without_host: false,
            },
        };
        let traffic = traffic::record(scene, local, backends, None, &mut preamble)?;
        let telling = traffic::telling(scene, settings, settings, &mut preamble)?;
        let entrance = entrance::of(scene, spec, &mut preamble)?;
        let gates = traffic::gates(scene, &entrance, local, &mut preamble)?;
        let snippets = snippet::named(scene, &settings.snippets, SnippetContext::Server)?;
        let mut lines = 0;
        let mut locations = Vec::with_capacity(spec.locations.len());
        for (index, location) in spec.locations.iter().enumerate() {
            let own = effective.location(index, location);
            let host = (&settings.response_headers[..], headers);
            let inherited = if traffic::tells(own) && !location.own_response_headers_only {
                let pages = settings.error_pages.len().max(own.error_pages.len());
                // Beside routes, their fallback and pages there may be one of maintenance.
                let times = 2 * (location.routes.len() + 1) + pages + 1;
                headers::inherited(scene, host, &own.response_headers, times, &mut lines)?
            } else {
                Vec::new()
            };
            let place = location::Place {
                settings: own,
                host: settings,
                entrance: &entrance,
                guarded: traffic::guards(own) || traffic::guards(settings),
                headers: Headers {
                    host: headers,
                    inherited,
                    without_host: location.own_response_headers_only,
                },
                apart: None,
            };
            location::records(scene, location, &place, &mut preamble, &mut locations)?;
        }
        let servers = servers::records(scene, spec, settings, pem_stem, &mut preamble)?;
        let snippets_match_all = snippet::match_all(&snippets);
        secrets.take(preamble.secrets);
        Ok(Self {
            zones: preamble.zones,
            keys: preamble.keys,
            geos: preamble.geos,
            splits: preamble.splits,
            maps: preamble.maps,
            caches: preamble.caches,
            log_formats: preamble.log_formats,
            internals: preamble.internals,
            grpc_errors: preamble.grpc_errors,
            gates,
            telling,
            servers,
            client: client::record(scene, spec)?,
            server_tokens: client::tokens(scene, spec)?,
            endpoints: endpoints::record(scene, spec)?,
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
