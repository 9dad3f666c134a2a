//! Models as they are found in the field.

use serde_json::{Value, json};

use crate::{
    contract::storage::{AgentKey, AgentKeys, AgentRecord, BootstrapToken},
    digest::Digest,
    document::parse_value,
    model::{
        AgentFacts, AgentId, ApplyFailure, Certificate, ConfigPhase, Drift, DriftedFile,
        FileChange, NginxFacts, NginxHealth, Quarantine, Resource, ResourceSet, Upstream, Version,
        VirtualHost,
    },
    seal::SessionKey,
};

/// A self-signed certificate for `shop.example.com` and `*.example.com`, valid until 2126.
pub const SHOP_CERTIFICATE: &str = include_str!("shop.pem");
/// The private key of [`SHOP_CERTIFICATE`], P-256. For tests only: it is public.
pub const SHOP_KEY: &str = include_str!("shop.key.pem");
/// A self-signed certificate for `blog.example.com`, valid until 2126.
pub const BLOG_CERTIFICATE: &str = include_str!("blog.pem");
/// The private key of [`BLOG_CERTIFICATE`], P-256. For tests only: it is public.
pub const BLOG_KEY: &str = include_str!("blog.key.pem");

/// A document from JSON.
///
/// # Panics
///
/// When it is not a document.
#[must_use]
pub fn resource(document: Value) -> Resource {
    parse_value("sample", document).unwrap_or_else(|problem| panic!("{problem}"))
}

/// A virtual host for `{name}.example.com` and `www.{name}.example.com` on
/// port 80: it passes `/` to the upstream `name` and serves `/static/` from disk.
#[must_use]
pub fn virtual_host(name: &str) -> VirtualHost {
    host(name, json!([{ "port": 80 }]), Value::Null)
}

/// The same with TLS on port 443, with the certificate `name`.
#[must_use]
pub fn tls_virtual_host(name: &str) -> VirtualHost {
    let listen = json!([{ "port": 80 }, { "port": 443, "tls": true, "http2": true }]);
    let tls = json!({
        "certificate": name,
        "hsts": { "max_age": "31536000s" },
        "redirect_http": true,
    });
    host(name, listen, tls)
}

fn host(name: &str, listen: Value, tls: Value) -> VirtualHost {
    let document = json!({
        "kind": "VirtualHost",
        "metadata": { "name": name, "labels": { "team": "web" } },
        "spec": {
            "server_names": [format!("{name}.example.com"), format!("www.{name}.example.com")],
            "listen": listen,
            "tls": tls,
            "locations": [
                {
                    "path": "/",
                    "proxy": {
                        "upstream": name,
                        "websocket": true,
                        "timeouts": { "connect": "2s", "read": "30s" },
                        "request_headers": [{ "name": "X-Request-Id", "variable": "request_id" }],
                    },
                },
                {
                    "path": "/static/",
                    "match": "prefix_priority",
                    "static": { "root": format!("/srv/{name}"), "index": ["index.html"] },
                },
            ],
            "response_headers": [{ "name": "X-Frame-Options", "value": "DENY", "always": true }],
            "max_body_size": "10m",
        },
    });
    match resource(document) {
        Resource::VirtualHost(host) => host,
        other => panic!("{} is not a virtual host", other.key()),
    }
}

/// An upstream of three servers, one of them a backup.
#[must_use]
pub fn upstream(name: &str) -> Upstream {
    upstream_at(name, 11)
}

fn upstream_at(name: &str, network: usize) -> Upstream {
    let server = |host: usize| format!("10.{}.{}.{host}:8080", network / 250 % 250, network % 250);
    let document = json!({
        "kind": "Upstream",
        "metadata": { "name": name },
        "spec": {
            "balance": "least_conn",
            "keepalive": 64,
            "servers": [
                { "address": server(11), "weight": 3 },
                { "address": server(12), "max_fails": 3, "fail_timeout": "10s" },
                { "address": server(13), "backup": true },
            ],
        },
    });
    match resource(document) {
        Resource::Upstream(upstream) => upstream,
        other => panic!("{} is not an upstream", other.key()),
    }
}

/// A certificate with its key: [`SHOP_CERTIFICATE`].
#[must_use]
pub fn certificate(name: &str) -> Certificate {
    certificate_of(name, SHOP_CERTIFICATE, SHOP_KEY)
}

/// Another certificate with its key: [`BLOG_CERTIFICATE`].
#[must_use]
pub fn other_certificate(name: &str) -> Certificate {
    certificate_of(name, BLOG_CERTIFICATE, BLOG_KEY)
}

fn certificate_of(name: &str, certificate: &str, key: &str) -> Certificate {
    let document = json!({
        "kind": "Certificate",
        "metadata": { "name": name },
        "spec": { "certificate": certificate, "private_key": key },
    });
    match resource(document) {
        Resource::Certificate(certificate) => certificate,
        other => panic!("{} is not a certificate", other.key()),
    }
}

/// `count` virtual hosts, `site-00000` and on, each with two locations and an
/// upstream of three servers of its own; about 1 KB of nginx configuration each.
#[must_use]
pub fn fleet(count: usize) -> ResourceSet {
    (0..count)
        .flat_map(|number| {
            let name = format!("site-{number:05}");
            [
                Resource::from(virtual_host(&name)),
                Resource::from(upstream_at(&name, number)),
            ]
        })
        .collect()
}

/// The id of the agent called `number`.
#[must_use]
pub fn agent_id(number: u32) -> AgentId {
    format!("0190f3a1-7c5e-7cc0-9f43-{number:012x}")
        .parse()
        .unwrap_or_else(|error| panic!("{error}"))
}

/// A key that an agent can sign with; its secret is `byte`, 32 times.
#[must_use]
pub fn agent_key(id: &str, byte: u8) -> AgentKey {
    AgentKey {
        id: id.to_owned(),
        secret: SessionKey::new([byte; 32]),
        since: 1_700_000_000_000 + u64::from(byte),
    }
}

/// An agent of which everything is known.
#[must_use]
pub fn agent(number: u32) -> AgentRecord {
    let id = agent_id(number);
    let version = |revision| Version { epoch: 1, revision };
    let labels = [
        ("env", "prod"),
        ("zone", ["a", "b", "c"][number as usize % 3]),
    ];
    AgentRecord {
        workspace: crate::model::value::WorkspaceName::default(),
        install_id: format!("install-{number}"),
        hostname: format!("web-{number}.example.com"),
        labels: labels
            .into_iter()
            .map(|(key, value)| Some((key.parse().ok()?, value.parse().ok()?)))
            .collect::<Option<_>>()
            .unwrap_or_default(),
        keys: AgentKeys {
            primary: agent_key(&format!("key-{number}"), number as u8),
            secondary: Some(agent_key(&format!("next-key-{number}"), !number as u8)),
        },
        enrolled_at: 1_700_000_000_000,
        last_seen_at: 1_700_000_123_456,
        connection_sequence: 17,
        boot_id: format!("boot-{number}"),
        agent_version: "0.1.0".to_owned(),
        nginx_version: "1.22.1".to_owned(),
        facts: AgentFacts {
            nginx: Some(NginxFacts {
                modules: vec!["http_ssl_module".to_owned()],
                whole_conf: true,
            }),
            health: Some(NginxHealth {
                running: true,
                problem: Some("nginx: [emerg] ü".to_owned()),
                silent_since: Some(1_700_000_123_000),
                restarts: 6,
                held_back_since: Some(1_700_000_123_001),
            }),
            drift: Some(Drift {
                since: 1_700_000_123_000,
                files: vec![DriftedFile {
                    path: "entry.conf".to_owned(),
                    change: FileChange::Changed,
                }],
                more: 1,
                loaded: true,
                diff: "-a\n+ü\n".to_owned(),
                problem: Some("disk full".to_owned()),
            }),
            sent: Some(version(9)),
            staged: Some(version(8)),
            applied: Some(version(7)),
            applied_digest: Some(Digest::of(b"slice")),
            running: Some(Digest::of(b"release")),
            failure: Some(ApplyFailure {
                version: version(8),
                phase: ConfigPhase::RolledBack,
                code: "NX-APPLY-003".to_owned(),
                message: "[emerg] bind() to 0.0.0.0:80 failed (98: Address already in use)\n\"ü\""
                    .to_owned(),
                retryable: true,
                resource: Some("VirtualHost/shop".to_owned()),
                held_back: Vec::new(),
            }),
            drained: true,
            quarantine: Some(Quarantine {
                since: 1_700_000_000_000,
                reason: "two machines".to_owned(),
            }),
        },
        id,
    }
}

/// A bootstrap token for the default workspace, valid from 1,000 to 2,000 (Unix milliseconds).
#[must_use]
pub fn bootstrap_token(secret: &str) -> BootstrapToken {
    BootstrapToken {
        digest: Digest::of(secret.as_bytes()),
        workspace: crate::model::value::WorkspaceName::default(),
        labels: agent(0).labels,
        created_at: 1_000,
        expires_at: 2_000,
        used_by: None,
    }
}
