//! `Debug` for the messages that carry secrets: every field by its value, a secret as `***`.

use std::fmt;

use super::{ConfigUpdate, KeyOffer, RegisterAgentRequest, RegisterAgentResponse};

/// Stands for a secret that is there; an absent one prints as the empty value it is.
const SECRET: &str = "***";

impl fmt::Debug for ConfigUpdate {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Every field is named, so that a new one does not compile before it is looked at.
        let Self {
            config_id,
            version,
            virtual_hosts,
            upstreams,
            ssl_certificates,
            epoch,
            digest,
            base_digest,
            removed,
            rollout_id,
            phase,
            offer,
            trace_parent,
            documents,
        } = self;
        let documents = documents
            .iter()
            .map(|it| format!("{}/{}", it.kind, it.name));
        formatter
            .debug_struct("ConfigUpdate")
            .field("config_id", config_id)
            .field("version", version)
            .field("virtual_hosts", virtual_hosts)
            .field("upstreams", upstreams)
            .field("ssl_certificates", &Names(ssl_certificates.keys()))
            .field("epoch", epoch)
            .field("digest", digest)
            .field("base_digest", base_digest)
            .field("removed", removed)
            .field("rollout_id", rollout_id)
            .field("phase", phase)
            .field("offer", offer)
            .field("trace_parent", trace_parent)
            .field("documents", &documents.collect::<Vec<_>>())
            .finish()
    }
}

impl fmt::Debug for RegisterAgentRequest {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            bootstrap_token,
            install_id,
            hostname,
            labels,
            agent_version,
            nginx_version,
            capabilities,
        } = self;
        formatter
            .debug_struct("RegisterAgentRequest")
            .field("bootstrap_token", &mask(bootstrap_token.is_empty()))
            .field("install_id", install_id)
            .field("hostname", hostname)
            .field("labels", labels)
            .field("agent_version", agent_version)
            .field("nginx_version", nginx_version)
            .field("capabilities", capabilities)
            .finish()
    }
}

impl fmt::Debug for RegisterAgentResponse {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            agent_id,
            key_id,
            session_key,
            heartbeat_interval_seconds,
            master_ca,
            workspace,
        } = self;
        formatter
            .debug_struct("RegisterAgentResponse")
            .field("agent_id", agent_id)
            .field("key_id", key_id)
            .field("session_key", &mask(session_key.is_empty()))
            .field("heartbeat_interval_seconds", heartbeat_interval_seconds)
            .field("master_ca", master_ca)
            .field("workspace", workspace)
            .finish()
    }
}

impl fmt::Debug for KeyOffer {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            key_id,
            session_key,
        } = self;
        formatter
            .debug_struct("KeyOffer")
            .field("key_id", key_id)
            .field("session_key", &mask(session_key.is_empty()))
            .finish()
    }
}

fn mask(empty: bool) -> &'static str {
    if empty { "" } else { SECRET }
}

/// The keys of a map whose values are secrets.
struct Names<I>(I);

impl<I: Iterator<Item: fmt::Debug> + Clone> fmt::Debug for Names<I> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let entries = self.0.clone().map(|name| (name, SECRET));
        formatter.debug_map().entries(entries).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::{MasterMessage, master_message::Payload};

    #[test]
    fn a_private_key_is_not_printed() {
        let update = ConfigUpdate {
            ssl_certificates: [("shop".to_owned(), "PRIVATE".to_owned())].into(),
            ..ConfigUpdate::default()
        };
        let message = MasterMessage {
            payload: Some(Payload::ConfigUpdate(update)),
            ..MasterMessage::default()
        };
        let printed = format!("{message:?}");
        assert!(
            printed.contains(r#"ssl_certificates: {"shop": "***"}"#),
            "{printed}"
        );
        assert!(!printed.contains("PRIVATE"), "{printed}");
    }

    #[test]
    fn tokens_and_keys_are_not_printed() {
        let request = RegisterAgentRequest {
            bootstrap_token: "nxm_secret".to_owned(),
            hostname: "web-1".to_owned(),
            ..RegisterAgentRequest::default()
        };
        let response = RegisterAgentResponse {
            session_key: bytes::Bytes::from_static(b"nxm_secret"),
            ..RegisterAgentResponse::default()
        };
        let offer = KeyOffer {
            session_key: bytes::Bytes::from_static(b"nxm_secret"),
            ..KeyOffer::default()
        };
        let printed = format!("{request:?} {response:?} {offer:?}");
        assert!(printed.contains("web-1"), "{printed}");
        assert!(!printed.contains("nxm_secret"), "{printed}");
    }

    #[test]
    fn an_absent_secret_is_seen_to_be_absent() {
        let printed = format!("{:?}", RegisterAgentRequest::default());
        assert!(printed.contains(r#"bootstrap_token: """#), "{printed}");
    }
}
