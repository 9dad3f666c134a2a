//! The files of one release in its folder.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs::{self, File},
    io::{self, Read as _},
    os::unix::fs::{MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
};

use nix::fcntl::OFlag;

use super::disk;

/// Private to the agent, and to an nginx that is root or the same user.
pub(super) const MODE: u32 = 0o600;

/// Makes `folder` hold exactly `files`, by their paths. What lies there already
/// as it should be is left alone; what lies so in `previous` is linked; the rest
/// is written, where possible over what lies there: to make a file or a folder
/// costs far more than to write it.
///
/// Returns the files written, and the folders in which a name came or went,
/// relative to `folder`. All of them are to be synced.
pub(super) fn lay_out(
    folder: &Path,
    files: &BTreeMap<&str, &[u8]>,
    previous: Option<&Path>,
) -> io::Result<BTreeSet<PathBuf>> {
    let mut unsynced = BTreeSet::new();
    let mut surplus = BTreeSet::new();
    if folder.exists() {
        collect(folder, Path::new(""), &mut surplus)?;
    } else {
        make(folder, Path::new(""), &mut unsynced)?;
    }
    for (&path, &contents) in files {
        let (target, path) = (below(folder, path)?, Path::new(path));
        let there = surplus.remove(path);
        if there && holds(&target, contents) {
            continue;
        }
        let source = match previous {
            Some(previous) => Some(previous.join(path)).filter(|it| holds(it, contents)),
            None => None,
        };
        let ours = there && source.is_none() && is_ours_alone(&target);
        if !ours {
            let parent = path.parent().unwrap_or(Path::new(""));
            make(folder, parent, &mut unsynced)?;
            disk::remove_file(&target)?;
            unsynced.insert(parent.to_owned());
        }
        // A file has a limited number of names; then it is written anew.
        let linked = source.is_some_and(|source| fs::hard_link(source, &target).is_ok());
        if !linked {
            disk::write(&target, contents, MODE)?;
            unsynced.insert(path.to_owned());
        }
    }
    for path in surplus {
        disk::remove_file(&folder.join(&path))?;
        unsynced.insert(path.parent().unwrap_or(Path::new("")).to_owned());
    }
    Ok(unsynced)
}

/// Makes the folder `path` below `folder`, if it is not there.
fn make(folder: &Path, path: &Path, unsynced: &mut BTreeSet<PathBuf>) -> io::Result<()> {
    let made = folder.join(path);
    if unsynced.contains(path) || fs::symlink_metadata(&made).is_ok_and(|it| it.is_dir()) {
        return Ok(());
    }
    disk::make_folder(&made, 0o700)?;
    unsynced.extend(path.ancestors().map(Path::to_owned));
    Ok(())
}

/// Everything below `folder` that is no folder.
fn collect(folder: &Path, within: &Path, found: &mut BTreeSet<PathBuf>) -> io::Result<()> {
    for entry in fs::read_dir(folder.join(within))? {
        let entry = entry?;
        let path = within.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            collect(folder, &path, found)?;
        } else {
            found.insert(path);
        }
    }
    Ok(())
}

/// Whether a plain file with these contents, private to its owner, lies at `path`.
fn holds(path: &Path, contents: &[u8]) -> bool {
    let same = || {
        let no_link = OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK;
        let mut file = File::options()
            .read(true)
            .custom_flags(no_link.bits())
            .open(path)?;
        let metadata = file.metadata()?;
        let alike = metadata.is_file()
            && metadata.permissions().mode() & 0o7777 == MODE
            && metadata.len() == contents.len() as u64;
        let mut found = vec![0; contents.len()];
        if alike {
            file.read_exact(&mut found)?;
        }
        io::Result::Ok(alike && found == contents)
    };
    same().unwrap_or(false)
}

/// Whether no other release shares the file at `path`.
fn is_ours_alone(path: &Path) -> bool {
    fs::symlink_metadata(path).is_ok_and(|it| it.is_file() && it.nlink() == 1)
}

/// Trees promise plain relative paths; a renderer that breaks the promise
/// must not write elsewhere.
fn below(folder: &Path, path: &str) -> io::Result<PathBuf> {
    let plain = path.split('/').all(|part| {
        !matches!(part, "" | "." | "..")
            && part
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte))
    });
    if plain {
        Ok(folder.join(path))
    } else {
        Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            format!("{path:?} is not a path within a release"),
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    type Files = BTreeMap<&'static str, &'static [u8]>;

    fn files(files: &[(&'static str, &'static str)]) -> Files {
        let files = files.iter().map(|(path, text)| (*path, text.as_bytes()));
        files.collect()
    }

    fn inode(folder: &Path, path: &str) -> u64 {
        fs::metadata(folder.join(path)).unwrap().ino()
    }

    #[track_caller]
    fn laid_out(folder: &Path, files: &Files, previous: Option<&Path>) -> Vec<String> {
        let unsynced = lay_out(folder, files, previous).unwrap();
        let mut found = BTreeSet::new();
        collect(folder, Path::new(""), &mut found).unwrap();
        assert_eq!(found, files.keys().map(PathBuf::from).collect());
        for (path, contents) in files {
            assert!(holds(&folder.join(path), contents), "{path}");
        }
        let names = unsynced.iter();
        names.map(|path| path.display().to_string()).collect()
    }

    #[test]
    fn a_new_folder_shares_what_is_unchanged() {
        let root = tempfile::tempdir().unwrap();
        let (first, second) = (root.path().join("1"), root.path().join("2"));
        let before = files(&[("http.conf", "1"), ("hosts/a", "a"), ("hosts/b", "b")]);
        assert_eq!(
            laid_out(&first, &before, None),
            ["", "hosts", "hosts/a", "hosts/b", "http.conf"]
        );
        let after = files(&[("http.conf", "2"), ("hosts/a", "a"), ("hosts/b", "B")]);
        assert_eq!(
            laid_out(&second, &after, Some(&first)),
            ["", "hosts", "hosts/b", "http.conf"]
        );
        assert_eq!(inode(&first, "hosts/a"), inode(&second, "hosts/a"));
        assert_eq!(laid_out(&first, &before, None), [""; 0], "it is as it was");
    }

    #[test]
    fn a_used_folder_is_written_over_where_no_other_shares_it() {
        let root = tempfile::tempdir().unwrap();
        let names = ["1", "2"].map(|name| root.path().join(name));
        let [used, previous] = &names;
        let first = files(&[
            ("http.conf", "1"),
            ("hosts/own", "one and more"),
            ("hosts/shared", "shared"),
            ("hosts/gone", "gone"),
        ]);
        laid_out(used, &first, None);
        let second = files(&[
            ("http.conf", "2"),
            ("hosts/own", "two"),
            ("hosts/shared", "shared"),
            ("hosts/new", "new"),
        ]);
        laid_out(previous, &second, Some(used));
        let own = inode(used, "hosts/own");
        let third = files(&[
            ("http.conf", "3"),
            ("hosts/own", "three"),
            ("hosts/shared", "no more"),
            ("hosts/new", "new"),
        ]);
        assert_eq!(
            laid_out(used, &third, Some(previous)),
            ["hosts", "hosts/own", "hosts/shared", "http.conf"]
        );
        assert_eq!(inode(used, "hosts/own"), own);
        assert_eq!(inode(used, "hosts/new"), inode(previous, "hosts/new"));
        for (path, contents) in second {
            assert!(holds(&previous.join(path), contents), "{path} was changed");
        }
    }

    #[test]
    fn nothing_but_plain_files_is_left_in_a_used_folder() {
        let root = tempfile::tempdir().unwrap();
        let (folder, outside) = (root.path().join("1"), root.path().join("outside"));
        let wanted = files(&[("a", "a"), ("b", "b")]);
        laid_out(&folder, &wanted, None);
        fs::write(&outside, "a").unwrap();
        fs::remove_file(folder.join("a")).unwrap();
        std::os::unix::fs::symlink(&outside, folder.join("a")).unwrap();
        fs::set_permissions(folder.join("b"), fs::Permissions::from_mode(0o644)).unwrap();
        laid_out(&folder, &wanted, None);
        assert_eq!(fs::read(&outside).unwrap(), b"a");
        assert!(!folder.join("a").is_symlink());
    }

    #[test]
    fn paths_stay_within_the_folder() {
        let root = tempfile::tempdir().unwrap();
        for path in ["../a", "/a", "a/../../b", "", "a//b", "a b"] {
            let files = BTreeMap::from([(path, &b""[..])]);
            let refused = lay_out(&root.path().join("1"), &files, None).unwrap_err();
            assert_eq!(refused.kind(), io::ErrorKind::InvalidInput, "{path}");
        }
    }
}
