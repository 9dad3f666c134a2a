//! Where everything of one agent lies on disk.

use std::path::{Path, PathBuf};

use nxmesh_core::{digest::Digest, model::Version};
use nxmesh_render::placement::FullOptions;

/// The paths of one agent and the nginx it manages.
///
/// `state_dir` outlives a reboot and holds no key of a certificate in plain;
/// `runtime_dir` does, for nginx, and should be a tmpfs. Both belong to the
/// agent alone. The path of `runtime_dir` should be short: that of a unix
/// socket in it has 107 bytes at most.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layout {
    state_dir: PathBuf,
    runtime_dir: PathBuf,
    cache_dir: PathBuf,
}

impl Layout {
    /// Takes two absolute folders; they are made when they are first needed.
    #[must_use]
    pub fn new(state_dir: impl Into<PathBuf>, runtime_dir: impl Into<PathBuf>) -> Self {
        let runtime_dir = runtime_dir.into();
        Self {
            state_dir: state_dir.into(),
            cache_dir: runtime_dir.join("cache"),
            runtime_dir,
        }
    }

    /// Takes another absolute folder for cached responses. The workers of nginx
    /// have to get through it and all folders above. Default: `cache` in the
    /// runtime folder, which is memory where that is a tmpfs.
    #[must_use]
    pub fn with_cache_dir(mut self, cache_dir: impl Into<PathBuf>) -> Self {
        self.cache_dir = cache_dir.into();
        self
    }

    /// The folder for what outlives a reboot.
    #[must_use]
    pub fn state_dir(&self) -> &Path {
        &self.state_dir
    }

    /// The folder for sockets and keys in use.
    #[must_use]
    pub fn runtime_dir(&self) -> &Path {
        &self.runtime_dir
    }

    /// Held by the one agent that works here.
    #[must_use]
    pub fn lock(&self) -> PathBuf {
        self.state_dir.join("lock")
    }

    /// The key that seals secrets at rest.
    #[must_use]
    pub fn key(&self) -> PathBuf {
        self.state_dir.join("key")
    }

    /// The newest version taken on.
    #[must_use]
    pub fn accepted(&self) -> PathBuf {
        self.state_dir.join("accepted")
    }

    /// The newest version nginx was seen serving.
    #[must_use]
    pub fn applied(&self) -> PathBuf {
        self.state_dir.join("applied")
    }

    /// The switch that is under way, if any.
    #[must_use]
    pub fn journal(&self) -> PathBuf {
        self.state_dir.join("journal")
    }

    /// The sealed slices.
    #[must_use]
    pub fn slices(&self) -> PathBuf {
        self.state_dir.join("slices")
    }

    /// The rendered trees.
    #[must_use]
    pub fn releases(&self) -> PathBuf {
        self.state_dir.join("releases")
    }

    /// One rendered tree.
    #[must_use]
    pub fn release(&self, name: &str) -> PathBuf {
        self.releases().join(name)
    }

    /// What the release of a version is called: `1.42-0123456789ab`.
    #[must_use]
    pub fn release_name(version: Version, tree: Digest) -> String {
        format!("{version}-{}", tree.short())
    }

    /// The file that the user's `nginx.conf` includes in its `http` block.
    #[must_use]
    pub fn entry(&self) -> PathBuf {
        self.state_dir.join("entry.conf")
    }

    /// The `nginx.conf` of an nginx that is wholly ours.
    #[must_use]
    pub fn full_conf(&self) -> PathBuf {
        self.state_dir.join("nginx.conf")
    }

    /// Where candidates are checked.
    #[must_use]
    pub fn check(&self) -> PathBuf {
        self.state_dir.join("check")
    }

    /// Certificates and keys that nginx reads.
    #[must_use]
    pub fn tls(&self) -> PathBuf {
        self.runtime_dir.join("tls")
    }

    /// The folder of cached responses.
    #[must_use]
    pub fn cache(&self) -> &Path {
        &self.cache_dir
    }

    /// The folder of the probe socket: whoever may enter it may ask.
    #[must_use]
    pub fn probe(&self) -> PathBuf {
        self.runtime_dir.join("probe")
    }

    /// Where nginx tells which release it serves.
    #[must_use]
    pub fn probe_socket(&self) -> PathBuf {
        self.probe().join("sock")
    }

    /// Where nginx writes a line for each request, if it is asked to.
    #[must_use]
    pub fn request_log(&self) -> PathBuf {
        self.runtime_dir.join("requests")
    }

    /// The pid file of an nginx that is wholly ours.
    #[must_use]
    pub fn pid_file(&self) -> PathBuf {
        self.runtime_dir.join("nginx.pid")
    }

    /// Settings of an nginx that is wholly ours and keeps everything here.
    #[must_use]
    pub fn full_options(&self) -> FullOptions {
        FullOptions {
            pid_file: self.pid_file(),
            error_log: self.state_dir.join("nginx-error.log"),
            temp_dir: self.runtime_dir.join("temp"),
            ..FullOptions::default()
        }
    }

    /// What nginx said while it started.
    #[must_use]
    pub fn start_log(&self) -> PathBuf {
        self.runtime_dir.join("nginx-start.log")
    }
}
