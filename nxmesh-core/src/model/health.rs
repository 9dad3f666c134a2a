//! How an agent and what is around it are, as it measured last.

use serde::{Deserialize, Serialize};

/// What an agent measured. Times are in Unix milliseconds on the agent's clock.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct AgentHealth {
    /// What was checked, by name.
    pub checks: Vec<CheckResult>,
    /// The machine; absent until it was looked at.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub system: Option<SystemHealth>,
    /// Connections of clients; absent while nginx does not tell.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub connections: Option<ConnectionCounts>,
    /// Certificates that were seen served.
    pub certificates: Vec<ServedCertificate>,
}

/// How a check went.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct CheckResult {
    /// What was checked: `http/NAME` of the agent's settings, or
    /// `Upstream/NAME ADDRESS`.
    pub name: String,
    /// Whether it is as expected.
    pub ok: bool,
    /// Since when.
    pub since: u64,
    /// Why it is not as expected; empty if it is.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub message: String,
    /// Whether nginx was seen serving without this server for it.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub marked_down: bool,
}

/// What the machine's kernel tells (proc(5)).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct SystemHealth {
    /// The share of all processors that was busy since the look before, 0 to 100.
    pub cpu_busy_percent: u32,
    /// Processes that ran or wanted to, on average of the last minute: 100 for one.
    pub load_1m_percent: u32,
    /// Memory of the machine.
    pub memory_total_bytes: u64,
    /// What of it could be had without swapping.
    pub memory_available_bytes: u64,
    /// The file system of the agent's state folder.
    pub disk_total_bytes: u64,
    /// What of it the agent may still write.
    pub disk_available_bytes: u64,
    /// Read from all disks since the machine started.
    pub disk_read_bytes: u64,
    /// Written to all disks since the machine started.
    pub disk_written_bytes: u64,
    /// Open files of the machine.
    pub open_files: u64,
    /// Most of them.
    pub max_open_files: u64,
    /// Received over all interfaces but loopback since the machine started.
    pub network_received_bytes: u64,
    /// Sent so.
    pub network_sent_bytes: u64,
}

/// Connections of clients, those of the agent included.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ConnectionCounts {
    /// Accepted since nginx started.
    pub accepted: u64,
    /// Of these, those for which there was room.
    pub handled: u64,
    /// Requests since nginx started.
    pub requests: u64,
    /// Open, reading a request.
    pub reading: u64,
    /// Open, writing a response or waiting for an upstream.
    pub writing: u64,
    /// Idle.
    pub waiting: u64,
}

/// What nginx shows to whoever asks for a host.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ServedCertificate {
    /// The name asked for.
    pub server_name: String,
    /// Where.
    pub address: String,
    /// The serial number of the certificate, in hexadecimal digits; empty if
    /// nobody answered.
    pub serial: String,
    /// SHA-256 of the certificate, in hexadecimal digits.
    pub fingerprint: String,
    /// Whether it is one that the newest version taken on wants there.
    pub expected: bool,
    /// Why nothing was seen; empty if it was.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub problem: String,
}
