//! Changes that a reload cannot make without dropping connections.

use nxmesh_core::{check::disruptions, document, model::ResourceSet};

#[test]
fn what_drops_connections_is_told() {
    let set = |port: u16, reuse: bool, workers: u16| {
        let text = format!(
            "kind: VirtualHost\nmetadata: {{ name: shop }}\nspec:\n  server_names: [shop.test]\n  \
             listen: [{{ port: {port}, reuse_port: {reuse} }}, {{ port: 8443, reuse_port: true }}]\n\
             ---\nkind: NginxSettings\nmetadata: {{ name: all }}\n\
             spec: {{ worker_processes: {{ count: {workers} }} }}\n"
        );
        let parsed = document::parse("test", &text).expect("documents");
        parsed
            .into_iter()
            .map(|one| one.resource)
            .collect::<ResourceSet>()
    };
    let told = |before: &ResourceSet, after: &ResourceSet| -> Vec<String> {
        let found = disruptions(before, after);
        found.iter().map(ToString::to_string).collect()
    };
    let none: [&str; 0] = [];
    assert_eq!(told(&set(80, true, 2), &set(80, true, 2)), none);
    assert_eq!(
        told(&set(80, true, 2), &set(81, false, 2)),
        none,
        "another port"
    );
    assert_eq!(told(&ResourceSet::default(), &set(80, true, 2)), none);
    let ends = "; the reload drops connections that wait to be taken";
    assert_eq!(
        told(&set(80, false, 2), &set(80, true, 2)),
        [format!("VirtualHost/shop: port 80 gets reuse_port{ends}")]
    );
    assert_eq!(
        told(&set(80, true, 2), &set(80, false, 4)),
        [
            format!("VirtualHost/shop: port 80 loses reuse_port{ends}"),
            format!("NginxSettings/all: worker_processes changes, with reuse_port in use{ends}"),
        ]
    );
}
