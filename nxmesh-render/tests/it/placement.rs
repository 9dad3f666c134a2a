//! The files beside a tree, and the paths nginx can be told.

use std::path::Path;

use nxmesh_core::{
    contract::renderer::{RenderSettings, RenderedTree, Renderer as _},
    document::parse_value,
    model::{Resource, ResourceSet},
    testkit::sample,
};
use nxmesh_render::{
    HandlebarsRenderer,
    placement::{FullOptions, PlaceError, Placement, PlacementMode, entry, place},
};
use serde_json::json;

use crate::nginx;

fn placement<'a>(settings: &'a RenderSettings, mode: PlacementMode<'a>) -> Placement<'a> {
    Placement {
        release_dir: Path::new("/var/lib/nxmesh/releases/1"),
        release_id: "1",
        probe_socket: Path::new("/run/nxmesh/probe.sock"),
        mode,
        settings,
    }
}

fn http_conf(tree: &RenderedTree, placement: &Placement<'_>) -> String {
    let files = place(tree, placement).unwrap_or_else(|error| panic!("{error}"));
    String::from_utf8(files["http.conf"].clone()).expect("text")
}

#[test]
fn every_file_of_the_tree_is_included_once() {
    let settings = RenderSettings::default();
    let tree = HandlebarsRenderer::new()
        .render(&sample::fleet(5), &settings)
        .unwrap();
    let text = http_conf(&tree, &placement(&settings, PlacementMode::Include));
    let included: Vec<_> = text
        .lines()
        .filter_map(|line| line.strip_prefix("include /var/lib/nxmesh/releases/1/"))
        .collect();
    let files: Vec<_> = tree.files().map(|(path, _)| format!("{path};")).collect();
    assert_eq!(included, files);
    assert_eq!(files.len(), 10);
}

#[test]
fn what_the_http_block_of_others_sets_is_left_alone() {
    let settings = RenderSettings::default();
    let tree = RenderedTree::default();
    let text = http_conf(&tree, &placement(&settings, PlacementMode::Include));
    let outside: Vec<_> = text
        .lines()
        .filter(|line| !line.starts_with([' ', '}', '#']) && !line.is_empty())
        .collect();
    assert_eq!(
        outside,
        ["geo $nxmesh_dollar {", "geo $nxmesh_empty {", "server {"]
    );
}

#[test]
fn a_map_is_there_for_those_who_refer_to_it() {
    let settings = RenderSettings::default();
    let include = placement(&settings, PlacementMode::Include);
    for (contents, expected) in [
        ("proxy_set_header Connection \"\";\n", false),
        (
            "proxy_set_header Connection $nxmesh_connection_upgrade;\n",
            true,
        ),
    ] {
        let mut tree = RenderedTree::default();
        tree.insert("virtual-hosts/a.conf", contents.as_bytes(), None);
        let text = http_conf(&tree, &include);
        assert_eq!(text.contains("map $http_upgrade"), expected, "{text}");
    }
}

#[test]
fn idle_connections_outlive_a_reload_where_nginx_can() {
    let options = FullOptions::default();
    for (nginx, expected) in [
        ("1.22.1", false),
        ("1.27.3", false),
        ("1.27.4", true),
        ("1.28.0", true),
    ] {
        let settings = RenderSettings {
            nginx: nginx.parse().unwrap(),
            ..RenderSettings::default()
        };
        let text = http_conf(
            &RenderedTree::default(),
            &placement(&settings, PlacementMode::Full(&options)),
        );
        assert_eq!(text.contains("keepalive_min_timeout"), expected, "{nginx}");
    }
}

#[test]
fn requests_are_counted_beside_what_is_logged() {
    let options = FullOptions::default();
    let set: ResourceSet = [
        json!({ "access_log": { "to": { "file": "/var/log/a.log" } } }),
        json!({ "access_log": "none" }),
        json!({}),
    ]
    .into_iter()
    .enumerate()
    .map(|(number, mut spec)| {
        spec["server_names"] = json!([format!("h{number}.example")]);
        spec["listen"] = json!([{ "port": 80 }]);
        let name = format!("h{number}");
        let value = json!({ "kind": "VirtualHost", "metadata": { "name": name }, "spec": spec });
        parse_value("test", value).unwrap()
    })
    .collect();
    let counted =
        "access_log \"syslog:server=unix:/run/requests,nohostname,tag=nxmesh\" nxmesh_requests;";
    for request_log in [None, Some("/run/requests".into())] {
        let settings = RenderSettings {
            request_log,
            ..RenderSettings::default()
        };
        let on = settings.request_log.is_some();
        let tree = HandlebarsRenderer::new().render(&set, &settings).unwrap();
        let file = |name: &str| {
            let start = format!("virtual-hosts/{name}-");
            let (_, file) = tree.files_under(&start).next().unwrap();
            String::from_utf8(file.contents.to_vec()).unwrap()
        };
        for (host, own) in [("h0", "access_log /var/log/a.log combined;"), ("h2", "")] {
            assert!(file(host).contains(own), "{}", file(host));
        }
        // What is said for a host takes the place of what is said for all.
        assert_eq!(file("h0").contains(counted), on, "{}", file("h0"));
        assert_eq!(file("h1").contains(counted), on, "{}", file("h1"));
        assert_eq!(
            file("h1").contains("access_log off;"),
            !on,
            "{}",
            file("h1")
        );
        assert!(!file("h2").contains("access_log"), "{}", file("h2"));
        for mode in [PlacementMode::Include, PlacementMode::Full(&options)] {
            let text = http_conf(&tree, &placement(&settings, mode));
            assert_eq!(text.contains(counted), on, "{text}");
            assert_eq!(text.contains("log_format nxmesh_requests"), on, "{text}");
            let ours = matches!(mode, PlacementMode::Full(_));
            let off = text.lines().any(|line| line == "access_log off;");
            assert_eq!(off, ours && !on, "{text}");
        }
    }
}

#[test]
fn an_nginx_that_cannot_count_connections_is_not_asked_to() {
    let build = |modules: &[&str]| RenderSettings {
        modules: Some(std::sync::Arc::new(
            modules.iter().map(|it| (*it).to_owned()).collect(),
        )),
        ..RenderSettings::default()
    };
    for (settings, expected) in [
        (RenderSettings::default(), true),
        (build(&["http_stub_status_module"]), true),
        (build(&["http_ssl_module"]), false),
    ] {
        let text = http_conf(
            &RenderedTree::default(),
            &placement(&settings, PlacementMode::Include),
        );
        assert_eq!(text.contains("stub_status;"), expected, "{text}");
    }
}

#[test]
fn the_entry_leads_to_the_release() {
    let settings = RenderSettings::default();
    let options = FullOptions::default();
    let include = placement(&settings, PlacementMode::Include);
    assert_eq!(
        entry(&include),
        "include /var/lib/nxmesh/releases/1/http.conf;\n"
    );
    let full = placement(&settings, PlacementMode::Full(&options));
    assert_eq!(
        entry(&full),
        "include /var/lib/nxmesh/releases/1/main.conf;\n"
    );
    let spaced = Placement {
        release_dir: Path::new("/var/a \"b\"/1"),
        ..include
    };
    assert_eq!(
        entry(&spaced),
        "include \"/var/a \\\"b\\\"/1/http.conf\";\n"
    );
    let pattern = Placement {
        release_dir: Path::new("/var/*"),
        ..include
    };
    assert!(
        !entry(&pattern).contains("include"),
        "a pattern may match nothing"
    );
}

#[test]
fn paths_nginx_cannot_be_told_are_refused() {
    let settings = RenderSettings::default();
    let elsewhere = RenderSettings {
        tls_dir: "/run/$tls".into(),
        ..RenderSettings::default()
    };
    let options = FullOptions {
        pid_file: "nginx.pid".into(),
        ..FullOptions::default()
    };
    let long = format!("/{}", "s".repeat(107));
    let longest = format!("/{}", "s".repeat(106));
    let good = placement(&settings, PlacementMode::Include);
    let tree = HandlebarsRenderer::new()
        .render(&sample::fleet(1), &settings)
        .unwrap();
    let refused = |placement: &Placement<'_>, what: &str| match place(&tree, placement) {
        Err(PlaceError::Path { what: named, .. } | PlaceError::Text { what: named, .. }) => {
            assert_eq!(named, what);
        }
        other => panic!("{what}: {other:?}"),
    };
    place(
        &tree,
        &Placement {
            probe_socket: Path::new(&longest),
            ..good
        },
    )
    .unwrap();
    refused(
        &Placement {
            probe_socket: Path::new(&long),
            ..good
        },
        "probe socket",
    );
    refused(
        &Placement {
            probe_socket: Path::new("probe.sock"),
            ..good
        },
        "probe socket",
    );
    for folder in ["releases/1", "/a\nb", "/a*", "/a?", "/a[b]"] {
        refused(
            &Placement {
                release_dir: Path::new(folder),
                ..good
            },
            "release folder",
        );
    }
    refused(
        &Placement {
            release_id: "1\n",
            ..good
        },
        "release id",
    );
    refused(
        &Placement {
            settings: &elsewhere,
            ..good
        },
        "TLS folder",
    );
    refused(
        &Placement {
            mode: PlacementMode::Full(&options),
            ..good
        },
        "pid file",
    );
}

#[test]
fn paths_with_special_characters_work() {
    let Some(binary) = nginx::binary() else {
        return;
    };
    let release = "a \"b\" 'c' {d}; #e $f \\n";
    nginx::Staged::in_folder(binary, &sample::fleet(1), release).assert_accepted(release);
}

#[test]
fn long_and_many_server_names_fit() {
    let Some(binary) = nginx::binary() else {
        return;
    };
    let label = "a".repeat(60);
    for length in [40, 46, 47, 48, 100, 253] {
        let name = format!("{label}.{label}.{label}.{label}.{label}");
        let name = &name[name.len() - length..];
        let names: Vec<_> = [
            name.trim_start_matches('.').to_owned(),
            format!("*.{}", "b".repeat(60)),
        ]
        .into();
        let document = json!({
            "kind": "VirtualHost", "metadata": { "name": "long" },
            "spec": { "server_names": names, "listen": [{ "port": 8080 }] },
        });
        let host = parse_value("test", document).unwrap_or_else(|problem| panic!("{problem}"));
        let set = ResourceSet::from_iter([host]);
        nginx::Staged::new(binary.clone(), &set).assert_accepted(&format!("{length} bytes"));
    }
    nginx::Staged::new(binary, &sample::fleet(1500)).assert_accepted("3000 names");
}

#[test]
fn upstream_zones_are_large_enough() {
    let Some(binary) = nginx::binary() else {
        return;
    };
    let upstream = |count: u32, kind: u32| {
        let server = |number: u32| match kind {
            0 => json!({ "address": format!("10.0.{}.{}:80", number / 250, number % 250 + 1) }),
            1 => json!({ "address": format!("[2001:db8::{number:x}:ffff:ffff:ffff:ffff]:65535") }),
            2 => json!({ "address": format!("unix:/{}{number}", "u".repeat(100)) }),
            _ => json!({ "address": format!("localhost:{}", number + 1) }),
        };
        let document = json!({
            "kind": "Upstream", "metadata": { "name": format!("u-{count}-{kind}") },
            "spec": { "servers": (0..count).map(server).collect::<Vec<_>>() },
        });
        parse_value("test", document).unwrap_or_else(|problem| panic!("{problem}"))
    };
    let counts = [1, 2, 5, 31, 32, 33, 64, 95, 96, 97, 200, 500, 1000];
    let set: ResourceSet = counts
        .into_iter()
        .flat_map(|count| (0..4).map(move |kind| upstream(count, kind)))
        .collect();
    let nginx = nginx::Staged::new(binary, &set).start();
    assert!(nginx.probe("/nxmesh/release").is_some());
}

#[test]
fn the_probe_tells_the_release() {
    let Some(binary) = nginx::binary() else {
        return;
    };
    let set: ResourceSet = [Resource::from(sample::upstream("shop"))]
        .into_iter()
        .collect();
    let nginx = nginx::Staged::new(binary, &set).start();
    let answer = nginx.probe("/nxmesh/release").expect("an answer");
    assert_eq!(answer.status, 200);
    assert_eq!(
        String::from_utf8_lossy(&answer.body),
        format!("{}\n", nginx::RELEASE)
    );
    assert_eq!(
        nginx
            .probe("/nxmesh/stub_status")
            .expect("an answer")
            .status,
        200
    );
    assert_eq!(nginx.probe("/other").expect("an answer").status, 404);
}
