//! Locations that only nginx leads to.

use super::super::location::RespondRecord;
use crate::{handlebars::record::record, token::Word};

record! {
    /// A location beside those of the document; exactly one of the last four is
    /// there.
    InternalRecord<'a> {
        /// `@name`, or a path.
        name: Word<'a>,
        /// Whether it is a path.
        is_path: bool,
        auth: Option<PassRecord<'a>>,
        mirror: Option<PassRecord<'a>>,
        /// Of an error.
        page: Option<PassRecord<'a>>,
        respond: Option<RespondRecord<'a>>,
        /// The value of Retry-After.
        retry_after: Option<Word<'a>>,
    }
}

record! {
    /// Passing a request on.
    PassRecord<'a> {
        /// A URL.
        target: Word<'a>,
        /// Whether nginx has an external authentication that is to be left out.
        auth_request: bool,
        /// With its body.
        body: bool,
        /// A condition under which it is not passed.
        unless: Option<Word<'a>>,
    }
}

impl<'a> InternalRecord<'a> {
    /// A location called `id` of its kind, led to by its path.
    pub(super) fn path(kind: &str, id: &str) -> Self {
        Self::called(Word::own(format!("/.nxmesh/{kind}/{id}")), true)
    }

    /// A location called `id` of its kind, led to by its name.
    pub(super) fn named(kind: &str, id: &str) -> Self {
        Self::called(
            Word::internal_location(&format!("nxmesh_{kind}_{id}")),
            false,
        )
    }

    const fn called(name: Word<'a>, is_path: bool) -> Self {
        Self {
            name,
            is_path,
            auth: None,
            mirror: None,
            page: None,
            respond: None,
            retry_after: None,
        }
    }
}

impl<'a> PassRecord<'a> {
    pub(super) const fn to(target: Word<'a>) -> Self {
        Self {
            target,
            auth_request: false,
            body: false,
            unless: None,
        }
    }
}
