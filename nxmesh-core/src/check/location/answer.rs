//! What files and answers of nginx itself have to be in themselves.

use super::{Found, has_pattern};
use crate::model::{
    Folder, Location, Otherwise, PathMatch, Redirect, RedirectPath, RedirectTo, StaticFiles,
    TryPart,
};

pub(super) fn redirect(at: &str, redirect: &Redirect, location: &Location, found: &mut Found) {
    let RedirectTo::Parts(parts) = &redirect.to else {
        return;
    };
    if parts.drop_query && !matches!(parts.path, Some(RedirectPath::Whole(_))) {
        found.say(
            format!("{at}/drop_query"),
            "drop_query needs path, for example { path: /new, drop_query: true }",
        );
    }
    if matches!(parts.path, Some(RedirectPath::Prefix(_))) {
        if has_pattern(&location.path) {
            found.say(
                format!("{at}/prefix"),
                "a location with a pattern has no prefix to replace, for example { path: /new }",
            );
        }
        if !matches!(redirect.code.get(), 301 | 302) {
            found.say(
                format!("{at}/code"),
                "a redirect that replaces a prefix is 301 or 302, for example 301",
            );
        }
    }
}

/// Without a '/' at both ends an alias would also serve what lies beside it:
/// `/img` with `/srv/img/` has `/img../secret`.
pub(super) fn files(at: &str, files: &StaticFiles, location: &Location, found: &mut Found) {
    if let Folder::Alias(folder) = &files.folder {
        let folder = folder.as_str();
        let fits = match &location.path {
            PathMatch::Exact(_) => !folder.ends_with('/'),
            PathMatch::Prefix(path) | PathMatch::PrefixPriority(path) => {
                path.as_str().ends_with('/') && folder.ends_with('/')
            }
            PathMatch::Regex(_) | PathMatch::RegexIgnoreCase(_) => false,
        };
        if !fits {
            found.say(
                format!("{at}/alias"),
                "an alias and the path of its location both end in '/', for example { path: /img/, static: { alias: /srv/images/ } }; for an exact path it is a file",
            );
        }
    }
    if matches!(files.folder, Folder::Alias(_)) && !location.routes.is_empty() {
        found.say(
            format!("{at}/alias"),
            "a location with routes has no alias, for example static: { root: /srv/shop }",
        );
    }
    if let Some(proxy) = files.fallback() {
        super::proxy::check(&format!("{at}/otherwise/proxy"), proxy, location, found);
    }
    let Some(tries) = &files.tries else { return };
    if tries.parts.len() > 10 {
        found.say(format!("{at}/try"), "at most 10 files are tried");
    }
    let literal =
        |part: &TryPart| matches!(part, TryPart::Path(path) if path.as_str().contains('$'));
    if let Some(index) = tries.parts.iter().position(literal)
        && matches!(files.folder, Folder::Alias(_))
    {
        // nginx would take the path of the location away from its front.
        found.say(
            format!("{at}/try/{index}/path"),
            "a path that is tried with an alias has no '$', for example /fallback.png",
        );
    }
    if matches!(&tries.otherwise, Otherwise::Path(path) if path.as_str().contains('?')) {
        found.say(
            format!("{at}/otherwise/path"),
            "the path that is asked for otherwise has no '?', for example /index.html",
        );
    }
}
