//! What a location of a Snippet inherits where the fields of its virtual host do not say
//! it around it, but in each of their locations.

use super::{node::Node, scope::Scope};

/// A location with what it inherits from the server around it.
pub(super) fn told(node: &Node, server: &Scope<'_>) -> Node {
    let around: Vec<Node> = server
        .all("proxy_set_header")
        .into_iter()
        .cloned()
        .collect();
    let around = Around {
        stand: around.is_empty(),
        headers: around,
    };
    let node = HTTP.told(node, &around);
    // These stand in a Snippet of the server, as they stood there.
    let around: Vec<Node> = server.all("grpc_set_header").into_iter().cloned().collect();
    let around = Around {
        stand: true,
        headers: around,
    };
    intercepting(GRPC.told(&node, &around), server)
}

/// The same for what stands where no root can stand: the folder in place of variables
/// that hold it.
pub(super) fn rooted(node: &Node, scope: &Scope<'_>) -> Node {
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-".contains(c);
    match scope.word("root") {
        Some(root) if root.starts_with('/') && root.chars().all(plain) => {
            let root = root.trim_end_matches('/');
            let file = format!("{root}$uri");
            node.reworded(&|word| {
                let word = replaced(word, "document_root", root);
                let word = replaced(&word, "realpath_root", root);
                replaced(&word, "request_filename", &file)
            })
        }
        _ => node.clone(),
    }
}

/// Whether requests of a location may end in files, or its words name their folder.
pub(super) fn looks_up_files(node: &Node) -> bool {
    let answers = |node: &Node| {
        let name = node.name.as_str();
        matches!(name, "return" | "stub_status" | "empty_gif") || name.ends_with("_pass")
    };
    let named = |node: &Node| {
        let variables = ["document_root", "realpath_root", "request_filename"];
        let mut words = node.arguments.iter();
        words.any(|word| variables.iter().any(|name| word.contains(name)))
    };
    let mut nested = node.children().iter().filter(|it| it.name == "location");
    !node.children().iter().any(answers)
        || node.any(&|it| it.name == "try_files" || named(it))
        || nested.any(looks_up_files)
}

/// A word with `text` in place of a variable.
fn replaced(word: &str, variable: &str, text: &str) -> String {
    let goes_on = |rest: &str| rest.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '_');
    let name = format!("${variable}");
    let braced = word.replace(&format!("${{{variable}}}"), text);
    let mut parts = braced.split(&name);
    let mut whole = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        if goes_on(part) {
            whole.push_str(&name);
        } else {
            whole.push_str(text);
        }
        whole.push_str(part);
    }
    whole
}

/// Error pages for what upstreams answer are a field of the host, which renders only
/// for the protocols of its own locations.
fn intercepting(node: Node, server: &Scope<'_>) -> Node {
    let mut inherited = Vec::new();
    for kind in ["proxy", "fastcgi", "grpc", "uwsgi", "scgi"] {
        let (pass, intercept) = (format!("{kind}_pass"), format!("{kind}_intercept_errors"));
        let own = node.children().iter().any(|it| it.name == intercept);
        if !own && node.any(&|it| it.name == pass) {
            inherited.extend(server.own().iter().rfind(|it| it.name == intercept));
        }
    }
    let inherited: Vec<Node> = inherited.into_iter().cloned().collect();
    let children = node.children().to_vec();
    node.with_children([inherited, children].concat())
}

/// Headers of requests that are passed on.
struct Headers {
    set: &'static str,
    pass: &'static str,
    schemes: [&'static str; 2],
}

const HTTP: Headers = Headers {
    set: "proxy_set_header",
    pass: "proxy_pass",
    schemes: ["http://", "https://"],
};

const GRPC: Headers = Headers {
    set: "grpc_set_header",
    pass: "grpc_pass",
    schemes: ["grpc://", "grpcs://"],
};

/// The headers that count around a block.
struct Around {
    headers: Vec<Node>,
    /// Whether they stand there, and no others.
    stand: bool,
}

impl Headers {
    /// The block with the headers that count in it and do not stand around it. A Snippet
    /// calls upstreams by other names, so it says which `Host` they get.
    fn told(&self, node: &Node, around: &Around) -> Node {
        let own: Vec<Node> = self.own(node);
        let is_own = !own.is_empty();
        let counting = if is_own { own } else { around.headers.clone() };
        let mut wanted = counting.clone();
        let host = wanted
            .iter_mut()
            .find(|it| it.first().eq_ignore_ascii_case("host"));
        let names_upstream = match (self.authority(node), host) {
            (Some(name), None) => {
                wanted.push(node.beside(self.set, &["Host", &name]));
                true
            }
            (Some(name), Some(host)) if host.arguments[1..] == ["$proxy_host"] => {
                *host = node.beside(self.set, &["Host", &name]);
                true
            }
            _ => false,
        };
        let stand = is_own || around.stand;
        let passes = self.passes(node).next().is_some();
        let writes = passes && (names_upstream || !stand);
        if writes && wanted.is_empty() {
            wanted.push(node.beside(self.set, &["Host", "$proxy_host"]));
        }
        let inside = Around {
            headers: counting,
            stand: if writes { !names_upstream } else { stand },
        };
        let mut children = if writes { wanted } else { Vec::new() };
        for child in node.children() {
            match child.name.as_str() {
                "location" => children.push(self.told(child, &inside)),
                name if writes && name == self.set => {}
                _ => children.push(child.clone()),
            }
        }
        node.with_children(children)
    }

    fn own(&self, node: &Node) -> Vec<Node> {
        let own = node.children().iter().filter(|it| it.name == self.set);
        own.cloned().collect()
    }

    /// What passes requests of the block itself on.
    fn passes<'n>(&self, node: &'n Node) -> impl Iterator<Item = &'n Node> {
        let conditions = node.children().iter().filter(|it| it.name != "location");
        let pass = self.pass;
        let all = conditions.flat_map(|it| std::iter::once(it).chain(it.children()));
        all.filter(move |it| it.name == pass)
    }

    /// The name of an upstream that the block passes to.
    fn authority(&self, node: &Node) -> Option<String> {
        let plain = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
        self.passes(node).find_map(|pass| {
            let url = pass.first();
            let mut schemes = self.schemes.iter();
            let rest = schemes.find_map(|it| url.strip_prefix(it)).unwrap_or(url);
            let name = rest.split('/').next().unwrap_or_default();
            (!name.is_empty() && name.chars().all(plain)).then(|| name.to_owned())
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_are_replaced_as_a_whole() {
        let in_srv = |word| replaced(word, "document_root", "/srv");
        assert_eq!(in_srv("$document_root$uri"), "/srv$uri");
        assert_eq!(in_srv("\"${document_root}_x\""), "\"/srv_x\"");
        assert_eq!(
            in_srv("$document_roots/$document_root"),
            "$document_roots//srv"
        );
    }
}
