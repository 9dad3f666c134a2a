//! A newer nginx than Debian's, for which other directives are written.

use std::fs;
use std::path::PathBuf;

use nxmesh_e2e::Cluster;
use nxmesh_e2e::certificate::SelfSigned;
use nxmesh_e2e::node::Mode;
use nxmesh_e2e::sandbox::Sandbox;

/// The one `cargo xtask test` builds.
fn newer_nginx() -> Option<PathBuf> {
    let found = std::env::var_os("NXMESH_TEST_NGINX_NEXT").map(PathBuf::from);
    if found.is_none() {
        let required = std::env::var("NXMESH_TEST_REQUIRE").unwrap_or_default();
        assert!(
            !required.split(',').any(|name| name == "nginx-next"),
            "nginx-next is required, but not there"
        );
        eprintln!("skipped: there is no nginx-next");
    }
    found
}

#[test]
fn a_newer_nginx_gets_its_own_directives_and_serves() {
    let Some(nginx) = newer_nginx() else { return };
    let mut cluster = Cluster::master_only(&Sandbox::new().unwrap()).unwrap();
    cluster.use_nginx(nginx);
    cluster.add_node("n1", Mode::Full).unwrap();
    cluster.until_ready().unwrap();
    let node = &cluster.nodes[0];
    let agent = cluster.agent(node).unwrap();
    let version = agent.nginx_version;
    assert!(version.starts_with("1.28."), "{version}");
    let told = agent.nginx.unwrap();
    assert!(told.whole_conf);
    assert!(
        told.modules.iter().any(|it| it == "http_v3_module"),
        "{told:?}"
    );

    let certificate = SelfSigned::new("safe.test").unwrap();
    let site = |answer: &str| {
        format!(
            "{}{}---\nkind: VirtualHost\nmetadata: {{ name: safe }}\nspec:\n  \
             selector: \"node=n1\"\n  server_names: [safe.test]\n  \
             listen: [{{ port: {}, address: 127.0.0.1, tls: true, http2: true }}]\n  \
             tls: {{ certificate: safe-cert }}\n  \
             locations: [{{ path: /, respond: {{ status: 200, body: \"{answer}\" }} }}]\n",
            node.answering("shop", "shop.test", answer),
            certificate.document("safe-cert"),
            node.https_port(),
        )
    };
    let serves = |answer: &str| {
        let plain = node.http("shop.test", "/").get().unwrap();
        let safe = node.https("safe.test", "/").get().unwrap();
        assert_eq!(
            (plain.text(), safe.text()),
            (answer.to_owned(), answer.to_owned())
        );
        assert!(safe.certificate == certificate.certificate_der);
    };
    for answer in ["first", "second", "third"] {
        cluster.apply(&site(answer)).unwrap().success().unwrap();
        serves(answer);
    }
    let release = node.release_served().unwrap();
    let hosts = node
        .state_dir()
        .join("releases")
        .join(release)
        .join("virtual-hosts");
    let written: String = fs::read_dir(&hosts)
        .unwrap()
        .map(|file| fs::read_to_string(file.unwrap().path()).unwrap())
        .collect();
    assert!(written.contains("http2 on;"), "{written}");

    let broken = site("broken").replace("127.0.0.1", "203.0.113.7");
    let outcome = cluster.apply(&broken).unwrap();
    assert_eq!(outcome.code, 9, "{}", outcome.text());
    assert!(outcome.text().contains("203.0.113.7"), "{}", outcome.text());
    serves("third");
}
