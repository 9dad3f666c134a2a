//! What two servers cannot both have on one agent: a name on a socket, the
//! default of a socket, a socket with TLS and without, and a socket with HTTP and
//! with a stream.
//!
//! Sockets are told apart as nginx does: a wildcard address and a specific one
//! are different sockets, of which the specific one wins (nginx manual,
//! "How nginx processes a request").

mod agents;
mod sockets;
mod streams;

use std::{
    collections::BTreeMap,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

pub use agents::may_share_agents;
use agents::{Exhausted, Index, Steps};

use crate::{
    document::Problem,
    model::{
        Listen, Resource, ResourceKey, ResourceSet, Selector,
        value::{ListenAddress, Port},
    },
};

/// An address and port nginx binds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Socket {
    address: IpAddr,
    port: u16,
}

impl Socket {
    /// The sockets of a `listen`: one, or without an address those of IPv4 and IPv6.
    pub(super) fn of(listen: &Listen) -> impl Iterator<Item = Self> + use<> {
        Self::at(listen.address, listen.port)
    }

    /// The sockets of a port at an address, or at every one.
    pub(super) fn at(
        address: Option<ListenAddress>,
        port: Port,
    ) -> impl Iterator<Item = Self> + use<> {
        let port = port.get();
        let wildcards = [Ipv4Addr::UNSPECIFIED.into(), Ipv6Addr::UNSPECIFIED.into()];
        let given = address.map(|address| address.ip());
        let wildcards = wildcards.into_iter().filter(move |_| given.is_none());
        given
            .into_iter()
            .chain(wildcards)
            .map(move |address| Self { address, port })
    }

    /// Of the wildcard of IPv6 that of IPv4: a `listen` without an address claims
    /// both, so most often what is said of the one was said of the other.
    fn twin(self) -> Option<Self> {
        (self.address == Ipv6Addr::UNSPECIFIED).then_some(Self {
            address: Ipv4Addr::UNSPECIFIED.into(),
            port: self.port,
        })
    }
}

/// A server that claims something, and the item of a list where it does.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Claim<'a> {
    owner: &'a ResourceKey,
    selector: &'a Selector,
    field: &'static str,
    place: usize,
}

impl Claim<'_> {
    fn pointer(&self) -> String {
        format!("/spec/{}/{}", self.field, self.place)
    }
}

pub(super) fn check(resources: &ResourceSet) -> Vec<Problem> {
    let mut names: BTreeMap<(Socket, &str), Vec<Claim<'_>>> = BTreeMap::new();
    let mut defaults: BTreeMap<Socket, Vec<Claim<'_>>> = BTreeMap::new();
    let mut with_tls: BTreeMap<Socket, Vec<Claim<'_>>> = BTreeMap::new();
    let mut plain: BTreeMap<Socket, Vec<Claim<'_>>> = BTreeMap::new();
    let mut sockets = sockets::Sockets::default();
    let mut streams = streams::Streams::default();
    let mut wholes = Vec::new();
    for (owner, resource) in resources.iter() {
        let host = match &**resource {
            Resource::VirtualHost(host) => host,
            Resource::StreamServer(server) => {
                streams.add(owner, &server.spec);
                continue;
            }
            Resource::NginxSettings(settings) => {
                wholes.push(Claim {
                    owner,
                    selector: &settings.spec.selector,
                    field: "selector",
                    place: 0,
                });
                continue;
            }
            _ => continue,
        };
        let claim = |field, place| Claim {
            owner,
            selector: &host.spec.selector,
            field,
            place,
        };
        for (place, listen) in host.spec.listen.iter().enumerate() {
            let named = claim;
            let claim = claim("listen", place);
            let side = if listen.tls {
                &mut with_tls
            } else {
                &mut plain
            };
            for socket in Socket::of(listen) {
                side.entry(socket).or_default().push(claim);
                sockets.add(socket, listen, claim);
                streams.add_http(socket, listen, claim);
                if listen.default_server {
                    defaults.entry(socket).or_default().push(claim);
                }
                let own = host.spec.server_names.iter().map(|it| it.as_str());
                let led = host.spec.redirect_names.iter().map(|it| it.as_str());
                let own = own.enumerate().map(|it| ("server_names", it));
                let led = led.enumerate().map(|it| ("redirect_names", it));
                for (field, (place, name)) in own.chain(led) {
                    let claims = names.entry((socket, name)).or_default();
                    claims.push(named(field, place));
                }
            }
        }
    }
    let mut clashes = Clashes::default();
    for ((socket, name), claims) in names.iter().filter(|(_, claims)| claims.len() > 1) {
        if socket.twin().and_then(|twin| names.get(&(twin, *name))) == Some(claims) {
            continue;
        }
        clashes.within(claims, |claim, other| {
            let what = format!("{name} on port {} is claimed by {other} too", socket.port);
            (claim.pointer(), what)
        });
    }
    for (socket, claims) in defaults.iter().filter(|(_, claims)| claims.len() > 1) {
        if socket.twin().and_then(|twin| defaults.get(&twin)) == Some(claims) {
            continue;
        }
        clashes.within(claims, |claim, other| {
            let pointer = format!("{}/default_server", claim.pointer());
            let what = format!(
                "{other} is the default server of port {} already",
                socket.port
            );
            (pointer, what)
        });
    }
    let is_same = |twin, claims: &Vec<_>, others: &Vec<_>| {
        plain.get(&twin) == Some(claims) && with_tls.get(&twin) == Some(others)
    };
    for (socket, plain) in &plain {
        let Some(with_tls) = with_tls.get(socket) else {
            continue;
        };
        if socket
            .twin()
            .is_some_and(|twin| is_same(twin, plain, with_tls))
        {
            continue;
        }
        clashes.between(with_tls, plain, |claim, other| {
            let pointer = format!("{}/tls", claim.pointer());
            let what = format!("{other} uses port {} with tls, this does not", socket.port);
            (pointer, what)
        });
    }
    sockets.check(&mut clashes);
    streams.check(&mut clashes);
    clashes.within(&wholes, |_, other| {
        let what = format!("{other} says how nginx is as a whole already");
        ("/spec/selector".to_owned(), what)
    });
    clashes.into_problems()
}

/// Says what is wrong with a claim beside the server named second: a
/// JSON pointer and a sentence.
type Tell<'a> = &'a dyn Fn(&Claim<'_>, &str) -> (String, String);

/// Clashes by server and pointer, each told once.
#[derive(Default)]
struct Clashes {
    told: BTreeMap<(ResourceKey, String), String>,
    steps: Steps,
    /// The first server for which there was no time left.
    unknown: Option<ResourceKey>,
}

impl Clashes {
    /// Each claim clashes with those before it.
    fn within(
        &mut self,
        claims: &[Claim<'_>],
        tell: impl Fn(&Claim<'_>, &str) -> (String, String),
    ) {
        let index = Index::of(claims);
        for (place, claim) in claims.iter().enumerate() {
            let other = index.before(place, claim, &mut self.steps);
            if !self.note(claim, other, &tell) {
                return;
            }
        }
    }

    /// Each of `claims` clashes with any of `others`.
    fn between(
        &mut self,
        others: &[Claim<'_>],
        claims: &[Claim<'_>],
        tell: impl Fn(&Claim<'_>, &str) -> (String, String),
    ) {
        let index = Index::of(others);
        for claim in claims {
            let other = index.any(claim, &mut self.steps);
            if !self.note(claim, other, &tell) {
                return;
            }
        }
    }

    /// Whether there is time for more.
    fn note(
        &mut self,
        claim: &Claim<'_>,
        other: Result<Option<Claim<'_>>, Exhausted>,
        tell: Tell<'_>,
    ) -> bool {
        match other {
            Ok(None) => {}
            Ok(Some(other)) => {
                let (pointer, what) = tell(claim, &other.owner.to_string());
                let rule = format!("{what}, for agents both may select");
                self.told
                    .entry((claim.owner.clone(), pointer))
                    .or_insert(rule);
            }
            Err(Exhausted) => {
                self.unknown.get_or_insert_with(|| claim.owner.clone());
            }
        }
        self.unknown.is_none()
    }

    fn into_problems(self) -> Vec<Problem> {
        let unknown = self.unknown.map(|key| {
            let rule = "whether this and other servers with the same names or ports are for the \
                        same agents takes too long to find out; let each ask a value of one label, \
                        for example agent=web-1";
            Problem::new(key, "/spec/selector", rule)
        });
        let told = self.told.into_iter();
        told.map(|((key, pointer), rule)| Problem::new(key, pointer, &rule))
            .chain(unknown)
            .collect()
    }
}
