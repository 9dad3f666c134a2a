//! What the settings of a virtual host need elsewhere: outside of its servers,
//! and in each of them beside its locations.

use std::{collections::BTreeMap, sync::Arc};

use nxmesh_core::{contract::renderer::PemFile, digest::Digest, model::value::ResourceName};

use super::super::maps::{GeoRecord, MapRecord, SplitRecord};
use super::{CacheZoneRecord, InternalRecord, KeysRecord, LogFormatRecord, ZoneRecord};
use crate::{
    names::{self, Identity},
    token::Word,
};

/// What the settings of one virtual host need elsewhere. All is named from
/// digests of what it is, so what is asked for twice is there once.
pub(crate) struct Preamble<'a> {
    identity: Identity,
    host: &'a ResourceName,
    pub(crate) secrets: Secrets,
    pub(crate) keys: Vec<KeysRecord<'a>>,
    pub(crate) geos: Vec<GeoRecord<'a>>,
    pub(crate) splits: Vec<SplitRecord<'a>>,
    pub(crate) zones: Vec<ZoneRecord<'a>>,
    pub(crate) maps: Vec<MapRecord<'a>>,
    pub(crate) caches: Vec<CacheZoneRecord<'a>>,
    pub(crate) log_formats: Vec<LogFormatRecord<'a>>,
    pub(crate) internals: Vec<InternalRecord<'a>>,
    /// Whether errors are told as a status of gRPC.
    pub(crate) grpc_errors: bool,
    /// Whether somebody in front of nginx says what clients spoke.
    behind_tls_proxy: bool,
    guards: usize,
}

impl<'a> Preamble<'a> {
    pub(crate) fn new(identity: Identity, host: &'a ResourceName, behind_tls_proxy: bool) -> Self {
        Self {
            identity,
            host,
            secrets: Secrets::default(),
            keys: Vec::new(),
            geos: Vec::new(),
            splits: Vec::new(),
            zones: Vec::new(),
            maps: Vec::new(),
            caches: Vec::new(),
            log_formats: Vec::new(),
            internals: Vec::new(),
            grpc_errors: false,
            behind_tls_proxy,
            guards: 0,
        }
    }

    /// A part of a name that only what is made of these `parts` has.
    pub(crate) fn id<'p>(&self, parts: impl IntoIterator<Item = &'p str>) -> String {
        let mut all = vec![&self.identity.digest().as_bytes()[..]];
        for part in parts {
            all.push(part.as_bytes());
        }
        names::object(Digest::of_parts(all))
    }

    /// The name of the variable that holds the scheme that clients spoke.
    pub(crate) fn scheme(&mut self) -> String {
        if !self.behind_tls_proxy {
            return "scheme".to_owned();
        }
        let rows = vec![(Word::fixed("https"), Word::fixed("https"))];
        self.map(
            Word::variable("http_x_forwarded_proto"),
            rows,
            Word::variable("scheme"),
        )
    }

    /// The name of a location that nobody else has.
    pub(crate) fn guard<'w>(&mut self) -> Word<'w> {
        self.guards += 1;
        let id = self.id(["guard", &self.guards.to_string()]);
        Word::internal_location(&format!("nxmesh_answer_{id}"))
    }

    /// Adds a location that only nginx leads to, unless it is there.
    pub(crate) fn internal(&mut self, location: InternalRecord<'a>) {
        let same = |it: &InternalRecord<'_>| it.name == location.name;
        if !self.internals.iter().any(same) {
            self.internals.push(location);
        }
    }

    /// The name of a file with these lines, which is not among those of the tree
    /// that people see.
    pub(crate) fn secret(&mut self, lines: String, suffix: &str, for_workers: bool) -> String {
        let name = names::secrets_file(self.host, &lines, suffix);
        let file = PemFile {
            contents: Arc::new(lines.into()),
            secret: true,
            for_workers,
        };
        self.secrets.0.insert(name.clone(), file);
        name
    }
}

/// Files with what is not for everybody's eyes, by their names.
#[derive(Default)]
pub(crate) struct Secrets(BTreeMap<String, PemFile>);

impl Secrets {
    pub(crate) fn take(&mut self, more: Self) {
        self.0.extend(more.0);
    }

    pub(crate) fn into_files(self) -> impl Iterator<Item = (String, PemFile)> {
        self.0.into_iter()
    }
}
