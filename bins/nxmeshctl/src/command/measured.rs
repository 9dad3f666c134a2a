//! What an agent measured, for people.

use nxmesh_core::model::{AgentHealth, CheckResult, ServedCertificate, SystemHealth};

use crate::output;

/// Lines of `describe agent`.
pub(crate) fn lines(health: &AgentHealth) -> Vec<String> {
    let mut lines = Vec::new();
    if !health.checks.is_empty() {
        let fine = health.checks.iter().filter(|check| check.ok).count();
        lines.push(format!(
            "checks     {fine} of {} are fine",
            health.checks.len()
        ));
        let failing = health.checks.iter().filter(|it| !it.ok || it.marked_down);
        lines.extend(failing.map(check));
    }
    if let Some(it) = &health.connections {
        lines.push(format!(
            "clients    {} connections ({} idle), {} accepted, {} requests",
            it.reading
                .saturating_add(it.writing)
                .saturating_add(it.waiting),
            it.waiting,
            it.accepted,
            it.requests
        ));
    }
    lines.extend(health.system.as_ref().map(system));
    lines.extend(health.certificates.iter().map(certificate));
    lines
}

fn check(check: &CheckResult) -> String {
    let since = output::age(check.since);
    let what = match (check.ok, check.marked_down) {
        (true, _) => "is fine again, and still marked down in nginx",
        (false, true) => "fails, and is marked down in nginx",
        (false, false) => "fails",
    };
    let why = match check.message.as_str() {
        "" => String::new(),
        message => format!(": {message}"),
    };
    format!("           {} {what}, since {since}{why}", check.name)
}

fn system(it: &SystemHealth) -> String {
    format!(
        "machine    processors {} % busy, load {:.2}; memory {} of {} free; disk {} of {} free; {} files open",
        it.cpu_busy_percent,
        f64::from(it.load_1m_percent) / 100.0,
        size(it.memory_available_bytes),
        size(it.memory_total_bytes),
        size(it.disk_available_bytes),
        size(it.disk_total_bytes),
        it.open_files
    )
}

fn certificate(it: &ServedCertificate) -> String {
    let ServedCertificate {
        server_name,
        address,
        serial,
        problem,
        ..
    } = it;
    let shows = match (problem.as_str(), it.expected) {
        ("", true) => format!("serial {serial}"),
        ("", false) => format!("serial {serial}, which is not what is wanted there"),
        (problem, _) => format!("none seen: {problem}"),
    };
    format!("served     {server_name} at {address}: {shows}")
}

/// In the largest unit of which there is one.
fn size(bytes: u64) -> String {
    let mut value = bytes as f64;
    for unit in ["B", "KiB", "MiB", "GiB"] {
        if value < 1024.0 {
            return format!("{value:.1} {unit}");
        }
        value /= 1024.0;
    }
    format!("{value:.1} TiB")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_fails_is_shown_with_its_reason() {
        let result = |name: &str, ok, marked_down, message: &str| CheckResult {
            name: name.to_owned(),
            ok,
            marked_down,
            message: message.to_owned(),
            ..CheckResult::default()
        };
        let health = AgentHealth {
            checks: vec![
                result("http/a", true, false, ""),
                result("http/b", false, false, "status 503 instead of 2xx"),
                result("Upstream/u 10.0.0.1:80", false, true, "no answer"),
            ],
            system: Some(SystemHealth {
                cpu_busy_percent: 26,
                memory_total_bytes: 3 << 30,
                ..SystemHealth::default()
            }),
            certificates: vec![ServedCertificate {
                server_name: "a.example".to_owned(),
                address: "127.0.0.1:443".to_owned(),
                serial: "0a".to_owned(),
                ..ServedCertificate::default()
            }],
            ..AgentHealth::default()
        };
        let lines = lines(&health);
        assert_eq!(lines[0], "checks     1 of 3 are fine");
        assert!(lines[1].contains("http/b fails, since"), "{lines:?}");
        assert!(
            lines[1].ends_with(": status 503 instead of 2xx"),
            "{lines:?}"
        );
        assert!(lines[2].contains("marked down in nginx"), "{lines:?}");
        assert!(
            lines[3].contains("26 % busy") && lines[3].contains("3.0 GiB"),
            "{lines:?}"
        );
        assert!(
            lines[4].ends_with("serial 0a, which is not what is wanted there"),
            "{lines:?}"
        );
    }
}
