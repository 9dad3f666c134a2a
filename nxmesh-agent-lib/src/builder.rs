//! Puts an agent together.

use std::sync::Arc;

use nxmesh_core::contract::{
    clock::{Clock, SystemClock},
    reloader::Reloader,
    renderer::Renderer,
    transport::Transport,
};
use nxmesh_render::HandlebarsRenderer;

use crate::{agent::Agent, cache::AtRestKey, config::AgentOptions};

/// Chooses the parts of an [`Agent`]. Only the reloader has no default.
#[derive(Debug)]
pub struct AgentBuilder {
    options: AgentOptions,
    transport: Option<Arc<dyn Transport>>,
    reloader: Option<Arc<dyn Reloader>>,
    renderer: Option<Arc<dyn Renderer>>,
    clock: Arc<dyn Clock>,
    at_rest_key: Option<AtRestKey>,
}

/// Why the parts do not make an agent.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BuildError {
    /// A part has no default and was not given.
    #[error("an agent needs a {part}")]
    Missing {
        /// The part.
        part: &'static str,
    },
}

impl AgentBuilder {
    pub(crate) fn new(options: AgentOptions) -> Self {
        Self {
            options,
            transport: None,
            reloader: None,
            renderer: None,
            clock: Arc::new(SystemClock),
            at_rest_key: None,
        }
    }

    /// Replaces the way to the master. Default: that of
    /// [`AgentOptions::transport`] to [`AgentOptions::master_urls`].
    #[must_use]
    pub fn transport(mut self, transport: impl Transport) -> Self {
        self.transport = Some(Arc::new(transport));
        self
    }

    /// Sets the mechanism that checks, starts and reloads nginx.
    #[must_use]
    pub fn reloader(mut self, reloader: impl Reloader) -> Self {
        self.reloader = Some(Arc::new(reloader));
        self
    }

    /// Replaces what turns resources into files. Default: [`HandlebarsRenderer`].
    #[must_use]
    pub fn renderer(mut self, renderer: impl Renderer) -> Self {
        self.renderer = Some(Arc::new(renderer));
        self
    }

    /// Replaces the source of wall-clock time. Default: the machine's clock.
    #[must_use]
    pub fn clock(mut self, clock: impl Clock) -> Self {
        self.clock = Arc::new(clock);
        self
    }

    /// Replaces the key that seals secrets on disk. Default: the one in the
    /// state folder, made on the first start.
    #[must_use]
    pub fn at_rest_key(mut self, key: AtRestKey) -> Self {
        self.at_rest_key = Some(key);
        self
    }

    /// Checks that the parts fit together. Opens no socket and starts no task.
    ///
    /// # Errors
    ///
    /// [`BuildError::Missing`] names the first part that has no default.
    pub fn build(self) -> Result<Agent, BuildError> {
        let reloader = self
            .reloader
            .ok_or(BuildError::Missing { part: "reloader" })?;
        let renderer = self
            .renderer
            .unwrap_or_else(|| Arc::new(HandlebarsRenderer::default()));
        Ok(Agent::new(
            self.options,
            self.transport,
            reloader,
            renderer,
            self.clock,
            self.at_rest_key,
        ))
    }
}
