//! Makes the files of the confirmed release as they were written.

use std::{fs, io, path::Path};

use nxmesh_core::contract::renderer::RenderedTree;

use super::{
    AppliedState, ApplyOptions, Failure, Pipeline, PipelineError, code, differing::Differing, disk,
    lay_out::MODE, release::Place, stage, switch,
};

impl Pipeline {
    /// Makes the files nginx reads as they were written for the release it was
    /// last seen serving, checks them by their digest, and with `reload` has
    /// nginx read them and prove it. Removes what is not ours from the folder of
    /// the release only. Whether nginx was reloaded; it is, too, where the release
    /// can only be made anew in another form.
    ///
    /// # Errors
    ///
    /// [`PipelineError`]; may be called again at any time.
    pub async fn repair(&mut self, reload: bool) -> Result<bool, PipelineError> {
        let tree = self.confirmed_tree().await;
        let (Some(applied), Some(tree)) = (self.applied.clone(), tree) else {
            return self.recover().await.map(|_| true);
        };
        let release = applied.release.clone();
        self.file_work(move |options| {
            mend(options, &applied, &tree).map_err(|error| {
                let message = format!("could not repair release {}: {error}", applied.release);
                Failure::new(code::STAGE, message)
            })
        })
        .await
        .map_err(|failure| self.broken(&failure))?;
        if reload {
            let brought = self.bring_up(Some(&release)).await;
            brought.map_err(|failure| PipelineError::NotServing {
                release: format!("release {release}"),
                failure: Box::new(failure),
            })?;
        }
        Ok(reload)
    }
}

fn mend(options: &ApplyOptions, applied: &AppliedState, tree: &RenderedTree) -> io::Result<()> {
    // What the files of the release refer to comes first.
    stage::write_pem_files(options, tree).map_err(|failure| io::Error::other(failure.message))?;
    let place = Place::new(options, &applied.release);
    let differing = Differing::of(&place, tree)?;
    for path in &differing.foreign {
        match path.as_os_str().is_empty() {
            true => remove(&place.folder)?,
            false => remove(&place.folder.join(path))?,
        }
    }
    for (path, contents) in differing.changed.iter().chain(&differing.missing) {
        let path = place.folder.join(path);
        disk::make_folder(path.parent().unwrap_or(&place.folder), 0o700)?;
        // Each at once, as nginx may be reading it.
        disk::replace(&path, contents, MODE)?;
    }
    if place.digest_on_disk()? != Some(applied.release_digest) {
        return Err(io::Error::other("it changes while it is repaired"));
    }
    if switch::read(options)? != switch::Entry::Release(applied.release.clone()) {
        remove_folder_at(&options.entry())?;
        switch::write(options, Some(&applied.release))?;
    }
    Ok(())
}

/// Removes whatever lies at `path`; what a link leads to stays.
fn remove(path: &Path) -> io::Result<()> {
    match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
        Ok(there) if there.is_dir() => disk::remove_folder(path),
        Ok(_) => disk::remove_file(path),
    }
}

/// An empty folder in the place of the entry file goes; nothing can be put over it.
fn remove_folder_at(path: &Path) -> io::Result<()> {
    match fs::symlink_metadata(path) {
        Ok(there) if there.is_dir() => fs::remove_dir(path),
        _ => Ok(()),
    }
}
