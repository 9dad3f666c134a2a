//! Answers that nginx gives itself.

use nxmesh_core::model::{
    Location, PathMatch, Redirect, RedirectParts, RedirectPath, RedirectTo, Respond,
};

use super::pattern;
use crate::{
    handlebars::record::record,
    token::{
        Part, QuoteError, Word, quote, quote_expanding, quote_expanding_before, quote_lines,
        quote_parts,
    },
};

record! {
    /// A redirect.
    RedirectRecord<'a> {
        code: Word<'a>,
        target: Word<'a>,
        /// The target is a path, and is sent as one.
        relative: bool,
        /// Of the path, whose capture stands in the target.
        pattern: Option<Word<'a>>,
        /// With a pattern: 301 instead of 302.
        permanent: bool,
    }
}

record! {
    /// A fixed response.
    RespondRecord<'a> {
        status: Word<'a>,
        /// Absent for nginx's own page.
        body: Option<Word<'a>>,
        content_type: Word<'a>,
        /// No list of media types counts.
        fixed_type: bool,
    }
}

pub(super) fn redirect<'a>(
    redirect: &'a Redirect,
    location: &Location,
) -> Result<RedirectRecord<'a>, QuoteError> {
    let code = redirect.code.get();
    let record = |target, relative, pattern| RedirectRecord {
        code: Word::number(code.into()),
        target,
        relative: relative && !redirect.absolute,
        pattern,
        permanent: code == 301,
    };
    match &redirect.to {
        RedirectTo::Target {
            target,
            append_request_uri,
        } => {
            let to = target.as_str();
            let target = if *append_request_uri {
                quote_expanding_before(to, "${request_uri}")?
            } else {
                quote_expanding(to)?
            };
            Ok(record(target, to.starts_with('/'), None))
        }
        RedirectTo::Parts(parts) => {
            let (target, pattern) = changed(parts, location)?;
            let relative = parts.scheme.is_none() && parts.host.is_none() && parts.port.is_none();
            Ok(record(target, relative, pattern))
        }
    }
}

/// The requested URL with `parts` changed, and the pattern that is captured from.
///
/// What comes from the request is as it was sent: nginx would write the line
/// breaks of a decoded path into the header.
fn changed<'a>(
    parts: &RedirectParts,
    location: &Location,
) -> Result<(Word<'a>, Option<Word<'a>>), QuoteError> {
    let mut target = Vec::with_capacity(8);
    let port = parts.port.map(|port| format!(":{port}"));
    if parts.scheme.is_some() || parts.host.is_some() || port.is_some() {
        target.push(match parts.scheme {
            Some(scheme) => Part::Text(scheme.as_str()),
            None => Part::Variable("scheme"),
        });
        target.push(Part::Text("://"));
        target.push(match &parts.host {
            Some(host) => Part::Text(host.as_str()),
            None => Part::Variable("host"),
        });
        target.extend(port.as_deref().map(Part::Text));
    }
    let mut captured = None;
    match (&parts.path, &location.path) {
        (None, _) => target.push(Part::Variable("request_uri")),
        (
            Some(RedirectPath::Prefix(prefix)),
            PathMatch::Prefix(path) | PathMatch::PrefixPriority(path),
        ) => {
            target.extend([Part::Text(prefix.as_str()), Part::Capture(1)]);
            captured = Some(quote(&pattern::beginning_with(path.as_str()))?.into_owned());
        }
        (Some(RedirectPath::Whole(path) | RedirectPath::Prefix(path)), _) => {
            target.push(Part::Text(path.as_str()));
            if !parts.drop_query {
                target.extend([Part::Variable("is_args"), Part::Variable("args")]);
            }
        }
    }
    Ok((quote_parts(target)?, captured))
}

pub(crate) fn respond(respond: &Respond) -> Result<RespondRecord<'_>, QuoteError> {
    let body = respond.body.as_str();
    Ok(RespondRecord {
        status: Word::number(respond.status.get().into()),
        // For an error without text nginx would send a page of its own.
        body: Some(if body.is_empty() && respond.status.get() >= 400 {
            Word::variable("nxmesh_empty")
        } else {
            quote_lines(body)?
        }),
        content_type: match &respond.content_type {
            Some(content_type) => quote(content_type.as_str())?,
            None => Word::fixed("text/plain"),
        },
        fixed_type: !respond.type_by_extension,
    })
}
