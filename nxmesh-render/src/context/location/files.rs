//! Serving files.

use nxmesh_core::model::{Expires, Folder, Otherwise, PathMatch, StaticFiles, Tries, TryPart};

use crate::{
    handlebars::record::{Item, record},
    token::{Part, QuoteError, Word, quote_expanding, quote_parts},
};

record! {
    /// Files from a folder.
    FilesRecord<'a> {
        /// Whether only what follows the path of the location is looked up.
        alias: bool,
        root: Word<'a>,
        index: Vec<Item<'a>>,
        /// What is tried, and last what happens otherwise.
        tries: Vec<Item<'a>>,
        autoindex: bool,
        expires: Option<Word<'a>>,
    }
}

/// Files; `fallback` is the location of the upstream that answers otherwise.
pub(super) fn record<'a>(
    files: &'a StaticFiles,
    path: &PathMatch,
    fallback: Option<Word<'a>>,
) -> Result<FilesRecord<'a>, QuoteError> {
    let index = files.index.iter();
    let index = index.map(|name| quote_expanding(name.as_str()).map(Item));
    Ok(FilesRecord {
        alias: matches!(files.folder, Folder::Alias(_)),
        root: quote_expanding(files.folder.path().as_str())?,
        index: index.collect::<Result<_, _>>()?,
        tries: match &files.tries {
            Some(tries) => self::tries(tries, stripped(files, path), fallback)?,
            None => Vec::new(),
        },
        autoindex: files.autoindex,
        expires: files.expires.map(|expires| match expires {
            Expires::Epoch => Word::fixed("epoch"),
            Expires::Max => Word::fixed("max"),
            Expires::After(time) => Word::own(format!("{}s", time.whole_seconds())),
        }),
    })
}

/// What nginx takes off every path with variables that is tried below an alias, if the
/// path begins with it (`src/http/modules/ngx_http_try_files_module.c`): off the last one
/// too, which names no file.
fn stripped<'p>(files: &StaticFiles, path: &'p PathMatch) -> &'p str {
    match (&files.folder, path) {
        (Folder::Alias(_), PathMatch::Prefix(path))
        | (Folder::Alias(_), PathMatch::PrefixPriority(path))
        | (Folder::Alias(_), PathMatch::Exact(path)) => path.as_str(),
        _ => "",
    }
}

fn tries<'a>(
    tries: &'a Tries,
    stripped: &str,
    fallback: Option<Word<'a>>,
) -> Result<Vec<Item<'a>>, QuoteError> {
    let uri = Part::Variable("uri");
    let part = |part: &'_ TryPart| match part {
        TryPart::Uri => Ok(Word::variable("uri")),
        TryPart::Folder => quote_parts([uri, Part::Text("/")]),
        TryPart::Suffix(suffix) => quote_parts([uri, Part::Text(suffix.as_str())]),
        TryPart::Path(path) => quote_parts([Part::Text(path.as_str())]),
    };
    let mut words: Vec<Item<'_>> = tries
        .parts
        .iter()
        .map(|one| part(one).map(Item))
        .collect::<Result<_, _>>()?;
    let otherwise = match &tries.otherwise {
        Otherwise::Status(status) => Some(Word::status(status.get())),
        Otherwise::Path(path) => Some(quote_parts([
            Part::Text(stripped),
            Part::Text(path.as_str()),
            Part::Variable("is_args"),
            Part::Variable("args"),
        ])?),
        Otherwise::Proxy(_) => fallback,
    };
    words.extend(otherwise.map(Item));
    Ok(words)
}
