//! What an import tells whoever runs it from a script.

#![expect(clippy::unwrap_used, reason = "that is how tests fail")]

use std::{fs, process::Command};

#[test]
fn an_import_that_is_not_whole_says_so_with_its_exit_code() {
    let folder = tempfile::tempdir().unwrap();
    let conf = folder.path().join("nginx.conf");
    for (listen, exit, lost) in [("8080", 0, 0), ("unix:/run/shop.sock", 2, 1)] {
        fs::write(
            &conf,
            format!("http {{ server {{ listen 80; listen {listen}; return 204; }} }}"),
        )
        .unwrap();
        let imported = Command::new(env!("CARGO_BIN_EXE_nxmeshctl"))
            .arg("import")
            .arg(&conf)
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&imported.stderr);
        assert_eq!(imported.status.code(), Some(exit), "{said}");
        assert!(said.contains(&format!("{lost} not imported")), "{said}");
        let resources = String::from_utf8_lossy(&imported.stdout);
        assert!(resources.contains("kind: VirtualHost"), "{resources}");
    }
}
