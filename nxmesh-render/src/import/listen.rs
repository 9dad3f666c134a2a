//! `listen` directives.

use serde_json::{Value, json};

use super::{draft::Draft, node::Node, report::Report};

/// A socket.
pub(super) struct Listen {
    pub(super) address: String,
    pub(super) fields: Value,
}

impl Default for Listen {
    fn default() -> Self {
        Self {
            address: String::new(),
            fields: json!({}),
        }
    }
}

impl Listen {
    pub(super) fn parse(node: &Node, http2: bool, report: &mut Report) -> Option<Self> {
        let socket = node.first();
        let (address, port) = match socket.rsplit_once(':') {
            Some((address, port)) if !socket.ends_with(']') => (address, port),
            _ if socket.bytes().all(|byte| byte.is_ascii_digit()) => ("*", socket),
            _ => (socket, "80"),
        };
        let port: u16 = port.parse().ok()?;
        let address = match address.trim_matches(['[', ']']) {
            "*" | "0.0.0.0" => "0.0.0.0",
            "localhost" => "127.0.0.1",
            other => other,
        };
        let mut listen = Self {
            address: address.to_owned(),
            fields: json!({ "port": port }),
        };
        for parameter in node.arguments.iter().skip(1) {
            let (key, value) = parameter.split_once('=').unwrap_or((parameter, ""));
            match key {
                "ssl" => listen.fields["tls"] = json!(true),
                "http2" | "default_server" | "proxy_protocol" => {
                    listen.fields[key] = json!(true);
                }
                "reuseport" => listen.fields["reuse_port"] = json!(true),
                "default" => listen.fields["default_server"] = json!(true),
                "udp" => {}
                "deferred" => listen.fields[key] = json!(true),
                "fastopen" => {
                    listen.fields["fast_open"] =
                        value.parse::<u64>().map_or(Value::Null, Value::from);
                }
                "so_keepalive" if value == "on" => listen.fields["keepalive"] = json!(true),
                "quic" => listen.fields["http3"] = json!(true),
                "backlog" => {
                    listen.fields[key] = value.parse::<u64>().map_or(Value::Null, Value::from)
                }
                "ipv6only" => {}
                _ => report.lost(node, format_args!("the parameter {key}")),
            }
        }
        if http2 && listen.fields["tls"] == json!(true) {
            listen.fields["http2"] = json!(true);
        }
        Some(listen)
    }

    /// The address and port.
    pub(super) fn socket(&self) -> (String, u64) {
        let port = self.fields["port"].as_u64().unwrap_or_default();
        (self.address.clone(), port)
    }

    /// Whether it is marked as the default of its socket.
    pub(super) fn is_marked(&self) -> bool {
        self.fields["default_server"] == json!(true)
    }

    /// As a stream server has it.
    pub(super) fn of_stream(mut self) -> Value {
        if let Value::Object(fields) = &mut self.fields {
            // The server says whether it ends TLS.
            fields.remove("tls");
        }
        if self.address != "0.0.0.0" {
            self.fields["address"] = json!(self.address);
        }
        self.fields
    }
}

/// A port that is listened on for every IPv4 and every IPv6 address alike has
/// no address.
pub(super) fn both_families(draft: &mut Draft) {
    let Some(Value::Array(listens)) = draft.spec.get("listen").cloned() else {
        return;
    };
    let mut joined: Vec<Value> = Vec::new();
    for listen in &listens {
        let with_address = |address: &str| {
            let mut other = listen.clone();
            other["address"] = json!(address);
            other
        };
        match listen["address"].as_str() {
            Some("0.0.0.0") if listens.contains(&with_address("::")) => {
                let mut both = listen.clone();
                if let Some(fields) = both.as_object_mut() {
                    fields.remove("address");
                }
                joined.push(both);
            }
            Some("::") if listens.contains(&with_address("0.0.0.0")) => {}
            _ => joined.push(listen.clone()),
        }
    }
    draft.set("listen", Value::Array(joined));
}
