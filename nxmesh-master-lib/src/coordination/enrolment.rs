//! How a machine becomes an agent: a bootstrap token, used once.

use std::time::Duration;

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use nxmesh_core::{
    contract::storage::{
        AgentKey, AgentKeys, AgentRecord, BootstrapToken, StorageError, TokenOwner, TokenUse,
    },
    digest::Digest,
    model::{AgentFacts, AgentId, Labels, value::WorkspaceName},
    seal::SessionKey,
    wire::RegisterAgentRequest,
};
use secrecy::SecretString;
use tokio::time::Instant;
use tracing::{info, warn};
use uuid::Uuid;

use super::{Fleet, facts::shown};

/// What every bootstrap token begins with, so that scanners find leaked ones.
const TOKEN_PREFIX: &str = "nxb_";
const TOKEN_CHARS: usize = TOKEN_PREFIX.len() + 43;
/// Labels an agent may ask for.
const MOST_LABELS: usize = 64;

/// A new agent, or one whose reply was lost.
#[derive(Debug)]
pub(crate) struct Enrolled {
    pub(crate) id: AgentId,
    pub(crate) key: AgentKey,
    pub(crate) workspace: WorkspaceName,
}

/// Why a machine is not enrolled.
#[derive(Debug, thiserror::Error)]
pub(crate) enum EnrolError {
    /// The token does not admit it.
    #[error("{0}")]
    Refused(&'static str),
    /// The request makes no sense.
    #[error("{field}: {rule}")]
    Invalid { field: &'static str, rule: String },
    /// No key could be made.
    #[error("the system has no randomness to make a key of")]
    NoRandomness,
    /// The storage failed.
    #[error(transparent)]
    Storage(#[from] StorageError),
}

const UNKNOWN: EnrolError = EnrolError::Refused(
    "the bootstrap token is not known here; make one with `nxmeshctl agent enroll`",
);

/// `N` bytes of secure randomness; `None` if the system has none.
pub(super) fn random<const N: usize>() -> Option<[u8; N]> {
    let mut bytes = [0; N];
    aws_lc_rs::rand::fill(&mut bytes).ok()?;
    Some(bytes)
}

impl Fleet {
    /// Makes a token that admits one agent within `ttl`. The text is shown
    /// once; only its digest is stored.
    ///
    /// # Errors
    ///
    /// [`StorageError`]
    pub async fn create_bootstrap_token(
        &self,
        workspace: WorkspaceName,
        labels: Labels,
        ttl: Duration,
    ) -> Result<(SecretString, BootstrapToken), StorageError> {
        let secret = random::<32>().ok_or_else(|| StorageError::Unavailable {
            backend: "bootstrap token",
            action: "be made: the system has no randomness",
            source: "no randomness".into(),
        })?;
        let text = format!("{TOKEN_PREFIX}{}", URL_SAFE_NO_PAD.encode(secret));
        let now = self.clock().unix_millis();
        let ttl = u64::try_from(ttl.as_millis()).unwrap_or(u64::MAX);
        let token = BootstrapToken {
            digest: Digest::of(text.as_bytes()),
            workspace,
            labels,
            created_at: now,
            expires_at: now.saturating_add(ttl),
            used_by: None,
        };
        let mut unit = self.0.storage.begin().await?;
        unit.access().remove_expired_tokens(now).await?;
        unit.access().add_token(&token).await?;
        unit.commit().await?;
        Ok((SecretString::from(text), token))
    }

    /// Trades a bootstrap token for an identity. The same token and install id
    /// get the same identity again while the token is good, so that a lost
    /// reply does no harm.
    pub(crate) async fn enrol(
        &self,
        request: &RegisterAgentRequest,
    ) -> Result<Enrolled, EnrolError> {
        let token = &request.bootstrap_token;
        if token.len() != TOKEN_CHARS || !token.starts_with(TOKEN_PREFIX) {
            return Err(UNKNOWN);
        }
        let install_id = &request.install_id;
        if !(8..=128).contains(&install_id.len())
            || !install_id.bytes().all(|byte| byte.is_ascii_graphic())
        {
            return Err(EnrolError::Invalid {
                field: "install_id",
                rule: "is 8 to 128 printable ASCII characters, for example a UUID".to_owned(),
            });
        }
        let asked = asked_labels(request)?;
        let id = new_agent_id()?;
        let now = self.clock().unix_millis();
        let owner = TokenOwner {
            install_id: install_id.clone(),
            agent: id.clone(),
        };
        let digest = Digest::of(token.as_bytes());
        let hostname = shown(&request.hostname, 253);
        let mut unit = self.0.storage.begin().await?;
        let refusal = match unit.access().use_token(&digest, &owner, now).await? {
            TokenUse::Fresh(token) => {
                let mut labels = asked;
                labels.extend(token.labels);
                let record = AgentRecord {
                    id,
                    workspace: token.workspace,
                    install_id: install_id.clone(),
                    hostname,
                    labels,
                    keys: AgentKeys {
                        primary: new_key(now).ok_or(EnrolError::NoRandomness)?,
                        secondary: None,
                    },
                    enrolled_at: now,
                    last_seen_at: 0,
                    connection_sequence: 0,
                    boot_id: String::new(),
                    agent_version: shown(&request.agent_version, 64),
                    nginx_version: shown(&request.nginx_version, 64),
                    facts: AgentFacts::default(),
                };
                unit.agents().put(&record).await?;
                unit.commit().await?;
                info!(agent = %record.id, hostname = record.hostname, workspace = %record.workspace, "agent enrolled");
                return Ok(self.admit(record));
            }
            TokenUse::Again(token) => {
                let known = match token.used_by {
                    Some(owner) => unit.agents().get(&owner.agent).await?,
                    None => None,
                };
                if let Some(record) = known {
                    info!(agent = %record.id, hostname, "agent enrolled again with its own token");
                    return Ok(self.admit(record));
                }
                EnrolError::Refused(
                    "the agent this bootstrap token admitted was removed; make a new token",
                )
            }
            TokenUse::UsedByAnother => EnrolError::Refused(
                "the bootstrap token was used already; each admits one agent, make another",
            ),
            TokenUse::Expired => {
                EnrolError::Refused("the bootstrap token has expired; make a new one")
            }
            TokenUse::Unknown => UNKNOWN,
        };
        warn!(hostname, token = digest.short(), reason = %refusal, "enrolment refused");
        Err(refusal)
    }

    fn admit(&self, record: AgentRecord) -> Enrolled {
        let enrolled = Enrolled {
            id: record.id.clone(),
            key: record.keys.primary.clone(),
            workspace: record.workspace.clone(),
        };
        self.registry().add(record, Instant::now());
        self.changed();
        enrolled
    }
}

fn asked_labels(request: &RegisterAgentRequest) -> Result<Labels, EnrolError> {
    let invalid = |rule: String| EnrolError::Invalid {
        field: "labels",
        rule,
    };
    if request.labels.len() > MOST_LABELS {
        return Err(invalid(format!("are {MOST_LABELS} at most")));
    }
    let labels = request.labels.iter();
    labels
        .map(|(key, value)| {
            let key = key.parse().map_err(|error| invalid(format!("{error}")))?;
            let value = value.parse().map_err(|error| invalid(format!("{error}")))?;
            Ok((key, value))
        })
        .collect()
}

fn new_agent_id() -> Result<AgentId, EnrolError> {
    let id = Uuid::now_v7().hyphenated().to_string();
    id.parse().map_err(|_| EnrolError::NoRandomness)
}

/// A key for an agent; `None` if the system has no randomness.
pub(super) fn new_key(now: u64) -> Option<AgentKey> {
    Some(AgentKey {
        id: URL_SAFE_NO_PAD.encode(random::<8>()?),
        secret: SessionKey::new(random()?),
        since: now,
    })
}
