//! The agents there are and the sessions they have.

use std::{
    collections::{BTreeSet, HashMap, VecDeque, hash_map::Entry},
    sync::Arc,
};

use nxmesh_core::{
    contract::storage::AgentRecord,
    model::{AgentId, AgentMetrics, Labels, Quarantine, Selector, value::WorkspaceName},
    seal::SessionKey,
    wire::{RegistrationRequest, master_message::Payload},
};
use tokio::{sync::Notify, time::Instant};
use tokio_util::sync::CancellationToken;

use super::{
    agent::{Agent, Live},
    facts::hostname,
    keys,
};

/// Starts of one agent that are remembered.
const EARLIER_BOOTS: usize = 8;

/// Messages beside offers that may wait to be sent to one agent.
const MESSAGES: usize = 16;

/// Every enrolled agent, in memory.
#[derive(Debug, Default)]
pub(super) struct Registry {
    agents: HashMap<AgentId, Agent>,
    /// Those whose record differs from the stored one.
    unsaved: BTreeSet<AgentId>,
    sessions: u64,
    pub(super) offers_sent: u64,
    /// What was added to agents' counters since the start.
    pub(super) added: AgentMetrics,
}

/// Why an agent's hello is not accepted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum HelloError {
    /// It was removed meanwhile, or never enrolled here.
    #[error(
        "agent {0} is not enrolled here; to enrol it anew, remove the file identity from its state folder and start it with a new token"
    )]
    Unknown(AgentId),
    /// Someone else speaks for it, or a clone of it does. It is in quarantine now.
    #[error(
        "connection sequence {sequence} of agent {agent} is in use by another start of it: two machines have the same identity, or its state was restored from a backup; neither is served until one of them is enrolled anew and an operator runs: nxmeshctl agent unquarantine {agent}"
    )]
    Clone {
        /// The identity both claim.
        agent: AgentId,
        /// The sequence both claim.
        sequence: u64,
    },
    /// It was found to be two machines before.
    #[error(
        "agent {agent} is in quarantine: {reason}; once only one of them has this identity, run: nxmeshctl agent unquarantine {agent}"
    )]
    Quarantined {
        /// The identity both claim.
        agent: AgentId,
        /// What gave them away.
        reason: String,
    },
    /// Its key was changed between the opening of the stream and this.
    #[error("agent {agent} does not sign with key {key} any more")]
    Retired {
        /// The agent.
        agent: AgentId,
        /// The key it came with.
        key: String,
    },
    /// A newer session took over.
    #[error(
        "connection sequence {sequence} of agent {agent} is older than {newest}, which was seen already"
    )]
    Fenced {
        /// The agent.
        agent: AgentId,
        /// The sequence it came with.
        sequence: u64,
        /// The highest seen.
        newest: u64,
    },
}

/// A new session's number, its wake-up and its end.
#[derive(Debug)]
pub(super) struct Admitted {
    pub(super) number: u64,
    pub(super) wake: Arc<Notify>,
    pub(super) fence: CancellationToken,
}

impl Registry {
    pub(super) fn load(records: Vec<AgentRecord>, now: Instant) -> Self {
        let agents = records
            .into_iter()
            .map(|record| (record.id.clone(), Agent::new(record, now)))
            .collect();
        Self {
            agents,
            ..Self::default()
        }
    }

    /// Adds an agent that was stored; an agent that is known stays as it is.
    pub(super) fn add(&mut self, record: AgentRecord, now: Instant) {
        if let Entry::Vacant(place) = self.agents.entry(record.id.clone()) {
            place.insert(Agent::new(record, now));
        }
    }

    /// Forgets an agent and ends its session. Returns its labels if no other
    /// agent of its workspace has the same.
    pub(super) fn remove(&mut self, id: &AgentId) -> Option<(WorkspaceName, Labels)> {
        self.unsaved.remove(id);
        let agent = self.agents.remove(id)?;
        if let Some(live) = agent.session {
            live.fence.cancel();
        }
        let AgentRecord {
            workspace, labels, ..
        } = agent.record;
        let shared = self
            .agents
            .values()
            .any(|other| other.record.workspace == workspace && other.record.labels == labels);
        (!shared).then_some((workspace, labels))
    }

    pub(super) fn get(&self, id: &AgentId) -> Option<&Agent> {
        self.agents.get(id)
    }

    /// An agent to be changed in what is not stored, or not at once.
    pub(super) fn get_mut(&mut self, id: &AgentId) -> Option<&mut Agent> {
        self.agents.get_mut(id)
    }

    /// An agent to be changed; its record will be stored.
    pub(super) fn change(&mut self, id: &AgentId) -> Option<&mut Agent> {
        let agent = self.agents.get_mut(id)?;
        self.unsaved.insert(id.clone());
        Some(agent)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Agent> {
        self.agents.values()
    }

    /// The agents of a workspace that one of `selectors` chooses.
    pub(super) fn chosen<'a>(
        &'a self,
        workspace: &'a WorkspaceName,
        selectors: &'a [Selector],
    ) -> impl Iterator<Item = &'a Agent> {
        self.agents.values().filter(move |agent| {
            agent.record.workspace == *workspace
                && selectors
                    .iter()
                    .any(|selector| selector.matches(&agent.record.labels))
        })
    }

    /// The key `key_id` of an agent.
    pub(super) fn key(&self, id: &AgentId, key_id: &str) -> Option<&SessionKey> {
        let key = self.agents.get(id)?.record.keys.get(key_id)?;
        Some(&key.secret)
    }

    /// Begins a session, ending the one before. A higher connection sequence
    /// wins; the same from another start of the agent is a clone.
    pub(super) fn admit(
        &mut self,
        id: &AgentId,
        key_id: &str,
        hello: &RegistrationRequest,
        at: u64,
    ) -> Result<Admitted, HelloError> {
        let agent = self
            .agents
            .get_mut(id)
            .ok_or_else(|| HelloError::Unknown(id.clone()))?;
        if agent.record.keys.get(key_id).is_none() {
            return Err(HelloError::Retired {
                agent: id.clone(),
                key: key_id.to_owned(),
            });
        }
        if let Some(quarantine) = &agent.record.facts.quarantine {
            return Err(HelloError::Quarantined {
                agent: id.clone(),
                reason: quarantine.reason.clone(),
            });
        }
        let (sequence, newest) = (hello.connection_sequence, agent.record.connection_sequence);
        if sequence < newest || sequence == 0 {
            return Err(HelloError::Fenced {
                agent: id.clone(),
                sequence,
                newest,
            });
        }
        let is_new = hello.boot_id != agent.record.boot_id;
        let returns = is_new && agent.earlier_boots.contains(&hello.boot_id);
        if returns || (is_new && sequence == newest) {
            let reason = if returns {
                "two starts of it connect in turn"
            } else {
                "two starts of it came with the same connection sequence"
            };
            let (there, here) = (&agent.record.hostname, hostname(hello));
            agent.record.facts.quarantine = Some(Quarantine {
                since: at,
                reason: format!(
                    "{reason}, on {there} and on {here}, so two machines have its identity"
                ),
            });
            if returns && !here.is_empty() {
                // It was here first.
                agent.record.hostname = here;
            }
            if let Some(live) = &agent.session {
                live.fence.cancel();
            }
            self.unsaved.insert(id.clone());
            return Err(HelloError::Clone {
                agent: id.clone(),
                sequence,
            });
        }
        if is_new && !agent.record.boot_id.is_empty() {
            if agent.earlier_boots.len() == EARLIER_BOOTS {
                agent.earlier_boots.pop_front();
            }
            agent.earlier_boots.push_back(agent.record.boot_id.clone());
        }
        self.sessions += 1;
        let admitted = Admitted {
            number: self.sessions,
            wake: Arc::new(Notify::new()),
            fence: CancellationToken::new(),
        };
        let mut live = Live {
            number: admitted.number,
            key_id: key_id.to_owned(),
            rotates: hello.capabilities.iter().any(|it| it == keys::CAPABILITY),
            wake: Arc::clone(&admitted.wake),
            fence: admitted.fence.clone(),
            messages: VecDeque::new(),
        };
        if let Some(older) = agent.session.take() {
            older.fence.cancel();
            // It was not told these yet.
            live.messages = older.messages;
        }
        agent.session = Some(live);
        agent.record.last_seen_at = at;
        agent.introduced(hello);
        self.unsaved.insert(id.clone());
        Ok(admitted)
    }

    /// Has an agent that is connected told something; `false` if it is away, or
    /// too much waits to be told already.
    pub(super) fn tell(&mut self, id: &AgentId, message: Payload) -> bool {
        let live = self.agents.get_mut(id).and_then(|it| it.session.as_mut());
        let Some(live) = live.filter(|live| live.messages.len() < MESSAGES) else {
            return false;
        };
        live.messages.push_back(message);
        live.wake.notify_one();
        true
    }

    /// The next message that session `number` is to send.
    pub(super) fn next_message(&mut self, id: &AgentId, number: u64) -> Option<Payload> {
        let live = self.agents.get_mut(id)?.session.as_mut()?;
        let ours = live.number == number;
        ours.then(|| live.messages.pop_front()).flatten()
    }

    /// Ends session `number`, unless another took over already: then there is
    /// `None`, else what it had yet to send.
    pub(super) fn dismiss(
        &mut self,
        id: &AgentId,
        number: u64,
        now: Instant,
    ) -> Option<VecDeque<Payload>> {
        let agent = self.agents.get_mut(id)?;
        let ended = agent.session.take_if(|live| live.number == number)?;
        agent.away_since = now;
        // What was on its way may have arrived: its next hello will tell.
        agent.in_doubt |= agent.offer.take().is_some();
        Some(ended.messages)
    }

    /// Lets an agent in again; `false` if it was not in quarantine.
    pub(super) fn unquarantine(&mut self, id: &AgentId) -> bool {
        let Some(agent) = self.agents.get_mut(id) else {
            return false;
        };
        agent.earlier_boots.clear();
        let was = agent.record.facts.quarantine.take().is_some();
        if was {
            self.unsaved.insert(id.clone());
        }
        was
    }

    /// The records that are to be stored, and no longer count as such.
    pub(super) fn take_unsaved(&mut self) -> Vec<AgentRecord> {
        std::mem::take(&mut self.unsaved)
            .iter()
            .filter_map(|id| Some(self.agents.get(id)?.record.clone()))
            .collect()
    }

    /// Storing failed: these are to be stored again.
    pub(super) fn still_unsaved(&mut self, ids: impl IntoIterator<Item = AgentId>) {
        let known = ids.into_iter().filter(|id| self.agents.contains_key(id));
        self.unsaved.extend(known.collect::<Vec<_>>());
    }
}
