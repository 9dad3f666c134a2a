//! What of the files that nginx reads is not as it was written.

use std::{
    collections::BTreeSet,
    fs::{self, File},
    io::{self, Read as _},
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
};

use nix::fcntl::OFlag;
use nxmesh_core::{
    contract::renderer::RenderedTree,
    digest::Digest,
    model::{DriftedFile, FileChange},
};

use super::{
    AppliedState, ApplyOptions, Pipeline,
    differing::{Differing, other_mode},
    lay_out::MODE,
    release::Place,
    stage,
    switch::{self, Entry},
    unified::Findings,
};

/// The largest file of which it is looked what changed.
const SHOWN_BYTES: u64 = 256 << 10;

/// What was found of the files on disk.
#[derive(Debug, Clone, Default)]
pub struct Compared {
    /// The digest of the release the entry file names, computed anew from the
    /// files; `None` if there is none or a file is not as it was written.
    pub running: Option<Digest>,
    /// The files that are not as they were written; so many at most as a
    /// [`Drift`](nxmesh_core::model::Drift) names.
    pub files: Vec<DriftedFile>,
    /// How many more there are.
    pub more: u64,
    /// What changed in them; never of files of secrets.
    pub diff: String,
}

impl Pipeline {
    /// Compares the files nginx reads with those of the release it was last
    /// seen serving. Changes nothing.
    ///
    /// # Errors
    ///
    /// The system's own, if files cannot be read.
    pub async fn compare(&mut self) -> io::Result<Compared> {
        let expected = self.confirmed_tree().await;
        let applied = self.applied.clone();
        let options = std::sync::Arc::clone(&self.options);
        let compared = self.files.run(move || match applied {
            Some(applied) => compare(&options, &applied, expected.as_ref()),
            None => Ok(Compared::default()),
        });
        compared.await?
    }

    /// The folders that hold what nginx reads, and the entry file.
    pub(crate) async fn watched(&self) -> io::Result<(Vec<PathBuf>, PathBuf)> {
        let release = self.applied.as_ref().map(|applied| applied.release.clone());
        let options = std::sync::Arc::clone(&self.options);
        let watched = self.files.run(move || {
            let mut folders = vec![options.layout.tls()];
            if let Some(release) = release {
                folders_below(&options.layout.release(&release), &mut folders);
            }
            (folders, options.entry())
        });
        watched.await
    }

    /// The files of the release nginx was last seen serving; `None` if they
    /// cannot be made again, for example as the templates are others by now.
    pub(super) async fn confirmed_tree(&mut self) -> Option<RenderedTree> {
        let wanted = self.applied.as_ref()?.release_digest;
        if let Some(rendering) = &self.rendering
            && rendering.tree.digest() == wanted
        {
            return Some(rendering.tree.clone());
        }
        if let Some((of, tree)) = &self.confirmed
            && *of == wanted
        {
            return tree.clone();
        }
        let slice = self.applied_slice.clone()?;
        let renderer = std::sync::Arc::clone(&self.renderer);
        let rendered = self.file_work(move |options| {
            let rendered = renderer.render(slice.resources(), &options.render);
            Ok(rendered.ok().filter(|tree| tree.digest() == wanted))
        });
        let tree = rendered.await.ok()?;
        self.confirmed = Some((wanted, tree.clone()));
        tree
    }
}

fn folders_below(folder: &Path, found: &mut Vec<PathBuf>) {
    found.push(folder.to_owned());
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        if entry.file_type().is_ok_and(|it| it.is_dir()) {
            folders_below(&entry.path(), found);
        }
    }
}

fn compare(
    options: &ApplyOptions,
    applied: &AppliedState,
    expected: Option<&RenderedTree>,
) -> io::Result<Compared> {
    let mut found = Findings::default();
    let place = Place::new(options, &applied.release);
    let digest = place.digest_on_disk()?;
    let running = match switch::read(options)? {
        Entry::Release(name) if name == applied.release => digest,
        entry => {
            compare_entry(options, &place, &mut found)?;
            match entry {
                Entry::Release(name) => Place::new(options, &name).digest_on_disk()?,
                _ => None,
            }
        }
    };
    let name = format!("releases/{}", applied.release);
    match expected {
        _ if digest == Some(applied.release_digest) => {}
        None => found.add(name, FileChange::Changed),
        Some(tree) => {
            let differing = Differing::of(&place, tree)?;
            for (path, contents) in &differing.changed {
                let file = place.folder.join(path);
                let name = format!("{name}/{path}");
                if let Some(mode) = other_mode(&file) {
                    found.note(&format!("{name}: mode {mode:04o} instead of {MODE:04o}\n"));
                }
                found.differs(name, contents, text(&file).as_deref());
            }
            for path in differing.missing.keys() {
                found.add(format!("{name}/{path}"), FileChange::Missing);
            }
            for path in &differing.foreign {
                found.add(format!("{name}/{}", path.display()), FileChange::Foreign);
            }
        }
    }
    if let Some(tree) = expected {
        compare_pem_files(options, tree, &mut found)?;
    }
    let (files, more, diff) = found.finish();
    Ok(Compared {
        running,
        files,
        more,
        diff,
    })
}

fn compare_entry(options: &ApplyOptions, place: &Place, found: &mut Findings) -> io::Result<()> {
    let entry = options.entry();
    let name = entry.file_name().unwrap_or_default().to_string_lossy();
    match fs::symlink_metadata(&entry) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            found.add(name, FileChange::Missing);
        }
        Err(error) => return Err(error),
        Ok(_) => {
            let there = text(&entry);
            found.differs(name, place.entry().as_bytes(), there.as_deref());
        }
    }
    Ok(())
}

/// Of these only names are told.
fn compare_pem_files(
    options: &ApplyOptions,
    tree: &RenderedTree,
    found: &mut Findings,
) -> io::Result<()> {
    let folder = options.layout.tls();
    let mut ours = BTreeSet::new();
    for (name, file) in tree.pem_files() {
        ours.insert(name);
        let path = folder.join(name);
        if !stage::is_pem_in_place(&path, file) {
            let is_gone = fs::symlink_metadata(&path).is_err();
            let change = [FileChange::Changed, FileChange::Missing][usize::from(is_gone)];
            found.add(format!("tls/{name}"), change);
        }
    }
    let entries = match fs::read_dir(&folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        entries => entries?,
    };
    for entry in entries {
        let name = entry?.file_name();
        let name = name.to_string_lossy();
        // Those of earlier releases stay for a while.
        if !ours.contains(&*name) && !is_called_by_digest(&name) {
            found.add(format!("tls/{name}"), FileChange::Foreign);
        }
    }
    Ok(())
}

/// Whether a name is made as those of certificates, keys and passwords are.
fn is_called_by_digest(name: &str) -> bool {
    let stem = name.rsplit_once('.').map_or(name, |(stem, _)| stem);
    let digest = stem.rsplit_once('-').map_or("", |(_, digest)| digest);
    digest.parse::<Digest>().is_ok()
}

/// The text of a plain file that is not too large to be shown.
fn text(path: &Path) -> Option<String> {
    let read = || {
        let no_link = OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK;
        let file = File::options()
            .read(true)
            .custom_flags(no_link.bits())
            .open(path)?;
        let mut contents = String::new();
        if !file.metadata()?.is_file() {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        file.take(SHOWN_BYTES + 1).read_to_string(&mut contents)?;
        io::Result::Ok(contents)
    };
    read().ok().filter(|text| text.len() as u64 <= SHOWN_BYTES)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_with_a_digest_are_ours() {
        let digest = Digest::of(b"x");
        assert!(is_called_by_digest(&format!("shop-{digest}.crt")));
        assert!(is_called_by_digest(&format!("a-b-{digest}.users")));
        for name in ["shop.crt", "x-12.key", "", "-.", "readme"] {
            assert!(!is_called_by_digest(name), "{name}");
        }
    }

    #[test]
    fn neither_links_nor_pipes_nor_large_files_are_read() {
        let root = tempfile::tempdir().unwrap();
        let path = |name: &str| root.path().join(name);
        fs::write(path("plain"), "text").unwrap();
        fs::write(path("binary"), [0xff, 0xfe]).unwrap();
        fs::write(path("large"), vec![b'x'; SHOWN_BYTES as usize + 1]).unwrap();
        std::os::unix::fs::symlink(path("plain"), path("link")).unwrap();
        nix::unistd::mkfifo(&path("pipe"), nix::sys::stat::Mode::S_IRWXU).unwrap();
        assert_eq!(text(&path("plain")).as_deref(), Some("text"));
        for name in ["binary", "large", "link", "pipe", "nothing"] {
            assert_eq!(text(&path(name)), None, "{name}");
        }
    }
}
