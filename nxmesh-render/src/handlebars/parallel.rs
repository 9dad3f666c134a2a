//! Rendering with several threads.

use std::{
    num::NonZeroUsize,
    panic,
    sync::atomic::{AtomicUsize, Ordering},
    thread,
};

use nxmesh_core::{
    contract::renderer::{RenderError, RenderSettings, RenderedTree},
    model::ResourceSet,
};

use super::{HandlebarsRenderer, work::Work};

/// So many resources are taken at a time.
const BLOCK: usize = 64;

/// What one thread made, and with which block it failed.
type Part = Result<RenderedTree, (usize, RenderError)>;

impl HandlebarsRenderer {
    /// Renders everything with up to so many threads, of which the caller’s is one: the tree, or
    /// the error, that [`render`](nxmesh_core::contract::renderer::Renderer::render) gives. Worth it
    /// from a few thousand resources on.
    ///
    /// ```
    /// use std::thread;
    ///
    /// use nxmesh_core::{contract::renderer::{Renderer, RenderSettings}, model::ResourceSet};
    /// use nxmesh_render::HandlebarsRenderer;
    ///
    /// # fn tree(resources: &ResourceSet) -> Result<(), Box<dyn std::error::Error>> {
    /// let (renderer, settings) = (HandlebarsRenderer::new(), RenderSettings::default());
    /// let tree = renderer.render_parallel(resources, &settings, thread::available_parallelism()?)?;
    /// assert_eq!(tree, renderer.render(resources, &settings)?);
    /// # Ok(())
    /// # }
    /// # tree(&ResourceSet::default()).unwrap();
    /// ```
    ///
    /// # Errors
    ///
    /// [`RenderError`] names the resource at fault; of several the first by kind and name.
    pub fn render_parallel(
        &self,
        resources: &ResourceSet,
        settings: &RenderSettings,
        threads: NonZeroUsize,
    ) -> Result<RenderedTree, RenderError> {
        let programs = self.programs(resources)?;
        let all: Vec<_> = resources.iter().collect();
        let next = AtomicUsize::new(0);
        // Blocks are taken in order and each is rendered to its end or first error, so all before
        // the first failed one are done.
        let work = || -> Part {
            let mut work = Work::new(&programs, resources, settings, RenderedTree::default());
            loop {
                let number = next.fetch_add(1, Ordering::Relaxed);
                let Some(block) = all.chunks(BLOCK).nth(number) else {
                    return Ok(work.into_tree());
                };
                for (key, resource) in block {
                    work.add(key, resource).map_err(|error| (number, error))?;
                }
            }
        };
        let parts: Vec<Part> = thread::scope(|scope| {
            // Where no thread can be started, those there are do its work.
            let others: Vec<_> = (1..threads.get().min(all.len().div_ceil(BLOCK)))
                .map_while(|_| thread::Builder::new().spawn_scoped(scope, work).ok())
                .collect();
            let own = work();
            let others = others.into_iter().map(|thread| match thread.join() {
                Ok(part) => part,
                Err(panicked) => panic::resume_unwind(panicked),
            });
            others.chain([own]).collect()
        });
        let mut tree = RenderedTree::default();
        let mut failed: Option<(usize, RenderError)> = None;
        for part in parts {
            match part {
                Ok(part) => tree.append(part),
                Err(error) if failed.as_ref().is_none_or(|first| error.0 < first.0) => {
                    failed = Some(error);
                }
                Err(_) => {}
            }
        }
        failed.map_or(Ok(tree), |(_, error)| Err(error))
    }
}
