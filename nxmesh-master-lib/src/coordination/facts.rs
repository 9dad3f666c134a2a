//! What agents tell, turned into the four facts: sent, staged, applied, running.
//! Everything here comes from outside and is bounded before it is kept.

use std::{collections::BTreeSet, time::Duration};

use nxmesh_core::{
    digest::Digest,
    model::{
        ApplyFailure, ConfigPhase, Drift, DriftedFile, FileChange, HeldBack, NginxFacts,
        NginxHealth, Version,
    },
    wire::{self, ConfigStatus, HealthReport, RegistrationRequest},
};
use tokio::time::Instant;

use super::{agent::Agent, measured};

const MESSAGE_CHARS: usize = 8 << 10;
const NAME_CHARS: usize = 256;
/// The most resources kept that an agent holds back.
const HELD_BACK: usize = 32;
/// What the codes of updates begin with that could not be read at all.
const NOT_UNDERSTOOD: &str = "NX-WIRE-";

/// How retries are spaced.
#[derive(Debug, Clone, Copy)]
pub(super) struct Backoff {
    pub(super) first: Duration,
    pub(super) most: Duration,
}

impl Backoff {
    /// Full jitter: anything up to a ceiling that doubles with each failure.
    fn pause(self, failures: u32, fraction: f64) -> Duration {
        let doubled = 1_u32
            .checked_shl(failures.saturating_sub(1))
            .unwrap_or(u32::MAX);
        self.first
            .saturating_mul(doubled)
            .min(self.most)
            .mul_f64(fraction.clamp(0.0, 1.0))
    }
}

/// What an agent calls its machine.
pub(super) fn hostname(hello: &RegistrationRequest) -> String {
    shown(&hello.hostname, NAME_CHARS)
}

impl Agent {
    /// Takes in how it introduces itself. What it says of itself replaces what
    /// was known: its disk is the truth about it.
    pub(super) fn introduced(&mut self, hello: &RegistrationRequest) {
        let applied = version(hello.applied.as_ref());
        let record = &mut self.record;
        record.connection_sequence = hello.connection_sequence;
        record.boot_id = hello.boot_id.clone();
        if !hello.hostname.is_empty() {
            record.hostname = hostname(hello);
        }
        record.agent_version = shown(&hello.agent_version, NAME_CHARS);
        record.nginx_version = shown(&hello.nginx_version, NAME_CHARS);
        let facts = &mut record.facts;
        facts.nginx = nginx_of(hello);
        facts.drained = hello.drained;
        facts.applied = applied;
        facts.applied_digest = applied.and_then(|_| Digest::from_bytes(&hello.applied_digest));
        facts.running = hello.running_digest.parse().ok();
        if facts
            .failure
            .as_ref()
            .is_some_and(|it| Some(it.version) <= applied)
        {
            facts.failure = None;
            self.refusal = None;
        }
        self.accepted = version(hello.accepted.as_ref()).max(applied);
        self.accepted_digest = facts.applied_digest.filter(|_| self.accepted == applied);
        self.needs_whole = false;
        let failed = facts.failure.as_ref().map(|it| it.version);
        self.in_doubt = self.accepted > applied && self.accepted != failed;
        self.offer = None;
    }

    /// Takes a status in; `fraction` (0 to 1) spreads retries.
    pub(super) fn reported(
        &mut self,
        status: &ConfigStatus,
        now: Instant,
        backoff: Backoff,
        fraction: f64,
    ) {
        let Some(about) = version(status.version.as_ref()) else {
            return;
        };
        let digest = Digest::from_bytes(&status.digest);
        let phase = status.phase();
        // A refusal as stale or conflicting takes nothing on.
        if !matches!(
            phase,
            wire::ConfigPhase::Unspecified | wire::ConfigPhase::Rejected
        ) && self.accepted <= Some(about)
        {
            self.accepted = Some(about);
            self.accepted_digest = digest;
            self.needs_whole = false;
        }
        if phase == wire::ConfigPhase::Rejected && self.lacks_base(about, status) {
            self.offer = None;
            self.needs_whole = true;
            return;
        }
        let facts = &mut self.record.facts;
        facts.running = status.running_digest.parse().ok();
        let answers = self.offer.as_ref().filter(|offer| offer.version == about);
        let pause = |failures| backoff.pause(failures, fraction);
        match phase {
            wire::ConfigPhase::Unspecified | wire::ConfigPhase::Received => {}
            wire::ConfigPhase::Staged => facts.staged = facts.staged.max(Some(about)),
            // Told late: something newer is served since.
            wire::ConfigPhase::Applied if facts.applied > Some(about) => {}
            wire::ConfigPhase::Applied => {
                let as_offered = answers.is_none_or(|offer| Some(offer.digest) == digest);
                let answered = answers.is_some();
                facts.staged = facts.staged.max(Some(about));
                facts.applied = Some(about);
                facts.applied_digest = digest;
                if facts.failure.as_ref().is_some_and(|it| it.version <= about) {
                    facts.failure = None;
                }
                if answered {
                    self.offer = None;
                }
                self.in_doubt = self.accepted > Some(about);
                if as_offered {
                    self.refusal = self.refusal.take().filter(|it| it.version > about);
                } else {
                    // It serves something else under that name: no reason to
                    // offer the same again without a pause.
                    self.refused(about, digest, now, Some(pause));
                }
            }
            wire::ConfigPhase::Rejected
            | wire::ConfigPhase::RolledBack
            | wire::ConfigPhase::HeldBack => {
                let failure = failure(about, status);
                let retryable = failure.retryable;
                if facts.failure.as_ref().is_none_or(|it| it.version <= about) {
                    facts.failure = Some(failure);
                }
                if answers.is_some() {
                    self.offer = None;
                }
                self.in_doubt = self.accepted > Some(about);
                if self.refusal.as_ref().is_none_or(|it| it.version <= about) {
                    self.refused(about, digest, now, retryable.then_some(pause));
                }
            }
        }
    }

    /// Whether it could not make anything of a delta: then the same is sent
    /// whole at once, which is no failure of the configuration.
    fn lacks_base(&self, about: Version, status: &ConfigStatus) -> bool {
        let offer = self.offer.as_ref();
        let failure = status.failure.as_ref();
        offer.is_some_and(|offer| offer.version == about && offer.content.is_delta())
            && failure.is_some_and(|failure| failure.code.starts_with(NOT_UNDERSTOOD))
    }

    /// Takes in how its nginx is.
    pub(super) fn healthy(&mut self, report: &HealthReport) {
        self.measured = Some(Box::new(measured::measured(report)));
        let since = |unix_millis| Some(unix_millis).filter(|it| *it != 0);
        let facts = &mut self.record.facts;
        facts.running = report.running_digest.parse().ok();
        facts.health = Some(NginxHealth {
            running: report.nginx_running,
            problem: Some(shown(&report.nginx_problem, MESSAGE_CHARS)).filter(|it| !it.is_empty()),
            silent_since: since(report.nginx_silent_since),
            restarts: report.nginx_restarts,
            held_back_since: since(report.restarts_held_back_since),
        });
        facts.drained = report.drained;
        facts.drift = report.drift.as_ref().map(drift);
    }
}

/// A version off the wire; 0.0 stands for none.
fn version(wire: Option<&wire::Version>) -> Option<Version> {
    let wire::Version { epoch, revision } = *wire?;
    Some(Version { epoch, revision }).filter(|version| *version != Version::default())
}

fn drift(told: &wire::Drift) -> Drift {
    let file = |file: &wire::DriftedFile| {
        let change = match file.change() {
            wire::FileChange::Missing => FileChange::Missing,
            wire::FileChange::Foreign => FileChange::Foreign,
            _ => FileChange::Changed,
        };
        let path = shown(&file.path, NAME_CHARS);
        DriftedFile { path, change }
    };
    let unnamed = told.files.len().saturating_sub(Drift::FILES) as u64;
    Drift {
        since: told.since,
        files: told.files.iter().take(Drift::FILES).map(file).collect(),
        more: told.more.saturating_add(unnamed),
        loaded: told.loaded,
        diff: shown(&told.diff, Drift::DIFF_BYTES),
        problem: Some(shown(&told.problem, MESSAGE_CHARS)).filter(|it| !it.is_empty()),
    }
}

fn failure(version: Version, status: &ConfigStatus) -> ApplyFailure {
    let phase = match status.phase() {
        wire::ConfigPhase::RolledBack => ConfigPhase::RolledBack,
        wire::ConfigPhase::HeldBack => ConfigPhase::HeldBack,
        _ => ConfigPhase::Rejected,
    };
    let held_back = status
        .held_back
        .iter()
        .take(HELD_BACK)
        .map(|held| HeldBack {
            resource: shown(&held.resource, NAME_CHARS),
            code: shown(&held.code, NAME_CHARS),
            message: shown(&held.message, MESSAGE_CHARS),
        });
    let held_back = held_back.collect();
    let Some(failure) = &status.failure else {
        return ApplyFailure {
            version,
            phase,
            code: String::new(),
            message: "the agent gave no reason".to_owned(),
            retryable: false,
            resource: None,
            held_back,
        };
    };
    ApplyFailure {
        version,
        phase,
        code: shown(&failure.code, NAME_CHARS),
        message: shown(&failure.message, MESSAGE_CHARS),
        retryable: failure.retryable,
        resource: Some(shown(&failure.resource, NAME_CHARS)).filter(|it| !it.is_empty()),
        held_back,
    }
}

/// A text from outside, fit to be shown on a terminal and of bounded length.
/// An nginx has some fifty modules.
const MODULES: usize = 500;

/// What an agent tells of its nginx; `None` if it does not.
fn nginx_of(hello: &RegistrationRequest) -> Option<NginxFacts> {
    let whole_conf = match &*hello.nginx_mode {
        "full" => true,
        "include" => false,
        _ => return None,
    };
    let told = hello.nginx_modules.iter().take(MODULES);
    let modules: BTreeSet<String> = told.map(|name| shown(name, NAME_CHARS)).collect();
    Some(NginxFacts {
        modules: modules.into_iter().collect(),
        whole_conf,
    })
}

/// As [`shown`], in one line, with control characters where they were: whoever
/// shows it escapes them.
pub(super) fn shown_line(text: &str, most: usize) -> String {
    text.chars().filter(|c| *c != '\n').take(most).collect()
}

pub(super) fn shown(text: &str, most: usize) -> String {
    text.chars()
        .filter(|c| !c.is_control() || *c == '\n')
        .take(most)
        .collect()
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use nxmesh_core::testkit::sample;

    use super::*;

    const BACKOFF: Backoff = Backoff {
        first: Duration::from_secs(5),
        most: Duration::from_secs(300),
    };

    #[test]
    fn pauses_double_up_to_the_ceiling() {
        let ceilings: Vec<u64> = (1..=9).map(|n| BACKOFF.pause(n, 1.0).as_secs()).collect();
        assert_eq!(ceilings, [5, 10, 20, 40, 80, 160, 300, 300, 300]);
        assert_eq!(BACKOFF.pause(u32::MAX, 1.0).as_secs(), 300);
        assert_eq!(BACKOFF.pause(3, 0.5).as_secs(), 10);
        assert_eq!(BACKOFF.pause(1, 0.0), Duration::ZERO);
    }

    #[test]
    fn what_agents_tell_cannot_steer_a_terminal() {
        assert_eq!(shown("a\u{1b}[2Jb\nc\r\0", 100), "a[2Jb\nc");
        assert_eq!(shown("äöü", 2), "äö");
    }

    fn agent() -> Agent {
        let mut record = sample::agent(1);
        record.facts = nxmesh_core::model::AgentFacts::default();
        Agent::new(record, Instant::now())
    }

    fn told(agent: &mut Agent, revision: u64, phase: wire::ConfigPhase, content: &[u8]) {
        let status = ConfigStatus {
            version: Some(wire::Version { epoch: 1, revision }),
            digest: Bytes::copy_from_slice(Digest::of(content).as_bytes()),
            phase: phase.into(),
            ..ConfigStatus::default()
        };
        agent.reported(&status, Instant::now(), BACKOFF, 1.0);
    }

    const fn version(revision: u64) -> Version {
        Version { epoch: 1, revision }
    }

    #[test]
    fn the_facts_are_kept_apart() {
        let mut agent = agent();
        told(&mut agent, 3, wire::ConfigPhase::Received, b"three");
        assert_eq!(agent.accepted, Some(version(3)));
        assert_eq!(agent.record.facts.staged, None);
        told(&mut agent, 3, wire::ConfigPhase::Staged, b"three");
        assert_eq!(agent.record.facts.staged, Some(version(3)));
        assert_eq!(agent.record.facts.applied, None);
        told(&mut agent, 3, wire::ConfigPhase::RolledBack, b"three");
        assert_eq!(agent.record.facts.applied, None);
        let failure = agent.record.facts.failure.clone().unwrap();
        assert_eq!(
            (failure.version, failure.phase),
            (version(3), ConfigPhase::RolledBack)
        );
        told(&mut agent, 4, wire::ConfigPhase::Applied, b"four");
        assert_eq!(agent.record.facts.applied, Some(version(4)));
        assert_eq!(agent.record.facts.applied_digest, Some(Digest::of(b"four")));
        assert_eq!(agent.record.facts.failure, None);
    }

    #[test]
    fn late_answers_change_nothing() {
        let mut agent = agent();
        told(&mut agent, 5, wire::ConfigPhase::Applied, b"five");
        told(&mut agent, 4, wire::ConfigPhase::Applied, b"four");
        assert_eq!(agent.record.facts.applied, Some(version(5)));
        assert_eq!(agent.record.facts.applied_digest, Some(Digest::of(b"five")));
        told(&mut agent, 7, wire::ConfigPhase::Rejected, b"seven");
        told(&mut agent, 6, wire::ConfigPhase::Rejected, b"six");
        assert_eq!(agent.refusal.as_ref().unwrap().version, version(7));
        assert_eq!(agent.record.facts.failure.unwrap().version, version(7));
    }

    /// A status that says nothing is not taken for one that does.
    #[test]
    fn senseless_statuses_change_nothing() {
        let mut agent = agent();
        told(&mut agent, 5, wire::ConfigPhase::Unspecified, b"five");
        assert_eq!(agent.accepted, None);
        agent.reported(&ConfigStatus::default(), Instant::now(), BACKOFF, 1.0);
        assert_eq!(
            agent.record.facts,
            nxmesh_core::model::AgentFacts::default()
        );
    }

    #[test]
    fn how_nginx_is_replaces_how_it_was() {
        let mut agent = agent();
        let mut report = HealthReport {
            nginx_running: true,
            nginx_silent_since: 7,
            nginx_restarts: 6,
            restarts_held_back_since: 8,
            nginx_problem: "\u{1b}[2J".repeat(MESSAGE_CHARS),
            ..HealthReport::default()
        };
        agent.healthy(&report);
        let health = agent.record.facts.health.clone().unwrap();
        assert_eq!(
            (health.silent_since, health.held_back_since, health.restarts),
            (Some(7), Some(8), 6)
        );
        let problem = health.problem.unwrap();
        assert!(problem.starts_with("[2J[2J") && problem.len() == MESSAGE_CHARS);
        report = HealthReport::default();
        agent.healthy(&report);
        let health = agent.record.facts.health.unwrap();
        assert_eq!(health, NginxHealth::default());
    }

    #[test]
    fn what_is_told_of_files_is_bounded_and_goes_when_they_heal() {
        let mut agent = agent();
        let file = wire::DriftedFile {
            path: "\u{1b}".to_owned() + &"p".repeat(10_000),
            change: wire::FileChange::Foreign.into(),
        };
        let told = wire::Drift {
            since: 7,
            files: vec![file; 1000],
            more: u64::MAX - 10,
            loaded: true,
            diff: "+\u{1b}[2J\n".repeat(100_000),
            problem: String::new(),
        };
        let mut report = HealthReport {
            drift: Some(told),
            ..HealthReport::default()
        };
        agent.healthy(&report);
        let drift = agent.record.facts.drift.clone().unwrap();
        assert_eq!((drift.files.len(), drift.more), (Drift::FILES, u64::MAX));
        assert_eq!(drift.files[0].path, "p".repeat(NAME_CHARS));
        assert_eq!(drift.files[0].change, FileChange::Foreign);
        assert!(drift.diff.starts_with("+[2J\n") && drift.diff.len() <= Drift::DIFF_BYTES);
        assert_eq!((drift.loaded, drift.problem), (true, None));
        report.drift = None;
        agent.healthy(&report);
        assert_eq!(agent.record.facts.drift, None);
    }

    #[test]
    fn failures_in_a_row_are_counted() {
        let mut agent = agent();
        told(&mut agent, 6, wire::ConfigPhase::RolledBack, b"six");
        told(&mut agent, 6, wire::ConfigPhase::RolledBack, b"six");
        assert_eq!(agent.refusal.as_ref().unwrap().failures, 2);
    }
}
