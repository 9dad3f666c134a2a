//! From nginx's words to the resource at fault.

use std::{error::Error, path::Path};

use nxmesh_core::contract::renderer::RenderedTree;

use super::Failure;

/// Adds the file, line and resource that nginx names, if it names any. Files
/// of the release in `folder` are told by their paths within it.
pub(super) fn assign(mut failure: Failure, tree: &RenderedTree, folder: &Path) -> Failure {
    let named = failure.message.lines().find_map(place_in);
    if let Some((path, line)) = named {
        let file = match Path::new(path).strip_prefix(folder) {
            Ok(relative) => relative.to_string_lossy().into_owned(),
            Err(_) => path.to_owned(),
        };
        failure.resource = tree.file(&file).and_then(|file| file.resource.clone());
        failure.file = Some(file);
        failure.line = Some(line);
    }
    failure
}

/// nginx ends its complaints with ` in <file>:<line>`.
fn place_in(line: &str) -> Option<(&str, u32)> {
    let (_, place) = line.rsplit_once(" in /")?;
    let start = line.len() - place.len() - 1;
    let (path, number) = line[start..].rsplit_once(':')?;
    Some((path, number.trim().parse().ok()?))
}

/// An error with all its causes in one line.
pub(super) fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nginx_names_the_file_and_we_the_resource() {
        let key = "VirtualHost/shop".parse().unwrap();
        let mut tree = RenderedTree::default();
        tree.insert("hosts/shop.conf", &b"x"[..], Some(key));
        let folder = Path::new("/srv/releases/1.2-abc");
        let assigned = |message: &str| assign(Failure::new("x", message), &tree, folder);
        let ours = assigned(
            "[emerg] host not found in upstream \"a\" in /srv/releases/1.2-abc/hosts/shop.conf:12",
        );
        assert_eq!(ours.resource, Some("VirtualHost/shop".parse().unwrap()));
        assert_eq!(ours.file.as_deref(), Some("hosts/shop.conf"));
        assert_eq!(ours.line, Some(12));
        let other = assigned("[emerg] unknown directive \"x\" in /etc/nginx/nginx.conf:3");
        assert_eq!(other.resource, None);
        assert_eq!(other.file.as_deref(), Some("/etc/nginx/nginx.conf"));
        assert_eq!(assigned("[emerg] still could not bind()").file, None);
    }
}
