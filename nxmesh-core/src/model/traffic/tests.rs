use serde_json::{Value, json};

use super::*;
use crate::{document, model::Resource};

fn settings(value: Value) -> TrafficSettings {
    serde_json::from_value(value).unwrap()
}

fn host(spec: Value) -> Result<Resource, document::Problem> {
    let mut document = json!({
        "kind": "VirtualHost",
        "metadata": { "name": "shop" },
        "spec": { "server_names": ["shop.test"] },
    });
    let own = document["spec"].as_object_mut().unwrap();
    own.extend(spec.as_object().cloned().unwrap());
    document::parse_value("test", document)
}

#[test]
fn the_nearer_settings_count() {
    let near = settings(json!({
        "max_body_size": "1m",
        "response_headers": [{ "name": "X-A", "value": "near" }],
    }));
    let far = settings(json!({
        "max_body_size": "2m",
        "policies": ["base"],
        "response_headers": [{ "name": "x-a", "value": "far" }, { "name": "X-B", "value": "far" }],
    }));
    let joined = settings(json!({
        "max_body_size": "1m",
        "policies": ["base"],
        "response_headers": [{ "name": "X-A", "value": "near" }, { "name": "X-B", "value": "far" }],
    }));
    assert_eq!(near.over(&far), joined);
    assert_eq!(TrafficSettings::UNSET.over(&far), far);
    assert_eq!(far.over(&TrafficSettings::UNSET), far);
}

#[test]
fn settings_stand_among_the_fields_of_their_owner() {
    let parsed = host(json!({
        "max_body_size": "1m",
        "policies": ["base"],
        "locations": [{ "path": "/", "respond": { "status": 200 }, "max_body_size": "2m" }],
    }))
    .unwrap();
    let Resource::VirtualHost(document) = &parsed else {
        panic!("{parsed:?}");
    };
    assert_eq!(document.spec.traffic.policies.len(), 1);
    let location = &document.spec.locations[0];
    assert_ne!(
        location.traffic.max_body_size,
        document.spec.traffic.max_body_size
    );
    let again = serde_json::to_value(&parsed).unwrap();
    assert_eq!(again["spec"]["max_body_size"], "1m");
    assert_eq!(again["spec"].get("traffic"), None);
    assert_eq!(document::parse_value("again", again).unwrap(), parsed);
}

#[test]
fn errors_in_settings_have_their_place() {
    let location = |settings: Value| {
        let mut location = json!({ "path": "/", "respond": { "status": 200 } });
        let fields = location.as_object_mut().unwrap();
        fields.extend(settings.as_object().cloned().unwrap());
        json!({ "locations": [location] })
    };
    for (spec, pointer, rule) in [
        (
            json!({ "max_body_size": -1 }),
            "/spec/max_body_size",
            "a size is",
        ),
        (
            location(json!({ "response_headers": [{ "name": "a b", "value": "x" }] })),
            "/spec/locations/0/response_headers/0/name",
            "a header name",
        ),
        (json!({ "no_such": 1 }), "/spec/no_such", "`server_names`"),
        (json!({ "no_such": 1 }), "/spec/no_such", "`max_body_size`"),
        (
            location(json!({ "no_such": 1 })),
            "/spec/locations/0/no_such",
            "`policies`",
        ),
    ] {
        let problem = host(spec).unwrap_err();
        assert_eq!(problem.pointer, pointer, "{problem}");
        assert!(problem.rule.contains(rule), "{problem}");
    }
}
