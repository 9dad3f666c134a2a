use std::{
    path::{Path, PathBuf},
    process::Command,
};

/// A folder that nobody can write into, until dropped. Needs root, who may mount.
#[derive(Debug)]
pub struct ReadOnly(PathBuf);

impl ReadOnly {
    /// Makes `folder` so.
    ///
    /// # Panics
    ///
    /// If it cannot be mounted.
    #[must_use]
    pub fn new(folder: &Path) -> Self {
        for arguments in [&["--bind"][..], &["-o", "remount,ro,bind"]] {
            let source = arguments.contains(&"--bind").then_some(folder);
            let mount = Command::new("mount")
                .args(arguments)
                .args(source)
                .arg(folder)
                .status();
            assert!(mount.expect("mount is there").success(), "mount {folder:?}");
        }
        Self(folder.to_owned())
    }
}

impl Drop for ReadOnly {
    fn drop(&mut self) {
        let unmounted = Command::new("umount").arg("-l").arg(&self.0).status();
        assert!(unmounted.expect("umount is there").success());
    }
}
