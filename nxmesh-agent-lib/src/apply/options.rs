//! What the pipeline has to know before it starts.

use std::{path::PathBuf, time::Duration};

use nxmesh_core::contract::renderer::RenderSettings;
use nxmesh_render::placement::FullOptions;

use crate::{
    nginx::{Enter, Layout},
    reload::SignalOptions,
};

/// How much of the configuration is ours.
#[derive(Debug, Clone)]
pub enum Mode {
    /// The user's `nginx.conf` stays; it includes our entry file in its
    /// `http` block.
    Include {
        /// The user's `nginx.conf`, absolute.
        nginx_conf: PathBuf,
    },
    /// The whole `nginx.conf` is ours: [`Layout::full_conf`].
    Full(FullOptions),
}

/// What becomes of a version when nginx refuses one of its resources.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum BadResource {
    /// The version is refused as a whole; nginx serves what it had.
    #[default]
    Refuse,
    /// The resource keeps its last good form, or stays out if it has none, and
    /// all others are served. Told as a failure all the same. Costs one more
    /// `nginx -t` for each resource held back, 16 at most.
    Isolate,
}

/// Everything the pipeline of one nginx needs.
#[derive(Debug, Clone)]
pub struct ApplyOptions {
    /// Where files lie.
    pub layout: Layout,
    /// How much of the configuration is ours.
    pub mode: Mode,
    /// What the renderer is told; `tls_dir` and `cache_dir` are set from
    /// the layout, `whole_conf` from the mode.
    pub render: RenderSettings,
    /// The folder from which nginx counts the paths of modules that are not absolute:
    /// what it is started with as `-p`, or else was built with. Default: none, then
    /// those paths have to be absolute.
    pub nginx_prefix: Option<PathBuf>,
    /// What becomes of a version of which one resource is bad. Default: it is refused.
    pub bad_resource: BadResource,
    /// How long one `nginx -t` may take. Default: 60 s.
    pub check_deadline: Duration,
    /// How long one start or reload may take. Default: 30 s. nginx needs
    /// 2.5 s to give a taken port up, and the time of a parse.
    pub reload_deadline: Duration,
    /// How long the confirmation after a reload may take. Default: 5 s.
    pub confirm_deadline: Duration,
    /// On how many new connections in a row nginx must name the new release.
    /// Default: 4; at least 1.
    pub probe_attempts: usize,
    /// How many changed virtual hosts are asked after a reload. Default: 64.
    pub probed_hosts: usize,
    /// How many releases stay on disk, the running one included. Default: 3;
    /// at least 2.
    pub kept_releases: usize,
}

impl ApplyOptions {
    /// Default values for everything but the paths and the mode.
    #[must_use]
    pub fn new(layout: Layout, mode: Mode) -> Self {
        let render = RenderSettings {
            tls_dir: layout.tls(),
            cache_dir: layout.cache().to_owned(),
            whole_conf: matches!(mode, Mode::Full(_)),
            ..RenderSettings::default()
        };
        Self {
            layout,
            mode,
            render,
            nginx_prefix: None,
            bad_resource: BadResource::default(),
            check_deadline: Duration::from_secs(60),
            reload_deadline: Duration::from_secs(30),
            confirm_deadline: Duration::from_secs(5),
            probe_attempts: 4,
            probed_hosts: 64,
            kept_releases: 3,
        }
    }

    /// How a [`SignalReloader`](crate::reload::SignalReloader) gets to this
    /// nginx, run by the binary at `binary`.
    #[must_use]
    pub fn signal_options(&self, binary: impl Into<PathBuf>) -> SignalOptions {
        SignalOptions {
            binary: binary.into(),
            conf: self.nginx_conf(),
            prefix: None,
            pid_file: match &self.mode {
                Mode::Include { .. } => None,
                Mode::Full(full) => Some(full.pid_file.clone()),
            },
            unix_sockets: vec![self.layout.probe_socket()],
            start_log: self.layout.start_log(),
            build: None,
            enter: Enter::NotNeeded,
        }
    }

    pub(super) const fn is_full(&self) -> bool {
        matches!(self.mode, Mode::Full(_))
    }

    /// The file whose replacement switches nginx to another release.
    #[must_use]
    pub fn entry(&self) -> PathBuf {
        match self.mode {
            Mode::Include { .. } => self.layout.entry(),
            Mode::Full(_) => self.layout.full_conf(),
        }
    }

    /// The file nginx is started with: for `nginx -c`.
    #[must_use]
    pub fn nginx_conf(&self) -> PathBuf {
        match &self.mode {
            Mode::Include { nginx_conf } => nginx_conf.clone(),
            Mode::Full(_) => self.layout.full_conf(),
        }
    }
}
