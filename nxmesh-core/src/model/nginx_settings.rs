//! Settings of an nginx as a whole.

use serde::{Deserialize, Serialize};

use super::{
    Document, Selector,
    value::{ContentType, FileExtension, Time},
};

/// A document with settings of an nginx as a whole (nginx manual, Core functionality).
///
/// For agents that own the whole of `nginx.conf` (mode full). Two of these may not
/// be for the same agent. The sizes of hashes are computed from what is in them.
pub type NginxSettings = Document<NginxSettingsSpec>;

/// What such a document says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct NginxSettingsSpec {
    /// Which agents have it. Default: every agent of the workspace.
    #[serde(default)]
    pub selector: Selector,
    /// How many workers. Where a port has `reuse_port`, another number drops
    /// connections that wait to be taken. Default: `auto` (nginx: `worker_processes`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub worker_processes: Option<WorkerProcesses>,
    /// Connections per worker at a time, those to upstreams included, 16 to
    /// 1048576. Default: 1024 (nginx: `worker_connections`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub worker_connections: Option<u32>,
    /// Files and sockets each worker may have open, 64 to 4194304. Default: what
    /// nginx was started with (nginx: `worker_rlimit_nofile`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub worker_open_files: Option<u32>,
    /// Bind each worker to a processor of its own. Default: false (nginx:
    /// `worker_cpu_affinity auto`, 1.9.10).
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub worker_cpu_affinity: bool,
    /// As of `nice`, -20 to 20. Default: 0 (nginx: `worker_priority`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub worker_priority: Option<i8>,
    /// How long workers of an older configuration may finish what they began. Cuts
    /// what lasts longer: downloads, WebSockets, streams. Default: as long as it
    /// takes (nginx: `worker_shutdown_timeout`, 1.11.11).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub worker_shutdown_timeout: Option<Time>,
    /// Take all waiting connections at once. Default: false (nginx: `multi_accept`).
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub multi_accept: bool,
    /// Workers take new connections by turns. Default: false (nginx: `accept_mutex`).
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub accept_mutex: bool,
    /// The media types of files, by the ends of their names: this list in place of the
    /// built-in one, at most 1000. Default: the common ones (nginx: `types`).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub media_types: Vec<MediaType>,
}

/// Files of one media type.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct MediaType {
    /// The media type.
    #[serde(rename = "type")]
    pub media_type: ContentType,
    /// What stands behind the last dot of their names, 1 to 100. None of these stands
    /// with another type.
    pub extensions: Vec<FileExtension>,
}

/// How many workers nginx has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum WorkerProcesses {
    /// One for each processor.
    Auto,
    /// So many, 1 to 1024: `{ count: 4 }`.
    Count(u16),
}
