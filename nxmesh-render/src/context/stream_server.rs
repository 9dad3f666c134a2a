//! Stream servers, each with upstreams of its own: the block `stream` knows none of
//! those of `http`.

use std::collections::BTreeSet;

use nxmesh_core::{
    contract::renderer::RenderError,
    digest::Digest,
    model::{
        ResourceKey, ResourceKind, RouteByName, StreamListen, StreamLog, StreamLogStyle,
        StreamProtocol, StreamServer, StreamSplit, value::ResourceName,
    },
    snippet::SnippetContext,
};

use super::{
    Scene,
    location::{UpstreamTlsRecord, upstream_tls},
    maps::{RowRecord, SplitRecord},
    snippet::{self, SnippetRecord},
    tls::{self, TlsRecord},
    traffic::{self, AccessRuleRecord, ErrorLogRecord},
    upstream::UpstreamRecord,
};
use crate::{
    handlebars::record::record,
    names::{self, Identity},
    token::{Word, quote, quote_expanding, quote_lines},
};

record! {
    /// A stream server.
    StreamServerRecord<'a> {
        upstreams: Vec<UpstreamRecord<'a>>,
        by_name: Option<NamesRecord<'a>>,
        split: Option<SplitRecord<'a>>,
        connections: Option<ConnectionsRecord<'a>>,
        log: Option<StreamLogRecord<'a>>,
        listens: Vec<StreamListenRecord<'a>>,
        tls: Option<TlsRecord<'a>>,
        handshake_timeout: Option<Word<'a>>,
        /// The name is read in a handshake that somebody else ends.
        preread: bool,
        preread_timeout: Option<Word<'a>>,
        access: Vec<AccessRuleRecord<'a>>,
        /// An upstream, or the variable that names one.
        pass: Option<Word<'a>>,
        upstream_tls: Option<UpstreamTlsRecord<'a>>,
        send_proxy_protocol: bool,
        connect_timeout: Option<Word<'a>>,
        idle_timeout: Option<Word<'a>>,
        tries: Option<Word<'a>>,
        retry_timeout: Option<Word<'a>>,
        requests: Option<Word<'a>>,
        responses: Option<Word<'a>>,
        upload: Option<Word<'a>>,
        download: Option<Word<'a>>,
        buffer_size: Option<Word<'a>>,
        error_log: Option<ErrorLogRecord<'a>>,
        snippets: Vec<SnippetRecord<'a>>,
        respond: Option<Word<'a>>,
    }
}

record! {
    /// How many sessions one client has at a time, and the memory in which they are
    /// counted.
    ConnectionsRecord<'a> {
        most: Word<'a>,
        name: Word<'a>,
        size: Word<'a>,
    }
}

record! {
    /// A variable that has an upstream for each name asked for.
    NamesRecord<'a> {
        source: Word<'a>,
        /// With its `$`.
        variable: Word<'a>,
        rows: Vec<RowRecord<'a>>,
        default: Word<'a>,
    }
}

record! {
    /// One `listen` directive of a stream server.
    StreamListenRecord<'a> {
        address: Word<'a>,
        udp: bool,
        tls: bool,
        proxy_protocol: bool,
        reuse_port: bool,
        backlog: Option<Word<'a>>,
        keepalive: bool,
    }
}

record! {
    /// Where lines about sessions go, and how they look.
    StreamLogRecord<'a> {
        to: Word<'a>,
        name: Word<'a>,
        json: bool,
        format: Word<'a>,
    }
}

const BASIC: &str = r#"'$remote_addr [$time_local] $protocol $status $bytes_sent $bytes_received $session_time "$upstream_addr"'"#;
const JSON: &str = r#"'{"time":"$time_iso8601","remote_addr":"$remote_addr","protocol":"$protocol","status":$status,"bytes_sent":$bytes_sent,"bytes_received":$bytes_received,"session_time":$session_time,"upstream_addr":"$upstream_addr"}'"#;

/// Enough for about 160,000 addresses.
const CONNECTIONS_SIZE: &str = "10m";

impl<'a> StreamServerRecord<'a> {
    pub(crate) fn of(
        scene: &Scene<'a>,
        identity: Identity,
        document: &'a StreamServer,
    ) -> Result<Self, RenderError> {
        let spec = &document.spec;
        scene.require_whole_conf("a stream server")?;
        scene.require_module("a stream server", "stream")?;
        let quoting = |error| scene.unrenderable(error);
        let own = Own(identity);
        let names: BTreeSet<&ResourceName> = spec.upstreams().map(|(_, name)| name).collect();
        let upstreams = names.into_iter().map(|name| own.upstream(scene, name));
        let by_name = spec
            .by_name
            .as_ref()
            .map(|by_name| own.by_name(scene, by_name, spec.tls.is_some()));
        let by_name = by_name.transpose()?;
        let split = match (&spec.split, &spec.pass) {
            (Some(split), Some(rest)) => Some(own.split(split, rest)),
            _ => None,
        };
        let pass = match (&by_name, &split, &spec.pass) {
            (Some(by_name), _, _) => Some(by_name.variable.clone()),
            (_, Some(split), _) => Some(split.variable.clone()),
            (_, _, Some(name)) => Some(Word::own(own.name("up", name.as_str()))),
            (None, None, None) => None,
        };
        Ok(Self {
            upstreams: upstreams.collect::<Result<_, _>>()?,
            preread: by_name.is_some() && spec.tls.is_none(),
            by_name,
            split,
            connections: spec.limits.connections.map(|most| ConnectionsRecord {
                most: Word::number(most.into()),
                name: Word::own(own.name("limit", "")),
                size: Word::fixed(CONNECTIONS_SIZE),
            }),
            log: spec
                .access_log
                .as_ref()
                .map(|log| own.log(scene, log))
                .transpose()?,
            listens: listens(scene, &spec.listen, spec.protocol, spec.tls.is_some()),
            handshake_timeout: spec
                .tls
                .as_ref()
                .and_then(|tls| tls.handshake_timeout)
                .map(Word::own),
            tls: spec
                .tls
                .as_deref()
                .map(|tls| tls::of_stream(scene, tls))
                .transpose()?,
            preread_timeout: spec.timeouts.preread.map(Word::own),
            access: traffic::rules(scene, spec.access.as_ref())?,
            pass,
            upstream_tls: spec
                .upstream_tls
                .as_deref()
                .map(|tls| upstream_tls(scene, tls))
                .transpose()?,
            send_proxy_protocol: spec.send_proxy_protocol,
            connect_timeout: spec.timeouts.connect.map(Word::own),
            idle_timeout: spec.timeouts.idle.map(Word::own),
            tries: spec.retry.tries.map(|tries| Word::number(tries.into())),
            retry_timeout: spec.retry.timeout.map(Word::own),
            requests: spec.datagrams.requests.map(|it| Word::number(it.into())),
            responses: spec.datagrams.responses.map(|it| Word::number(it.into())),
            upload: spec.limits.upload.map(Word::own),
            download: spec.limits.download.map(Word::own),
            buffer_size: spec.buffer_size.map(Word::own),
            error_log: spec
                .error_log
                .as_deref()
                .map(|log| traffic::error_log(scene, log))
                .transpose()?,
            snippets: snippet::named(scene, &spec.snippets, SnippetContext::StreamServer)?,
            respond: spec
                .respond
                .as_ref()
                .map(|text| quote_lines(text.as_str()).map_err(quoting))
                .transpose()?,
        })
    }
}

/// What belongs to one stream server is named after it.
#[derive(Clone, Copy)]
struct Own(Identity);

impl Own {
    fn name(self, kind: &str, of: &str) -> String {
        let digest = Digest::of_parts([
            &self.0.digest().as_bytes()[..],
            kind.as_bytes(),
            of.as_bytes(),
        ]);
        format!("nxmesh_stream_{kind}_{}", names::object(digest))
    }

    fn upstream<'a>(
        self,
        scene: &Scene<'a>,
        name: &'a ResourceName,
    ) -> Result<UpstreamRecord<'a>, RenderError> {
        let upstream = scene.resources.upstream(name).ok_or_else(|| {
            scene.missing(ResourceKey {
                kind: ResourceKind::Upstream,
                name: name.clone(),
            })
        })?;
        UpstreamRecord::of_stream(scene, self.name("up", name.as_str()), upstream)
    }

    fn by_name<'a>(
        self,
        scene: &Scene<'_>,
        by_name: &'a RouteByName,
        ends_tls: bool,
    ) -> Result<NamesRecord<'a>, RenderError> {
        if !ends_tls {
            scene.require_module("routes by name", "stream_ssl_preread_module")?;
        }
        let up = |name: &ResourceName| Word::own(self.name("up", name.as_str()));
        let mut rows = Vec::new();
        for route in &by_name.routes {
            for name in &route.server_names {
                rows.push(RowRecord {
                    key: quote(name.as_str()).map_err(|error| scene.unrenderable(error))?,
                    value: up(&route.upstream),
                });
            }
        }
        Ok(NamesRecord {
            source: Word::variable(if ends_tls {
                "ssl_server_name"
            } else {
                "ssl_preread_server_name"
            }),
            variable: Word::made_variable(self.name("name", "")),
            rows,
            default: by_name.others.as_ref().map_or(Word::empty(), up),
        })
    }

    fn split<'a>(self, split: &StreamSplit, rest: &ResourceName) -> SplitRecord<'a> {
        let up = |name: &ResourceName| Word::own(self.name("up", name.as_str()));
        let mut left = 10_000;
        let mut rows: Vec<RowRecord<'a>> = Vec::new();
        for share in &split.shares {
            left -= share.percent.hundredths().min(left);
            // nginx rounds down: who takes the last share takes all that is left.
            rows.push(RowRecord {
                key: if left == 0 {
                    Word::fixed("*")
                } else {
                    Word::percent(share.percent)
                },
                value: up(&share.upstream),
            });
        }
        if left > 0 {
            rows.push(RowRecord {
                key: Word::fixed("*"),
                value: up(rest),
            });
        }
        SplitRecord {
            source: Word::variable("remote_addr"),
            variable: Word::made_variable(self.name("split", "")),
            rows,
        }
    }

    fn log<'a>(
        self,
        scene: &Scene<'_>,
        log: &'a StreamLog,
    ) -> Result<StreamLogRecord<'a>, RenderError> {
        let to = match &log.file {
            Some(file) => quote_expanding(file.as_str()),
            None => traffic::syslog(log.syslog.as_ref()),
        };
        let json = log.format == StreamLogStyle::Json;
        Ok(StreamLogRecord {
            to: to.map_err(|error| scene.unrenderable(error))?,
            name: Word::own(self.name("log", if json { "json" } else { "" })),
            json,
            format: Word::fixed(if json { JSON } else { BASIC }),
        })
    }
}

fn listens(
    scene: &Scene<'_>,
    listens: &[StreamListen],
    protocol: StreamProtocol,
    tls: bool,
) -> Vec<StreamListenRecord<'static>> {
    let each = listens.iter().flat_map(|listen| {
        let addresses = scene.addresses(listen.address, listen.port).into_iter();
        addresses.map(move |address| StreamListenRecord {
            address: Word::own(address),
            udp: protocol == StreamProtocol::Udp,
            tls,
            proxy_protocol: listen.proxy_protocol,
            reuse_port: listen.reuse_port,
            backlog: listen.backlog.map(|it| Word::number(it.into())),
            keepalive: listen.keepalive,
        })
    });
    each.collect()
}
