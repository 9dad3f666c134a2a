//! What was imported answers as what it was imported from.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use nxmesh_core::model::{Resource, ResourceKind, ResourceSet};
use nxmesh_render::import::{Fate, Imported, import};

use crate::{
    echo,
    nginx::{Answer, Nginx, Staged, binary, free_port, get},
};

/// The files of a case, as they would lie below `/etc/nginx`.
fn files(case: &str, port: u16, echo: u16, root: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
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
                .replace("PORT", &port.to_string())
                .replace("ECHO", &echo.to_string())
                .replace("ROOT", &root.display().to_string());
            let place = path.strip_prefix(&folder).expect("below the case");
            files.insert(Path::new("/etc/nginx").join(place), text.into_bytes());
        }
    }
    files
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
                .replace("/var/log/nginx", &folder.display().to_string())
                .replace("user www-data;", "");
            fs::write(path, text).expect("write it");
        }
    })
}

fn imported(files: &BTreeMap<PathBuf, Vec<u8>>) -> Imported {
    import(files, Path::new("/etc/nginx/nginx.conf")).unwrap_or_else(|error| panic!("{error}"))
}

/// What of an answer must be the same. Which request headers an upstream gets
/// beside those that are set is NxMesh's to say.
fn compared(answer: &Answer) -> (u16, Vec<(String, String)>, String) {
    let named = [
        "Content-Type",
        "Location",
        "Cache-Control",
        "Expires",
        "X-Frame-Options",
        "X-Own",
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
    let told: Vec<&str> = body
        .lines()
        .filter(|line| {
            let line = line.to_ascii_lowercase();
            let ours = ["x-real-ip:", "x-forwarded-", "connection:", "x-request-id:"];
            !ours.iter().any(|name| line.starts_with(name))
        })
        .map(|line| {
            line.strip_suffix(" HTTP/1.0")
                .or(line.strip_suffix(" HTTP/1.1"))
                .unwrap_or(line)
        })
        .collect();
    (answer.status, headers, told.join("\n"))
}

fn answers_the_same(case: &str, requests: &[(&str, &str)]) {
    let Some(nginx) = binary() else { return };
    let root = tempfile::tempdir().expect("a root");
    let write = |path: &str, text: &str| {
        let path = root.path().join(path);
        fs::create_dir_all(path.parent().expect("a folder")).expect("make it");
        fs::write(path, text).expect("write it");
    };
    write("index.html", "home");
    write("404.html", "not here");
    write("notes.txt", "notes");
    write("sub/index.html", "sub");
    write("sub/data.json", "{}");
    let (port, echo) = (free_port(), echo::start());
    let files = files(case, port, echo, root.path());
    let imported = imported(&files);
    let ask = || -> Vec<_> {
        let answers = requests.iter();
        answers
            .map(|(host, path)| compared(&get(port, host, path.as_bytes())))
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
    for ((request, before), after) in requests.iter().zip(&before).zip(&ask()) {
        assert_eq!(before, after, "{case}: {request:?}\n{:#?}", imported.notes);
    }
}

#[test]
fn an_application_behind_nginx() {
    answers_the_same(
        "app",
        &[
            ("app.test", "/"),
            ("www.app.test", "/a/b?c=d"),
            ("nobody.test", "/whoever"),
            ("app.test", "/default-host/x"),
            ("app.test", "/healthz"),
            ("app.test", "/healthz/more"),
            ("app.test", "/x.BAK"),
            ("app.test", "/old/page?x=1"),
            ("app.test", "/private/x.old"),
            ("app.test", "/own-headers"),
            ("app.test", "/expired"),
            ("old.test", "/page?x"),
        ],
    );
}

#[test]
fn static_sites() {
    answers_the_same(
        "static-sites",
        &[
            ("static.test", "/"),
            ("www.static.test", "/notes.txt"),
            ("static.test", "/missing"),
            ("static.test", "/sub/"),
            ("static.test", "/sub/data.json"),
            ("static.test", "/sub"),
            ("bare.test", "/"),
            ("bare.test", "/data.json"),
            ("bare.test", "/missing"),
            ("www12.pattern.test", "/"),
            ("www12.pattern.test", "/exact"),
            ("nobody.test", "/"),
        ],
    );
}

#[test]
fn a_gateway() {
    answers_the_same(
        "gateway",
        &[
            ("api.test", "/users/1"),
            ("api.test", "/orders?o=2"),
            ("api.test", "/named"),
            ("api.test", "/else"),
        ],
    );
}

#[test]
fn a_second_import_is_the_same() {
    for case in ["app", "static-sites", "gateway"] {
        let files = files(case, 8080, 8081, Path::new("/srv"));
        assert_eq!(imported(&files), imported(&files));
    }
}

#[test]
fn what_has_no_field_is_told_with_its_place() {
    let files = files("app", 8080, 8081, Path::new("/srv"));
    let imported = imported(&files);
    let told: Vec<String> = imported.notes.iter().map(ToString::to_string).collect();
    for expected in [
        "/etc/nginx/nginx.conf:22: gzip: in Snippet/imported-http",
        "/etc/nginx/nginx.conf:15: types_hash_max_size: replaced: there is one list of media types, see the agent's settings",
        "/etc/nginx/sites-enabled/app:42: expires: in Snippet/app.test-41-location",
        "/etc/nginx/sites-enabled/app:50: return: in Snippet/old.test-server",
    ] {
        assert!(
            told.iter().any(|note| note == expected),
            "{expected:?} is missing in\n{}",
            told.join("\n")
        );
    }
    assert!(
        imported
            .notes
            .iter()
            .all(|note| !matches!(note.fate, Fate::Lost { .. })),
        "{told:#?}"
    );
    let kinds = |kind| {
        let all = imported.resources.iter().map(Resource::kind);
        all.filter(|other| *other == kind).count()
    };
    assert_eq!(kinds(ResourceKind::VirtualHost), 2);
    assert_eq!(kinds(ResourceKind::Upstream), 2);
}

#[test]
fn what_must_not_be_said_is_lost_and_told() {
    let conf = "events {}
load_module evil.so;
http {
    perl_require x.pm;
    server {
        listen unix:/tmp/x.sock;
        listen 8080;
        server_name a.test;
        location / { root /srv; }
        location /x { alias /etc/; }
    }
}
stream { server { listen 53; } }
";
    let files = BTreeMap::from([(PathBuf::from("/n/nginx.conf"), conf.as_bytes().to_vec())]);
    let imported = import(&files, Path::new("/n/nginx.conf")).expect("it is configuration");
    let lost: Vec<(u32, &str)> = imported
        .notes
        .iter()
        .filter(|note| matches!(note.fate, Fate::Lost { .. }))
        .map(|note| (note.line, note.directive.as_str()))
        .collect();
    assert_eq!(
        lost,
        [
            (6, "listen"),
            (10, "location"),
            (4, "perl_require"),
            (13, "stream")
        ]
    );
}
