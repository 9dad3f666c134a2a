//! The key that seals secrets on the agent's disk.

use std::{
    fmt, fs,
    io::{self, Read as _, Write as _},
    os::unix::fs::{MetadataExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
};

use aws_lc_rs::{
    aead::{AES_256_GCM, Aad, NONCE_LEN, Nonce, RandomizedNonceKey},
    rand,
};
use zeroize::Zeroizing;

const KEY_BYTES: usize = 32;
const FORMAT: &[u8] = b"nxmesh-sealed-1\n";

/// AES-256-GCM with a random nonce for each seal. Wiped when dropped; shows
/// as `***`.
#[derive(Clone)]
pub struct AtRestKey(Zeroizing<[u8; KEY_BYTES]>);

impl AtRestKey {
    /// Takes 32 bytes from a source of secure randomness.
    #[must_use]
    pub fn new(bytes: [u8; KEY_BYTES]) -> Self {
        Self(Zeroizing::new(bytes))
    }

    /// Reads the key file at `path`, or makes it with mode 0600. The folder
    /// must exist. An existing file is never overwritten.
    ///
    /// # Errors
    ///
    /// [`KeyError`] if the file cannot be read or made, is open to others, or
    /// does not hold a key.
    pub fn load_or_create(path: &Path) -> Result<Self, KeyError> {
        match Self::load(path) {
            Err(KeyError::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => {
                Self::create(path)
            }
            other => other,
        }
    }

    fn load(path: &Path) -> Result<Self, KeyError> {
        let error = |action| KeyError::on(action, path);
        let mut file = fs::File::open(path).map_err(error("read"))?;
        let metadata = file.metadata().map_err(error("read"))?;
        if metadata.mode() & 0o077 != 0 {
            return Err(KeyError::OpenToOthers { path: path.into() });
        }
        let mut bytes = Zeroizing::new([0; KEY_BYTES]);
        let whole = metadata.len() == KEY_BYTES as u64 && file.read_exact(&mut bytes[..]).is_ok();
        if whole {
            Ok(Self(bytes))
        } else {
            Err(KeyError::Damaged { path: path.into() })
        }
    }

    /// Writes under a temporary name and links: a crash leaves a whole key or none.
    fn create(path: &Path) -> Result<Self, KeyError> {
        let error = |action| KeyError::on(action, path);
        let key = Self::random()?;
        let temporary = path.with_extension("new");
        match fs::remove_file(&temporary) {
            Err(source) if source.kind() != io::ErrorKind::NotFound => {
                return Err(error("make")(source));
            }
            _ => {}
        }
        let mut file = fs::OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&temporary)
            .map_err(error("make"))?;
        file.write_all(&key.0[..])
            .and_then(|()| file.sync_all())
            .and_then(|()| fs::hard_link(&temporary, path))
            .and_then(|()| fs::remove_file(&temporary))
            .map_err(error("make"))?;
        if let Some(folder) = path.parent() {
            fs::File::open(folder)
                .and_then(|folder| folder.sync_all())
                .map_err(error("make"))?;
        }
        Ok(key)
    }

    /// One that nobody has.
    pub(crate) fn random() -> Result<Self, KeyError> {
        let mut bytes = Zeroizing::new([0; KEY_BYTES]);
        rand::fill(&mut bytes[..]).map_err(|_| KeyError::NoRandomness)?;
        Ok(Self(bytes))
    }

    /// Encrypts `plain`; only [`open`](Self::open) with the same `purpose`
    /// gives it back.
    ///
    /// # Errors
    ///
    /// [`SealError`] if the system has no randomness to give.
    pub fn seal(&self, purpose: &str, plain: &[u8]) -> Result<Vec<u8>, SealError> {
        let key = RandomizedNonceKey::new(&AES_256_GCM, &self.0[..]).map_err(|_| SealError)?;
        let mut body = plain.to_vec();
        let nonce = key
            .seal_in_place_append_tag(Aad::from(purpose.as_bytes()), &mut body)
            .map_err(|_| SealError)?;
        Ok([FORMAT, nonce.as_ref(), &body].concat())
    }

    /// Decrypts what [`seal`](Self::seal) made.
    ///
    /// # Errors
    ///
    /// [`SealError`] if it was sealed with another key or for another purpose,
    /// or is damaged; which of these is not told apart.
    pub fn open(&self, purpose: &str, sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, SealError> {
        let key = RandomizedNonceKey::new(&AES_256_GCM, &self.0[..]).map_err(|_| SealError)?;
        let sealed = sealed.strip_prefix(FORMAT).ok_or(SealError)?;
        let (nonce, body) = sealed.split_at_checked(NONCE_LEN).ok_or(SealError)?;
        let nonce = Nonce::try_assume_unique_for_key(nonce).map_err(|_| SealError)?;
        let mut body = Zeroizing::new(body.to_vec());
        let length = key
            .open_in_place(nonce, Aad::from(purpose.as_bytes()), &mut body)
            .map_err(|_| SealError)?
            .len();
        body.truncate(length);
        Ok(body)
    }
}

impl fmt::Debug for AtRestKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// The text could not be sealed, or not be opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("sealed data is damaged or was sealed with another key")]
pub struct SealError;

/// Why there is no key.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum KeyError {
    /// The key file cannot be used.
    #[error("could not {action} the key file {path}")]
    Io {
        /// `read` or `make`.
        action: &'static str,
        /// The key file.
        path: PathBuf,
        /// The system's own error.
        source: io::Error,
    },
    /// Others may read the key file.
    #[error("the key file {path} is open to others; its mode has to be 0600")]
    OpenToOthers {
        /// The key file.
        path: PathBuf,
    },
    /// The key file has another length.
    #[error("the key file {path} is damaged; it has to hold {KEY_BYTES} bytes")]
    Damaged {
        /// The key file.
        path: PathBuf,
    },
    /// The system has no randomness to give.
    #[error("the system gave no randomness for a new key")]
    NoRandomness,
}

impl KeyError {
    fn on(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io {
            action,
            path,
            source,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;

    #[test]
    fn sealed_data_opens_with_the_same_key_and_purpose_only() {
        let folder = tempfile::tempdir().unwrap();
        let key = AtRestKey::load_or_create(&folder.path().join("key")).unwrap();
        let same = AtRestKey::load_or_create(&folder.path().join("key")).unwrap();
        let sealed = key.seal("slice", b"secret").unwrap();
        assert!(!sealed.windows(6).any(|bytes| bytes == b"secret"));
        assert_ne!(sealed, key.seal("slice", b"secret").unwrap());
        assert_eq!(&same.open("slice", &sealed).unwrap()[..], b"secret");
        assert_eq!(same.open("other", &sealed), Err(SealError));
        assert_eq!(
            AtRestKey::new([7; 32]).open("slice", &sealed),
            Err(SealError)
        );
        for index in 0..sealed.len() {
            let mut damaged = sealed.clone();
            damaged[index] ^= 1;
            assert_eq!(key.open("slice", &damaged), Err(SealError), "byte {index}");
            assert_eq!(key.open("slice", &sealed[..index]), Err(SealError));
        }
    }

    #[test]
    fn a_key_file_is_private_and_never_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key");
        AtRestKey::load_or_create(&path).unwrap();
        let mode = fs::metadata(&path).unwrap().mode() & 0o777;
        assert_eq!(mode, 0o600);
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        assert!(matches!(
            AtRestKey::load_or_create(&path),
            Err(KeyError::OpenToOthers { .. })
        ));
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        fs::write(&path, b"short").unwrap();
        assert!(matches!(
            AtRestKey::load_or_create(&path),
            Err(KeyError::Damaged { .. })
        ));
    }
}
