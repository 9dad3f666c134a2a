//! Upstreams and their servers.

use nxmesh_core::{
    contract::renderer::{RenderError, RenderSettings},
    model::{Affinity, Balance, Resolver, ResourceKind, SameSite, Upstream, UpstreamServer},
    snippet::SnippetContext,
};

use super::{
    Scene, at_least,
    snippet::{self, SnippetRecord},
};
use crate::{
    handlebars::record::{Item, record},
    names::Identity,
    token::{Word, quote},
};

record! {
    /// An upstream.
    UpstreamRecord<'a> {
        name: Word<'a>,
        /// Of the memory in which workers share what they know of the servers;
        /// absent where there is nothing to share.
        zone_size: Option<Word<'a>>,
        least_conn: bool,
        ip_hash: bool,
        random: bool,
        /// A variable.
        hash_key: Option<Word<'a>>,
        consistent: bool,
        servers: Vec<ServerRecord<'a>>,
        keepalive: Option<Word<'a>>,
        keepalive_requests: Option<Word<'a>>,
        keepalive_timeout: Option<Word<'a>>,
        keepalive_time: Option<Word<'a>>,
        resolver: Option<ResolverRecord<'a>>,
        sticky: Option<StickyRecord<'a>>,
        snippets: Vec<SnippetRecord<'a>>,
        /// Where this nginx does not ask for the addresses of an upstream again: what
        /// stands in its place.
        variable: Option<AddressRecord<'a>>,
    }
}

record! {
    /// A variable with an address; requests are passed to it.
    AddressRecord<'a> {
        variable: Word<'a>,
        address: Word<'a>,
    }
}

record! {
    /// Who is asked for addresses.
    ResolverRecord<'a> {
        servers: Vec<Item<'a>>,
        valid: Option<Word<'a>>,
        ipv4_only: bool,
    }
}

record! {
    /// The cookie by which clients come back to a server.
    StickyRecord<'a> {
        cookie: Word<'a>,
        expires: Option<Word<'a>>,
        /// Parameters with their names, as the next one.
        domain: Option<Word<'a>>,
        path: Option<Word<'a>>,
        same_site: Option<Word<'a>>,
        secure: bool,
        http_only: bool,
    }
}

record! {
    /// A server of an upstream.
    ServerRecord<'a> {
        address: Word<'a>,
        weight: Option<Word<'a>>,
        max_conns: Option<Word<'a>>,
        max_fails: Option<Word<'a>>,
        fail_timeout: Option<Word<'a>>,
        backup: bool,
        down: bool,
        resolve: bool,
    }
}

/// nginx changes, 1.29.6: `sticky` in the open source version.
pub(crate) const STICKY: (u16, u16, u16) = (1, 29, 6);

/// nginx changes, 1.29.7: an upstream keeps connections unless it says that it keeps none;
/// an older one takes no 0.
const KEPT_UNSAID: (u16, u16, u16) = (1, 29, 7);

/// nginx changes, 1.27.3: `resolve` and `resolver` in an upstream.
pub(super) const RESOLVE: (u16, u16, u16) = (1, 27, 3);

/// Who is asked again and again for the addresses of an upstream that this nginx cannot
/// ask for itself. Requests are passed to a variable with its name then: for that, nginx
/// asks. It is one server, of which nothing can be said that an upstream's block says.
pub(crate) fn asked_again<'u>(
    settings: &RenderSettings,
    upstream: &'u Upstream,
) -> Option<&'u Resolver> {
    if at_least(settings.nginx, RESOLVE) {
        return None;
    }
    let [server] = &upstream.spec.servers[..] else {
        return None;
    };
    let can = server.resolve
        && !server.down
        && server.max_conns.is_none()
        && upstream.spec.snippets.is_empty();
    upstream.spec.resolver.as_ref().filter(|_| can)
}

impl<'a> UpstreamRecord<'a> {
    pub(crate) fn of(
        scene: &Scene<'a>,
        name: String,
        upstream: &'a Upstream,
    ) -> Result<Self, RenderError> {
        let spec = &upstream.spec;
        if spec.balance == Balance::Random {
            scene.require("random balance", (1, 15, 1))?;
        }
        if spec.servers.iter().any(|server| server.max_conns.is_some()) {
            scene.require("max_conns", (1, 11, 5))?;
        }
        let sticky = scene.nginx_is(STICKY);
        let (hash_key, consistent) = match (&spec.balance, spec.affinity.as_deref()) {
            (_, Some(affinity)) if !sticky => {
                let cookie = format!("cookie_{}", affinity.cookie);
                (Some(Word::made_variable(cookie)), true)
            }
            (Balance::Hash { key, consistent }, _) => {
                (Some(Word::made_variable(key.nginx_name())), *consistent)
            }
            _ => (None, false),
        };
        let limits = spec.keepalive_limits;
        if limits.requests.is_some() || limits.idle.is_some() {
            scene.require("keepalive_limits", (1, 15, 3))?;
        }
        if limits.time.is_some() {
            scene.require("keepalive_limits.time", (1, 19, 10))?;
        }
        let resolves = spec.servers.iter().any(|server| server.resolve);
        let again = asked_again(scene.settings, upstream);
        if resolves && again.is_none() {
            scene.require(
                "resolve in an upstream of several servers, or with max_conns, down or snippets",
                RESOLVE,
            )?;
        }
        let identity = Identity::of(scene.workspace, ResourceKind::Upstream, &scene.key.name);
        let variable = match (again, &spec.servers[..]) {
            (Some(_), [server]) => Some(AddressRecord {
                variable: Word::made_variable(identity.address()),
                address: quote(server.address.as_str())
                    .map_err(|error| scene.unrenderable(error))?,
            }),
            _ => None,
        };
        Ok(Self {
            name: Word::own(name),
            zone_size: match spec.zone_size {
                Some(size) => Some(Word::own(size)),
                None if resolves => Some(zone_size(&spec.servers).unwrap_or(Word::fixed("64k"))),
                None => zone_size(&spec.servers),
            },
            least_conn: spec.balance == Balance::LeastConn,
            ip_hash: spec.balance == Balance::IpHash,
            random: spec.balance == Balance::Random,
            hash_key,
            consistent,
            servers: spec
                .servers
                .iter()
                .map(|server| self::server(scene, server))
                .collect::<Result<_, _>>()?,
            keepalive: spec
                .keepalive
                .filter(|count| *count > 0 || scene.nginx_is(KEPT_UNSAID))
                .map(|count| Word::number(count.into())),
            keepalive_requests: limits.requests.map(|it| Word::number(it.into())),
            keepalive_timeout: limits.idle.map(Word::own),
            keepalive_time: limits.time.map(Word::own),
            resolver: spec.resolver.as_ref().filter(|_| resolves).map(resolver),
            variable,
            sticky: match spec.affinity.as_deref() {
                Some(affinity) if sticky => Some(self::sticky(scene, affinity)?),
                _ => None,
            },
            snippets: snippet::named(scene, &spec.snippets, SnippetContext::Upstream)?,
        })
    }
}

impl<'a> UpstreamRecord<'a> {
    /// For the block `stream`, which keeps no idle connections.
    pub(crate) fn of_stream(
        scene: &Scene<'a>,
        name: String,
        upstream: &'a Upstream,
    ) -> Result<Self, RenderError> {
        if asked_again(scene.settings, upstream).is_some() {
            scene.require("resolve in an upstream of streams", RESOLVE)?;
        }
        Ok(Self {
            keepalive: None,
            keepalive_requests: None,
            keepalive_timeout: None,
            keepalive_time: None,
            ..Self::of(scene, name, upstream)?
        })
    }
}

fn server<'a>(
    scene: &Scene<'_>,
    server: &'a UpstreamServer,
) -> Result<ServerRecord<'a>, RenderError> {
    Ok(ServerRecord {
        address: quote(server.address.as_str()).map_err(|error| scene.unrenderable(error))?,
        weight: server.weight.map(|weight| Word::number(weight.into())),
        max_conns: server.max_conns.map(|count| Word::number(count.into())),
        max_fails: server.max_fails.map(|count| Word::number(count.into())),
        // nginx reads whole seconds here.
        fail_timeout: server.fail_timeout.map(|time| {
            Word::own(format!(
                "{}s",
                time.as_duration().as_millis().div_ceil(1000)
            ))
        }),
        backup: server.backup,
        down: server.down,
        resolve: server.resolve,
    })
}

pub(super) fn resolver<'a>(resolver: &Resolver) -> ResolverRecord<'a> {
    let servers = resolver
        .servers
        .iter()
        .map(|server| Word::own(server.as_str()));
    ResolverRecord {
        servers: servers.map(Item).collect(),
        valid: resolver.valid.map(Word::own),
        ipv4_only: resolver.ipv4_only,
    }
}

fn sticky<'a>(scene: &Scene<'_>, affinity: &'a Affinity) -> Result<StickyRecord<'a>, RenderError> {
    let parameter = |name: &str, value: &str| {
        let word = quote(&format!("{name}={value}")).map(Word::into_owned);
        word.map_err(|error| scene.unrenderable(error))
    };
    let domain = affinity.domain.as_ref();
    let path = affinity.path.as_ref();
    Ok(StickyRecord {
        cookie: Word::own(affinity.cookie.as_str()),
        expires: affinity.expires.map(Word::own),
        domain: domain
            .map(|it| parameter("domain", it.as_str()))
            .transpose()?,
        path: path.map(|it| parameter("path", it.as_str())).transpose()?,
        same_site: affinity.same_site.map(|it| {
            Word::fixed(match it {
                SameSite::Strict => "samesite=strict",
                SameSite::Lax => "samesite=lax",
                SameSite::None => "samesite=none",
            })
        }),
        secure: affinity.secure,
        http_only: affinity.http_only,
    })
}

/// A server takes about 500 bytes of the zone, one with a host name that for
/// each of its addresses, of which a generous number is assumed. In steps of
/// 64 KiB, since nginx throws away what a zone holds when its size changes.
///
/// One server with one address is never chosen nor rested, so its zone would
/// only cost memory and time at every reload.
fn zone_size(servers: &[UpstreamServer]) -> Option<Word<'static>> {
    const STEP: usize = 64;
    const BASE: usize = 32;
    let kilobytes: usize = servers
        .iter()
        .map(|server| {
            if is_host_name(server.address.as_str()) {
                16
            } else {
                1
            }
        })
        .sum();
    let limited = servers.iter().any(|server| server.max_conns.is_some());
    (kilobytes > 1 || limited)
        .then(|| Word::own(format!("{}k", (BASE + kilobytes).next_multiple_of(STEP))))
}

fn is_host_name(address: &str) -> bool {
    !address.starts_with("unix:")
        && !address.starts_with('[')
        && address.bytes().any(|byte| byte.is_ascii_alphabetic())
}
