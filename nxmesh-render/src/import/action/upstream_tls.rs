//! TLS towards upstreams.

use serde_json::{Value, json};

use crate::import::{files::Machine, report::Report, scope::Scope, tls::Certificates};

/// What is needed to read certificates.
pub(in crate::import) struct Keys<'p, 'n> {
    pub(in crate::import) certificates: &'p mut Certificates,
    pub(in crate::import) machine: &'p Machine<'n>,
    /// The name of the server's document.
    pub(in crate::import) server: &'p str,
    pub(in crate::import) report: &'p mut Report,
}

/// The directives of `proxy` that say how TLS is spoken.
pub(in crate::import) const PROXY: [&str; 10] = [
    "proxy_ssl_session_reuse",
    "proxy_ssl_server_name",
    "proxy_ssl_name",
    "proxy_ssl_verify",
    "proxy_ssl_verify_depth",
    "proxy_ssl_trusted_certificate",
    "proxy_ssl_protocols",
    "proxy_ssl_ciphers",
    "proxy_ssl_certificate",
    "proxy_ssl_certificate_key",
];

/// The field `tls` of an action whose directives begin with `kind`; `None` if
/// something cannot be said.
pub(in crate::import) fn read(
    scope: &Scope<'_>,
    kind: &str,
    authority: &str,
    keys: &mut Keys<'_, '_>,
) -> Option<Value> {
    let named = |name: &str| format!("{kind}_ssl_{name}");
    let mut tls = json!({});
    if let Some(node) = scope.find(&named("session_reuse"))
        && node.first() == "on"
    {
        let reason =
            "sessions with upstreams are not resumed, as nginx shares them among all that ask";
        keys.report.lost(node, reason);
    }
    if scope.on(&named("server_name")) {
        // nginx asks for the server of the URL.
        let host = authority
            .rsplit_once(':')
            .map_or(authority, |(host, _)| host);
        match scope.word(&named("name")).unwrap_or(host) {
            "$host" | "$http_host" => {}
            name if name.contains('$') => return None,
            name => tls["server_name"] = json!(name),
        }
    } else {
        tls["without_sni"] = json!(true);
        if let Some(name) = scope.word(&named("name")) {
            tls["server_name"] = json!(name);
        }
    }
    if scope.on(&named("verify")) {
        let file = scope.word(&named("trusted_certificate"))?;
        tls["verify"] = json!({ "file": file });
        if let Some(depth) = scope.word(&named("verify_depth")) {
            tls["depth"] = json!(depth.parse::<u64>().ok()?);
        }
    }
    if let Some(protocols) = scope.find(&named("protocols")) {
        tls["protocols"] = json!(protocols.arguments);
    }
    if let Some(ciphers) = scope.word(&named("ciphers"))
        && ciphers != "DEFAULT"
    {
        tls["ciphers"] = json!(ciphers);
    }
    if let Some(chain) = scope.find(&named("certificate")) {
        let key = scope.word(&named("certificate_key"))?;
        let name = format!("{}-upstream", keys.server);
        let made = keys
            .certificates
            .of_files(chain.first(), key, &name, keys.machine);
        match made {
            Ok(name) => tls["certificate"] = json!(name),
            Err(reason) => keys.report.lost(chain, reason),
        }
    }
    Some(tls)
}
