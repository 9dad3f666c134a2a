//! `main.conf`: the whole configuration, when it is ours, and what it includes
//! beside `http.conf`.
//!
//! What depends on the tree stands in files of their own, so that a `main.conf` with
//! another pid file and error log can lead to a release whose tree is not at hand.

use nxmesh_core::contract::renderer::RenderedTree;

use super::{
    EVENTS_CONF, FullOptions, GLOBALS_CONF, HTTP_CONF, MAIN_CONF, PlaceError, Placement,
    STREAM_CONF, http, path, text::Text,
};
use crate::{names, token};

const HEADER: &str = "# Written by NxMesh; changes are overwritten.\n";

pub(super) fn contents(
    placement: &Placement<'_>,
    options: &FullOptions,
) -> Result<Vec<u8>, PlaceError> {
    let mut text = Text::default();
    text.say(HEADER);
    if let Some(modules) = &options.modules_include {
        // A pattern on purpose: which modules are there is the machine's business.
        let path = path::word("modules include", modules)?;
        text.say("include ").word(path).say(";\n");
    }
    if let Some(user) = &options.user {
        let word = token::quote(user).map_err(|error| PlaceError::Text {
            what: "user",
            text: user.clone(),
            reason: error.to_string(),
        })?;
        text.say("user ").word(word).say(";\n");
    }
    text.say("pid ");
    text.word(path::word("pid file", &options.pid_file)?);
    text.say(";\nerror_log ");
    text.word(path::word("error log", &options.error_log)?);
    text.say(" notice;\n");
    include(&mut text, placement, GLOBALS_CONF)?;
    text.say("\nevents {\n    ");
    include(&mut text, placement, EVENTS_CONF)?;
    text.say("}\n\nhttp {\n    ");
    include(&mut text, placement, HTTP_CONF)?;
    text.say("}\n\n");
    include(&mut text, placement, STREAM_CONF)?;
    text.finish(MAIN_CONF, placement.settings.nginx)
}

/// What stands outside of all blocks.
pub(super) fn globals(
    tree: &RenderedTree,
    placement: &Placement<'_>,
    options: &FullOptions,
) -> Result<Vec<u8>, PlaceError> {
    let mut text = Text::default();
    text.say(HEADER);
    if !says(tree, names::MAIN, b"worker_processes ") {
        let workers = options.worker_processes;
        let workers = workers.map_or_else(|| "auto".to_owned(), |workers| workers.to_string());
        text.say("worker_processes ").word(workers).say(";\n");
    }
    all_of(&mut text, tree, placement, names::MAIN)?;
    text.finish(GLOBALS_CONF, placement.settings.nginx)
}

/// What stands in the block `events`.
pub(super) fn events(
    tree: &RenderedTree,
    placement: &Placement<'_>,
    options: &FullOptions,
) -> Result<Vec<u8>, PlaceError> {
    let mut text = Text::default();
    text.say(HEADER);
    if !says(tree, names::EVENTS, b"worker_connections ") {
        text.say("worker_connections ");
        text.word(options.worker_connections).say(";\n");
    }
    all_of(&mut text, tree, placement, names::EVENTS)?;
    text.finish(EVENTS_CONF, placement.settings.nginx)
}

/// The block `stream`, if there is anything in it: nginx may have no module for it.
pub(super) fn stream(
    tree: &RenderedTree,
    placement: &Placement<'_>,
) -> Result<Vec<u8>, PlaceError> {
    let mut text = Text::default();
    text.say(HEADER);
    let folders = [names::STREAM_SNIPPETS, names::STREAM_SERVERS];
    if folders
        .iter()
        .any(|folder| tree.files_under(folder).next().is_some())
    {
        // A name in a map takes as much as one of a server (see `http.conf`).
        text.say(
            "stream {\n    map_hash_bucket_size 512;\n    map_hash_max_size 16384;\n    \
             variables_hash_max_size 4096;\n    variables_hash_bucket_size 128;\n",
        );
        text.say(http::VARIABLES);
        for folder in folders {
            all_of(&mut text, tree, placement, folder)?;
        }
        text.say("}\n");
    }
    text.finish(STREAM_CONF, placement.settings.nginx)
}

/// Whether a directive is said in a folder, in a line of its own.
fn says(tree: &RenderedTree, folder: &str, directive: &[u8]) -> bool {
    tree.files_under(folder).any(|(_, file)| {
        let mut lines = file.contents.split(|byte| *byte == b'\n');
        lines.any(|line| line.starts_with(directive))
    })
}

fn all_of(
    text: &mut Text,
    tree: &RenderedTree,
    placement: &Placement<'_>,
    folder: &str,
) -> Result<(), PlaceError> {
    for (file, _) in tree.files_under(folder) {
        include(text, placement, file)?;
    }
    Ok(())
}

fn include(text: &mut Text, placement: &Placement<'_>, file: &str) -> Result<(), PlaceError> {
    let path = path::included("release folder", &placement.release_dir.join(file))?;
    text.say("include ").word(path).say(";\n");
    Ok(())
}
