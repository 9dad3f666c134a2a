//! From nginx's words to the resource at fault.

use std::{error::Error, net::SocketAddr, path::Path};

use nxmesh_core::model::{Resource, ResourceKey, ResourceSet};

use super::{Failure, render::Rendering};

/// Adds the file, line and resource that nginx names, if it names any. Files
/// of the release in `folder` are told by their paths within it. A port that
/// cannot be bound is the fault of who listens on it, if that is one alone.
pub(super) fn assign(mut failure: Failure, rendering: &Rendering, folder: &Path) -> Failure {
    let Rendering { slice, tree } = rendering;
    let named = failure.message.lines().find_map(place_in);
    if let Some((path, line)) = named {
        let file = match Path::new(path).strip_prefix(folder) {
            Ok(relative) => relative.to_string_lossy().into_owned(),
            Err(_) => path.to_owned(),
        };
        failure.resource = tree.file(&file).and_then(|file| file.resource.clone());
        failure.file = Some(file);
        failure.line = Some(line);
    } else if failure.resource.is_none() {
        let unbound = failure.message.lines().find_map(unbound_in);
        failure.resource = unbound.and_then(|address| listener(slice.resources(), address));
    }
    failure
}

/// nginx says `bind() to <address> failed`.
fn unbound_in(line: &str) -> Option<SocketAddr> {
    let (_, rest) = line.split_once("bind() to ")?;
    rest.split_once(" failed")?.0.parse().ok()
}

/// The one resource that listens on `address`.
fn listener(resources: &ResourceSet, address: SocketAddr) -> Option<ResourceKey> {
    let mut listeners = resources.iter().filter(|(_, resource)| {
        let Resource::VirtualHost(host) = &***resource else {
            return false;
        };
        host.spec.listen.iter().any(|listen| {
            let ip = listen.address.map_or(address.ip(), |own| own.ip());
            listen.port.get() == address.port()
                && (ip == address.ip() || address.ip().is_unspecified())
        })
    });
    let (key, _) = listeners.next()?;
    listeners.next().is_none().then(|| key.clone())
}

/// nginx ends its complaints with ` in <file>:<line>`.
pub(super) fn place_in(line: &str) -> Option<(&str, u32)> {
    let (_, place) = line.rsplit_once(" in /")?;
    let start = line.len() - place.len() - 1;
    let (path, number) = line[start..].rsplit_once(':')?;
    Some((path, number.trim().parse().ok()?))
}

/// An error with all its causes in one line.
pub(crate) fn chain(error: &dyn Error) -> String {
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
    use std::sync::Arc;

    use nxmesh_core::{bundle::Slice, contract::renderer::RenderedTree, testkit::sample};

    use super::*;

    fn rendering() -> Rendering {
        let key = "VirtualHost/shop".parse().unwrap();
        let mut tree = RenderedTree::default();
        tree.insert("hosts/shop.conf", &b"x"[..], Some(key));
        let mut blog = sample::virtual_host("blog");
        let address = |address: &str| Some(address.parse().unwrap());
        blog.spec.listen[0].port = nxmesh_core::model::value::Port::new(8081).unwrap();
        blog.spec.listen[0].address = address("127.0.0.1");
        let hosts = [
            blog,
            sample::virtual_host("shop"),
            sample::virtual_host("site"),
        ];
        let resources: ResourceSet = hosts.into_iter().map(Resource::from).collect();
        let slice = Arc::new(Slice::new(resources));
        Rendering { slice, tree }
    }

    #[test]
    fn nginx_names_the_file_and_we_the_resource() {
        let folder = Path::new("/srv/releases/1.2-abc");
        let assigned = |message: &str| assign(Failure::new("x", message), &rendering(), folder);
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

    #[test]
    fn a_port_is_the_fault_of_who_alone_listens_on_it() {
        let folder = Path::new("/srv");
        let at_fault = |address: &str| {
            let message =
                format!("[emerg] bind() to {address} failed (98: Address already in use)");
            assign(Failure::new("x", message), &rendering(), folder).resource
        };
        let blog = Some("VirtualHost/blog".parse().unwrap());
        assert_eq!(at_fault("127.0.0.1:8081"), blog);
        assert_eq!(at_fault("127.0.0.2:8081"), None);
        assert_eq!(at_fault("0.0.0.0:80"), None, "two listen there");
        assert_eq!(at_fault("unix:/run/x.sock"), None);
    }
}
