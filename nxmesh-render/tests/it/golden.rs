//! Golden trees: `tests/golden/<case>/model.yaml` and what it renders to.
//!
//! `NXMESH_BLESS=1 cargo nextest run -p nxmesh-render golden` writes what is
//! rendered now over `expected/`; read the difference before it is committed.

use std::{collections::BTreeMap, env, fs, path::Path, path::PathBuf};

use nxmesh_core::{
    check::{self, check, references_of},
    contract::renderer::{NginxVersion, RenderError, RenderSettings, Renderer as _},
    document,
    model::ResourceSet,
};
use nxmesh_render::{
    HandlebarsRenderer,
    placement::{FullOptions, PlaceError, Placement, PlacementMode, place},
};

use crate::nginx;

pub(crate) fn cases() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
    let mut cases: Vec<_> = fs::read_dir(folder)
        .expect("list the cases")
        .map(|entry| entry.expect("a case").path())
        .collect();
    cases.sort();
    assert!(cases.len() >= 8, "cases are missing");
    cases
}

pub(crate) fn model(case: &Path) -> ResourceSet {
    let file = case.join("model.yaml");
    let text = fs::read_to_string(&file).expect("read the model");
    let parsed = document::parse("model.yaml", &text).unwrap_or_else(|problems| {
        panic!("{}: {}", file.display(), problems[0]);
    });
    let resources = parsed.into_iter().map(|parsed| parsed.resource).collect();
    let checked = check(resources).unwrap_or_else(|problems| {
        panic!("{}: {}", file.display(), problems[0]);
    });
    checked.into_resources()
}

/// The version a case is for, by the end of its name: `tls-1.28.0`.
fn version(case: &Path) -> NginxVersion {
    let name = case.file_name().expect("a name").to_string_lossy();
    let suffix = name.rsplit_once('-').map_or("", |(_, suffix)| suffix);
    suffix.parse().unwrap_or(NginxVersion {
        major: 1,
        minor: 22,
        patch: 1,
    })
}

/// What a case is rendered with.
pub(crate) fn settings(case: &Path) -> RenderSettings {
    RenderSettings {
        nginx: version(case),
        ..RenderSettings::default()
    }
}

fn rendered(case: &Path) -> BTreeMap<String, Vec<u8>> {
    let settings = settings(case);
    let tree = HandlebarsRenderer::new()
        .render(&model(case), &settings)
        .unwrap_or_else(|error| panic!("{}: {error}", case.display()));
    let options = FullOptions {
        user: Some("www-data".to_owned()),
        modules_include: Some("/etc/nginx/modules-enabled/*.conf".into()),
        ..FullOptions::default()
    };
    let mut files: BTreeMap<_, _> = tree
        .files()
        .map(|(path, file)| (path.to_owned(), file.contents.to_vec()))
        .collect();
    for (folder, mode) in [
        ("include", PlacementMode::Include),
        ("full", PlacementMode::Full(&options)),
    ] {
        let placement = Placement {
            release_dir: Path::new("/var/lib/nxmesh/releases/1.7-0123456789ab"),
            release_id: "1.7-0123456789ab",
            probe_socket: Path::new("/run/nxmesh/probe.sock"),
            mode,
            settings: &settings,
        };
        let placed = match place(&tree, &placement) {
            // Not everything can be included in a block of others.
            Err(PlaceError::OutsideOfHttp { .. }) if folder == "include" => continue,
            placed => placed.unwrap_or_else(|error| panic!("{error}")),
        };
        for (name, contents) in placed {
            files.insert(format!("placed-{folder}/{name}"), contents);
        }
    }
    for (name, pem) in tree.pem_files() {
        let mode: &[u8] = if pem.secret { b"secret\n" } else { b"public\n" };
        files.insert(format!("tls/{name}"), mode.to_vec());
    }
    files
}

fn read(folder: &Path, below: &str, files: &mut BTreeMap<String, Vec<u8>>) {
    for entry in fs::read_dir(folder).into_iter().flatten() {
        let path = entry.expect("a file").path();
        let name = path
            .file_name()
            .expect("a name")
            .to_string_lossy()
            .into_owned();
        if path.is_dir() {
            read(&path, &format!("{below}{name}/"), files);
        } else {
            files.insert(
                format!("{below}{name}"),
                fs::read(&path).expect("read a file"),
            );
        }
    }
}

#[test]
fn trees_are_as_expected() {
    for case in cases() {
        let expected = case.join("expected");
        let rendered = rendered(&case);
        if env::var_os("NXMESH_BLESS").is_some() {
            drop(fs::remove_dir_all(&expected));
            for (path, contents) in &rendered {
                let file = expected.join(path);
                fs::create_dir_all(file.parent().expect("a folder")).expect("make a folder");
                fs::write(file, contents).expect("write a file");
            }
        }
        let mut on_disk = BTreeMap::new();
        read(&expected, "", &mut on_disk);
        let paths = |files: &BTreeMap<String, Vec<u8>>| files.keys().cloned().collect::<Vec<_>>();
        assert_eq!(
            paths(&rendered),
            paths(&on_disk),
            "files of {}",
            case.display()
        );
        for (path, contents) in rendered {
            let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
            assert_eq!(
                text(&contents),
                text(&on_disk[&path]),
                "{}/expected/{path} differs; bless it with NXMESH_BLESS=1 if that is meant",
                case.display()
            );
        }
    }
}

/// Documents that are right together are right without some of them.
#[test]
fn no_part_of_a_model_is_wrong() {
    for case in cases() {
        let whole = model(&case);
        let named = whole
            .iter()
            .flat_map(|(_, resource)| references_of(resource));
        for (_, missing) in named {
            let mut rest = whole.clone();
            rest.remove(&missing);
            let problems = check::part(&rest);
            assert!(
                problems.is_empty(),
                "{} without {missing}: {problems:?}",
                case.display()
            );
        }
    }
}

/// What a document says is stored, and read again, as it is.
#[test]
fn every_model_is_written_back() {
    for case in cases() {
        for (key, resource) in model(&case).iter() {
            let written = resource.to_canonical_json();
            let read = document::parse_canonical("stored", &written)
                .unwrap_or_else(|error| panic!("{key} of {}: {error:?}", case.display()));
            assert_eq!(read, **resource, "{key} of {}", case.display());
        }
    }
}

/// Renders every case for every nginx, each in the form for its version, and
/// shows it to that nginx. One that is older than what a case is for may be
/// refused what it cannot do; anything else has to be accepted.
fn nginx_accepts(host: Option<&str>) {
    for binary in nginx::binaries() {
        let has = nginx::version(&binary);
        for case in cases() {
            let what = format!("{} on {has}", case.display());
            match nginx::Staged::try_new(binary.clone(), &model(&case), host) {
                Ok(staged) => staged.assert_accepted(&what),
                Err(RenderError::OutsideOfHttp { .. }) if host.is_some() => {}
                Err(error) => assert!(version(&case) > has, "{what}: {error}"),
            }
        }
    }
}

#[test]
fn nginx_accepts_every_tree() {
    nginx_accepts(None);
}

/// The `http` block of a distribution, with what it sets.
const STOCK: &str = "
pid nginx.pid;
error_log error.log;
events { worker_connections 768; }
http {
    sendfile on;
    tcp_nopush on;
    types_hash_max_size 2048;
    server_tokens off;
    types { text/html html; }
    default_type application/octet-stream;
    ssl_protocols TLSv1 TLSv1.1 TLSv1.2 TLSv1.3;
    ssl_prefer_server_ciphers on;
    access_log off;
    gzip on;
    keepalive_timeout 65;
    client_body_temp_path temp/body;
    proxy_temp_path temp/proxy;
    INCLUDE
    server { listen unix:own.sock; location / { return 204; } }
}
";

#[test]
fn every_tree_fits_into_the_http_block_of_others() {
    nginx_accepts(Some(STOCK));
}
