//! What proves a release, before and after nginx is led to it.

use nxmesh_core::{bundle::Slice, digest::Digest, model::ResourceSet};

use super::{
    AppliedState, Failure, Pipeline, code, confirm,
    release::Place,
    stage,
    switch::{self, Entry},
};

impl Pipeline {
    /// The release that already serves these very bytes, seen doing so.
    pub(super) async fn serves_already(&self, wanted: &AppliedState) -> Option<String> {
        let applied = self.applied.clone()?;
        if applied.release_digest != wanted.release_digest {
            return None;
        }
        let (release, tree) = (
            applied.release.clone(),
            self.rendering.as_ref()?.tree.clone(),
        );
        let intact = self
            .file_work(move |options| {
                stage::write_pem_files(options, &tree)?;
                let there =
                    switch::read(options).is_ok_and(|it| it == Entry::Release(release.clone()));
                let digest = Place::new(options, &release).digest_on_disk();
                Ok(there && digest.is_ok_and(|found| found == Some(tree.digest())))
            })
            .await;
        let serves =
            intact == Ok(true) && confirm::serves_now(&self.options, &applied.release).await;
        serves.then_some(applied.release)
    }

    /// The proof: nginx names `release`, and the hosts that `slice` changes answer.
    pub(super) async fn confirm(&self, release: &str, slice: &Slice) -> Result<(), Failure> {
        confirm::serves(&self.options, release).await?;
        let nothing = ResourceSet::default();
        let before = self
            .applied_slice
            .as_ref()
            .map_or(&nothing, |slice| slice.resources());
        let probes = confirm::questions(before, slice.resources(), self.options.probed_hosts);
        confirm::hosts(&self.options, &probes).await
    }

    /// The other half of the proof: what nginx has read is what was checked, and
    /// nobody has put anything else in its place since.
    pub(super) async fn is_as_checked(&self, place: &Place, digest: Digest) -> Result<(), Failure> {
        let place = place.clone();
        let tree = self.rendering.as_ref().map(|it| it.tree.clone());
        self.file_work(move |options| {
            let tls = options.layout.tls();
            let mut pem_files = tree.iter().flat_map(|tree| tree.pem_files());
            let changed = if place.digest_on_disk().ok().flatten() != Some(digest) {
                &place.folder
            } else if !pem_files.all(|(name, file)| stage::is_pem_in_place(&tls.join(name), file)) {
                &tls
            } else {
                return Ok(());
            };
            let message = format!(
                "somebody else changed what is in {} before nginx had read it",
                changed.display()
            );
            Err(Failure::new(code::STAGE, message).retryable())
        })
        .await
    }
}
