//! `main.conf`: the whole configuration, when it is ours.

use super::{FullOptions, HTTP_CONF, MAIN_CONF, PlaceError, Placement, path, text::Text};
use crate::token;

pub(super) fn contents(
    placement: &Placement<'_>,
    options: &FullOptions,
) -> Result<Vec<u8>, PlaceError> {
    let mut text = Text::default();
    text.say("# Written by NxMesh; changes are overwritten.\n");
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
    let workers = options
        .worker_processes
        .map_or_else(|| "auto".to_owned(), |workers| workers.to_string());
    let http = path::included("release folder", &placement.release_dir.join(HTTP_CONF))?;
    text.say("worker_processes ").word(workers).say(";\npid ");
    text.word(path::word("pid file", &options.pid_file)?);
    text.say(";\nerror_log ");
    text.word(path::word("error log", &options.error_log)?);
    text.say(" notice;\n\nevents {\n    worker_connections ");
    text.word(options.worker_connections);
    text.say(";\n}\n\nhttp {\n    include ");
    text.word(http).say(";\n}\n");
    text.finish(MAIN_CONF, placement.settings.nginx)
}
