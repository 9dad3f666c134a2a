//! `location` blocks.

use nxmesh_core::{model::ResourceKind, snippet::SnippetContext};
use serde_json::{Value, json};

use super::{
    action::{self, Action},
    draft::{Draft, Fields, Leftover},
    files::Machine,
    fit::CLOSED,
    inherit::{looks_up_files, rooted, told},
    node::Node,
    protect::{answers_in_turn, closed, closed_block, guards, path},
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
    /// Whether a location with a pattern is a field.
    pub(super) typed_patterns: bool,
}

/// What became of a location.
enum Read {
    /// A field.
    Typed(Value),
    /// Part of the server's Snippet.
    InSnippet,
    /// Nothing, and it was needed.
    Missing,
}

fn is_pattern(location: &Value) -> bool {
    let kind = location["match"].as_str();
    kind.is_some_and(|kind| kind.starts_with("regex"))
}

/// The folder of a block as the static action has it; `None` if it cannot be said.
fn folder(scope: &Scope<'_>) -> Option<Value> {
    let own = |name: &str| scope.own().iter().rfind(|node| node.name == name);
    let mut files = match own("alias") {
        Some(alias) => json!({ "alias": alias.first() }),
        None => json!({ "root": scope.word("root")? }),
    };
    if files.to_string().contains('$') {
        return None;
    }
    if let Some(index) = scope.find("index")
        && !index.arguments.iter().any(|name| name.contains(['/', '$']))
    {
        files["index"] = json!(index.arguments);
    }
    Some(files)
}

/// Whether a directive says nothing where it stands.
pub(super) fn is_idle(node: &Node, scope: &Scope<'_>) -> bool {
    node.name == "auth_basic_user_file" && scope.word("auth_basic").is_none_or(|it| it == "off")
}

/// Whether a server has a location for all paths. Without one, what the server says
/// itself is done with those that match no other.
pub(super) fn has_root(server: &Scope<'_>) -> bool {
    let locations = server.own().iter().filter(|it| it.name == "location");
    let mut paths = locations.map(|node| &node.arguments);
    paths.any(|it| *it == ["/"] || *it == ["^~", "/"])
}

impl<'n> Place<'_, 'n> {
    /// Reads all locations of the server. Whether it may serve: nothing that protects it
    /// is missing.
    pub(super) fn locations(mut self, draft: &mut Draft) -> bool {
        let mut locations = Vec::new();
        let (named, others): (Vec<&Node>, Vec<&Node>) = self
            .scope
            .own()
            .iter()
            .filter(|node| node.name == "location")
            .partition(|node| node.first().starts_with('@'));
        let mut may_serve = true;
        for node in &others {
            match self.location(node) {
                Read::Typed(location) => {
                    self.typed_patterns |= is_pattern(&location);
                    locations.push((*node, location));
                }
                Read::InSnippet => {}
                Read::Missing => may_serve = false,
            }
        }
        // What the server answers itself leaves nothing to its files.
        if !has_root(self.scope)
            && !self.scope.has("return")
            && let Some(root) = self.scope.find("root")
        {
            match self.root() {
                Some(location) => locations.push((root, location)),
                None => {
                    let reason = "its files cannot be served as it says";
                    self.report.lost(root, reason);
                }
            }
        }
        may_serve &= self.named(named);
        let all = locations.iter().map(|(_, location)| location.clone());
        if locations.is_empty() || draft.set("locations", all.collect()) {
            return may_serve;
        }
        for (node, location) in locations {
            if draft.push("locations", location.clone()) {
                continue;
            }
            let before = draft.spec.get("locations").and_then(Value::as_array);
            let same =
                |it: &Value| it["path"] == location["path"] && it["match"] == location["match"];
            if is_pattern(&location) && before.is_some_and(|all| all.iter().any(same)) {
                let by = "an earlier location has the same pattern";
                self.report.replaced(node, by);
                continue;
            }
            let reason = "the location is not what a virtual host can say";
            self.report.lost(node, reason);
            may_serve &= node.name != "location";
        }
        may_serve
    }

    /// Locations with names. Those that only fields lead to are said by them.
    fn named(&mut self, mut named: Vec<&'n Node>) -> bool {
        let mut may_serve = true;
        while let Some(at) = named.iter().position(|node| self.is_led_to(node.first())) {
            let node = named.remove(at);
            let leads_on = node.children().iter().any(|it| it.name == "rewrite");
            let rooted = rooted(node, self.scope);
            let serves =
                rooted.any(&|it| it.name == "try_files") || (looks_up_files(&rooted) && !leads_on);
            if self.scope.find("root").is_some() && serves {
                self.report.lost(node, CLOSED);
                may_serve &= self
                    .leftover
                    .take(&closed_block(node), &mut Report::default());
            } else {
                may_serve &= self.whole(node);
            }
        }
        may_serve
    }

    /// What the server itself does with paths that no location is for.
    fn root(&mut self) -> Option<Value> {
        let mut location = json!({ "path": "/" });
        let name = format!("{}-root-location", self.host);
        let mut leftover = Leftover::new(name, SnippetContext::Location);
        // What `return` answers for the whole server is in its Snippet.
        let files = self
            .action(self.scope, None)
            .filter(|it| it.field == "static");
        let beside = match files {
            Some(action) => {
                location[action.field] = action.value;
                action.beside
            }
            None => {
                location["static"] = folder(self.scope)?;
                let own = self.scope.own().iter();
                own.filter(|it| it.name == "try_files").collect()
            }
        };
        for node in beside {
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

    fn location(&mut self, node: &'n Node) -> Read {
        let mark = self.report.mark();
        if let Some(location) = self.typed(node) {
            return Read::Typed(location);
        }
        // What was noted on the way is in a Snippet all the same.
        self.report.back_to(mark);
        let scope = self.scope.below(node.children());
        let has_folder = scope.find("root").is_some() || scope.has("alias");
        let own_folder = scope.has("root") || scope.has("alias");
        let pattern = path(node).is_some_and(|location| is_pattern(&location));
        // The server's Snippet stands before the locations that are fields, and of
        // patterns the first that matches counts.
        let in_place = pattern && self.typed_patterns;
        let needs_folder = own_folder || (has_folder && looks_up_files(node));
        if !in_place && !needs_folder {
            return if self.whole(node) {
                Read::InSnippet
            } else {
                Read::Missing
            };
        }
        let carried = self.carried(node, &scope);
        let location = carried.or_else(|| {
            self.report.back_to(mark);
            self.report.lost(node, CLOSED);
            closed(node)
        });
        location.map_or(Read::Missing, Read::Typed)
    }

    /// A location whose action a field can say.
    fn typed(&mut self, node: &'n Node) -> Option<Value> {
        if node.children().iter().any(|inner| inner.name == "location") {
            return None;
        }
        let scope = self.scope.below(node.children());
        let mut location = path(node)?;
        // nginx works through these in turn, before it looks at who gets in.
        if answers_in_turn(node.children()) || (scope.has("return") && guards(&scope)) {
            return None;
        }
        let exact = location["match"] == json!("exact");
        let exact = location["path"].as_str().filter(|_| exact);
        let action = self.action(&scope, exact)?;
        location[action.field] = action.value.clone();
        self.settings(node, &scope, location, action, None)
    }

    /// A location with no action that a field can say: its folder is one, the rest a
    /// Snippet in it.
    fn carried(&mut self, node: &'n Node, scope: &Scope<'n>) -> Option<Value> {
        let mut location = path(node)?;
        let value = match folder(scope) {
            Some(folder) => folder,
            // It has another one, which cannot be said.
            None if scope.find("root").is_some() || scope.has("alias") => return None,
            // nginx's own; what counts is in the Snippet.
            None => json!({ "root": self.machine.home.join("html") }),
        };
        let mut rest = told(node, self.scope).children().to_vec();
        let mut said = vec!["root", "alias"];
        if value.get("index").is_some() {
            said.push("index");
        } else if !scope.has("index") {
            rest.extend(scope.find("index").cloned());
        }
        location["static"] = value.clone();
        let action = Action::new("static", value, said);
        self.settings(node, scope, location, action, Some(rest))
    }

    /// A location as it stands, in the server's Snippet. Whether nothing that protects it
    /// is missing.
    fn whole(&mut self, node: &Node) -> bool {
        let told = rooted(&told(node, self.scope), self.scope);
        self.leftover.take(&told, self.report)
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

    /// Adds what is said beside the action, and what this leaves to a Snippet; `rest` is
    /// what stands beside a folder that is not the action. `None` if a directive is refused
    /// that the action needs.
    fn settings(
        &mut self,
        node: &'n Node,
        scope: &Scope<'n>,
        location: Value,
        action: Action<'n>,
        rest: Option<Vec<Node>>,
    ) -> Option<Value> {
        let mut draft = Draft::new(
            ResourceKind::VirtualHost,
            self.host.clone(),
            json!({ "server_names": ["_"], "locations": [location] }),
        );
        if !draft.is_sound() {
            return None;
        }
        let mut fields = Fields::of(&mut draft, "/locations/0");
        let around = Around {
            zones: self.zones,
            machine: self.machine,
            in_location: true,
            in_snippet: rest.is_some(),
        };
        let mut said = action.said;
        said.extend(settings::read(scope, &around, &mut fields));
        if said.contains(&"auth_basic") {
            settings::report_people(scope, &around, self.report);
        }
        if scope.has("add_header") {
            said.extend(self.headers(scope, &mut fields));
        }
        let users = scope.word("auth_basic").is_some_and(|realm| realm != "off");
        let name = self.snippet_name(node.line);
        let mut leftover = Leftover::new(name, SnippetContext::Location).among_users(users);
        for inner in action.beside {
            if !leftover.takes(inner, self.report) {
                return None;
            }
        }
        let mut may_serve = true;
        for inner in rest.as_deref().unwrap_or(node.children()) {
            if !said.contains(&inner.name.as_str()) && !is_idle(inner, scope) {
                may_serve &= leftover.take(inner, self.report);
            }
        }
        if !may_serve {
            self.report.lost(node, CLOSED);
            return closed(node);
        }
        if let Some(snippet) = leftover.draft() {
            if !fields.set("snippets", json!([snippet.name])) {
                self.report.lost(node, "snippets cannot be attached here");
                return closed(node);
            }
            self.snippets.push(snippet);
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
