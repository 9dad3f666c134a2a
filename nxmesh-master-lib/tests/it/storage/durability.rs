//! What makes a commit outlive the machine's power.

use std::{fs, os::unix::fs::PermissionsExt as _};

use super::{Place, append, small};

/// Everything with data in it is for the owner only, also what was laxer before.
#[tokio::test]
async fn the_files_are_for_the_owner_only() {
    let place = Place::new();
    fs::write(place.database(), b"").expect("make an empty file");
    fs::set_permissions(place.database(), fs::Permissions::from_mode(0o644)).expect("chmod");
    let storage = place.open().await;
    append(&storage, small()).await.expect("append");
    let mut names = Vec::new();
    for entry in fs::read_dir(place.folder.path()).expect("list the folder") {
        let entry = entry.expect("an entry");
        let mode = entry.metadata().expect("its mode").permissions().mode() & 0o777;
        assert_eq!(mode, 0o600, "{:?}", entry.file_name());
        names.push(entry.file_name());
    }
    names.sort();
    assert_eq!(names, ["nxmesh.db", "nxmesh.db-shm", "nxmesh.db-wal"]);
}

/// A clean end leaves one file behind, with everything in it.
#[tokio::test]
async fn closing_folds_the_log_into_the_file() {
    let place = Place::new();
    let storage = place.open().await;
    append(&storage, small()).await.expect("append");
    storage.close().await.expect("close");
    assert_eq!(fs::read_dir(place.folder.path()).expect("list").count(), 1);
    assert_eq!(super::head(&place.open().await).await, 1);
}
