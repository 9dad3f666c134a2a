//! What locations and their actions have to be in themselves.

mod answer;
mod fastcgi;
mod proxy;
mod route;

pub(super) use proxy::{request_headers, scheme as upstream_scheme, shares, tls as upstream_tls};
pub(super) use route::condition;

use super::Found;
use crate::model::{Action, Location, PathMatch, value::HeaderName};

pub(super) fn check(at: &str, location: &Location, found: &mut Found) {
    action(at, &location.action, location, found);
    route::check(at, location, found);
}

/// Checks what is done with requests of `location`, or with some of them.
fn action(at: &str, action: &Action, location: &Location, found: &mut Found) {
    match action {
        Action::Proxy(proxy) => proxy::check(&format!("{at}/proxy"), proxy, location, found),
        Action::Grpc(grpc) => fastcgi::grpc(&format!("{at}/grpc"), grpc, found),
        Action::FastCgi(fastcgi) => fastcgi::check(&format!("{at}/fastcgi"), fastcgi, found),
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
