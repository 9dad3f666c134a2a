//! What an agent measured, off the wire: as much as is kept of it.

use nxmesh_core::{
    digest::Digest,
    model::{AgentHealth, CheckResult, ConnectionCounts, ServedCertificate, SystemHealth},
    wire::{self, HealthReport},
};

use super::facts::shown;

/// What is kept of one agent; agents tell no more.
const CHECKS: usize = 1100;
const CERTIFICATES: usize = 64;
const NAME_CHARS: usize = 300;
const MESSAGE_CHARS: usize = 200;
const SERIAL_CHARS: usize = 80;

pub(super) fn measured(report: &HealthReport) -> AgentHealth {
    let checks = report.checks.iter().take(CHECKS).map(|it| CheckResult {
        name: shown(&it.name, NAME_CHARS),
        ok: it.ok,
        since: it.since,
        message: shown(&it.message, MESSAGE_CHARS),
        marked_down: it.marked_down,
    });
    let certificates = report.certificates.iter().take(CERTIFICATES);
    let certificates = certificates.map(|it| ServedCertificate {
        server_name: shown(&it.server_name, NAME_CHARS),
        address: shown(&it.address, NAME_CHARS),
        serial: shown(&it.serial, SERIAL_CHARS),
        fingerprint: Digest::from_bytes(&it.fingerprint)
            .map(|it| it.to_string())
            .unwrap_or_default(),
        expected: it.expected,
        problem: shown(&it.problem, MESSAGE_CHARS),
    });
    AgentHealth {
        checks: checks.collect(),
        system: report.system.as_ref().map(system),
        connections: report.connections.map(|it| ConnectionCounts {
            accepted: it.accepted,
            handled: it.handled,
            requests: it.requests,
            reading: it.reading,
            writing: it.writing,
            waiting: it.waiting,
        }),
        certificates: certificates.collect(),
    }
}

fn system(it: &wire::SystemHealth) -> SystemHealth {
    SystemHealth {
        cpu_busy_percent: it.cpu_busy_percent.min(100),
        load_1m_percent: it.load_1m_percent,
        memory_total_bytes: it.memory_total_bytes,
        memory_available_bytes: it.memory_available_bytes,
        disk_total_bytes: it.disk_total_bytes,
        disk_available_bytes: it.disk_available_bytes,
        disk_read_bytes: it.disk_read_bytes,
        disk_written_bytes: it.disk_written_bytes,
        open_files: it.open_files,
        max_open_files: it.max_open_files,
        network_received_bytes: it.network_received_bytes,
        network_sent_bytes: it.network_sent_bytes,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hostile_reports_are_cut() {
        let check = wire::CheckResult {
            name: "\u{1b}".repeat(9) + &"n".repeat(10_000),
            message: "m".repeat(10_000),
            ..wire::CheckResult::default()
        };
        let certificate = wire::ServedCertificate {
            serial: "s".repeat(10_000),
            fingerprint: vec![7; 31].into(),
            ..wire::ServedCertificate::default()
        };
        let report = HealthReport {
            checks: vec![check; 5000],
            certificates: vec![certificate; 5000],
            system: Some(wire::SystemHealth {
                cpu_busy_percent: u32::MAX,
                ..wire::SystemHealth::default()
            }),
            ..HealthReport::default()
        };
        let measured = measured(&report);
        assert_eq!(measured.checks.len(), CHECKS);
        assert_eq!(measured.checks[0].name, "n".repeat(NAME_CHARS));
        assert_eq!(measured.checks[0].message.len(), MESSAGE_CHARS);
        assert_eq!(measured.certificates.len(), CERTIFICATES);
        assert_eq!(measured.certificates[0].serial.len(), SERIAL_CHARS);
        assert_eq!(measured.certificates[0].fingerprint, "");
        assert_eq!(measured.system.unwrap().cpu_busy_percent, 100);
    }
}
