//! What locations and their actions have to be in themselves.

mod answer;
mod proxy;

use super::Found;
use crate::model::{Action, Location, PathMatch, value::HeaderName};

pub(super) fn check(at: &str, location: &Location, found: &mut Found) {
    match &location.action {
        Action::Proxy(proxy) => proxy::check(&format!("{at}/proxy"), proxy, location, found),
        Action::Static(files) => answer::files(&format!("{at}/static"), files, location, found),
        Action::Redirect(redirect) => {
            answer::redirect(&format!("{at}/redirect"), redirect, location, found);
        }
        Action::Respond(_) => {}
    }
}

/// Whether a path is compared with a pattern.
const fn has_pattern(path: &PathMatch) -> bool {
    matches!(path, PathMatch::Regex(_) | PathMatch::RegexIgnoreCase(_))
}

/// Whether nginx has a variable for a header.
pub(super) fn has_variable(name: &HeaderName) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
    name.as_str().bytes().all(plain)
}
