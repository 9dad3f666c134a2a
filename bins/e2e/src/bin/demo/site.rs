//! The sample site: a shop on plain HTTP and HTTPS.
//!
//! All nginx of the demonstration share one machine, so each needs ports of its own, and so the shop is
//! one virtual host per agent, chosen by its label. On machines of their own it would be one for all.

use std::net::SocketAddr;

use nxmesh_e2e::certificate::SelfSigned;
use nxmesh_e2e::node::Node;

/// The name the shop answers to.
pub(crate) const HOST: &str = "shop.example.com";

/// What the shop looks like.
#[derive(Clone, Debug)]
pub(crate) struct Site {
    /// What `/version` answers.
    pub(crate) version: String,
    /// Where the shop runs.
    pub(crate) backends: Vec<String>,
    /// A port to listen on beside the usual ones.
    pub(crate) extra_port: Option<u16>,
}

impl Site {
    pub(crate) fn new(version: &str, backends: &[SocketAddr]) -> Self {
        Self {
            version: version.to_owned(),
            backends: backends.iter().map(ToString::to_string).collect(),
            extra_port: None,
        }
    }

    /// The documents, as they would stand in `shop.yaml`.
    pub(crate) fn documents(&self, nodes: &[Node], certificate: &SelfSigned) -> String {
        let servers: Vec<String> = self
            .backends
            .iter()
            .map(|address| format!("{{ address: \"{address}\" }}"))
            .collect();
        let mut yaml = format!(
            "kind: Upstream\n\
             metadata: {{ name: shop-backend }}\n\
             spec: {{ balance: least_conn, servers: [{}] }}\n\
             ---\n\
             {}---\n",
            servers.join(", "),
            certificate.document("shop-cert")
        );
        for node in nodes {
            yaml.push_str(&self.virtual_host(node));
        }
        yaml
    }

    fn virtual_host(&self, node: &Node) -> String {
        let name = node.name();
        let extra = self.extra_port.map_or_else(String::new, |port| {
            format!("    - {{ port: {port}, address: 127.0.0.1 }}\n")
        });
        format!(
            "kind: VirtualHost\n\
             metadata: {{ name: shop-{name}, labels: {{ team: web }} }}\n\
             spec:\n  \
               selector: \"node={name}\"\n  \
               server_names: [{HOST}, \"*.{HOST}\"]\n  \
               listen:\n    \
                 - {{ port: {http}, address: 127.0.0.1 }}\n    \
                 - {{ port: {https}, address: 127.0.0.1, tls: true, http2: true }}\n\
             {extra}  \
               tls: {{ certificate: shop-cert }}\n  \
               response_headers: [{{ name: X-Served-By, value: {name} }}]\n  \
               locations:\n    \
                 - {{ path: /, proxy: {{ upstream: shop-backend, timeouts: {{ connect: 2s }} }} }}\n    \
                 - {{ path: /version, match: exact, respond: {{ status: 200, body: \"{version}\" }} }}\n    \
                 - {{ path: /old, redirect: {{ to: \"https://{HOST}/new\", code: 308 }} }}\n\
             ---\n",
            http = node.http_port(),
            https = node.https_port(),
            version = self.version,
        )
    }
}
