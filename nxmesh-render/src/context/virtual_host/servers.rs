//! Which servers a virtual host needs.

use nxmesh_core::{
    contract::renderer::RenderError,
    model::{Hsts, Listen, TrafficSettings, VirtualHostSpec},
};

use crate::{
    context::{
        Scene, headers,
        tls::{self, TlsRecord},
        traffic::Preamble,
    },
    handlebars::record::{Item, record},
    token::{Word, quote, quote_expanding_before},
};

record! {
    /// One `server` block.
    ServerRecord<'a> {
        listens: Vec<ListenRecord<'a>>,
        /// HTTP/2 as a directive; older versions have it in `listens`.
        http2: bool,
        tls: Option<TlsRecord<'a>>,
        /// No handshake is taken.
        rejects: bool,
        /// The value of Alt-Svc, which tells of HTTP/3.
        alt_svc: Option<Word<'a>>,
        /// The value of Strict-Transport-Security.
        hsts: Option<Word<'a>>,
        /// The status with which it answers everything by leading to HTTPS.
        leads_to_https: Option<Word<'a>>,
        /// The status for other methods than GET and HEAD, where it is another.
        leads_others: Option<Word<'a>>,
        /// The port to lead to, unless it is the usual one.
        https_port: Option<Word<'a>>,
        /// Names of its own, which are led elsewhere.
        led_names: Vec<Item<'a>>,
        /// Where these are led: a URL.
        led_to: Option<Word<'a>>,
    }
}

record! {
    /// One `listen` directive.
    ListenRecord<'a> {
        address: Word<'a>,
        default_server: bool,
        tls: bool,
        http2: bool,
        /// For HTTP/3.
        quic: bool,
        proxy_protocol: bool,
        reuse_port: bool,
        backlog: Option<Word<'a>>,
        deferred: bool,
        fast_open: Option<Word<'a>>,
    }
}

/// nginx changes, 1.25.1: the `http2` directive instead of the parameter.
pub(crate) const HTTP2_DIRECTIVE: (u16, u16, u16) = (1, 25, 1);

/// For a day, at the port that was asked (RFC 7838, section 3).
const ALT_SVC: &str = r#"h3=\":$server_port\"; ma=86400"#;

/// Addresses that differ only in what `listen` itself says share a server.
pub(super) fn records<'a>(
    scene: &Scene<'_>,
    spec: &'a VirtualHostSpec,
    settings: &TrafficSettings,
    pem_stem: Option<&str>,
    preamble: &mut Preamble<'a>,
) -> Result<Vec<ServerRecord<'a>>, RenderError> {
    if spec.reject_handshake {
        scene.require("reject_handshake", (1, 19, 4))?;
    }
    if spec.listen.iter().any(|listen| listen.http2) {
        scene.require_module("HTTP/2", "http_v2_module")?;
    }
    if spec.listen.iter().any(|listen| listen.http3) {
        scene.require("HTTP/3", (1, 25, 0))?;
        scene.require_module("HTTP/3", "http_v3_module")?;
    }
    let http2_is_a_directive = scene.nginx_is(HTTP2_DIRECTIVE);
    let tls = spec.tls.as_ref();
    let plain_differs =
        spec.reject_handshake || tls.is_some_and(|tls| tls.redirect_http || tls.hsts.is_some());
    // What sets servers apart: whether they are for plain HTTP alone, HTTP/2, and HTTP/3.
    let group = |listen: &Listen| {
        (
            plain_differs && !listen.tls,
            http2_is_a_directive && listen.http2,
            listen.http3,
        )
    };
    let sends_hsts = !headers::sets_hsts(&settings.response_headers);
    let by_proxy = by_proxy(scene, spec, preamble)?;
    let mut servers = Vec::new();
    for (plain_alone, http2, http3) in [
        (true, false, false),
        (false, false, false),
        (false, true, false),
        (false, false, true),
        (false, true, true),
    ] {
        let members = || {
            spec.listen
                .iter()
                .filter(|listen| group(listen) == (plain_alone, http2, http3))
        };
        if members().next().is_none() {
            continue;
        }
        let secure = members().any(|listen| listen.tls);
        let own_hsts = tls
            .filter(|_| secure)
            .and_then(|tls| tls.hsts.as_ref())
            .map(hsts);
        let code = tls.map_or(308, |tls| tls.redirect_code.map_or(308, |code| code.get()));
        servers.push(ServerRecord {
            listens: members()
                .flat_map(|listen| listens(scene, listen, !http2_is_a_directive, false))
                .collect(),
            http2,
            tls: if secure && !spec.reject_handshake {
                Some(tls::record(scene, spec, pem_stem)?)
            } else {
                None
            },
            rejects: secure && spec.reject_handshake,
            alt_svc: http3.then(|| Word::expression(ALT_SVC)),
            hsts: own_hsts.or_else(|| by_proxy.clone()).filter(|_| sends_hsts),
            leads_to_https: (plain_alone && tls.is_some_and(|tls| tls.redirect_http))
                .then(|| Word::number(code.into())),
            leads_others: tls
                .and_then(|tls| tls.redirect_code_other_methods)
                .map(|code| Word::number(code.get().into())),
            https_port: https_port(spec),
            led_names: Vec::new(),
            led_to: None,
        });
    }
    if !spec.redirect_names.is_empty() {
        leading(scene, spec, pem_stem, (sends_hsts, by_proxy), &mut servers)?;
    }
    Ok(servers)
}

/// A server for each port that leads other names to the first one.
fn leading<'a>(
    scene: &Scene<'_>,
    spec: &'a VirtualHostSpec,
    pem_stem: Option<&str>,
    (sends_hsts, by_proxy): (bool, Option<Word<'a>>),
    servers: &mut Vec<ServerRecord<'a>>,
) -> Result<(), RenderError> {
    let Some(first) = spec.server_names.first() else {
        return Ok(());
    };
    let http2_is_a_directive = scene.nginx_is(HTTP2_DIRECTIVE);
    for listen in &spec.listen {
        let (scheme, usual) = if listen.tls {
            ("https", 443)
        } else {
            ("http", 80)
        };
        let port = listen.port.get();
        let port = if port == usual {
            String::new()
        } else {
            format!(":{port}")
        };
        let url = quote_expanding_before(&format!("{scheme}://{first}{port}"), "${request_uri}");
        let names = spec.redirect_names.iter().map(|name| quote(name.as_str()));
        let names: Result<Vec<Word<'a>>, _> = names.collect();
        let quoting = |error| scene.unrenderable(error);
        let own_hsts = spec.tls.as_ref().filter(|_| listen.tls);
        let own_hsts = own_hsts.and_then(|tls| tls.hsts.as_ref()).map(hsts);
        servers.push(ServerRecord {
            listens: listens(scene, listen, !http2_is_a_directive, true),
            http2: http2_is_a_directive && listen.http2,
            tls: if listen.tls && !spec.reject_handshake {
                Some(tls::record(scene, spec, pem_stem)?)
            } else {
                None
            },
            rejects: listen.tls && spec.reject_handshake,
            alt_svc: listen.http3.then(|| Word::expression(ALT_SVC)),
            hsts: own_hsts.or_else(|| by_proxy.clone()).filter(|_| sends_hsts),
            leads_to_https: None,
            leads_others: None,
            https_port: None,
            led_names: names.map_err(quoting)?.into_iter().map(Item).collect(),
            led_to: Some(url.map_err(quoting)?),
        });
    }
    Ok(())
}

/// What belongs to the port is said once, and a default server is one.
fn listens(
    scene: &Scene<'_>,
    listen: &Listen,
    http2_is_a_parameter: bool,
    again: bool,
) -> Vec<ListenRecord<'static>> {
    let number = |number: Option<u16>| {
        number
            .filter(|_| !again)
            .map(|number| Word::number(number.into()))
    };
    scene
        .addresses(listen.address, listen.port)
        .into_iter()
        .map(|address| ListenRecord {
            address: Word::own(address),
            default_server: listen.default_server && !again,
            tls: listen.tls,
            http2: listen.http2 && http2_is_a_parameter,
            quic: false,
            proxy_protocol: listen.proxy_protocol,
            reuse_port: listen.reuse_port && !again,
            backlog: number(listen.backlog),
            deferred: listen.deferred && !again,
            fast_open: number(listen.fast_open),
        })
        .chain(quic(scene, listen, again))
        .collect()
}

/// The sockets of HTTP/3. What belongs to them as a whole is said in `http.conf`.
fn quic(scene: &Scene<'_>, listen: &Listen, again: bool) -> Vec<ListenRecord<'static>> {
    if !listen.http3 {
        return Vec::new();
    }
    let addresses = scene.addresses(listen.address, listen.port).into_iter();
    addresses
        .map(|address| ListenRecord {
            address: Word::own(address),
            default_server: listen.default_server && !again,
            tls: false,
            http2: false,
            quic: true,
            proxy_protocol: false,
            reuse_port: false,
            backlog: None,
            deferred: false,
            fast_open: None,
        })
        .collect()
}

/// The header where a proxy says that the client spoke HTTPS.
fn by_proxy<'a>(
    scene: &Scene<'_>,
    spec: &VirtualHostSpec,
    preamble: &mut Preamble<'a>,
) -> Result<Option<Word<'a>>, RenderError> {
    let Some(value) = spec
        .behind_tls_proxy
        .as_ref()
        .and_then(|it| it.hsts.as_ref())
    else {
        return Ok(None);
    };
    // nginx expands variables in the values of a map since this version.
    scene.require("hsts behind a proxy", (1, 11, 0))?;
    let rows = vec![(Word::fixed("https"), hsts(value))];
    let source = Word::variable("http_x_forwarded_proto");
    let name = preamble.map(source, rows, Word::empty());
    Ok(Some(Word::made_variable(name)))
}

/// The value of the header (RFC 6797, section 6.1).
fn hsts<'a>(hsts: &Hsts) -> Word<'a> {
    let mut value = format!("max-age={}", hsts.max_age.whole_seconds());
    if hsts.include_subdomains {
        value += "; includeSubDomains";
    }
    if hsts.preload {
        value += "; preload";
    }
    Word::expression(value)
}

/// The first port with TLS, unless it is the one of the scheme.
fn https_port(spec: &VirtualHostSpec) -> Option<Word<'static>> {
    let port = spec.listen.iter().find(|listen| listen.tls)?.port.get();
    (port != 443).then(|| Word::number(port.into()))
}
