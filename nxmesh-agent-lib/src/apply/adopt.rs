//! The one line in the user's `nginx.conf`: put there and taken away.

mod line;

use std::{
    fs::{self, OpenOptions},
    io::{self, Write as _},
    os::unix::fs::{MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _, chown},
    path::{Path, PathBuf},
    time::Duration,
};

use nxmesh_core::{
    contract::reloader::{Candidate, ReloadError, Reloader},
    syntax::SyntaxError,
};

use super::{ApplyOptions, Mode, check, disk, nginx_conf, switch};

/// What became of the user's `nginx.conf`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Adoption {
    /// The file.
    pub nginx_conf: PathBuf,
    /// The line, without its indentation.
    pub line: String,
    /// Whether the file was changed; it may have been so before.
    pub changed: bool,
}

/// Why the user's `nginx.conf` stays as it is.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AdoptError {
    /// The whole `nginx.conf` is the agent's, so there is no line in it.
    #[error("in mode full nginx.conf is the agent's own; there is nothing to adopt or release")]
    NotIncludeMode,
    /// The file cannot be read.
    #[error("could not read {path}", path = path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The system's own error.
        source: io::Error,
    },
    /// It is not in nginx's language.
    #[error("{path} is no configuration of nginx", path = path.display())]
    Syntax {
        /// The file.
        path: PathBuf,
        /// What is wrong with it, and where.
        source: SyntaxError,
    },
    /// It has no `http` block of its own.
    #[error(
        "{path} has no http block; where it includes a file that has one, name that with --nginx-conf or add the line there: {line}",
        path = path.display()
    )]
    NoHttp {
        /// The file.
        path: PathBuf,
        /// What would have been added.
        line: String,
    },
    /// nginx does not take it with the change.
    #[error("{path} stays as it is: with the change, {source}", path = path.display())]
    Refused {
        /// The file.
        path: PathBuf,
        /// nginx's words, or why it could not be asked.
        source: ReloadError,
    },
    /// Somebody else changed it meanwhile.
    #[error("{path} was changed by somebody else meanwhile; try again", path = path.display())]
    ChangedMeanwhile {
        /// The file.
        path: PathBuf,
    },
    /// A file cannot be written.
    #[error("could not write {path}", path = path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// The system's own error.
        source: io::Error,
    },
}

/// Puts the include of the entry file into the `http` block of the user's
/// `nginx.conf`, if it is not there. The rest of the file stays byte for byte,
/// its owner and mode too; nginx tests the result before it takes the file's
/// place, which it does in one step. nginx is not reloaded.
///
/// # Errors
///
/// [`AdoptError`]; the file is as it was.
pub async fn adopt(
    options: &ApplyOptions,
    reloader: &dyn Reloader,
    deadline: Duration,
) -> Result<Adoption, AdoptError> {
    let entry = options.entry();
    let makes_entry = matches!(options.mode, Mode::Include { .. }) && !entry.exists();
    if makes_entry {
        let state_dir = options.layout.state_dir();
        if !state_dir.exists() {
            disk::make_folder(state_dir, 0o700).map_err(unwritten(state_dir))?;
        }
        disk::replace(&entry, switch::NOTHING.as_bytes(), switch::MODE)
            .map_err(unwritten(&entry))?;
    }
    let changed = change(options, reloader, deadline, line::add).await;
    if makes_entry && changed.is_err() {
        // Nothing includes it.
        disk::remove_file(&entry).ok();
    }
    changed
}

/// Takes the include out again: what [`adopt`] did is undone, and a line that
/// was written by hand goes as well. nginx is not reloaded.
///
/// # Errors
///
/// [`AdoptError`]; the file is as it was.
pub async fn release(
    options: &ApplyOptions,
    reloader: &dyn Reloader,
    deadline: Duration,
) -> Result<Adoption, AdoptError> {
    change(options, reloader, deadline, line::remove).await
}

type Edit = fn(&str, &Path, &Path) -> Result<line::Edited, SyntaxError>;

async fn change(
    options: &ApplyOptions,
    reloader: &dyn Reloader,
    deadline: Duration,
    edit: Edit,
) -> Result<Adoption, AdoptError> {
    let Mode::Include { nginx_conf } = &options.mode else {
        return Err(AdoptError::NotIncludeMode);
    };
    let read = |path: &Path| {
        fs::read_to_string(path).map_err(|source| AdoptError::Read {
            path: path.to_owned(),
            source,
        })
    };
    let text = read(nginx_conf)?;
    let entry = options.entry();
    let folder = nginx_conf.parent().unwrap_or(Path::new("/"));
    let mut adoption = Adoption {
        nginx_conf: nginx_conf.clone(),
        line: line::text(&entry),
        changed: false,
    };
    let edited = edit(&text, folder, &entry).map_err(|source| AdoptError::Syntax {
        path: nginx_conf.clone(),
        source,
    })?;
    let new = match edited {
        line::Edited::AsItWas => return Ok(adoption),
        line::Edited::NoHttp => {
            return Err(AdoptError::NoHttp {
                path: nginx_conf.clone(),
                line: adoption.line,
            });
        }
        line::Edited::Changed(new) => new,
    };
    let aside = options.layout.state_dir().join("adopt");
    let candidate = prepare(options, nginx_conf, &new, &aside).map_err(unwritten(&aside));
    let checked = match candidate {
        Ok(candidate) => Ok(reloader.check(&candidate, deadline).await),
        Err(error) => Err(error),
    };
    disk::remove_folder(&aside).ok();
    checked?.map_err(|source| AdoptError::Refused {
        path: nginx_conf.clone(),
        source,
    })?;
    // A link stays one.
    let place = fs::canonicalize(nginx_conf).map_err(unwritten(nginx_conf))?;
    let prepared = write_beside(&place, new.as_bytes()).map_err(unwritten(&place))?;
    let put = || {
        if read(nginx_conf)? != text {
            return Err(AdoptError::ChangedMeanwhile {
                path: nginx_conf.clone(),
            });
        }
        fs::rename(&prepared, &place).map_err(unwritten(&place))
    };
    if let Err(error) = put() {
        disk::remove_file(&prepared).ok();
        return Err(error);
    }
    let folder = place.parent().unwrap_or(Path::new("/"));
    disk::sync(&[folder.to_owned()]).map_err(unwritten(folder))?;
    adoption.changed = true;
    Ok(adoption)
}

/// The changed file for `nginx -t`, with all that it includes beside it.
fn prepare(
    options: &ApplyOptions,
    nginx_conf: &Path,
    text: &str,
    aside: &Path,
) -> io::Result<Candidate> {
    disk::remove_folder(aside)?;
    let home = nginx_conf.parent().unwrap_or(Path::new("/"));
    let folder = aside.join("conf");
    for folder in [aside, &folder, &aside.join("logs")] {
        disk::make_folder(folder, 0o700)?;
    }
    check::link_modules(options.nginx_prefix.as_deref(), aside)?;
    check::link_siblings(home, &folder, nginx_conf)?;
    let check_conf = folder.join(nginx_conf.file_name().unwrap_or_default());
    let shadow = nginx_conf::with_pid(text, &aside.join("nginx.pid"));
    disk::write(&check_conf, shadow.as_bytes(), 0o600)?;
    Ok(Candidate {
        check_conf,
        check_prefix: aside.to_owned(),
    })
}

/// A synced copy in the same folder, with the owner and mode of `place`.
fn write_beside(place: &Path, contents: &[u8]) -> io::Result<PathBuf> {
    let was = fs::metadata(place)?;
    let mut name = std::ffi::OsString::from(".");
    name.push(place.file_name().unwrap_or_default());
    name.push(".nxmesh");
    let beside = place.with_file_name(name);
    // Left by an earlier attempt that was cut short.
    disk::remove_file(&beside)?;
    let written = || {
        let mut file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&beside)?;
        file.write_all(contents)?;
        let is = file.metadata()?;
        if (is.uid(), is.gid()) != (was.uid(), was.gid()) {
            chown(&beside, Some(was.uid()), Some(was.gid()))?;
        }
        file.set_permissions(fs::Permissions::from_mode(was.permissions().mode()))?;
        file.sync_all()
    };
    match written() {
        Ok(()) => Ok(beside),
        Err(error) => {
            disk::remove_file(&beside).ok();
            Err(error)
        }
    }
}

fn unwritten(path: &Path) -> impl FnOnce(io::Error) -> AdoptError + use<> {
    let path = path.to_owned();
    move |source| AdoptError::Write { path, source }
}
