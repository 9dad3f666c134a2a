//! Answers that nginx gives itself.

use nxmesh_core::model::{Redirect, Respond};

use crate::{
    handlebars::record::record,
    token::{QuoteError, Word, quote, quote_expanding, quote_expanding_before},
};

record! {
    /// A redirect.
    RedirectRecord<'a> {
        code: Word<'a>,
        target: Word<'a>,
        /// The target is a path, not a URL.
        relative: bool,
    }
}

record! {
    /// A fixed response.
    RespondRecord<'a> {
        status: Word<'a>,
        body: Word<'a>,
        content_type: Word<'a>,
    }
}

pub(super) fn redirect(redirect: &Redirect) -> Result<RedirectRecord<'_>, QuoteError> {
    let to = redirect.to.as_str();
    Ok(RedirectRecord {
        code: Word::number(redirect.code.get().into()),
        target: if redirect.append_request_uri {
            quote_expanding_before(to, "${request_uri}")?
        } else {
            quote_expanding(to)?
        },
        relative: to.starts_with('/'),
    })
}

pub(super) fn respond(respond: &Respond) -> Result<RespondRecord<'_>, QuoteError> {
    let body = respond.body.as_str();
    Ok(RespondRecord {
        status: Word::number(respond.status.get().into()),
        // For an error without text nginx would send a page of its own.
        body: if body.is_empty() && respond.status.get() >= 400 {
            Word::variable("nxmesh_empty")
        } else {
            quote_expanding(body)?
        },
        content_type: match &respond.content_type {
            Some(content_type) => quote(content_type.as_str())?,
            None => Word::fixed("text/plain"),
        },
    })
}
