//! Settings of an nginx as a whole: what stands outside of all blocks, and in
//! `events`.

use nxmesh_core::{
    contract::renderer::RenderError,
    model::{NginxSettings, WorkerProcesses},
};

use super::Scene;
use crate::{
    handlebars::record::{Item, record},
    token::{QuoteError, Word, quote},
};

record! {
    /// What stands outside of all blocks.
    MainRecord<'a> {
        worker_processes: Option<Word<'a>>,
        open_files: Option<Word<'a>>,
        cpu_affinity: bool,
        priority: Option<Word<'a>>,
        shutdown_timeout: Option<Word<'a>>,
    }
}

record! {
    /// What stands in the block `events`.
    EventsRecord<'a> {
        worker_connections: Option<Word<'a>>,
        multi_accept: bool,
        accept_mutex: bool,
    }
}

record! {
    /// The list of media types.
    MediaTypesRecord<'a> {
        types: Vec<MediaTypeRecord<'a>>,
    }
}

record! {
    /// Files of one media type.
    MediaTypeRecord<'a> {
        media_type: Word<'a>,
        extensions: Vec<Item<'a>>,
    }
}

impl<'a> MediaTypesRecord<'a> {
    /// `None` where the built-in list is meant.
    pub(crate) fn of(
        scene: &Scene<'_>,
        document: &'a NginxSettings,
    ) -> Result<Option<Self>, RenderError> {
        let types = document.spec.media_types.iter().map(|media| {
            let extensions = media.extensions.iter();
            let extensions = extensions.map(|it| quote(it.as_str()).map(Item));
            Ok(MediaTypeRecord {
                media_type: quote(media.media_type.as_str())?,
                extensions: extensions.collect::<Result<_, _>>()?,
            })
        });
        let types: Result<Vec<_>, QuoteError> = types.collect();
        let types = types.map_err(|error| scene.unrenderable(error))?;
        Ok((!types.is_empty()).then_some(Self { types }))
    }
}

impl MainRecord<'_> {
    pub(crate) fn of(scene: &Scene<'_>, document: &NginxSettings) -> Result<Self, RenderError> {
        scene.require_whole_conf("settings of nginx as a whole")?;
        let spec = &document.spec;
        Ok(Self {
            worker_processes: spec.worker_processes.map(|processes| match processes {
                WorkerProcesses::Auto => Word::fixed("auto"),
                WorkerProcesses::Count(count) => Word::number(count.into()),
            }),
            open_files: spec.worker_open_files.map(|it| Word::number(it.into())),
            cpu_affinity: spec.worker_cpu_affinity,
            priority: spec.worker_priority.map(Word::own),
            shutdown_timeout: spec.worker_shutdown_timeout.map(Word::own),
        })
    }
}

impl EventsRecord<'_> {
    pub(crate) fn of(document: &NginxSettings) -> Self {
        let spec = &document.spec;
        Self {
            worker_connections: spec.worker_connections.map(|it| Word::number(it.into())),
            multi_accept: spec.multi_accept,
            accept_mutex: spec.accept_mutex,
        }
    }
}
