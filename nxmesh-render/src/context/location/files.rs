//! Serving files.

use nxmesh_core::model::StaticFiles;

use crate::{
    handlebars::record::{Item, record},
    token::{QuoteError, Word, quote_expanding},
};

record! {
    /// Files from a folder.
    FilesRecord<'a> {
        root: Word<'a>,
        index: Vec<Item<'a>>,
    }
}

pub(super) fn record(files: &StaticFiles) -> Result<FilesRecord<'_>, QuoteError> {
    Ok(FilesRecord {
        root: quote_expanding(files.root.as_str())?,
        index: files
            .index
            .iter()
            .map(|name| quote_expanding(name.as_str()).map(Item))
            .collect::<Result<_, _>>()?,
    })
}
