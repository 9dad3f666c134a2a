//! The agent's status, for people.

use std::fmt::Write as _;

use nxmesh_agent_lib::AgentStatus;

/// One fact per line; what is not known is left out.
pub(crate) fn text(status: &AgentStatus) -> String {
    let mut text = String::new();
    let mut line = |name: &str, value: String| {
        // What nginx said may have lines of its own; they stay below their fact.
        let value = value.replace('\n', &format!("\n{:11}", ""));
        // Writing to a string does not fail.
        writeln!(text, "{name:<11}{value}").ok();
    };
    let known = |value: Option<String>| value.unwrap_or_else(|| "none".to_owned());
    let id = status.agent_id.as_ref().map(ToString::to_string);
    let id = id.unwrap_or_else(|| "not enrolled yet".to_owned());
    line("agent", format!("{id} (pid {})", status.pid));
    let connection = &status.connection;
    let state = format!("{:?}", connection.state).to_lowercase();
    line(
        "master",
        match &connection.last_error {
            Some(error) => format!("{state} after {} failures: {error}", connection.failures),
            None => state,
        },
    );
    let nginx = &status.nginx;
    line(
        "nginx",
        match (nginx.master_pid, &nginx.problem) {
            (_, Some(problem)) => format!("not up: {problem}"),
            (Some(pid), None) => format!(
                "running (pid {pid}, {} workers, {} draining)",
                nginx.workers, nginx.draining
            ),
            (None, None) => "not running".to_owned(),
        },
    );
    line(
        "accepted",
        known(status.accepted.map(|version| version.to_string())),
    );
    line(
        "applied",
        known(status.applied.map(|version| version.to_string())),
    );
    line(
        "running",
        known(status.running.map(|digest| digest.short())),
    );
    if let Some(failure) = &status.failure {
        line(
            "failure",
            format!("{} {}: {}", failure.version, failure.code, failure.message),
        );
        for held in &failure.held_back {
            let why = format!("{}: {}: {}", held.resource, held.code, held.message);
            line("held back", why);
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use nxmesh_agent_lib::{ConnectionState, ConnectionStatus, NginxStatus};
    use nxmesh_core::model::{ApplyFailure, ConfigPhase, Version};

    use super::*;

    #[test]
    fn a_working_agent_in_five_lines() {
        let status = AgentStatus {
            pid: 7,
            connection: ConnectionStatus {
                state: ConnectionState::Ready,
                ..ConnectionStatus::default()
            },
            nginx: NginxStatus {
                running: true,
                master_pid: Some(9),
                workers: 2,
                ..NginxStatus::default()
            },
            ..AgentStatus::default()
        };
        assert_eq!(
            text(&status),
            "agent      not enrolled yet (pid 7)\n\
             master     ready\n\
             nginx      running (pid 9, 2 workers, 0 draining)\n\
             accepted   none\n\
             applied    none\n\
             running    none\n"
        );
    }

    #[test]
    fn the_lines_of_nginx_stay_below_their_fact() {
        let status = AgentStatus {
            failure: Some(ApplyFailure {
                version: Version {
                    epoch: 1,
                    revision: 7,
                },
                phase: ConfigPhase::Rejected,
                code: "NX-APPLY-006".to_owned(),
                message: "[emerg] bind() failed\napplied    1.7".to_owned(),
                retryable: true,
                resource: None,
                held_back: Vec::new(),
            }),
            ..AgentStatus::default()
        };
        let text = text(&status);
        let end = "failure    1.7 NX-APPLY-006: [emerg] bind() failed\n           applied    1.7\n";
        assert!(text.ends_with(end), "{text}");
    }
}
