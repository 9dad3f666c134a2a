//! Plain data: the resources users write and the facts the system keeps.
//!
//! Every value is a type of its own that cannot be made from a bad string; a
//! value of these types is fit to be rendered.

mod access_list;
mod agent;
mod certificate;
mod drift;
mod health;
mod health_check;
mod location;
mod metadata;
mod metrics;
mod nginx_settings;
mod policy;
mod resource;
mod route_set;
mod selector;
mod snippet;
mod stream_server;
mod template;
pub mod traffic;
mod upstream;
pub mod value;
mod version;
mod virtual_host;

pub use access_list::{AccessList, AccessListSpec, AccessRule};
pub use agent::{
    AgentFacts, AgentId, ApplyFailure, ConfigPhase, HeldBack, NginxFacts, NginxHealth, Quarantine,
};
pub use certificate::{Certificate, CertificateChainPem, CertificateSpec, PrivateKeyPem};
pub use drift::{Drift, DriftedFile, FileChange};
pub use health::{AgentHealth, CheckResult, ConnectionCounts, ServedCertificate, SystemHealth};
pub use health_check::{HealthCheck, HealthCheckType};
pub use location::*;
#[cfg(feature = "schema")]
pub(crate) use location::{
    RawLocation, RawParam, RawRedirect, RawRequestHeader, RawRewrite, RawRoute, RawStaticFiles,
};
pub use metadata::{Labels, Metadata};
pub use metrics::{AgentMetrics, FIGURES, Figure};
pub use nginx_settings::{MediaType, NginxSettings, NginxSettingsSpec, WorkerProcesses};
pub use policy::{Policy, PolicySpec};
pub(crate) use resource::for_each_kind;
pub use resource::{Resource, ResourceKey, ResourceKind, ResourceSet, for_each_secret};
pub use route_set::{RouteSet, RouteSetSpec};
pub use selector::{LabelValues, Requirement, Selector};
pub use snippet::{Snippet, SnippetSpec};
pub use stream_server::{
    Datagrams, NamedRoute, RouteByName, StreamClientCertificates, StreamLimits, StreamListen,
    StreamLog, StreamLogStyle, StreamProtocol, StreamRetry, StreamServer, StreamServerSpec,
    StreamSplit, StreamTimeouts, StreamTls,
};
pub use template::{Template, TemplateSpec};
pub use traffic::{Traffic, TrafficSettings};
pub use upstream::{
    Affinity, Balance, HashKey, KeepaliveLimits, Resolver, Upstream, UpstreamServer, UpstreamSpec,
};
pub use version::Version;
pub use virtual_host::{
    AcmeChallenge, ClientCertificates, ClientKeepalive, ClientSettings, ClientVerify, Delegate,
    Hsts, LargeHeaders, Listen, ServerTokens, Stapling, StatusEndpoint, Tls, TlsPolicy, TlsProxy,
    TlsSession, VirtualHost, VirtualHostSpec,
};

use serde::{Deserialize, Serialize};

/// A named document: what it is called and what it says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Document<S> {
    /// Name, workspace and labels.
    pub metadata: Metadata,
    /// What it says.
    pub spec: S,
}
