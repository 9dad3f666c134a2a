//! `location` blocks.

use nxmesh_core::{model::ResourceKind, snippet::SnippetContext};
use serde_json::{Value, json};

use super::{
    action::{self, Action},
    draft::{Draft, Fields, Leftover},
    files::Machine,
    node::Node,
    report::Report,
    scope::Scope,
    settings::{self, Around},
    tls::Certificates,
    upstream::Upstreams,
    zones::Zones,
};

/// Where locations are read.
pub(super) struct Place<'p, 'n> {
    /// The virtual host's name.
    pub(super) host: String,
    /// The server.
    pub(super) scope: &'p Scope<'n>,
    pub(super) machine: &'p Machine<'n>,
    pub(super) zones: &'p Zones,
    pub(super) upstreams: &'p mut Upstreams,
    pub(super) certificates: &'p mut Certificates,
    /// The Snippet of the server.
    pub(super) leftover: &'p mut Leftover,
    pub(super) snippets: &'p mut Vec<Draft>,
    pub(super) report: &'p mut Report,
}

/// Whether a server has a location for all paths. Without one, what the server says
/// itself is done with those that match no other.
pub(super) fn has_root(server: &Scope<'_>) -> bool {
    let locations = server.own().iter().filter(|it| it.name == "location");
    let mut paths = locations.map(|node| &node.arguments);
    paths.any(|it| *it == ["/"] || *it == ["^~", "/"])
}

/// Whether requests of a block end in files.
fn serves_files(node: &Node) -> bool {
    let ends = |node: &Node| node.name == "return" || node.name.ends_with("_pass");
    if node.children().iter().any(ends) {
        return false;
    }
    let mut blocks = node.children().iter().filter(|it| it.name == "location");
    blocks.clone().next().is_none() || blocks.any(serves_files)
}

impl<'n> Place<'_, 'n> {
    /// Reads all locations of the server.
    pub(super) fn locations(mut self, draft: &mut Draft) {
        let mut locations = Vec::new();
        let (named, others): (Vec<&Node>, Vec<&Node>) = self
            .scope
            .own()
            .iter()
            .filter(|node| node.name == "location")
            .partition(|node| node.first().starts_with('@'));
        for node in &others {
            locations.extend(self.location(node).map(|location| (*node, location)));
        }
        // Those that only fields lead to are said by them.
        for node in named {
            if self.is_led_to(node.first()) {
                self.leftover.take(node, self.report);
            }
        }
        if !has_root(self.scope)
            && let Some(root) = self.scope.find("root")
        {
            match self.root() {
                Some(location) => locations.push((root, location)),
                None => self
                    .report
                    .lost(root, "its files cannot be served as it says"),
            }
        }
        let all = locations.iter().map(|(_, location)| location.clone());
        if locations.is_empty() || draft.set("locations", all.collect()) {
            return;
        }
        for (node, location) in locations {
            if !draft.push("locations", location) {
                let reason = "the location is not what a virtual host can say";
                self.report.lost(node, reason);
            }
        }
    }

    /// What is done with paths that no location is for.
    fn root(&mut self) -> Option<Value> {
        let action = self.action(self.scope, None)?;
        let mut location = json!({ "path": "/" });
        location[action.field] = action.value;
        let name = format!("{}-root-location", self.host);
        let mut leftover = Leftover::new(name, SnippetContext::Location);
        for node in action.beside {
            if !leftover.takes(node, self.report) {
                return None;
            }
        }
        if let Some(snippet) = leftover.draft() {
            location["snippets"] = json!([snippet.name]);
            self.snippets.push(snippet);
        }
        Some(location)
    }

    /// Whether what stays a Snippet may lead to the location with this name.
    fn is_led_to(&self, name: &str) -> bool {
        let of_locations = self.snippets.iter();
        let mut texts = of_locations.filter_map(|draft| draft.spec.get("directives")?.as_str());
        self.leftover.text().contains(name) || texts.any(|text| text.contains(name))
    }

    /// A location as documents have it; `None` if it became part of the
    /// server's Snippet, or of nothing.
    fn location(&mut self, node: &'n Node) -> Option<Value> {
        let mark = self.report.mark();
        let location = self.typed(node);
        if location.is_none() {
            // What was noted on the way is in the Snippet all the same.
            self.report.back_to(mark);
            self.whole(node);
        }
        location
    }

    /// A location whose action a field can say.
    fn typed(&mut self, node: &'n Node) -> Option<Value> {
        let (kind, path) = match &node.arguments[..] {
            [path] => ("prefix", path),
            [modifier, path] => {
                let kind = match modifier.as_str() {
                    "=" => "exact",
                    "^~" => "prefix_priority",
                    "~" => "regex",
                    "~*" => "regex_ignore_case",
                    _ => return None,
                };
                (kind, path)
            }
            _ => return None,
        };
        if node.children().iter().any(|inner| inner.name == "location") {
            return None;
        }
        let scope = self.scope.below(node.children());
        let mut location = json!({ "path": path });
        if kind != "prefix" {
            location["match"] = json!(kind);
        }
        let exact = (kind == "exact").then_some(path.as_str());
        let action = self.action(&scope, exact)?;
        location[action.field] = action.value;
        self.settings(node, &scope, location, action.said, &action.beside)
    }

    /// A location with no action that a field can say, as it stands.
    fn whole(&mut self, node: &Node) {
        if self.scope.find("root").is_some() && serves_files(node) {
            let reason = "it serves files of the server's root, which no Snippet can say";
            self.report.lost(node, reason);
        } else {
            self.leftover.take(node, self.report);
        }
    }

    /// What is done with requests in a block that is for `path`, or for several.
    fn action(&mut self, scope: &Scope<'n>, path: Option<&str>) -> Option<Action<'n>> {
        let mut around = action::Around {
            path,
            upstreams: &mut *self.upstreams,
            keys: action::Keys {
                certificates: &mut *self.certificates,
                machine: self.machine,
                server: &self.host,
                report: &mut *self.report,
            },
        };
        action::read(scope, &mut around)
    }

    /// Adds what is said beside the action; `said` names what was said already, but for
    /// `beside`. `None` if a directive of these is refused.
    fn settings(
        &mut self,
        node: &'n Node,
        scope: &Scope<'n>,
        location: Value,
        mut said: Vec<&'static str>,
        beside: &[&'n Node],
    ) -> Option<Value> {
        let mut draft = Draft::new(
            ResourceKind::VirtualHost,
            self.host.clone(),
            json!({ "server_names": ["_"], "locations": [location] }),
        );
        if !draft.is_sound() {
            return None;
        }
        let name = self.snippet_name(node.line);
        let mut leftover = Leftover::new(name, SnippetContext::Location);
        let mut fields = Fields::of(&mut draft, "/locations/0");
        let around = Around {
            zones: self.zones,
            machine: self.machine,
            in_location: true,
        };
        said.extend(settings::read(scope, &around, &mut fields));
        if scope.has("add_header") {
            said.extend(self.headers(scope, &mut fields));
        }
        for inner in beside {
            if !leftover.takes(inner, self.report) {
                return None;
            }
        }
        for inner in scope.own() {
            if !said.contains(&inner.name.as_str()) {
                leftover.take(inner, self.report);
            }
        }
        if let Some(snippet) = leftover.draft() {
            if fields.set("snippets", json!([snippet.name])) {
                self.snippets.push(snippet);
            } else {
                self.report.lost(node, "snippets cannot be attached here");
            }
        }
        let mut spec = Value::Object(draft.spec);
        spec.pointer_mut("/locations/0").map(Value::take)
    }

    /// A name for the Snippet of a location in this line, which may be one of several
    /// files, and hold several locations.
    fn snippet_name(&self, line: u32) -> String {
        let name = format!("{}-{line}-location", self.host);
        let taken = |name: &str| self.snippets.iter().any(|it| it.name == name);
        let mut more = (2..).map(|number| format!("{name}-{number}"));
        let free = more.find(|it| !taken(it)).filter(|_| taken(&name));
        free.unwrap_or(name)
    }

    /// nginx sends the headers of the server only where a location has none of its
    /// own.
    fn headers(&self, scope: &Scope<'n>, fields: &mut Fields<'_>) -> Option<&'static str> {
        let headers = settings::response_headers(scope.own())?;
        let set = fields.set("response_headers", headers);
        let others = self.scope.has("add_header");
        let set = set && (!others || fields.set("own_response_headers_only", json!(true)));
        set.then_some("add_header")
    }
}
