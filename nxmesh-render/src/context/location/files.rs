//! Serving files.

use nxmesh_core::model::{Expires, Folder, Otherwise, StaticFiles, Tries, TryPart};

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
    fallback: Option<Word<'a>>,
) -> Result<FilesRecord<'a>, QuoteError> {
    let index = files.index.iter();
    let index = index.map(|name| quote_expanding(name.as_str()).map(Item));
    Ok(FilesRecord {
        alias: matches!(files.folder, Folder::Alias(_)),
        root: quote_expanding(files.folder.path().as_str())?,
        index: index.collect::<Result<_, _>>()?,
        tries: match &files.tries {
            Some(tries) => self::tries(tries, fallback)?,
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

fn tries<'a>(tries: &'a Tries, fallback: Option<Word<'a>>) -> Result<Vec<Item<'a>>, QuoteError> {
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
            Part::Text(path.as_str()),
            Part::Variable("is_args"),
            Part::Variable("args"),
        ])?),
        Otherwise::Proxy(_) => fallback,
    };
    words.extend(otherwise.map(Item));
    Ok(words)
}
