//! Who the agent is, kept on disk.

use std::{
    fmt, io,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use base64::{Engine as _, engine::general_purpose::STANDARD as BASE64};
use nxmesh_core::{contract::transport::Credentials, model::AgentId, seal::SessionKey};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use uuid::Uuid;

use crate::{apply::disk, cache::AtRestKey, transport::MasterUrl};

/// What the sealed session keys are for.
const PURPOSE: &str = "identity";
const NEXT_PURPOSE: &str = "identity/next";

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
    /// The same with the key that is to take the place of theirs, until the master
    /// was seen taking no other.
    pub(crate) next: Option<Credentials>,
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
        #[serde(default, skip_serializing_if = "Option::is_none")]
        next_key: Option<StoredKey>,
    },
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct StoredKey {
    key_id: String,
    /// Sealed by the key at rest, in base64.
    session_key: String,
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
    /// Held from reading the identity until it is written, so that of two who
    /// change it none takes back what the other did.
    changing: Arc<Mutex<()>>,
}

impl IdentityStore {
    pub(crate) fn new(state_dir: &Path, key: AtRestKey) -> Self {
        Self {
            identity: identity_file(state_dir),
            install_id: state_dir.join("install-id"),
            key,
            changing: Arc::default(),
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
            next_key,
        } = stored;
        let open = |purpose, key: &str| {
            let sealed = BASE64.decode(key).map_err(|error| damaged(&error))?;
            let opened = self
                .key
                .open(purpose, &sealed)
                .map_err(|error| damaged(&error))?;
            SessionKey::from_slice(&opened).ok_or_else(|| damaged(&"a key is not 32 bytes long"))
        };
        let next = match next_key {
            Some(next) => Some(Credentials {
                agent_id: agent_id.clone(),
                session_key: open(NEXT_PURPOSE, &next.session_key)?,
                key_id: next.key_id,
            }),
            None => None,
        };
        Ok(Some(Identity {
            credentials: Credentials {
                agent_id,
                key_id,
                session_key: open(PURPOSE, &session_key)?,
            },
            next,
            master_ca,
            master_urls: master_url.into_iter().chain(master_urls).collect(),
            workspace,
        }))
    }

    /// Keeps the identity; it is on disk when this returns.
    pub(crate) fn store(&self, identity: &Identity) -> Result<(), IdentityError> {
        let _changing = self.changing();
        self.write(identity)
    }

    fn write(&self, identity: &Identity) -> Result<(), IdentityError> {
        let failed = |source| IdentityError::Io {
            action: "write",
            path: self.identity.clone(),
            source,
        };
        let credentials = &identity.credentials;
        let seal = |purpose, key: &SessionKey| {
            let sealed = self.key.seal(purpose, key.expose());
            let sealed = sealed.map(|sealed| BASE64.encode(sealed));
            sealed.map_err(|error| failed(io::Error::other(error)))
        };
        let next_key = match &identity.next {
            Some(next) => Some(StoredKey {
                key_id: next.key_id.clone(),
                session_key: seal(NEXT_PURPOSE, &next.session_key)?,
            }),
            None => None,
        };
        let stored = Stored::V1 {
            agent_id: credentials.agent_id.clone(),
            key_id: credentials.key_id.clone(),
            session_key: seal(PURPOSE, &credentials.session_key)?,
            master_ca: identity.master_ca.clone(),
            master_url: None,
            master_urls: identity.master_urls.clone(),
            workspace: identity.workspace.clone(),
            next_key,
        };
        disk::replace_json(&self.identity, &stored).map_err(failed)
    }

    /// Keeps other authorities with the identity; they are on disk when this
    /// returns. Says whether they are others than before.
    pub(crate) fn pin(&self, master_ca: String) -> Result<bool, IdentityError> {
        let changed = self.change(|known| {
            let is_news = known.master_ca != master_ca;
            known.master_ca = master_ca;
            is_news
        })?;
        Ok(changed.unwrap_or(false))
    }

    /// Keeps a key that is to take the place of that in use, beside it; it is on
    /// disk when this returns. Says whether it is another than before.
    pub(crate) fn keep_next(&self, next: Credentials) -> Result<bool, IdentityError> {
        let changed = self.change(|known| {
            let before = known.next.as_ref();
            let is_news = before
                .is_none_or(|it| it.key_id != next.key_id || it.session_key != next.session_key);
            known.next = Some(next);
            is_news
        })?;
        changed.ok_or_else(|| IdentityError::Damaged {
            path: self.identity.clone(),
            reason: "it was removed".to_owned(),
        })
    }

    /// Forgets every key but the one called `key_id`, if that is there.
    pub(crate) fn settle(&self, key_id: &str) -> Result<bool, IdentityError> {
        let changed = self.change(|known| {
            let Some(next) = known.next.take() else {
                return false;
            };
            if next.key_id == key_id {
                known.credentials = next;
                return true;
            }
            if known.credentials.key_id == key_id {
                return true;
            }
            known.next = Some(next);
            false
        })?;
        Ok(changed.unwrap_or(false))
    }

    /// Writes the identity if `change` says that it changed it, and returns what it
    /// says; `None` if there is none.
    fn change(
        &self,
        change: impl FnOnce(&mut Identity) -> bool,
    ) -> Result<Option<bool>, IdentityError> {
        let _changing = self.changing();
        let Some(mut identity) = self.load()? else {
            return Ok(None);
        };
        let changed = change(&mut identity);
        if changed {
            self.write(&identity)?;
        }
        Ok(Some(changed))
    }

    fn changing(&self) -> MutexGuard<'_, ()> {
        self.changing.lock().unwrap_or_else(PoisonError::into_inner)
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
            next: None,
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

    fn next() -> Credentials {
        Credentials {
            key_id: "k2".to_owned(),
            session_key: SessionKey::new([8; 32]),
            ..identity().credentials
        }
    }

    fn ids(store: &IdentityStore) -> (String, Option<String>) {
        let known = store.load().unwrap().unwrap();
        (known.credentials.key_id, known.next.map(|it| it.key_id))
    }

    #[test]
    fn the_next_key_lies_sealed_beside_the_first_until_one_is_settled() {
        let folder = tempfile::tempdir().unwrap();
        let store = IdentityStore::new(folder.path(), AtRestKey::new([1; 32]));
        assert!(store.keep_next(next()).is_err());
        store.store(&identity()).unwrap();
        assert!(store.keep_next(next()).unwrap());
        assert!(!store.keep_next(next()).unwrap());
        let known = store.load().unwrap().unwrap();
        assert_eq!(known.credentials.session_key, SessionKey::new([7; 32]));
        assert_eq!(known.next.unwrap().session_key, SessionKey::new([8; 32]));
        let text = std::fs::read_to_string(folder.path().join("identity")).unwrap();
        assert!(!text.contains(&BASE64.encode([8; 32])), "{text}");

        assert!(!store.settle("stranger").unwrap());
        assert_eq!(ids(&store), ("k1".to_owned(), Some("k2".to_owned())));
        assert!(store.settle("k2").unwrap());
        assert_eq!(ids(&store), ("k2".to_owned(), None));
        let known = store.load().unwrap().unwrap();
        assert_eq!(known.credentials.session_key, SessionKey::new([8; 32]));
        store.store(&identity()).unwrap();
        assert!(store.keep_next(next()).unwrap());
        assert!(store.settle("k1").unwrap());
        assert_eq!(ids(&store), ("k1".to_owned(), None));
    }

    /// What reads before another has written would write back what was before.
    #[test]
    fn changes_at_the_same_time_are_all_kept() {
        let folder = tempfile::tempdir().unwrap();
        let store = IdentityStore::new(folder.path(), AtRestKey::new([1; 32]));
        store.store(&identity()).unwrap();
        for round in 0..20 {
            let ca = format!("PEM {round}");
            let key = Credentials {
                key_id: format!("k {round}"),
                ..next()
            };
            std::thread::scope(|scope| {
                scope.spawn(|| store.clone().pin(ca.clone()).unwrap());
                scope.spawn(|| store.clone().keep_next(key.clone()).unwrap());
            });
            let known = store.load().unwrap().unwrap();
            assert_eq!(known.master_ca, ca);
            assert_eq!(known.next.unwrap().key_id, key.key_id);
        }
    }

    #[test]
    fn the_install_id_is_made_once() {
        let folder = tempfile::tempdir().unwrap();
        let store = IdentityStore::new(folder.path(), AtRestKey::new([1; 32]));
        let first = store.install_id().unwrap();
        assert_eq!(store.install_id().unwrap(), first);
    }
}
