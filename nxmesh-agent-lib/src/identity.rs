//! Who the agent is, kept on disk.

use std::{
    fmt, io,
    path::{Path, PathBuf},
};

use base64::{Engine as _, engine::general_purpose::STANDARD as BASE64};
use nxmesh_core::{contract::transport::Credentials, model::AgentId, seal::SessionKey};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use uuid::Uuid;

use crate::{apply::disk, cache::AtRestKey, transport::MasterUrl};

/// What the sealed session key is for.
const PURPOSE: &str = "identity";

/// A token that is traded for an identity, once. Wiped when dropped, shown as `***`.
#[derive(Clone)]
pub struct BootstrapToken(zeroize::Zeroizing<String>);

impl BootstrapToken {
    /// Takes the token as the master gave it out.
    #[must_use]
    pub fn new(token: impl Into<String>) -> Self {
        Self(zeroize::Zeroizing::new(token.into()))
    }

    pub(crate) fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for BootstrapToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// What the enrolment brought: who the agent is, and whom it trusts.
#[derive(Debug, Clone)]
pub(crate) struct Identity {
    pub(crate) credentials: Credentials,
    /// PEM; the authorities the agent trusts from then on.
    pub(crate) master_ca: String,
    /// Where the master was; empty with a transport of the embedder's own.
    pub(crate) master_urls: Vec<MasterUrl>,
    pub(crate) workspace: String,
}

/// The identity as it lies on disk. Fields are only ever added.
#[derive(Serialize, Deserialize)]
#[serde(tag = "version", deny_unknown_fields)]
enum Stored {
    #[serde(rename = "1")]
    V1 {
        agent_id: AgentId,
        key_id: String,
        /// Sealed by the key at rest, in base64.
        session_key: String,
        master_ca: String,
        /// Written when there could be only one.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        master_url: Option<MasterUrl>,
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        master_urls: Vec<MasterUrl>,
        workspace: String,
    },
}

/// Why the identity cannot be read or kept.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum IdentityError {
    /// The file cannot be used.
    #[error("could not {action} {path}", path = path.display())]
    Io {
        /// `read` or `write`.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// The system's own error.
        source: io::Error,
    },
    /// The file does not hold an identity of this agent. It is left as it is;
    /// moved away, the agent can be enrolled anew with another token.
    #[error("{path} does not hold an identity this agent can use: {reason}", path = path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
}

/// Where the identity lies.
pub(crate) fn identity_file(state_dir: &Path) -> PathBuf {
    state_dir.join("identity")
}

/// The files of the identity in one state folder.
#[derive(Debug, Clone)]
pub(crate) struct IdentityStore {
    identity: PathBuf,
    install_id: PathBuf,
    key: AtRestKey,
}

impl IdentityStore {
    pub(crate) fn new(state_dir: &Path, key: AtRestKey) -> Self {
        Self {
            identity: identity_file(state_dir),
            install_id: state_dir.join("install-id"),
            key,
        }
    }

    /// The identity; `None` before the enrolment.
    pub(crate) fn load(&self) -> Result<Option<Identity>, IdentityError> {
        let path = &self.identity;
        let damaged = |reason: &dyn fmt::Display| IdentityError::Damaged {
            path: path.clone(),
            reason: reason.to_string(),
        };
        let Some(stored) = read(path)? else {
            return Ok(None);
        };
        let Stored::V1 {
            agent_id,
            key_id,
            session_key,
            master_ca,
            master_url,
            master_urls,
            workspace,
        } = stored;
        let sealed = BASE64
            .decode(session_key)
            .map_err(|error| damaged(&error))?;
        let opened = self
            .key
            .open(PURPOSE, &sealed)
            .map_err(|error| damaged(&error))?;
        let session_key = SessionKey::from_slice(&opened)
            .ok_or_else(|| damaged(&"its key is not 32 bytes long"))?;
        Ok(Some(Identity {
            credentials: Credentials {
                agent_id,
                key_id,
                session_key,
            },
            master_ca,
            master_urls: master_url.into_iter().chain(master_urls).collect(),
            workspace,
        }))
    }

    /// Keeps the identity; it is on disk when this returns.
    pub(crate) fn store(&self, identity: &Identity) -> Result<(), IdentityError> {
        let failed = |source| IdentityError::Io {
            action: "write",
            path: self.identity.clone(),
            source,
        };
        let credentials = &identity.credentials;
        let sealed = self
            .key
            .seal(PURPOSE, credentials.session_key.expose())
            .map_err(|error| failed(io::Error::other(error)))?;
        let stored = Stored::V1 {
            agent_id: credentials.agent_id.clone(),
            key_id: credentials.key_id.clone(),
            session_key: BASE64.encode(sealed),
            master_ca: identity.master_ca.clone(),
            master_url: None,
            master_urls: identity.master_urls.clone(),
            workspace: identity.workspace.clone(),
        };
        disk::replace_json(&self.identity, &stored).map_err(failed)
    }

    /// Keeps other authorities with the identity; they are on disk when this
    /// returns. Says whether they are others than before.
    pub(crate) fn pin(&self, master_ca: String) -> Result<bool, IdentityError> {
        match self.load()? {
            Some(known) if known.master_ca != master_ca => {
                self.store(&Identity { master_ca, ..known })?;
                Ok(true)
            }
            _ => Ok(false),
        }
    }

    /// The id of this installation: made once, and on disk before it is first
    /// used, so that an enrolment whose reply was lost can be repeated.
    pub(crate) fn install_id(&self) -> Result<String, IdentityError> {
        let path = &self.install_id;
        if let Some(id) = read::<Uuid>(path)? {
            return Ok(id.to_string());
        }
        let id = Uuid::new_v4();
        disk::replace_json(path, &id).map_err(|source| IdentityError::Io {
            action: "write",
            path: path.clone(),
            source,
        })?;
        Ok(id.to_string())
    }
}

fn read<T: DeserializeOwned>(path: &Path) -> Result<Option<T>, IdentityError> {
    disk::read_json(path).map_err(|source| match disk::is_damage(&source) {
        true => IdentityError::Damaged {
            path: path.to_owned(),
            reason: source.to_string(),
        },
        false => IdentityError::Io {
            action: "read",
            path: path.to_owned(),
            source,
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn identity() -> Identity {
        Identity {
            credentials: Credentials {
                agent_id: "0190f3a1-7c5e-7cc0-9f43-0d9a3f1b2c4d".parse().unwrap(),
                key_id: "k1".to_owned(),
                session_key: SessionKey::new([7; 32]),
            },
            master_ca: "PEM".to_owned(),
            master_urls: vec!["https://master".parse().unwrap()],
            workspace: "default".to_owned(),
        }
    }

    #[test]
    fn an_identity_comes_back_and_its_key_lies_sealed() {
        let folder = tempfile::tempdir().unwrap();
        let store = IdentityStore::new(folder.path(), AtRestKey::new([1; 32]));
        assert!(store.load().unwrap().is_none());
        store.store(&identity()).unwrap();
        let loaded = store.load().unwrap().unwrap();
        assert_eq!(loaded.credentials.session_key, SessionKey::new([7; 32]));
        assert_eq!(loaded.credentials.agent_id, identity().credentials.agent_id);
        assert_eq!(loaded.master_urls, identity().master_urls);
        let text = std::fs::read_to_string(folder.path().join("identity")).unwrap();
        assert!(!text.contains(&BASE64.encode([7; 32])), "{text}");

        let stranger = IdentityStore::new(folder.path(), AtRestKey::new([2; 32]));
        assert!(matches!(
            stranger.load(),
            Err(IdentityError::Damaged { .. })
        ));
    }

    #[test]
    fn an_identity_of_the_time_of_one_url_is_read() {
        let folder = tempfile::tempdir().unwrap();
        let store = IdentityStore::new(folder.path(), AtRestKey::new([1; 32]));
        store.store(&identity()).unwrap();
        let path = folder.path().join("identity");
        let mut stored: serde_json::Value = disk::read_json(&path).unwrap().unwrap();
        let urls = stored.as_object_mut().unwrap().remove("master_urls");
        stored["master_url"] = urls.unwrap()[0].clone();
        std::fs::write(&path, format!("{stored}\n")).unwrap();
        let loaded = store.load().unwrap().unwrap();
        assert_eq!(loaded.master_urls, identity().master_urls);
    }

    #[test]
    fn authorities_are_kept_when_they_are_others() {
        let folder = tempfile::tempdir().unwrap();
        let store = IdentityStore::new(folder.path(), AtRestKey::new([1; 32]));
        assert!(!store.pin("new".to_owned()).unwrap());
        store.store(&identity()).unwrap();
        assert!(!store.pin("PEM".to_owned()).unwrap());
        assert!(store.pin("new".to_owned()).unwrap());
        let loaded = store.load().unwrap().unwrap();
        assert_eq!(loaded.master_ca, "new");
        assert_eq!(loaded.credentials.session_key, SessionKey::new([7; 32]));
    }

    #[test]
    fn the_install_id_is_made_once() {
        let folder = tempfile::tempdir().unwrap();
        let store = IdentityStore::new(folder.path(), AtRestKey::new([1; 32]));
        let first = store.install_id().unwrap();
        assert_eq!(store.install_id().unwrap(), first);
    }
}
