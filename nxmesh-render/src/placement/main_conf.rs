//! `main.conf`: the whole configuration, when it is ours.

use super::{FullOptions, HTTP_CONF, PlaceError, Placement, path};
use crate::token;

pub(super) fn contents(
    placement: &Placement<'_>,
    options: &FullOptions,
) -> Result<Vec<u8>, PlaceError> {
    let mut text = String::from("# Written by NxMesh; changes are overwritten.\n");
    if let Some(modules) = &options.modules_include {
        // A pattern on purpose: which modules are there is the machine's business.
        text += &format!("include {};\n", path::word("modules include", modules)?);
    }
    if let Some(user) = &options.user {
        let word = token::quote(user).map_err(|error| PlaceError::Text {
            what: "user",
            text: user.clone(),
            reason: error.to_string(),
        })?;
        text += &format!("user {word};\n");
    }
    let workers = options
        .worker_processes
        .map_or_else(|| "auto".to_owned(), |workers| workers.to_string());
    let http = path::included("release folder", &placement.release_dir.join(HTTP_CONF))?;
    text += &format!(
        "worker_processes {workers};\n\
         pid {};\n\
         error_log {} notice;\n\
         \n\
         events {{\n    worker_connections {};\n}}\n\
         \n\
         http {{\n    include {http};\n}}\n",
        path::word("pid file", &options.pid_file)?,
        path::word("error log", &options.error_log)?,
        options.worker_connections,
    );
    Ok(text.into_bytes())
}
