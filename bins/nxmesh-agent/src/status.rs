//! The agent's status, for people.

use std::fmt::Write as _;

use nxmesh_agent_lib::AgentStatus;

/// One fact per line; what is not known is left out. `now` is in Unix
/// milliseconds, as are the times in the status.
pub(crate) fn text(status: &AgentStatus, now: u64) -> String {
    let ago = |since: u64| format!("{} ago", span(now.saturating_sub(since)));
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
            None => match &connection.transport {
                Some(transport) => format!("{state} ({transport})"),
                None => state,
            },
        },
    );
    if let Some(error) = &connection.number_unkept {
        let told = format!("did not take the number of the last connection: {error}");
        line("disk", told);
    }
    if let Some(since) = status.island_since {
        line("island", format!("since {}", ago(since)));
    }
    let nginx = &status.nginx;
    line(
        "nginx",
        match (nginx.master_pid, &nginx.problem) {
            (_, Some(problem)) => format!("not up: {problem}"),
            (Some(pid), None) => match nginx.silent_since {
                Some(since) => format!("does not answer (pid {pid}) since {}", ago(since)),
                None => format!(
                    "running (pid {pid}, {} workers, {} draining)",
                    nginx.workers, nginx.draining
                ),
            },
            (None, None) => "not running".to_owned(),
        },
    );
    if nginx.restarts > 0 {
        let count = format!("{} since the agent started", nginx.restarts);
        line("restarts", count);
    }
    if let Some(breaker) = nginx.breaker {
        let next = span(breaker.next_try.saturating_sub(now));
        let since = ago(breaker.since);
        line(
            "breaker",
            format!("open since {since}: the next restart is in {next} at the earliest"),
        );
    }
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
        known(status.serving().map(|digest| digest.short())),
    );
    if status.drained {
        line("drained", "takes no new version".to_owned());
    }
    for disruption in &status.disruptions {
        line("dropped", disruption.clone());
    }
    if let Some(drift) = &status.drift {
        line(
            "drift",
            format!(
                "since {}, {}",
                ago(drift.since),
                match drift.loaded {
                    true => "nginx may serve what was changed",
                    false => "nginx has not read the files since",
                }
            ),
        );
        for file in &drift.files {
            let change = format!("{:?}", file.change).to_lowercase();
            line("", format!("{change}: {}", file.path));
        }
        if drift.more > 0 {
            line("", format!("and {} more", drift.more));
        }
        if let Some(problem) = &drift.problem {
            line("", format!("not repaired: {problem}"));
        }
    }
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

/// A time in milliseconds, for people: `5m`.
fn span(millis: u64) -> String {
    match millis / 1000 {
        seconds @ 0..120 => format!("{seconds}s"),
        seconds @ 120..7200 => format!("{}m", seconds / 60),
        seconds @ 7200..172_800 => format!("{}h", seconds / 3600),
        seconds => format!("{}d", seconds / 86_400),
    }
}

#[cfg(test)]
mod tests {
    use nxmesh_agent_lib::{BreakerStatus, ConnectionState, ConnectionStatus, NginxStatus};
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
            text(&status, 0),
            "agent      not enrolled yet (pid 7)\n\
             master     ready\n\
             nginx      running (pid 9, 2 workers, 0 draining)\n\
             accepted   none\n\
             applied    none\n\
             running    none\n"
        );
    }

    #[test]
    fn troubles_are_told_with_their_times() {
        let status = AgentStatus {
            island_since: Some(1_000),
            nginx: NginxStatus {
                running: true,
                master_pid: Some(9),
                workers: 2,
                silent_since: Some(1_000),
                restarts: 6,
                breaker: Some(BreakerStatus {
                    since: 1_000,
                    next_try: 301_000,
                }),
                ..NginxStatus::default()
            },
            ..AgentStatus::default()
        };
        let text = text(&status, 121_000);
        let lines = "island     since 2m ago\n\
                     nginx      does not answer (pid 9) since 2m ago\n\
                     restarts   6 since the agent started\n\
                     breaker    open since 2m ago: the next restart is in 3m at the earliest\n";
        assert!(text.contains(lines), "{text}");
    }

    #[test]
    fn an_nginx_that_is_down_runs_no_release() {
        let mut status = AgentStatus {
            running: Some(nxmesh_core::digest::Digest::of(b"release")),
            ready: true,
            ..AgentStatus::default()
        };
        status.nginx.running = true;
        assert!(!text(&status, 0).contains("running    none"));
        status.nginx.problem = Some("bind() failed".to_owned());
        assert!(text(&status, 0).contains("running    none"));
        status.nginx = NginxStatus::default();
        assert!(text(&status, 0).contains("running    none"));
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
        let text = text(&status, 0);
        let end = "failure    1.7 NX-APPLY-006: [emerg] bind() failed\n           applied    1.7\n";
        assert!(text.ends_with(end), "{text}");
    }
}
