//! What the commands that need no server tell people and scripts.

#![expect(clippy::unwrap_used, reason = "that is how tests fail")]

use std::{fs, path::Path, process::Command};

/// The exit code, and what was said on standard output and standard error.
fn nxmeshctl(arguments: &[&str], file: &Path) -> (Option<i32>, String, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_nxmeshctl"))
        .args(arguments)
        .arg(file)
        .output()
        .unwrap();
    let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
    (
        output.status.code(),
        text(&output.stdout),
        text(&output.stderr),
    )
}

#[test]
fn an_import_that_is_not_whole_says_so_with_its_exit_code() {
    let folder = tempfile::tempdir().unwrap();
    let conf = folder.path().join("nginx.conf");
    for (listen, exit, lost) in [("8080", 0, 0), ("unix:/run/shop.sock", 2, 1)] {
        let text = format!("http {{ server {{ listen 80; listen {listen}; return 204; }} }}");
        fs::write(&conf, text).unwrap();
        let (code, resources, said) = nxmeshctl(&["import"], &conf);
        assert_eq!(code, Some(exit), "{said}");
        assert!(said.contains(&format!("{lost} not imported")), "{said}");
        assert!(resources.contains("kind: VirtualHost"), "{resources}");
    }
}

fn host(name: &str, more: &str) -> String {
    format!(
        "---\nkind: VirtualHost\nmetadata: {{ name: {name} }}\nspec:\n  \
         server_names: [shop.example.com]\n{more}\n"
    )
}

#[test]
fn what_is_missing_does_not_keep_the_rest_from_being_validated() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("shop.yaml");
    let proxied = "  locations: [{ path: /, proxy: { upstream: elsewhere } }]";
    let answering = "  locations: [{ path: /, respond: { status: 200 } }]";
    fs::write(&file, host("a", proxied)).unwrap();
    let (code, _, said) = nxmeshctl(&["validate", "-f"], &file);
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("Upstream/elsewhere is not among"), "{said}");
    assert!(said.contains("1 of these documents"), "{said}");
    // The same name twice, for the same agents.
    fs::write(&file, host("a", proxied) + &host("b", answering)).unwrap();
    let (code, _, said) = nxmeshctl(&["validate", "-f"], &file);
    assert_eq!(code, Some(3), "{said}");
    assert!(said.contains("/spec/server_names/0"), "{said}");
}

#[test]
fn files_are_validated_for_an_nginx() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("shop.yaml");
    let settings =
        "kind: NginxSettings\nmetadata: { name: all }\nspec: { worker_processes: { count: 2 } }\n";
    fs::write(&file, settings).unwrap();
    let all = |more: &[&str]| nxmeshctl(&[&["validate"], more, &["-f"]].concat(), &file);
    assert_eq!(all(&[]).0, Some(0));
    let (code, _, said) = all(&["--mode", "include"]);
    assert_eq!(code, Some(3), "{said}");
    let real_ip = "  real_ip: { trusted: [10.0.0.0/8] }\n  locations: [{ path: /, respond: { status: 200 } }]";
    fs::write(&file, host("a", real_ip)).unwrap();
    assert_eq!(all(&["--nginx-version", "1.22.1"]).0, Some(0));
    let (code, _, said) = all(&["--module", "http_ssl_module"]);
    assert_eq!(code, Some(3), "{said}");
    assert!(said.contains("module"), "{said}");
}

#[test]
fn explain_tells_which_words_a_field_takes() {
    let (code, told, said) = nxmeshctl(&["explain"], Path::new("virtualhost.spec.locations.match"));
    assert_eq!(code, Some(0), "{said}");
    assert!(
        told.contains("prefix | exact | prefix_priority | regex"),
        "{told}"
    );
}
