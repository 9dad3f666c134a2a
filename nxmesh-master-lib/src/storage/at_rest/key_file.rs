//! The file that holds the key.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Read as _, Write as _},
    os::unix::fs::{MetadataExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use zeroize::Zeroizing;

use super::AtRestKey;

/// A key in base64 with a line end, and some room for blanks.
const LONGEST_FILE_BYTES: u64 = 256;

impl AtRestKey {
    /// Reads the key from the file at `path`, which holds it in base64; makes
    /// a new key and the file (mode 0600, on disk when this returns) if there
    /// is none. Of several processes that do so at once, all get the same key.
    ///
    /// # Errors
    ///
    /// [`KeyFileError`]; an existing file is never changed.
    pub fn load_or_create(path: &Path) -> Result<Self, KeyFileError> {
        match Self::load(path) {
            Err(KeyFileError::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => {
                create(path)?;
                Self::load(path)
            }
            other => other,
        }
    }

    /// Reads the key from the file at `path`, which holds it in base64.
    ///
    /// # Errors
    ///
    /// [`KeyFileError`]
    pub fn load(path: &Path) -> Result<Self, KeyFileError> {
        let failed = |action| failed(action, path);
        let file = File::open(path).map_err(failed("open"))?;
        let mode = file.metadata().map_err(failed("inspect"))?.mode() & 0o777;
        if mode & 0o007 != 0 {
            return Err(KeyFileError::Exposed {
                path: path.to_owned(),
                mode,
            });
        }
        let mut text = Zeroizing::new(String::new());
        file.take(LONGEST_FILE_BYTES)
            .read_to_string(&mut text)
            .map_err(failed("read"))?;
        let malformed = || KeyFileError::Malformed {
            path: path.to_owned(),
        };
        let bytes = STANDARD
            .decode(text.trim())
            .map(Zeroizing::new)
            .map_err(|_| malformed())?;
        let bytes = bytes[..].try_into().map_err(|_| malformed())?;
        Ok(Self::new(bytes))
    }
}

/// Writes a new key beside `path` and puts it there whole, unless another
/// process was faster.
fn create(path: &Path) -> Result<(), KeyFileError> {
    let failed = |action| failed(action, path);
    let mut bytes = Zeroizing::new([0; AtRestKey::BYTES]);
    aws_lc_rs::rand::fill(&mut bytes[..])
        .map_err(|_| failed("find randomness for")(io::Error::other("the system gives none")))?;
    let text = Zeroizing::new(format!("{}\n", STANDARD.encode(&bytes[..])));

    let draft = path.with_added_extension(format!("{}.new", uuid::Uuid::new_v4()));
    let written = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&draft)
        .and_then(|mut file| {
            file.write_all(text.as_bytes())?;
            file.sync_all()
        })
        .and_then(|()| match fs::hard_link(&draft, path) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
            other => other,
        });
    let removed = match fs::remove_file(&draft) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    };
    written.map_err(failed("write"))?;
    removed.map_err(failed("clean up after writing"))?;
    let folder = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    File::open(folder)
        .and_then(|folder| folder.sync_all())
        .map_err(failed("persist"))
}

fn failed(action: &'static str, path: &Path) -> impl Fn(io::Error) -> KeyFileError {
    move |source| KeyFileError::Io {
        action,
        path: path.to_owned(),
        source,
    }
}

/// Why a key file could not be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum KeyFileError {
    /// The file system refused.
    #[error("could not {action} the key file {path}")]
    Io {
        /// What was attempted.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// Every user of the machine may read it.
    #[error("the key file {path} is open to every user (mode {mode:o}); make it chmod 600")]
    Exposed {
        /// The file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// It holds something else.
    #[error(
        "the key file {path} does not hold 32 bytes in base64, for example from: openssl rand -base64 32"
    )]
    Malformed {
        /// The file.
        path: PathBuf,
    },
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn the_key_is_made_once_and_for_the_owner_only() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("at-rest.key");
        let sealed = AtRestKey::load_or_create(&path)
            .unwrap()
            .seal("place", b"secret")
            .unwrap();
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
        let again = AtRestKey::load_or_create(&path).unwrap();
        assert_eq!(&**again.open("place", &sealed).unwrap(), b"secret");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn those_who_come_at_once_get_the_same_key() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("at-rest.key");
        let keys: Vec<AtRestKey> = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..8)
                .map(|_| scope.spawn(|| AtRestKey::load_or_create(&path).unwrap()))
                .collect();
            threads.into_iter().map(|it| it.join().unwrap()).collect()
        });
        let sealed = keys[0].seal("place", b"secret").unwrap();
        for key in keys {
            assert!(key.open("place", &sealed).is_ok());
        }
    }

    #[test]
    fn an_unfit_file_is_refused_and_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("at-rest.key");
        for content in ["", "c2hvcnQ=", "not base64", &"A".repeat(10_000)] {
            fs::write(&path, content).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
            let error = AtRestKey::load_or_create(&path).unwrap_err();
            assert!(matches!(error, KeyFileError::Malformed { .. }), "{error}");
            assert_eq!(fs::read_to_string(&path).unwrap(), content);
        }
    }

    #[test]
    fn a_file_open_to_all_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("at-rest.key");
        AtRestKey::load_or_create(&path).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        let error = AtRestKey::load(&path).unwrap_err();
        assert!(error.to_string().contains("mode 644"), "{error}");
    }

    #[test]
    fn a_missing_folder_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("absent/at-rest.key");
        let error = AtRestKey::load_or_create(&path).unwrap_err();
        assert!(error.to_string().contains("absent/at-rest.key"), "{error}");
    }
}
