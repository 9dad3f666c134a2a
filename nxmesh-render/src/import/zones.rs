//! What the `http` block defines for servers to refer to by a name.

use std::collections::BTreeMap;

use serde_json::Value;

use super::{
    node::Node,
    settings::{cache_path, limit_zone, log_format},
};

/// Zones, caches and log formats, each as a field says it. Those that no field can
/// say are not in here.
#[derive(Debug, Default)]
pub(super) struct Zones {
    pub(super) requests: BTreeMap<String, Value>,
    pub(super) connections: BTreeMap<String, Value>,
    pub(super) caches: BTreeMap<String, Value>,
    /// Each with its text and how values are written.
    pub(super) formats: BTreeMap<String, (String, String)>,
}

impl Zones {
    pub(super) fn read(nodes: &[Node]) -> Self {
        let mut zones = Self::default();
        for node in nodes {
            let defined = |it: Option<(&str, Value)>| it.map(|(name, it)| (name.to_owned(), it));
            match node.name.as_str() {
                "limit_req_zone" => zones.requests.extend(defined(limit_zone(node))),
                "limit_conn_zone" => zones.connections.extend(defined(limit_zone(node))),
                "proxy_cache_path" | "fastcgi_cache_path" => {
                    zones.caches.extend(defined(cache_path(&node.arguments)))
                }
                "log_format" => {
                    let format = log_format(node).map(|(name, it)| (name.to_owned(), it));
                    zones.formats.extend(format);
                }
                _ => {}
            }
        }
        zones
    }

    /// The name that a directive of the `http` block defines, if a field can say
    /// what it means.
    pub(super) fn defines(node: &Node) -> Option<&str> {
        match node.name.as_str() {
            "limit_req_zone" | "limit_conn_zone" => limit_zone(node).map(|(name, _)| name),
            "proxy_cache_path" | "fastcgi_cache_path" => {
                cache_path(&node.arguments).map(|(name, _)| name)
            }
            "log_format" => log_format(node).map(|(name, _)| name),
            _ => None,
        }
    }
}
