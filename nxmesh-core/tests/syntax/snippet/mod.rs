//! Snippets: what is well-formed, and what the policy approves.

mod approved;
mod known;
mod refused;
mod text;

use nxmesh_core::snippet::SnippetContext;

/// A whole configuration with `text` in the block of `context`.
fn configuration(context: SnippetContext, text: &str) -> String {
    let http = |text: &str| format!("events {{ }}\nhttp {{\n{text}\n}}\n");
    let stream = |text: &str| format!("events {{ }}\nstream {{\n{text}\n}}\n");
    match context {
        SnippetContext::Main => format!("events {{ }}\n{text}\n"),
        SnippetContext::Events => format!("events {{\n{text}\n}}\n"),
        SnippetContext::Http => http(text),
        SnippetContext::Server => http(&format!("server {{ listen unix:sock;\n{text}\n}}")),
        SnippetContext::Location => http(&format!(
            "server {{ listen unix:sock; location / {{\n{text}\n}} }}"
        )),
        SnippetContext::Upstream => http(&format!("upstream a {{\n{text}\nserver 127.0.0.1:1; }}")),
        SnippetContext::Stream => stream(text),
        SnippetContext::StreamServer => stream(&format!("server {{ listen unix:sock;\n{text}\n}}")),
    }
}
