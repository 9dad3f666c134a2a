//! What was measured, as the master is told.

use bytes::Bytes;
use nxmesh_core::{
    digest::Digest,
    model::AgentHealth,
    wire::{CheckResult, ConnectionCounts, HealthReport, ServedCertificate, SystemHealth},
};

/// Adds what was measured to a report.
pub(super) fn add(report: &mut HealthReport, health: &AgentHealth) {
    let checks = health.checks.iter().cloned().map(|it| CheckResult {
        name: it.name,
        ok: it.ok,
        since: it.since,
        message: it.message,
        marked_down: it.marked_down,
    });
    report.checks = checks.collect();
    report.system = health.system.as_ref().map(|it| SystemHealth {
        cpu_busy_percent: it.cpu_busy_percent,
        load_1m_percent: it.load_1m_percent,
        memory_total_bytes: it.memory_total_bytes,
        memory_available_bytes: it.memory_available_bytes,
        disk_total_bytes: it.disk_total_bytes,
        disk_available_bytes: it.disk_available_bytes,
        disk_read_bytes: it.disk_read_bytes,
        disk_written_bytes: it.disk_written_bytes,
        network_received_bytes: it.network_received_bytes,
        network_sent_bytes: it.network_sent_bytes,
        open_files: it.open_files,
        max_open_files: it.max_open_files,
    });
    report.connections = health.connections.map(|it| ConnectionCounts {
        accepted: it.accepted,
        handled: it.handled,
        requests: it.requests,
        reading: it.reading,
        writing: it.writing,
        waiting: it.waiting,
    });
    let certificates = health.certificates.iter().cloned();
    let certificates = certificates.map(|it| ServedCertificate {
        server_name: it.server_name,
        address: it.address,
        serial: it.serial,
        fingerprint: it.fingerprint.parse().map_or_else(
            |_| Bytes::new(),
            |it: Digest| Bytes::copy_from_slice(it.as_bytes()),
        ),
        expected: it.expected,
        problem: it.problem,
    });
    report.certificates = certificates.collect();
}
