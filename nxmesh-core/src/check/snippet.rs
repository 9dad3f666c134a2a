//! What a snippet has to be in itself, and where it may be named.

use super::Found;
use crate::{
    document::Problem,
    model::{Resource, ResourceSet, SnippetSpec},
    snippet::{SnippetContext, SnippetPolicy},
};

pub(super) fn check(spec: &SnippetSpec, policy: &SnippetPolicy, found: &mut Found) {
    if let Err(error) = policy.approve(spec.context, &spec.directives) {
        found.tell("/spec/directives", error.to_string());
    }
    if spec.directives.as_str().len() > spec.context.max_bytes() {
        found.say(
            "/spec/directives",
            "a snippet that goes into other documents is at most 65536 bytes long, others 1048576",
        );
    }
    upstreams(spec, found);
    if !spec.context.is_chosen() && !spec.selector.requirements().is_empty() {
        found.say(
            "/spec/selector",
            "a selector is for snippets of the contexts main, events, http and stream; others go where they are named",
        );
    }
}

fn upstreams(spec: &SnippetSpec, found: &mut Found) {
    use SnippetContext::{Events, Main, Upstream};
    if spec.upstreams.is_empty() {
        return;
    }
    if spec.upstreams.len() > 20 || matches!(spec.context, Main | Events | Upstream) {
        found.say(
            "/spec/upstreams",
            "a snippet of the contexts http, server, location, stream and stream_server passes to at most 20 upstreams",
        );
    }
    let named = spec.directives.passes_to();
    for (index, name) in spec.upstreams.iter().enumerate() {
        if !named.contains(&name.as_str()) {
            found.say(
                format!("/spec/upstreams/{index}"),
                "the directives pass nothing to this upstream, for example proxy_pass http://shop; for [shop]",
            );
        }
    }
}

/// A snippet stands only in the block it is for.
pub(super) fn placed(resources: &ResourceSet) -> Vec<Problem> {
    let mut problems = Vec::new();
    for (key, resource) in resources.iter() {
        let mut named = |pointer: String, name, context: SnippetContext| {
            if let Some(snippet) = resources.snippet(name)
                && snippet.spec.context != context
            {
                let rule = format!(
                    "Snippet/{name} is for the context {}, here stands one for {context}",
                    snippet.spec.context
                );
                problems.push(Problem::new(key, pointer, &rule));
            }
        };
        match &**resource {
            Resource::VirtualHost(host) => {
                for (index, name) in host.spec.traffic.snippets.iter().enumerate() {
                    named(
                        format!("/spec/snippets/{index}"),
                        name,
                        SnippetContext::Server,
                    );
                }
                for (place, location) in host.spec.locations.iter().enumerate() {
                    for (index, name) in location.traffic.snippets.iter().enumerate() {
                        let pointer = format!("/spec/locations/{place}/snippets/{index}");
                        named(pointer, name, SnippetContext::Location);
                    }
                }
            }
            Resource::RouteSet(set) => {
                for (place, location) in set.spec.locations.iter().enumerate() {
                    for (index, name) in location.traffic.snippets.iter().enumerate() {
                        let pointer = format!("/spec/locations/{place}/snippets/{index}");
                        named(pointer, name, SnippetContext::Location);
                    }
                }
            }
            Resource::Upstream(upstream) => {
                for (index, name) in upstream.spec.snippets.iter().enumerate() {
                    named(
                        format!("/spec/snippets/{index}"),
                        name,
                        SnippetContext::Upstream,
                    );
                }
            }
            Resource::StreamServer(server) => {
                for (index, name) in server.spec.snippets.iter().enumerate() {
                    named(
                        format!("/spec/snippets/{index}"),
                        name,
                        SnippetContext::StreamServer,
                    );
                }
            }
            _ => {}
        }
    }
    problems
}
