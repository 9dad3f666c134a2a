//! Configurations before their import and after it.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use nxmesh_core::model::ResourceSet;
use nxmesh_render::import::{Fate, Imported, Note, Scale, import};

use crate::{
    echo, fastcgi_server,
    nginx::{Answer, Nginx, Staged, binary, free_port, request},
};

/// Where a case listens, and where what it passes to does.
#[derive(Clone, Copy)]
pub(crate) struct Ports {
    nginx: u16,
    echo: u16,
    fastcgi: u16,
    auth: u16,
}

/// Where nobody listens.
pub(crate) const SOME_PORTS: Ports = Ports {
    nginx: 8080,
    echo: 8081,
    fastcgi: 8082,
    auth: 8083,
};

/// The files of a case, as they would lie below `/etc/nginx`.
pub(crate) fn files(case: &str, ports: Ports, root: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/import")
        .join(case);
    let mut files = BTreeMap::new();
    let mut open = vec![folder.clone()];
    while let Some(path) = open.pop() {
        for entry in fs::read_dir(path).expect("list the case") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                open.push(path);
                continue;
            }
            let text = fs::read_to_string(&path)
                .expect("read the case")
                .replace("%PORT%", &ports.nginx.to_string())
                .replace("%ECHO%", &ports.echo.to_string())
                .replace("%FCGI%", &ports.fastcgi.to_string())
                .replace("%AUTH%", &ports.auth.to_string())
                .replace("%ROOT%", &root.display().to_string())
                .replace("/var/log/nginx", &root.join("logs").display().to_string());
            let place = path.strip_prefix(&folder).expect("below the case");
            files.insert(Path::new("/etc/nginx").join(place), text.into_bytes());
        }
    }
    files
}

/// What is decided about a request: who asks for it is let in as Bert.
fn decision(request: &str) -> (&'static str, String) {
    if request.contains("X-Deny:") {
        ("403 Forbidden", String::new())
    } else {
        ("200 OK", "X-Auth-User: bert\r\n\r\n".to_owned())
    }
}

/// The configuration as it is, with logs and folders that a test may use.
fn original(nginx: PathBuf, files: &BTreeMap<PathBuf, Vec<u8>>) -> Nginx {
    Staged::foreign(nginx, |folder| {
        for (path, contents) in files {
            let place = path.strip_prefix("/etc/nginx").expect("below it");
            let path = folder.join(place);
            fs::create_dir_all(path.parent().expect("a folder")).expect("make it");
            let text = String::from_utf8_lossy(contents)
                .replace("/etc/nginx", &folder.display().to_string())
                .replace(
                    "/run/nginx.pid",
                    &folder.join("nginx.pid").display().to_string(),
                )
                .replace("user www-data;", "");
            fs::write(path, text).expect("write it");
        }
    })
}

pub(crate) fn imported(files: &BTreeMap<PathBuf, Vec<u8>>) -> Imported {
    imported_for(files, Scale::Include)
}

fn imported_for(files: &BTreeMap<PathBuf, Vec<u8>>, scale: Scale) -> Imported {
    import(files, Path::new("/etc/nginx/nginx.conf"), scale)
        .unwrap_or_else(|error| panic!("{error}"))
}

/// What of an answer must be the same. The upstream's answers are the requests that it
/// got, so these must be the same too, but for how it is spoken to.
fn compared(answer: &Answer) -> Compared {
    let named = [
        "Content-Type",
        "Location",
        "Cache-Control",
        "Expires",
        "X-Frame-Options",
        "X-Own",
        "Set-Cookie",
        "Server",
        "WWW-Authenticate",
        "Content-Encoding",
        "X-Cache",
    ];
    let headers = answer
        .headers
        .iter()
        .filter(|(name, _)| named.contains(&name.as_str()));
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let mut headers: Vec<_> = headers
        .filter(|(name, _)| name != "Expires")
        .map(|(name, value)| (name.clone(), text(value)))
        .collect();
    headers.sort();
    let body = text(&answer.body);
    let mut told: Vec<&str> = body
        .lines()
        .filter(|line| {
            let line = line.to_ascii_lowercase();
            let ours = [
                "connection:",
                "x-request-id:",
                "server_software=",
                "redirect_status=",
                "remote_port=",
                "http_proxy=",
                "path_info=",
            ];
            !ours.iter().any(|name| line.starts_with(name))
        })
        .map(|line| {
            line.strip_suffix(" HTTP/1.0")
                .or(line.strip_suffix(" HTTP/1.1"))
                .unwrap_or(line)
        })
        .collect();
    told.sort_unstable();
    (answer.status, headers, told.join("\n"))
}

pub(crate) fn answers_the_same(case: &str, requests: &[(&str, &str)]) {
    let plain: Vec<_> = requests
        .iter()
        .map(|(host, path)| (*host, *path, ""))
        .collect();
    answers_the_same_with(case, &plain);
}

/// The same with headers, each with its line break.
pub(crate) fn answers_the_same_with(case: &str, requests: &[(&str, &str, &str)]) {
    assert_eq!(answers_the_same_but(case, requests), [""; 0], "{case}");
}

/// The same where something is not imported; the lines of the report that say so.
pub(crate) fn answers_the_same_but(case: &str, requests: &[(&str, &str, &str)]) -> Vec<String> {
    let (before, after, lost) = answers(case, requests);
    for ((request, before), after) in requests.iter().zip(&before).zip(&after) {
        assert_eq!(before, after, "{case}: {request:?}");
    }
    lost
}

/// A status, some headers and a body.
pub(crate) type Compared = (u16, Vec<(String, String)>, String);

/// What is answered to `requests` before the import of a case and after it, and the lines
/// of the report on what is not imported. Nothing without nginx.
pub(crate) fn answers(
    case: &str,
    requests: &[(&str, &str, &str)],
) -> (Vec<Compared>, Vec<Compared>, Vec<String>) {
    let Some(nginx) = binary() else {
        return Default::default();
    };
    let root = tempfile::tempdir().expect("a root");
    let write = |path: &str, text: &str| {
        let path = root.path().join(path);
        fs::create_dir_all(path.parent().expect("a folder")).expect("make it");
        fs::write(path, text).expect("write it");
    };
    write("index.html", "home");
    for end in [".js", ".m4v", ".css", ""] {
        write(&format!("files/a{end}"), "a file");
    }
    write("404.html", "not here");
    write("notes.txt", "notes");
    write("sub/index.html", "sub");
    write("sub/data.json", "{}");
    write("index.php", "a script");
    write("uploads/e.php", "an upload");
    write("logs/access.log", "");
    let ports = Ports {
        nginx: free_port(),
        echo: echo::start(),
        fastcgi: fastcgi_server::start(),
        auth: echo::start_with(decision),
    };
    let files = files(case, ports, root.path());
    let imported = imported_for(&files, Scale::Full);
    let lost = |note: &&Note| matches!(note.fate, Fate::Lost { .. });
    let lost = imported.notes.iter().filter(lost);
    let lost = lost.map(ToString::to_string).collect();
    let ask = || -> Vec<_> {
        let answers = requests.iter();
        answers
            .map(|(host, path, headers)| {
                let path = path.as_bytes();
                compared(&request(ports.nginx, "GET", host, path, headers))
            })
            .collect()
    };
    let before = {
        let _nginx = original(nginx.clone(), &files);
        ask()
    };
    let resources: ResourceSet = imported.resources.iter().cloned().collect();
    let staged = Staged::new(nginx, &resources);
    staged.assert_accepted(case);
    let _nginx = staged.start();
    (before, ask(), lost)
}

/// The notes on what is not imported, and the documents by name.
pub(crate) type Told = (Vec<String>, BTreeMap<String, serde_json::Value>);

/// What becomes of a configuration in one file.
pub(crate) fn of(conf: &str) -> Told {
    of_files(&[("/n/nginx.conf", conf)])
}

/// The same in several files.
pub(crate) fn of_files(files: &[(&str, &str)]) -> Told {
    let files = files.iter();
    let files: BTreeMap<PathBuf, Vec<u8>> = files
        .map(|(path, text)| (path.into(), text.as_bytes().to_vec()))
        .collect();
    let imported = import(&files, Path::new("/n/nginx.conf"), Scale::Full)
        .unwrap_or_else(|error| panic!("{error}"));
    let lost = imported.notes.iter();
    let lost = lost.filter(|note| matches!(note.fate, Fate::Lost { .. }));
    let documents = imported.resources.iter().map(|resource| {
        let document = serde_json::to_value(resource).expect("a document");
        (resource.key().to_string(), document["spec"].clone())
    });
    (lost.map(ToString::to_string).collect(), documents.collect())
}
