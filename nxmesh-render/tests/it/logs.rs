//! What is written down about requests, by a real nginx.

use std::{fs, path::Path, time::Duration};

use tempfile::TempDir;

use crate::{
    nginx::free_port,
    site::{ask_with, serving_set as serving, site, status},
};

/// The lines of a log once it has some.
fn lines(path: &Path, least: usize) -> Vec<String> {
    let deadline = std::time::Instant::now() + Duration::from_secs(10);
    loop {
        let text = fs::read_to_string(path).unwrap_or_default();
        if text.lines().count() >= least {
            return text.lines().map(ToOwned::to_owned).collect();
        }
        assert!(
            std::time::Instant::now() < deadline,
            "{path:?} says {text:?}"
        );
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn lines_look_and_go_as_it_is_said() {
    let folder = TempDir::new().expect("a folder");
    let file = |name: &str| folder.path().join(name);
    let port = free_port();
    let site = site(
        port,
        &format!(
            r#"
  access_log: {{ to: {{ file: {json}, format: json }} }}
  locations:
    - {{ path: /, respond: {{ status: 200 }} }}
    - path: /objects
      access_log:
        to:
          file: {objects}
          format: {{ custom: '{{{{"agent":"{{http_user_agent}}","status":{{status}}}}}}' }}
          escape: json
      respond: {{ status: 200 }}
    - {{ path: /silent, access_log: none, respond: {{ status: 200 }} }}
    - path: /own
      access_log:
        to:
          file: {own}
          format: {{ custom: "{{request_uri}} $5 \"{{http_x_a}}\" {{status}}" }}
          skip: {{ statuses: [404, 5xx], paths: ["[?]quiet"], user_agents: [probe] }}
      respond: {{ status: 200 }}
    - path: /own/missing
      access_log: {{ to: {{ file: {own}, format: {{ custom: "{{request_uri}}" }}, skip: {{ statuses: [4xx] }} }} }}
      respond: {{ status: 404 }}"#,
            json = file("json.log").display(),
            own = file("own.log").display(),
            objects = file("objects.log").display(),
        ),
        "",
    );
    let Some(_nginx) = serving(&site) else { return };
    assert_eq!(status(port, "/silent"), 200);
    ask_with(port, "/json", "User-Agent: a \"quoted\" one\r\n");
    for path in ["/own/missing", "/own?quiet", "/own?a=b"] {
        status(port, path);
    }
    ask_with(port, "/own", "User-Agent: PROBE/1\r\n");
    ask_with(port, "/own", "X-A: x y\r\n");
    ask_with(port, "/objects", "User-Agent: a \"quoted\" \\ one\r\n");
    let objects = lines(&file("objects.log"), 1);
    let object: serde_json::Value = serde_json::from_str(&objects[0]).expect("JSON");
    assert_eq!(object["agent"], "a \"quoted\" \\ one");
    assert_eq!(object["status"], 200);
    let own = lines(&file("own.log"), 2);
    assert_eq!(own, ["/own?a=b $5 \"-\" 200", "/own $5 \"x y\" 200"]);
    let json = lines(&file("json.log"), 1);
    assert_eq!(json.len(), 1, "{json:?}");
    let line: serde_json::Value = serde_json::from_str(&json[0]).expect("JSON");
    assert_eq!(line["uri"], "/json");
    assert_eq!(line["status"], 200);
    assert_eq!(line["user_agent"], "a \"quoted\" one");
}

#[test]
fn nginx_says_what_happens_where_it_is_told_to() {
    let folder = TempDir::new().expect("a folder");
    let path = folder.path().join("error.log");
    let port = free_port();
    let site = site(
        port,
        &format!(
            "
  error_log: {{ file: {}, level: error }}
  locations: [{{ path: /, access: {{ rules: [{{ deny: all }}] }}, static: {{ root: /srv }} }}]",
            path.display()
        ),
        "",
    );
    let Some(_nginx) = serving(&site) else { return };
    assert_eq!(status(port, "/"), 403);
    let lines = lines(&path, 1);
    assert!(lines[0].contains("access forbidden by rule"), "{lines:?}");
}
