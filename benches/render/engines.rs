//! Other ways to write the same bytes.

use std::{
    fs,
    hint::black_box,
    path::Path,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};
use nxmesh_core::{
    contract::renderer::RenderedTree,
    model::{
        Action, Balance, Location, PathMatch, RequestHeaderValue, ResourceSet, Upstream,
        VirtualHost,
    },
};
use serde_json::{Value, json};

/// What a template is run over in the other engines.
struct Prepared<'a> {
    host: &'a VirtualHost,
    upstream: &'a Upstream,
    /// What nginx calls the upstream.
    name: String,
    host_value: Value,
    upstream_value: Value,
    host_file: &'a [u8],
    upstream_file: &'a [u8],
}

/// The time each other engine takes for all virtual hosts, when it writes the
/// same bytes.
pub(crate) fn others(
    resources: &ResourceSet,
    tree: &RenderedTree,
) -> Result<Vec<(&'static str, Duration)>> {
    let prepared = prepare(resources, tree)?;
    let mut figures = Vec::new();

    let handlebars = handlebars_registry()?;
    let contexts: Vec<_> = prepared
        .iter()
        .map(|one| {
            let context = |value: &Value| handlebars::Context::wraps(value);
            Ok((context(&one.host_value)?, context(&one.upstream_value)?))
        })
        .collect::<Result<_>>()?;
    figures.push((
        "handlebars crate on our templates",
        compare(&prepared, |index, _| {
            let (host, upstream) = &contexts[index];
            Ok((
                handlebars.render_with_context("virtual-host", host)?,
                handlebars.render_with_context("upstream", upstream)?,
            ))
        })?,
    ));

    let jinja = jinja_environment()?;
    let (host_template, upstream_template) =
        (jinja.get_template("host")?, jinja.get_template("upstream")?);
    let values: Vec<_> = prepared
        .iter()
        .map(|one| {
            let value = |value: &Value| minijinja::Value::from_serialize(value);
            (value(&one.host_value), value(&one.upstream_value))
        })
        .collect();
    figures.push((
        "minijinja",
        compare(&prepared, |index, _| {
            let (host, upstream) = &values[index];
            Ok((
                host_template.render(host)?,
                upstream_template.render(upstream)?,
            ))
        })?,
    ));

    match jinja2(&prepared)? {
        Some(taken) => figures.push(("Jinja2 of Python", taken)),
        None => println!(
            "Jinja2 of Python is not there: `cargo xtask bench render` installs it if it may, or \
             install python3-jinja2 | - | -"
        ),
    }

    figures.push((
        "a writer made by hand",
        compare(&prepared, |_, one| {
            Ok((
                by_hand_host(one.host, &one.name).context("a shape the writer does not know")?,
                by_hand_upstream(one.upstream, &one.name),
            ))
        })?,
    ));
    Ok(figures)
}

/// The time Jinja2 takes; `None` if it is not installed.
fn jinja2(prepared: &[Prepared<'_>]) -> Result<Option<Duration>> {
    let there = Command::new("python3")
        .args(["-c", "import jinja2"])
        .stderr(Stdio::null())
        .status();
    if !there.is_ok_and(|status| status.success()) {
        return Ok(None);
    }
    let values: Vec<_> = prepared
        .iter()
        .map(|one| [&one.host_value, &one.upstream_value])
        .collect();
    let folder = tempfile::tempdir()?;
    let (input, output) = (folder.path().join("input"), folder.path().join("output"));
    let work = json!({ "host": JINJA_HOST, "upstream": JINJA_UPSTREAM, "values": values });
    fs::write(&input, serde_json::to_vec(&work)?)?;
    let run = Command::new("python3")
        .args(["-c", include_str!("jinja2_render.py")])
        .args([&input, &output])
        .output()?;
    let said = String::from_utf8_lossy(&run.stderr);
    ensure!(run.status.success(), "Jinja2 failed: {said}");
    let ours: Vec<u8> = prepared
        .iter()
        .flat_map(|one| [one.host_file, one.upstream_file].concat())
        .collect();
    ensure!(fs::read(&output)? == ours, "Jinja2 writes another text");
    let seconds: f64 = String::from_utf8_lossy(&run.stdout).trim().parse()?;
    Ok(Some(Duration::from_secs_f64(seconds)))
}

fn compare(
    prepared: &[Prepared<'_>],
    write: impl Fn(usize, &Prepared<'_>) -> Result<(String, String)>,
) -> Result<Duration> {
    for (index, one) in prepared.iter().enumerate().step_by(997) {
        let (host, upstream) = write(index, one)?;
        ensure!(
            host.as_bytes() == one.host_file,
            "another text for a virtual host:\n{host}"
        );
        ensure!(
            upstream.as_bytes() == one.upstream_file,
            "another text for an upstream:\n{upstream}"
        );
    }
    let mut taken = Vec::new();
    for _ in 0..5 {
        let start = Instant::now();
        for (index, one) in prepared.iter().enumerate() {
            black_box(write(index, one)?);
        }
        taken.push(start.elapsed());
    }
    taken.sort();
    Ok(taken[2])
}

fn prepare<'a>(resources: &'a ResourceSet, tree: &'a RenderedTree) -> Result<Vec<Prepared<'a>>> {
    resources
        .virtual_hosts()
        .map(|host| {
            let file = |folder: &str| {
                let prefix = format!("{folder}/{}-", host.metadata.name);
                let found = tree.files_under(&prefix).next();
                found
                    .map(|(_, file)| &file.contents[..])
                    .context("a file is missing")
            };
            let upstream = resources
                .upstream(&host.metadata.name)
                .context("an upstream is missing")?;
            let upstream_file = file("upstreams")?;
            let text = std::str::from_utf8(upstream_file)?;
            let name = text
                .split_whitespace()
                .find(|word| word.starts_with("nxmesh_up_"));
            let name = name.context("the upstream has no name")?.to_owned();
            Ok(Prepared {
                host_value: host_value(host, &name),
                upstream_value: upstream_value(upstream, &name),
                host_file: file("virtual-hosts")?,
                upstream_file,
                host,
                upstream,
                name,
            })
        })
        .collect()
}

fn host_value(host: &VirtualHost, upstream: &str) -> Value {
    let listens: Vec<_> = host
        .spec
        .listen
        .iter()
        .flat_map(|listen| [listen.port.to_string(), format!("[::]:{}", listen.port)])
        .map(|address| json!({ "address": address }))
        .collect();
    let headers: Vec<_> = host
        .spec
        .traffic
        .response_headers
        .iter()
        .map(
            |header| json!({ "name": header.name, "value": header.value, "always": header.always }),
        )
        .collect();
    let locations: Vec<_> = host
        .spec
        .locations
        .iter()
        .map(|location| location_value(location, upstream))
        .collect();
    json!({
        "servers": [{ "listens": listens }],
        "server_names": host.spec.server_names,
        "max_body_size": host.spec.traffic.max_body_size,
        "headers": headers,
        "locations": locations,
        "matches_all": true,
    })
}

fn location_value(location: &Location, upstream: &str) -> Value {
    let modifier = matches!(location.path, PathMatch::PrefixPriority(_)).then_some("^~");
    let mut value = json!({ "modifier": modifier, "path": location.path.as_str() });
    match &location.action {
        Action::Proxy(proxy) => {
            let headers: Vec<_> = proxy
                .request_headers
                .iter()
                .filter_map(|header| match &header.value {
                    RequestHeaderValue::Variable(variable) => {
                        Some(json!({ "name": header.name, "value": format!("${}", variable.nginx_name()) }))
                    }
                    _ => None,
                })
                .collect();
            value["proxy"] = json!({
                "scheme": "http", "upstream": upstream, "websocket": proxy.websocket,
                "default_host": true, "default_real_ip": true, "default_forwarded_for": true,
                "default_forwarded_proto": true, "default_proxy": true, "default_upgrade": true,
                "default_connection": true, "request_headers": headers,
                "connect_timeout": proxy.timeouts.connect, "read_timeout": proxy.timeouts.read,
            });
        }
        Action::Static(files) => {
            value["files"] = json!({ "root": files.folder.path(), "index": files.index })
        }
        _ => {}
    }
    value
}

fn upstream_value(upstream: &Upstream, name: &str) -> Value {
    json!({
        "name": name,
        "zone_size": "64k",
        "least_conn": upstream.spec.balance == Balance::LeastConn,
        "servers": upstream.spec.servers,
        "keepalive": upstream.spec.keepalive,
    })
}

/// With our templates, whatever they are at the time.
fn handlebars_registry() -> Result<handlebars::Handlebars<'static>> {
    let mut registry = handlebars::Handlebars::new();
    registry.register_escape_fn(handlebars::no_escape);
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../nxmesh-render/templates");
    for file in fs::read_dir(folder)? {
        let path = file?.path();
        let name = path.file_stem().context("a template without a name")?;
        registry.register_template_string(&name.to_string_lossy(), fs::read_to_string(&path)?)?;
    }
    Ok(registry)
}

fn jinja_environment() -> Result<minijinja::Environment<'static>> {
    let mut environment = minijinja::Environment::new();
    environment.set_trim_blocks(true);
    environment.set_lstrip_blocks(true);
    environment.set_keep_trailing_newline(true);
    environment.add_template("host", JINJA_HOST)?;
    environment.add_template("upstream", JINJA_UPSTREAM)?;
    Ok(environment)
}

const JINJA_HOST: &str = include_str!("host.jinja");
const JINJA_UPSTREAM: &str = include_str!("upstream.jinja");

/// Writes a virtual host as the samples have them; quotes nothing.
fn by_hand_host(host: &VirtualHost, upstream: &str) -> Option<String> {
    let mut text = String::with_capacity(2048);
    text.push_str("# Written by NxMesh; changes are overwritten.\nserver {\n");
    for listen in &host.spec.listen {
        let port = listen.port.to_string();
        push(
            &mut text,
            &["    listen ", &port, ";\n    listen [::]:", &port, ";\n"],
        );
    }
    text.push_str("    server_name");
    for name in &host.spec.server_names {
        push(&mut text, &[" ", name.as_str()]);
    }
    push(
        &mut text,
        &[
            ";\n    client_max_body_size ",
            &host.spec.traffic.max_body_size?.to_string(),
            ";\n",
        ],
    );
    for header in &host.spec.traffic.response_headers {
        let always = if header.always { " always" } else { "" };
        push(
            &mut text,
            &[
                "    add_header ",
                header.name.as_str(),
                " ",
                header.value.as_str(),
                always,
                ";\n",
            ],
        );
    }
    for location in &host.spec.locations {
        let modifier = if matches!(location.path, PathMatch::PrefixPriority(_)) {
            "^~ "
        } else {
            ""
        };
        push(
            &mut text,
            &["    location ", modifier, location.path.as_str(), " {\n"],
        );
        match &location.action {
            Action::Proxy(proxy) => {
                push(
                    &mut text,
                    &[
                        "        proxy_pass http://",
                        upstream,
                        ";\n        proxy_http_version 1.1;\n",
                    ],
                );
                text.push_str(
                    "        proxy_set_header Host $host;\n        proxy_set_header X-Real-IP $remote_addr;\n        \
                     proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;\n        \
                     proxy_set_header X-Forwarded-Proto $scheme;\n        proxy_set_header Proxy \"\";\n        \
                     proxy_set_header Upgrade $http_upgrade;\n        \
                     proxy_set_header Connection $nxmesh_connection_upgrade;\n",
                );
                for header in &proxy.request_headers {
                    let RequestHeaderValue::Variable(variable) = &header.value else {
                        return None;
                    };
                    push(
                        &mut text,
                        &[
                            "        proxy_set_header ",
                            header.name.as_str(),
                            " $",
                            variable.nginx_name(),
                            ";\n",
                        ],
                    );
                }
                push(
                    &mut text,
                    &[
                        "        proxy_connect_timeout ",
                        &proxy.timeouts.connect?.to_string(),
                        ";\n",
                    ],
                );
                push(
                    &mut text,
                    &[
                        "        proxy_read_timeout ",
                        &proxy.timeouts.read?.to_string(),
                        ";\n",
                    ],
                );
            }
            Action::Static(files) => {
                push(
                    &mut text,
                    &[
                        "        root ",
                        files.folder.path().as_str(),
                        ";\n        index",
                    ],
                );
                for name in &files.index {
                    push(&mut text, &[" ", name.as_str()]);
                }
                text.push_str(";\n");
            }
            _ => return None,
        }
        text.push_str("    }\n");
    }
    text.push_str("}\n");
    Some(text)
}

fn by_hand_upstream(upstream: &Upstream, name: &str) -> String {
    let mut text = String::with_capacity(512);
    push(
        &mut text,
        &[
            "# Written by NxMesh; changes are overwritten.\nupstream ",
            name,
            " {\n    zone ",
            name,
            " 64k;\n",
        ],
    );
    if upstream.spec.balance == Balance::LeastConn {
        text.push_str("    least_conn;\n");
    }
    for server in &upstream.spec.servers {
        push(&mut text, &["    server ", server.address.as_str()]);
        if let Some(weight) = server.weight {
            push(&mut text, &[" weight=", &weight.to_string()]);
        }
        if let Some(fails) = server.max_fails {
            push(&mut text, &[" max_fails=", &fails.to_string()]);
        }
        if let Some(time) = server.fail_timeout {
            push(&mut text, &[" fail_timeout=", &time.to_string()]);
        }
        if server.backup {
            text.push_str(" backup");
        }
        text.push_str(";\n");
    }
    if let Some(keepalive) = upstream.spec.keepalive {
        push(
            &mut text,
            &["    keepalive ", &keepalive.to_string(), ";\n"],
        );
    }
    text.push_str("}\n");
    text
}

fn push(text: &mut String, parts: &[&str]) {
    for part in parts {
        text.push_str(part);
    }
}
