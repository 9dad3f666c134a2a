//! Passing requests to a FastCGI server.

use nxmesh_core::{
    contract::renderer::RenderError,
    model::{FastCgi, Param, ParamValue, Variable},
};

use super::{
    Place, copied_headers, hides_cors,
    proxy::{RetryRecord, names, retry},
};
use crate::{
    context::{ResolverRecord, Scene, maps::on_or_off, traffic::Preamble},
    handlebars::record::{Item, record},
    token::{Part, QuoteError, Word, quote, quote_expanding, quote_parts},
};

record! {
    /// Passing to a FastCGI server.
    FastCgiRecord<'a> {
        upstream: Word<'a>,
        /// Who is asked for its addresses.
        resolver: Option<ResolverRecord<'a>>,
        /// What it says about other origins is not sent.
        hides_cors: bool,
        root: Word<'a>,
        index: Option<Word<'a>>,
        split_path_info: Option<Word<'a>>,
        params: Vec<ParamRecord<'a>>,
        connect_timeout: Option<Word<'a>>,
        read_timeout: Option<Word<'a>>,
        send_timeout: Option<Word<'a>>,
        /// `on` or `off`.
        buffering: Option<Word<'a>>,
        /// `on` or `off`.
        request_buffering: Option<Word<'a>>,
        keep_connections: bool,
        retry: Option<RetryRecord<'a>>,
        hide_headers: Vec<Item<'a>>,
    }
}

record! {
    /// A parameter.
    ParamRecord<'a> {
        name: Word<'a>,
        value: Word<'a>,
        /// Left out where it would be empty.
        if_not_empty: bool,
    }
}

/// What every FastCGI server is told (RFC 3875, section 4.1), and nginx's
/// variable of it.
const USUAL: [(&str, &str); 18] = [
    ("QUERY_STRING", "query_string"),
    ("REQUEST_METHOD", "request_method"),
    ("CONTENT_TYPE", "content_type"),
    ("CONTENT_LENGTH", "content_length"),
    ("SCRIPT_NAME", "fastcgi_script_name"),
    ("REQUEST_URI", "request_uri"),
    ("DOCUMENT_URI", "document_uri"),
    ("DOCUMENT_ROOT", "document_root"),
    ("SERVER_PROTOCOL", "server_protocol"),
    ("REQUEST_SCHEME", "scheme"),
    ("HTTPS", "https"),
    ("REMOTE_ADDR", "remote_addr"),
    ("REMOTE_PORT", "remote_port"),
    ("REMOTE_USER", "remote_user"),
    ("SERVER_ADDR", "server_addr"),
    ("SERVER_PORT", "server_port"),
    ("SERVER_NAME", "server_name"),
    ("PATH_INFO", "fastcgi_path_info"),
];

pub(super) fn record<'a>(
    scene: &Scene<'_>,
    fastcgi: &'a FastCgi,
    place: &Place<'a, '_>,
    preamble: &mut Preamble<'a>,
) -> Result<Box<FastCgiRecord<'a>>, RenderError> {
    let quoting = |error: QuoteError| scene.unrenderable(error);
    let again = fastcgi.retry.as_deref();
    let index = fastcgi.index.as_ref();
    let split = fastcgi.split_path_info.as_ref();
    let mut params = params(scene, fastcgi)?;
    // Headers of the request are parameters for the script.
    for copied in copied_headers(scene, place, |_| false, preamble)? {
        let name = copied.name.to_string();
        params.push(ParamRecord {
            name: Word::own(format!(
                "HTTP_{}",
                name.replace('-', "_").to_ascii_uppercase()
            )),
            value: copied.value,
            if_not_empty: false,
        });
    }
    let target = scene.target(&fastcgi.upstream)?;
    Ok(Box::new(FastCgiRecord {
        upstream: target.word(),
        resolver: target.resolver,
        hides_cors: hides_cors(place),
        root: quote_expanding(fastcgi.root.as_str()).map_err(quoting)?,
        index: index
            .map(|name| quote(name.as_str()).map_err(quoting))
            .transpose()?,
        split_path_info: split
            .map(|pattern| quote(pattern.as_str()).map_err(quoting))
            .transpose()?,
        params,
        connect_timeout: fastcgi.timeouts.connect.map(Word::own),
        read_timeout: fastcgi.timeouts.read.map(Word::own),
        send_timeout: fastcgi.timeouts.send.map(Word::own),
        buffering: fastcgi.buffering.map(on_or_off),
        request_buffering: fastcgi.request_buffering.map(on_or_off),
        keep_connections: fastcgi.keep_connections,
        retry: again.map(|again| retry(scene, again)).transpose()?,
        hide_headers: names(&fastcgi.hide_headers).map_err(quoting)?,
    }))
}

/// The usual ones, unless they are set otherwise, and those that are set.
fn params<'a>(
    scene: &Scene<'_>,
    fastcgi: &'a FastCgi,
) -> Result<Vec<ParamRecord<'a>>, RenderError> {
    let quoting = |error: QuoteError| scene.unrenderable(error);
    let script = fastcgi.script.as_ref().map(|path| path.as_str());
    let name = script.map_or(Part::Variable("fastcgi_script_name"), Part::Text);
    let file = quote_parts([Part::Variable("document_root"), name]).map_err(quoting)?;
    let param = |name, value| ParamRecord {
        name: Word::fixed(name),
        value,
        if_not_empty: name == "HTTPS",
    };
    let mut params = vec![
        param("SCRIPT_FILENAME", file),
        param("GATEWAY_INTERFACE", Word::fixed("CGI/1.1")),
        param("SERVER_SOFTWARE", Word::fixed("nginx")),
        // PHP does not run scripts without it.
        param("REDIRECT_STATUS", Word::number(200)),
        // A client's header Proxy would become a proxy of the script's (CVE-2016-5385).
        param("HTTP_PROXY", Word::empty()),
    ];
    for (name, variable) in USUAL {
        let value = match (name, script) {
            ("SCRIPT_NAME" | "DOCUMENT_URI", Some(script)) => {
                quote_expanding(script).map_err(quoting)?
            }
            ("PATH_INFO", _) if fastcgi.split_path_info.is_none() => continue,
            _ => Word::variable(variable),
        };
        params.push(param(name, value));
    }
    let set = |name: &Word<'_>| {
        let name = name.to_string();
        fastcgi.params.iter().any(|own| own.name.as_str() == name)
    };
    params.retain(|param| !set(&param.name));
    for Param { name, value } in &fastcgi.params {
        let value = match value {
            ParamValue::Text(text) => quote_expanding(text.as_str()).map_err(quoting)?,
            ParamValue::Variable(variable) => {
                if *variable == Variable::RequestId {
                    scene.require("the variable request_id", (1, 11, 0))?;
                }
                Word::variable(variable.nginx_name())
            }
        };
        params.push(ParamRecord {
            name: Word::own(name),
            value,
            if_not_empty: false,
        });
    }
    Ok(params)
}
