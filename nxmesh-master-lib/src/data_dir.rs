//! The folder in which one master keeps its keys, certificates and database.

use std::{
    fs::{self, DirBuilder, File, OpenOptions, TryLockError},
    io::{self, Read as _, Write as _},
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
};

use zeroize::Zeroizing;

/// Larger than any file kept here; a bigger one is not ours.
const MAX_FILE_BYTES: u64 = 1 << 20;

/// An open data folder. Held by one process at a time: the lock is released
/// with the value, or by the kernel when the process dies.
#[derive(Debug)]
pub struct DataDir {
    path: PathBuf,
    _lock: File,
}

/// Why the data folder cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DataDirError {
    /// A file or folder operation failed.
    #[error("could not {action} {path}", path = path.display())]
    Io {
        /// What was attempted.
        action: &'static str,
        /// On which file or folder.
        path: PathBuf,
        /// What the operating system says.
        source: io::Error,
    },
    /// Another process has it open.
    #[error("another master uses {path}; stop it or choose another data folder", path = path.display())]
    InUse {
        /// The folder.
        path: PathBuf,
    },
}

impl DataDir {
    /// Opens a folder, creating it with mode 0700 if it is not there, and locks it.
    ///
    /// # Errors
    ///
    /// [`DataDirError::InUse`] while another master has it, else [`DataDirError::Io`].
    pub fn open(path: &Path) -> Result<Self, DataDirError> {
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(path)
            .map_err(io_error("create the folder", path))?;
        let lock_path = path.join("lock");
        let lock = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .mode(0o600)
            .open(&lock_path)
            .map_err(io_error("open the lock file", &lock_path))?;
        match lock.try_lock() {
            Ok(()) => Ok(Self {
                path: path.to_owned(),
                _lock: lock,
            }),
            Err(TryLockError::WouldBlock) => Err(DataDirError::InUse {
                path: path.to_owned(),
            }),
            Err(TryLockError::Error(source)) => Err(io_error("lock", &lock_path)(source)),
        }
    }

    /// Where the file called `name` lies.
    #[must_use]
    pub fn file(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// The URL of the database in this folder, which is made when it is first
    /// opened.
    #[cfg(feature = "sqlite")]
    #[must_use]
    pub fn sqlite_url(&self) -> String {
        use std::{fmt::Write as _, os::unix::ffi::OsStrExt as _};
        let path = self.file("nxmesh.db");
        let mut url = String::from("sqlite://");
        for &byte in path.as_os_str().as_bytes() {
            if byte.is_ascii_alphanumeric() || b"/._-".contains(&byte) {
                url.push(char::from(byte));
            } else if write!(url, "%{byte:02X}").is_err() {
                // Writing to a text does not fail.
                break;
            }
        }
        url.push_str("?mode=rwc");
        url
    }

    /// Reads a file; `None` if it is not there.
    pub(crate) fn read(&self, name: &str) -> Result<Option<Zeroizing<String>>, DataDirError> {
        let path = self.file(name);
        let file = match File::open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(io_error("open", &path)(error)),
        };
        let mut text = Zeroizing::new(String::new());
        file.take(MAX_FILE_BYTES)
            .read_to_string(&mut text)
            .map_err(io_error("read", &path))?;
        Ok(Some(text))
    }

    /// Writes a file that everyone who may enter the folder may read.
    pub(crate) fn write_public(&self, name: &str, text: &str) -> Result<(), DataDirError> {
        self.write(name, text, 0o644)
    }

    /// Writes a file with mode 0600.
    pub(crate) fn write_secret(&self, name: &str, text: &str) -> Result<(), DataDirError> {
        self.write(name, text, 0o600)
    }

    /// Puts a file in the place of another; one that is gone was put there before.
    pub(crate) fn rename(&self, from: &str, to: &str) -> Result<(), DataDirError> {
        let from = self.file(from);
        match fs::rename(&from, self.file(to)) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(io_error("put in place", &from)(error)),
        }
        self.sync()
    }

    /// Replaces a file whole: after a crash there is the old one or the new one.
    fn write(&self, name: &str, text: &str, mode: u32) -> Result<(), DataDirError> {
        let path = self.file(name);
        let draft = self.file(&format!(".{name}.new"));
        match fs::remove_file(&draft) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(io_error("remove", &draft)(error)),
        }
        let mut file = OpenOptions::new()
            .create_new(true)
            .write(true)
            .mode(mode)
            .open(&draft)
            .map_err(io_error("create", &draft))?;
        file.write_all(text.as_bytes())
            .and_then(|()| file.sync_all())
            .map_err(io_error("write", &draft))?;
        fs::rename(&draft, &path).map_err(io_error("put in place", &path))?;
        self.sync()
    }

    fn sync(&self) -> Result<(), DataDirError> {
        File::open(&self.path)
            .and_then(|folder| folder.sync_all())
            .map_err(io_error("sync the folder", &self.path))
    }
}

fn io_error(action: &'static str, path: &Path) -> impl Fn(io::Error) -> DataDirError {
    move |source| DataDirError::Io {
        action,
        path: path.to_owned(),
        source,
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn secrets_are_for_the_owner_alone() {
        let folder = tempfile::tempdir().unwrap();
        let data = DataDir::open(&folder.path().join("data")).unwrap();
        data.write_secret("jwt.pem", "one").unwrap();
        data.write_secret("jwt.pem", "two").unwrap();
        assert_eq!(&**data.read("jwt.pem").unwrap().unwrap(), "two");
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(&data.file("jwt.pem")), 0o600);
        assert_eq!(mode(&folder.path().join("data")), 0o700);
        assert!(data.read("other").unwrap().is_none());
    }

    #[test]
    fn a_second_master_is_kept_out_until_the_first_is_gone() {
        let folder = tempfile::tempdir().unwrap();
        let first = DataDir::open(folder.path()).unwrap();
        let error = DataDir::open(folder.path()).unwrap_err();
        assert!(matches!(error, DataDirError::InUse { .. }), "{error}");
        drop(first);
        DataDir::open(folder.path()).unwrap();
    }
}
