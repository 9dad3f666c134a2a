//! TLS of `server` blocks.

use std::collections::BTreeMap;

use nxmesh_core::model::ResourceKind;
use serde_json::{Value, json};

use super::{
    draft::{Draft, Fields, Names},
    files::Machine,
    protect::protects,
    report::Report,
    scope::Scope,
    value::time,
};

/// Certificates that were read, each once.
#[derive(Debug, Default)]
pub(super) struct Certificates {
    by_files: BTreeMap<(String, String), Draft>,
    names: Names,
}

impl Certificates {
    /// The Certificate made of two files.
    pub(super) fn of_files(
        &mut self,
        chain: &str,
        key: &str,
        called: &str,
        machine: &Machine<'_>,
    ) -> Result<String, String> {
        let paths = (chain.to_owned(), key.to_owned());
        if let Some(known) = self.by_files.get(&paths) {
            return Ok(known.name.clone());
        }
        let (Some(chain), Some(key)) = (machine.read(chain), machine.read(key)) else {
            return Err("its files cannot be read; import the Certificate by hand".to_owned());
        };
        let spec = json!({ "certificate": chain, "private_key": key });
        let mut draft = Draft::new(ResourceKind::Certificate, "unnamed".to_owned(), spec);
        if draft.resource().is_none() {
            return Err("its files are no PEM chain and unencrypted key".to_owned());
        }
        let name = self.names.take(called);
        draft.name.clone_from(&name);
        self.by_files.insert(paths, draft);
        Ok(name)
    }

    /// Those that were read.
    pub(super) fn into_drafts(self) -> impl Iterator<Item = Draft> {
        self.by_files.into_values()
    }
}

/// What is said of the protocol, one word each.
const WORDS: [(&str, &str); 5] = [
    ("ssl_ciphers", "tls/ciphers"),
    ("ssl_ecdh_curve", "tls/curves"),
    ("ssl_buffer_size", "tls/buffer_size"),
    ("ssl_dhparam", "tls/dh_parameters"),
    ("ssl_crl", "tls/client/revoked"),
];

/// Directives that the fields of `tls` say, or their defaults.
pub(super) fn is_tls(name: &str) -> bool {
    WORDS.iter().any(|(word, _)| *word == name)
        || matches!(
            name,
            "ssl_certificate"
                | "ssl_certificate_key"
                | "ssl_protocols"
                | "ssl_prefer_server_ciphers"
                | "ssl_session_cache"
                | "ssl_session_timeout"
                | "ssl_session_tickets"
                | "ssl_early_data"
                | "ssl_stapling"
                | "ssl_stapling_verify"
                | "ssl_trusted_certificate"
                | "ssl_verify_client"
                | "ssl_verify_depth"
                | "ssl_client_certificate"
        )
}

/// What became of the TLS of a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Tls {
    Said,
    /// Which clients show a certificate cannot be said.
    Unprotected,
    /// There is no certificate, without which there is none.
    None,
}

/// Sets `tls` of a virtual host or a stream server; what is not said by it is told.
pub(super) fn read(
    scope: &Scope<'_>,
    certificates: &mut Certificates,
    machine: &Machine<'_>,
    draft: &mut Draft,
    report: &mut Report,
) -> Tls {
    let chains = scope.all("ssl_certificate");
    let keys = scope.all("ssl_certificate_key");
    let mut names = Vec::new();
    for (index, chain) in chains.iter().enumerate() {
        let made = match keys.get(index) {
            Some(key) => certificates.of_files(chain.first(), key.first(), &draft.name, machine),
            None => Err("there is no ssl_certificate_key beside it".to_owned()),
        };
        match made {
            Ok(name) => names.push(name),
            Err(reason) => report.lost(chain, reason),
        }
    }
    let mut fields = Fields::of(draft, "");
    let Some((first, more)) = names.split_first() else {
        return Tls::None;
    };
    if !fields.set("tls", json!({ "certificate": first })) {
        return Tls::None;
    }
    let mut became = Tls::Said;
    if !more.is_empty() {
        fields.set("tls/more_certificates", json!(more));
    }
    for (directive, said) in [
        ("ssl_protocols", protocols(scope, &mut fields)),
        ("ssl_session_cache", session(scope, &mut fields)),
        ("ssl_early_data", early_data(scope, &mut fields)),
        ("ssl_stapling", stapling(scope, &mut fields)),
        ("ssl_verify_client", clients(scope, machine, &mut fields)),
    ] {
        if !said && let Some(node) = scope.find(directive) {
            report.lost(node, "it cannot be said with these words");
            if protects(directive) {
                became = Tls::Unprotected;
            }
        }
    }
    for (directive, field) in WORDS {
        let Some(node) = scope.find(directive) else {
            continue;
        };
        let default = directive == "ssl_ecdh_curve" && node.first() == "auto";
        let is_file = matches!(directive, "ssl_dhparam" | "ssl_crl");
        let word = match is_file {
            true => machine.path(node.first()),
            false => node.first().to_owned(),
        };
        if !default && !fields.set(field, json!(word)) {
            report.lost(node, "it cannot be said with these words");
            if protects(directive)
                && scope
                    .word("ssl_verify_client")
                    .is_some_and(|it| it != "off")
            {
                became = Tls::Unprotected;
            }
        }
    }
    became
}

/// Those of the default policy need no words.
fn protocols(scope: &Scope<'_>, fields: &mut Fields<'_>) -> bool {
    if let Some(switch) = scope.word("ssl_prefer_server_ciphers") {
        fields.set("tls/prefer_server_ciphers", json!(switch == "on"));
    }
    let Some(node) = scope.find("ssl_protocols") else {
        return true;
    };
    let known = |it: &&String| !matches!(it.as_str(), "SSLv2" | "SSLv3");
    let versions: Vec<&String> = node.arguments.iter().filter(known).collect();
    versions == ["TLSv1.2", "TLSv1.3"] || fields.set("tls/protocols", json!(versions))
}

fn session(scope: &Scope<'_>, fields: &mut Fields<'_>) -> bool {
    let mut said = true;
    if let Some(node) = scope.find("ssl_session_cache") {
        let shared = node
            .arguments
            .iter()
            .find_map(|it| it.strip_prefix("shared:"));
        let size = shared
            .and_then(|it| it.split_once(':'))
            .map(|(_, size)| size);
        said &= size.is_some_and(|size| fields.set("tls/session/cache", json!(size)));
    }
    if let Some(timeout) = scope.word("ssl_session_timeout") {
        said &= fields.set("tls/session/timeout", json!(time(timeout)));
    }
    if scope.on("ssl_session_tickets") {
        said &= fields.set("tls/session/tickets", json!(true));
    }
    said
}

fn early_data(scope: &Scope<'_>, fields: &mut Fields<'_>) -> bool {
    !scope.on("ssl_early_data") || fields.set("tls/early_data", json!(true))
}

fn stapling(scope: &Scope<'_>, fields: &mut Fields<'_>) -> bool {
    if !scope.on("ssl_stapling") {
        return true;
    }
    let mut field = json!({});
    if scope.on("ssl_stapling_verify")
        && let Some(file) = scope.word("ssl_trusted_certificate")
    {
        field["verify"] = json!({ "file": file });
    }
    fields.set("tls/stapling", field)
}

fn clients(scope: &Scope<'_>, machine: &Machine<'_>, fields: &mut Fields<'_>) -> bool {
    let verify = match scope.word("ssl_verify_client") {
        None | Some("off") => return true,
        Some("on") => "required",
        Some("optional") => "optional",
        Some("optional_no_ca") => "optional_unsigned",
        Some(_) => return false,
    };
    let trusted = scope.word("ssl_client_certificate");
    let Some(file) = trusted.or(scope.word("ssl_trusted_certificate")) else {
        return false;
    };
    let trusted = json!({ "file": machine.path(file) });
    let mut field = json!({ "trusted": trusted, "verify": verify });
    if let Some(depth) = scope.word("ssl_verify_depth") {
        field["depth"] = depth.parse::<u64>().map_or(Value::Null, Value::from);
    }
    fields.set("tls/client", field)
}
