//! A session with one agent, whatever carries it.

use std::sync::Arc;

use bytes::Bytes;
use nxmesh_core::{
    digest::Digest,
    model::{AgentId, Labels, Version},
    wire::{
        Ack, CommandResult, ConfigStatus, ConfigUpdate, HealthReport, LogBatch, MetricsBatch,
        RegistrationRequest, master_message::Payload,
    },
};
use tokio::{sync::Notify, time::Instant};
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};

use super::{
    Content, Fleet, HelloError, agent::Decision, enrolment::random, facts::Backoff, keys::OfferStep,
};

/// An admitted session. Dropping it ends it.
#[derive(Debug)]
pub(crate) struct Session {
    pub(super) fleet: Fleet,
    pub(super) agent: AgentId,
    /// What it was opened with.
    pub(super) key_id: String,
    labels: Labels,
    number: u64,
    wake: Arc<Notify>,
    fence: CancellationToken,
}

/// What to do next in a session.
#[derive(Debug)]
pub(crate) enum Next {
    /// Send this; it counts as sent from now on.
    Send(Box<Offer>),
    /// Tell this, and ask again.
    Tell(Box<Payload>),
    /// Nothing; ask again then, or when woken.
    Nothing(Option<Instant>),
}

/// A configuration to be sent.
#[derive(Debug)]
pub(crate) struct Offer {
    /// All of the `ConfigUpdate` but its content.
    pub(crate) envelope: ConfigUpdate,
    /// What follows the encoded envelope, unless it is to be fetched.
    pub(crate) inline: Bytes,
}

impl Fleet {
    /// Begins the session of an agent whose hello is genuine, sealed with the key
    /// `key_id`; an older session of it ends.
    pub(crate) fn begin_session(
        &self,
        id: &AgentId,
        key_id: &str,
        hello: &RegistrationRequest,
    ) -> Result<Session, HelloError> {
        let at = self.clock().unix_millis();
        let mut registry = self.registry();
        let admitted = match registry.admit(id, key_id, hello, at) {
            Ok(admitted) => admitted,
            Err(error) => {
                let workspace = registry.get(id).map(|it| it.record.workspace.clone());
                drop(registry);
                if let HelloError::Clone { .. } = &error {
                    self.quarantined(workspace, id, at, &error);
                }
                return Err(error);
            }
        };
        let agent = registry
            .get(id)
            .ok_or_else(|| HelloError::Unknown(id.clone()))?;
        let labels = agent.record.labels.clone();
        info!(agent = %id, hostname = agent.record.hostname, applied = ?agent.record.facts.applied, "agent connected");
        drop(registry);
        // Whatever an older session sent lines for.
        self.logs_over(id);
        self.touched();
        Ok(Session {
            fleet: self.clone(),
            agent: id.clone(),
            key_id: key_id.to_owned(),
            labels,
            number: admitted.number,
            wake: admitted.wake,
            fence: admitted.fence,
        })
    }

    /// Takes in how an agent is that has no session now.
    pub(crate) fn report_health(&self, id: &AgentId, report: &HealthReport) {
        let at = self.clock().unix_millis();
        if let Some(agent) = self.registry().change(id) {
            agent.record.last_seen_at = at;
            agent.healthy(report);
            agent.wake();
        }
        self.touched();
    }

    /// The content called `digest`, if it is on offer to the agent.
    pub(crate) fn offered_content(&self, id: &AgentId, digest: &Digest) -> Option<Arc<Content>> {
        let registry = self.registry();
        let content = &registry.get(id)?.offer.as_ref()?.content;
        (content.digest() == *digest).then(|| Arc::clone(content))
    }

    /// Whether two machines have the identity of an agent.
    pub(crate) fn is_quarantined(&self, id: &AgentId) -> bool {
        let registry = self.registry();
        let agent = registry.get(id);
        agent.is_some_and(|agent| agent.record.facts.quarantine.is_some())
    }

    fn touched(&self) {
        self.0.unsaved.notify_one();
        self.changed();
    }
}

impl Session {
    pub(crate) const fn labels(&self) -> &Labels {
        &self.labels
    }

    /// Completes when there may be something new to do.
    pub(crate) async fn woken(&self) {
        self.wake.notified().await;
    }

    /// Completes when another session of the agent took over, or it was removed.
    pub(crate) async fn fenced(&self) {
        self.fence.cancelled().await;
    }

    /// Compares what the agent serves with what it is to serve. To be asked
    /// when there is room to send, so that what is sent is the newest.
    pub(crate) fn next(&self) -> Next {
        let message = self.fleet.registry().next_message(&self.agent, self.number);
        if let Some(message) = message {
            return Next::Tell(Box::new(message));
        }
        let options = self.fleet.options();
        let pauses = (options.retry_first, options.retry_most);
        let mut registry = self.fleet.registry();
        let agent = registry.get_mut(&self.agent);
        let offered = agent.map(|agent| agent.offer_key(self.number, Instant::now(), pauses));
        drop(registry);
        let again = match offered {
            Some(OfferStep::Send(offer)) => {
                return Next::Tell(Box::new(Payload::KeyOffer(offer)));
            }
            Some(OfferStep::Wait(until)) => Some(until),
            Some(OfferStep::Rest) | None => None,
        };
        match self.next_offer() {
            Next::Nothing(until) => Next::Nothing(until.into_iter().chain(again).min()),
            next => next,
        }
    }

    /// The same of its configuration alone.
    fn next_offer(&self) -> Next {
        let Some(workspace) = self.with_agent(|agent| agent.record.workspace.clone()) else {
            return Next::Nothing(None);
        };
        let mut desired = self.fleet.desired();
        let (head, target) = (desired.head(), desired.target(&workspace, &self.labels));
        drop(desired);
        let now = Instant::now();
        let decided = self.with_agent(|agent| {
            let decision = agent.decide(&target, head, now);
            let base = match decision {
                Decision::Offer(_) => agent.base(),
                _ => None,
            };
            if decision == Decision::Rest
                && !agent.serves(&target)
                && agent.version_of(&target, head).is_none()
            {
                warn!(agent = %self.agent, accepted = ?agent.accepted, %head, "the agent knows a newer version than the history holds; it is left alone until the epoch rises");
            }
            (decision, base)
        });
        let (version, base) = match decided {
            Some((Decision::Offer(version), base)) => (version, base),
            Some((Decision::Wait(until), _)) => return Next::Nothing(Some(until)),
            Some((Decision::Rest, _)) | None => return Next::Nothing(None),
        };
        let base = base.and_then(|digest| {
            let mut desired = self.fleet.desired();
            desired.workspace(&workspace).earlier(&self.labels, digest)
        });
        let content = target.slice.content(base.as_deref());
        self.offer(version, target.slice.digest(), content, now)
    }

    /// Encoding took place without a lock: the decision holds all the same, as
    /// only this session offers anything to this agent.
    fn offer(&self, version: Version, slice: Digest, content: Arc<Content>, now: Instant) -> Next {
        let envelope = content.envelope(version);
        let inline = if content.is_fetched() {
            Bytes::new()
        } else {
            content.bytes().clone()
        };
        let until = now + self.fleet.options().offer_timeout;
        let mut registry = self.fleet.registry();
        let Some(agent) = registry.change(&self.agent) else {
            return Next::Nothing(None);
        };
        if agent
            .session
            .as_ref()
            .is_none_or(|live| live.number != self.number)
        {
            return Next::Nothing(None);
        }
        agent.offered(version, slice, content, until);
        registry.offers_sent += 1;
        drop(registry);
        debug!(agent = %self.agent, %version, bytes = inline.len(), delta = !envelope.base_digest.is_empty(), "configuration offered");
        self.fleet.touched();
        Next::Send(Box::new(Offer { envelope, inline }))
    }

    /// Takes a status in.
    pub(crate) fn status(&self, status: &ConfigStatus) {
        let options = self.fleet.options();
        let backoff = Backoff {
            first: options.retry_first,
            most: options.retry_most,
        };
        // Half the ceiling will do where the system has no randomness.
        let fraction = random::<4>().map_or(0.5, |bytes| {
            f64::from(u32::from_be_bytes(bytes)) / f64::from(u32::MAX)
        });
        self.told(|agent| agent.reported(status, Instant::now(), backoff, fraction));
    }

    /// Takes in how the agent's nginx is.
    pub(crate) fn health(&self, report: &HealthReport) {
        self.told(|agent| agent.healthy(report));
    }

    /// Takes in what the agent counts.
    pub(crate) fn metrics(&self, batch: &MetricsBatch) {
        let is_ours = self.with_agent(|agent| {
            let live = agent.session.as_ref();
            live.is_some_and(|live| live.number == self.number)
        });
        if is_ours == Some(true) {
            self.fleet.report_metrics(&self.agent, batch);
        }
    }

    /// Takes the result of a command in, and says so: also of one that is not
    /// known here, or the agent would tell it for ever.
    pub(crate) fn command_result(&self, sequence: u64, result: &CommandResult) {
        self.heard();
        self.fleet.command_result(&self.agent, result);
        let ack = Payload::Ack(Ack {
            sequence,
            message: String::new(),
            command_id: result.id.clone(),
        });
        // Without room it is not acknowledged, and told again some day.
        self.fleet.registry().tell(&self.agent, ack);
    }

    /// Passes lines of its log on.
    pub(crate) fn logs(&self, batch: LogBatch) {
        self.heard();
        self.fleet.log_lines(&self.agent, batch);
    }

    /// Notes that the agent was heard.
    pub(crate) fn heard(&self) {
        self.told(|_| {});
    }

    /// What a fenced session still brings is not heard.
    pub(super) fn told(&self, take_in: impl FnOnce(&mut super::agent::Agent)) {
        let at = self.fleet.clock().unix_millis();
        let mut registry = self.fleet.registry();
        let Some(agent) = registry.change(&self.agent) else {
            return;
        };
        if agent
            .session
            .as_ref()
            .is_none_or(|live| live.number != self.number)
        {
            return;
        }
        agent.record.last_seen_at = at;
        take_in(agent);
        agent.wake();
        drop(registry);
        self.fleet.touched();
    }

    fn with_agent<T>(&self, look: impl FnOnce(&super::agent::Agent) -> T) -> Option<T> {
        self.fleet.registry().get(&self.agent).map(look)
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        let ended = self
            .fleet
            .registry()
            .dismiss(&self.agent, self.number, Instant::now());
        let Some(unsent) = ended else {
            return;
        };
        info!(agent = %self.agent, "agent disconnected");
        self.fleet.logs_over(&self.agent);
        for message in &unsent {
            self.fleet.command_unsent(&self.agent, message);
        }
        self.fleet.changed();
    }
}
