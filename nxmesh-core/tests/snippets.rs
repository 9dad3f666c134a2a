//! What is asked of Snippet documents beside their directives.

use nxmesh_core::{
    check::{check, check_with},
    document::{parse, parse_value},
    model::ResourceSet,
};
use serde_json::json;

#[test]
fn an_installation_has_its_own_rules_for_snippets() {
    let snippet = |directives: &str| {
        let spec = json!({ "context": "server", "directives": directives });
        let document = json!({ "kind": "Snippet", "metadata": { "name": "a" }, "spec": spec });
        let snippet = parse_value("test", document).expect("well-formed");
        [snippet].into_iter().collect::<ResourceSet>()
    };
    let policy = json!({ "allow": { "more_clear_headers": ["server"] }, "deny": ["gzip"] });
    let policy = serde_json::from_value(policy).expect("a policy");
    assert!(check(snippet("more_clear_headers Server;")).is_err());
    assert!(check_with(snippet("more_clear_headers Server;"), &policy).is_ok());
    assert!(check(snippet("gzip on;")).is_ok());
    let refused = check_with(snippet("gzip on;"), &policy).expect_err("denied");
    assert_eq!(refused[0].pointer, "/spec/directives");
}

#[test]
fn a_snippet_names_the_upstreams_that_it_passes_to() {
    let snippet = |context: &str, upstreams: &str| {
        format!(
            "kind: Snippet\nmetadata: {{ name: s }}\nspec: {{ context: {context}, upstreams: {upstreams}, \
             directives: \"location /x {{ proxy_pass http://shop; }}\" }}\n"
        )
    };
    let upstream = "---\nkind: Upstream\nmetadata: { name: shop }\n\
                    spec: { servers: [{ address: \"10.0.0.1:80\" }] }\n";
    let problems = |text: &str| -> Vec<(String, String)> {
        let parsed = parse("test", text).expect("it is well-formed");
        let set = parsed.into_iter().map(|one| one.resource).collect();
        let problems = check(set).err().unwrap_or_default();
        problems
            .into_iter()
            .map(|it| (it.pointer, it.rule))
            .collect()
    };
    assert_eq!(problems(&(snippet("server", "[shop]") + upstream)), []);
    let missing = problems(&snippet("server", "[shop]"));
    assert_eq!(missing.len(), 1);
    assert_eq!(missing[0].0, "/spec/upstreams/0");
    assert!(missing[0].1.contains("Upstream/shop is not in workspace"));
    let unnamed = problems(&(snippet("server", "[shop, other]") + upstream));
    assert!(
        unnamed
            .iter()
            .any(|(at, rule)| at == "/spec/upstreams/1" && rule.contains("pass nothing"))
    );
    let there = "kind: Snippet\nmetadata: { name: s }\n\
                 spec: { context: main, upstreams: [shop], directives: \"timer_resolution 1s;\" }\n";
    let outside = problems(&(there.to_owned() + upstream));
    assert!(
        outside.iter().any(|(at, _)| at == "/spec/upstreams"),
        "{outside:?}"
    );
}
