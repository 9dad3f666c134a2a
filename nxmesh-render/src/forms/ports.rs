//! What hosts that share a port cannot each have for themselves.
//!
//! Until it knows whom a client asks for, nginx goes by the default server of the port:
//! the one that says so, else the first it reads.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

use nxmesh_core::{
    contract::renderer::RenderSettings,
    model::{Listen, ResourceKind, ResourceSet, TlsVersion, VirtualHost},
};

use super::OlderForm;
use crate::{
    context::{
        HTTP2_DIRECTIVE, at_least,
        tls::{OWN_VERSIONS, versions},
    },
    names::{Identity, VIRTUAL_HOSTS},
};

/// An address and a port.
type Socket = (IpAddr, u16);

/// A host on a socket.
struct Shared<'r> {
    host: &'r VirtualHost,
    listen: &'r Listen,
    /// Of its file, in the order of which nginx reads them.
    path: String,
}

/// Adds what does not count of what hosts say.
pub(super) fn add(resources: &ResourceSet, settings: &RenderSettings, forms: &mut Vec<OlderForm>) {
    let mut told = BTreeSet::new();
    for ((_, port), hosts) in sockets(resources) {
        let first = || hosts.iter().min_by(|one, other| one.path.cmp(&other.path));
        let flagged = hosts.iter().find(|it| it.listen.default_server);
        let Some(default) = flagged.or_else(first) else {
            continue;
        };
        let whose = if flagged.is_some() || settings.whole_conf {
            format!("of its default server, {}", key(default.host))
        } else {
            "of the server it reads first there".to_owned()
        };
        let http2 = hosts.iter().find(|it| it.listen.http2);
        for shared in &hosts {
            let is_default = std::ptr::eq(shared, default);
            let mut notes = Vec::new();
            if let Some(other) = http2.filter(|_| !shared.listen.http2)
                && !at_least(settings.nginx, HTTP2_DIRECTIVE)
            {
                notes.push(format!(
                    "nginx {} offers HTTP/2 to all hosts of port {port}, as {} has it (1.25.1 does so for each by itself)",
                    settings.nginx,
                    key(other.host)
                ));
            }
            if !is_default {
                notes.extend(beside(shared.host, default.host, (port, &whose), settings));
            }
            for note in notes {
                // Both families of addresses of a port say the same.
                if told.insert((key(shared.host), note.clone())) {
                    forms.push(OlderForm {
                        resource: key(shared.host),
                        note,
                    });
                }
            }
        }
    }
}

/// What does not count of what a host says, beside the default server of a port.
fn beside(
    host: &VirtualHost,
    default: &VirtualHost,
    (port, whose): (u16, &str),
    settings: &RenderSettings,
) -> Vec<String> {
    let Some(tls) = &host.spec.tls else {
        return Vec::new();
    };
    let mut notes = Vec::new();
    let other = default.spec.tls.as_ref();
    let theirs = other.map_or(REJECTING, |tls| versions(tls));
    let as_set = |versions: &[TlsVersion]| -> BTreeSet<&str> {
        versions.iter().map(|it| it.nginx_name()).collect()
    };
    let own = as_set(versions(tls));
    if own != as_set(theirs) && !at_least(settings.nginx, OWN_VERSIONS) {
        let refuses = if own.len() == 1 && own.contains("TLSv1.3") {
            "; requests over older ones get 421"
        } else {
            ""
        };
        notes.push(format!(
            "nginx {} takes the versions of TLS of port {port} {whose} (1.29.2 takes those of each host){refuses}",
            settings.nginx
        ));
    }
    let differing = [
        (
            "curves",
            other.and_then(|it| it.curves.as_ref()) != tls.curves.as_ref(),
        ),
        (
            "session",
            other.and_then(|it| it.session.as_ref()) != tls.session.as_ref(),
        ),
        (
            "early_data",
            other.is_some_and(|it| it.early_data) != tls.early_data,
        ),
    ];
    let names: Vec<&str> = differing.iter().filter(|it| it.1).map(|it| it.0).collect();
    if !names.is_empty() {
        notes.push(format!(
            "nginx takes what tls says of {} for port {port} {whose}",
            names.join(", ")
        ));
    }
    notes
}

/// Of a server that takes no handshake.
const REJECTING: &[TlsVersion] = &[TlsVersion::Tls12, TlsVersion::Tls13];

fn sockets(resources: &ResourceSet) -> BTreeMap<Socket, Vec<Shared<'_>>> {
    let mut sockets: BTreeMap<Socket, Vec<Shared<'_>>> = BTreeMap::new();
    for host in resources.virtual_hosts() {
        let metadata = &host.metadata;
        let kind = ResourceKind::VirtualHost;
        let identity = Identity::of(&metadata.workspace, kind, &metadata.name);
        for listen in host.spec.listen.iter().filter(|it| it.tls) {
            let every = [Ipv4Addr::UNSPECIFIED.into(), Ipv6Addr::UNSPECIFIED.into()];
            let one = listen.address.map(|address| vec![address.ip()]);
            for address in one.unwrap_or(every.into()) {
                let shared = sockets.entry((address, listen.port.get())).or_default();
                shared.push(Shared {
                    host,
                    listen,
                    path: identity.path(VIRTUAL_HOSTS, &metadata.name),
                });
            }
        }
    }
    sockets
}

fn key(host: &VirtualHost) -> nxmesh_core::model::ResourceKey {
    nxmesh_core::model::ResourceKey {
        kind: ResourceKind::VirtualHost,
        name: host.metadata.name.clone(),
    }
}
