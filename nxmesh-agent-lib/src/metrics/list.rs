//! Every metric there is, in one list.

use super::{
    Meters,
    sample::{Family, Kind, Samples},
};
use crate::{
    nginx::stub_status::StubStatus,
    status::{AgentStatus, ConnectionState},
};

/// What the values are read from.
pub(super) struct Sources<'a> {
    pub(super) status: &'a AgentStatus,
    pub(super) meters: &'a Meters,
    /// `None` while nginx does not answer, or cannot count.
    pub(super) connections: Option<StubStatus>,
    pub(super) counts_connections: bool,
    pub(super) counts_requests: bool,
    pub(super) unix_millis: u64,
}

struct Metric {
    name: &'static str,
    kind: Kind,
    help: &'static str,
    read: fn(&Sources<'_>, &mut Samples),
}

const fn counter(
    name: &'static str,
    help: &'static str,
    read: fn(&Sources<'_>, &mut Samples),
) -> Metric {
    let kind = Kind::Counter;
    Metric {
        name,
        kind,
        help,
        read,
    }
}

const fn history(
    name: &'static str,
    help: &'static str,
    read: fn(&Sources<'_>, &mut Samples),
) -> Metric {
    let kind = Kind::History;
    Metric {
        name,
        kind,
        help,
        read,
    }
}

const fn gauge(
    name: &'static str,
    help: &'static str,
    read: fn(&Sources<'_>, &mut Samples),
) -> Metric {
    let kind = Kind::Gauge;
    Metric {
        name,
        kind,
        help,
        read,
    }
}

const fn histogram(
    name: &'static str,
    help: &'static str,
    read: fn(&Sources<'_>, &mut Samples),
) -> Metric {
    let kind = Kind::Histogram;
    Metric {
        name,
        kind,
        help,
        read,
    }
}

const CONNECTION_STATES: [(ConnectionState, &str); 7] = [
    (ConnectionState::Init, "init"),
    (ConnectionState::Connect, "connect"),
    (ConnectionState::Stream, "stream"),
    (ConnectionState::Ready, "ready"),
    (ConnectionState::Retry, "retry"),
    (ConnectionState::Reconnect, "reconnect"),
    (ConnectionState::Error, "error"),
];

const LIST: &[Metric] = &[
    gauge(
        "nxmesh_agent_info",
        "The version of the agent; always 1.",
        |_, to| to.with([("version", env!("CARGO_PKG_VERSION").into())], true),
    ),
    gauge(
        "nxmesh_agent_start_time_seconds",
        "When the agent started, in Unix time.",
        |from, to| to.is(from.status.started as f64 / 1000.0),
    ),
    gauge(
        "nxmesh_agent_ready",
        "Whether nginx was seen serving a version since the agent started.",
        |from, to| to.is(from.status.ready),
    ),
    gauge(
        "nxmesh_agent_connection_state",
        "1 for the state the connection to the master is in, 0 for the others.",
        |from, to| {
            for (state, name) in CONNECTION_STATES {
                to.with(
                    [("state", name.into())],
                    from.status.connection.state == state,
                );
            }
        },
    ),
    gauge(
        "nxmesh_agent_connection_failures",
        "Attempts in a row to reach the master that failed.",
        |from, to| to.is(f64::from(from.status.connection.failures)),
    ),
    gauge(
        "nxmesh_agent_island_seconds",
        "For how long the agent goes on without its master; 0 with it.",
        |from, to| {
            let since = from.status.island_since;
            let millis = since.map_or(0, |since| from.unix_millis.saturating_sub(since));
            to.is(millis as f64 / 1000.0);
        },
    ),
    gauge(
        "nxmesh_agent_accepted_epoch",
        "The epoch of the newest version taken on.",
        |from, to| from.status.accepted.iter().for_each(|it| to.is(it.epoch)),
    ),
    gauge(
        "nxmesh_agent_accepted_revision",
        "The revision of the newest version taken on.",
        |from, to| {
            from.status
                .accepted
                .iter()
                .for_each(|it| to.is(it.revision))
        },
    ),
    gauge(
        "nxmesh_agent_applied_epoch",
        "The epoch of the newest version nginx was seen serving.",
        |from, to| from.status.applied.iter().for_each(|it| to.is(it.epoch)),
    ),
    gauge(
        "nxmesh_agent_applied_revision",
        "The revision of the newest version nginx was seen serving.",
        |from, to| from.status.applied.iter().for_each(|it| to.is(it.revision)),
    ),
    gauge(
        "nxmesh_agent_apply_failed",
        "Whether the newest version failed, and none was applied since.",
        |from, to| to.is(from.status.failure.is_some()),
    ),
    counter(
        "nxmesh_agent_applies_total",
        "Versions dealt with, by how it ended.",
        |from, to| from.meters.applies.outcomes(to),
    ),
    histogram(
        "nxmesh_agent_apply_duration_seconds",
        "How long versions took, by how it ended.",
        |from, to| from.meters.applies.durations(to),
    ),
    histogram(
        "nxmesh_agent_apply_step_duration_seconds",
        "How long the steps of versions took that were applied.",
        |from, to| from.meters.applies.steps(to),
    ),
    counter(
        "nxmesh_agent_nginx_checks_total",
        "Configurations that nginx was asked about before it was led to them.",
        |from, to| to.is(from.meters.reloads.checks()),
    ),
    counter(
        "nxmesh_agent_nginx_reloads_total",
        "Reloads of nginx, by whether a complete new generation was seen.",
        |from, to| from.meters.reloads.by_result(to),
    ),
    counter(
        "nxmesh_agent_nginx_starts_total",
        "How often the agent started nginx.",
        |from, to| to.is(from.meters.reloads.starts()),
    ),
    counter(
        "nxmesh_agent_nginx_restarts_total",
        "How often nginx was lost or hung and was brought back.",
        |from, to| to.is(from.status.nginx.restarts),
    ),
    gauge(
        "nxmesh_agent_nginx_restarts_held_back",
        "Whether restarts of nginx are held back, as there were too many.",
        |from, to| to.is(from.status.nginx.breaker.is_some()),
    ),
    gauge(
        "nxmesh_agent_check_ok",
        "Whether what the agent checks is as expected, by check.",
        |from, to| {
            for check in &from.status.health.checks {
                to.with([("check", check.name.clone().into())], check.ok);
            }
        },
    ),
    counter(
        "nxmesh_agent_request_log_lines_total",
        "Lines of the request log, by whether they could be read.",
        |from, to| {
            if from.counts_requests {
                from.meters.requests.lines(to);
            }
        },
    ),
    counter(
        "nxmesh_agent_statsd_packets_total",
        "Packets for the statsd server, by whether the system took them.",
        |from, to| from.meters.statsd.packets(to),
    ),
    gauge(
        "nxmesh_nginx_up",
        "Whether nginx was seen running when last looked at.",
        |from, to| to.is(from.status.nginx.running),
    ),
    gauge(
        "nxmesh_nginx_silent",
        "Whether nginx is there and does not answer.",
        |from, to| to.is(from.status.nginx.silent_since.is_some()),
    ),
    gauge(
        "nxmesh_nginx_workers",
        "Workers that accept connections.",
        |from, to| to.is(from.status.nginx.workers),
    ),
    gauge(
        "nxmesh_nginx_draining_workers",
        "Workers of older generations that finish their last requests.",
        |from, to| to.is(from.status.nginx.draining),
    ),
    gauge(
        "nxmesh_nginx_stub_status_up",
        "Whether nginx told its connections; not there if it was built without.",
        |from, to| {
            if from.counts_connections {
                to.is(from.connections.is_some());
            }
        },
    ),
    gauge(
        "nxmesh_nginx_connections",
        "Open connections of clients, by what they do.",
        |from, to| {
            if let Some(it) = &from.connections {
                to.with([("state", "reading".into())], it.reading);
                to.with([("state", "writing".into())], it.writing);
                to.with([("state", "waiting".into())], it.waiting);
            }
        },
    ),
    history(
        "nxmesh_nginx_connections_accepted_total",
        "Connections of clients that were accepted.",
        |from, to| from.connections.iter().for_each(|it| to.is(it.accepted)),
    ),
    history(
        "nxmesh_nginx_connections_handled_total",
        "Accepted connections for which there was room.",
        |from, to| from.connections.iter().for_each(|it| to.is(it.handled)),
    ),
    history(
        "nxmesh_nginx_requests_total",
        "Requests, those of the agent included.",
        |from, to| from.connections.iter().for_each(|it| to.is(it.requests)),
    ),
    counter(
        "nxmesh_nginx_responses_total",
        "Responses by server and class of status, from the request log.",
        |from, to| from.meters.requests.responses(to),
    ),
    counter(
        "nxmesh_nginx_response_bytes_total",
        "Bytes of responses with their headers by server, from the request log.",
        |from, to| from.meters.requests.bytes(to),
    ),
    histogram(
        "nxmesh_nginx_response_duration_seconds",
        "From the first byte of a request to the last of its response, from the request log.",
        |from, to| from.meters.requests.durations(to),
    ),
    histogram(
        "nxmesh_nginx_upstream_response_duration_seconds",
        "What upstream servers took for a request together, from the request log.",
        |from, to| {
            if from.counts_requests {
                from.meters.requests.upstreams(to);
            }
        },
    ),
];

/// The whole list with its values now. A metric without values is not there.
pub(super) fn families(from: &Sources<'_>) -> Vec<Family> {
    let families = LIST.iter().map(|metric| {
        let mut samples = Samples::default();
        (metric.read)(from, &mut samples);
        Family {
            name: metric.name,
            kind: metric.kind,
            help: metric.help,
            samples: samples.0,
        }
    });
    families
        .filter(|family| !family.samples.is_empty())
        .collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use nxmesh_core::model::FIGURES;

    use super::*;

    const fn is_counter(kind: Kind) -> bool {
        matches!(kind, Kind::Counter | Kind::History)
    }

    #[test]
    fn what_the_master_keeps_is_in_the_list() {
        for figure in FIGURES {
            let metric = LIST.iter().find(|metric| metric.name == figure.metric);
            let is_counter = metric.map(|metric| is_counter(metric.kind));
            assert_eq!(is_counter, Some(figure.is_counter), "{}", figure.metric);
        }
    }

    #[test]
    fn names_are_unique_and_end_in_their_unit() {
        let names: BTreeSet<_> = LIST.iter().map(|metric| metric.name).collect();
        assert_eq!(names.len(), LIST.len());
        for metric in LIST {
            let name = metric.name;
            let ours = ["nxmesh_agent_", "nxmesh_nginx_"];
            assert!(ours.iter().any(|prefix| name.starts_with(prefix)), "{name}");
            let total = name.ends_with("_total");
            assert_eq!(total, is_counter(metric.kind), "{name}");
            let seconds = name.ends_with("_seconds");
            assert!(seconds || metric.kind != Kind::Histogram, "{name}");
            assert!(metric.help.ends_with('.'), "{name}");
        }
    }
}
