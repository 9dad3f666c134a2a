//! Which protocol a master is reached by.

use std::sync::Arc;

use nxmesh_core::contract::transport::Transport;

use super::{
    AutoTransport, Backoff, MasterOptions, MasterOptionsError, grpc::GrpcTransport, url::Scheme,
    websocket::WebSocketTransport,
};

/// Which protocol a master is reached by.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum TransportChoice {
    /// What the URL's scheme names; for `https` gRPC, and WebSocket where only
    /// that gets through.
    #[default]
    Auto,
    /// gRPC alone.
    Grpc,
    /// WebSocket alone.
    WebSocket,
}

impl TransportChoice {
    /// The transport to one master. `pauses` are those between looks at gRPC
    /// while it does not get through.
    pub(crate) fn transport(
        self,
        options: MasterOptions,
        pauses: Backoff,
    ) -> Result<Arc<dyn Transport>, MasterOptionsError> {
        let choice = match (self, options.url.scheme()) {
            (Self::Auto, Scheme::Grpcs) => Self::Grpc,
            (Self::Auto, Scheme::Wss) => Self::WebSocket,
            _ => self,
        };
        Ok(match choice {
            Self::Auto => Arc::new(AutoTransport::new(
                GrpcTransport::new(options.clone())?,
                WebSocketTransport::new(options),
                pauses,
            )),
            Self::Grpc => Arc::new(GrpcTransport::new(options)?),
            Self::WebSocket => Arc::new(WebSocketTransport::new(options)),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::transport::Trust;

    #[test]
    fn the_scheme_decides_where_nothing_else_does() {
        let issued = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        let trust = Trust::new(&issued.cert.pem()).unwrap();
        for (url, choice, backend) in [
            ("https://localhost", TransportChoice::Auto, "AutoTransport"),
            ("grpcs://localhost", TransportChoice::Auto, "GrpcTransport"),
            (
                "wss://localhost",
                TransportChoice::Auto,
                "WebSocketTransport",
            ),
            ("wss://localhost", TransportChoice::Grpc, "GrpcTransport"),
            (
                "https://localhost",
                TransportChoice::WebSocket,
                "WebSocketTransport",
            ),
        ] {
            let options = MasterOptions::new(url.parse().unwrap(), trust.clone());
            let made = choice.transport(options, AutoTransport::PAUSES).unwrap();
            assert!(format!("{made:?}").starts_with(backend), "{url} {choice:?}");
        }
    }
}
