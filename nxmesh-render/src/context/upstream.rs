//! Upstreams and their servers.

use nxmesh_core::{
    contract::renderer::RenderError,
    model::{Balance, Upstream, UpstreamServer},
    snippet::SnippetContext,
};

use super::{
    Scene,
    snippet::{self, SnippetRecord},
};
use crate::{
    handlebars::record::record,
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
        snippets: Vec<SnippetRecord<'a>>,
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
    }
}

impl<'a> UpstreamRecord<'a> {
    pub(crate) fn of(
        scene: &Scene<'a>,
        identity: Identity,
        upstream: &'a Upstream,
    ) -> Result<Self, RenderError> {
        let spec = &upstream.spec;
        if spec.balance == Balance::Random {
            scene.require("random balance", (1, 15, 1))?;
        }
        if spec.servers.iter().any(|server| server.max_conns.is_some()) {
            scene.require("max_conns", (1, 11, 5))?;
        }
        let (hash_key, consistent) = match spec.balance {
            Balance::Hash { key, consistent } => {
                (Some(Word::variable(key.nginx_name())), consistent)
            }
            _ => (None, false),
        };
        Ok(Self {
            name: Word::own(identity.upstream()),
            zone_size: zone_size(&spec.servers),
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
            keepalive: spec.keepalive.map(|count| Word::number(count.into())),
            snippets: snippet::named(scene, &spec.snippets, SnippetContext::Upstream)?,
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
