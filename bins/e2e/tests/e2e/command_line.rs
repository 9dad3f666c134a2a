//! The commands and their exit codes.

use nxmesh_e2e::Cluster;
use nxmesh_e2e::wait;

#[test]
fn a_change_is_compared_applied_undone_and_deleted() {
    let cluster = Cluster::start(1).unwrap();
    let node = &cluster.nodes[0];
    let site = |answer: &str| node.answering("shop", "shop.test", answer);
    let served = || node.http("shop.test", "/").get().unwrap().text();
    let run_with =
        |arguments: &[&str], input: &str| cluster.ctl.run_with(arguments, input).unwrap();

    let diff = run_with(&["diff", "-f", "-"], &site("one"));
    assert_eq!(diff.code, 2, "{}", diff.text());
    let dry = run_with(&["apply", "--dry-run", "-f", "-"], &site("one"));
    assert_eq!(dry.code, 0, "{}", dry.text());
    assert!(
        node.http("shop.test", "/").get().is_err(),
        "a dry run was served"
    );

    cluster.apply(&site("one")).unwrap().success().unwrap();
    assert_eq!(run_with(&["diff", "-f", "-"], &site("one")).code, 0);
    let diff = run_with(&["diff", "-f", "-"], &site("two"));
    assert_eq!(diff.code, 2, "{}", diff.text());
    assert!(
        diff.stdout
            .lines()
            .any(|line| line.starts_with('-') && line.contains("one"))
    );
    assert!(
        diff.stdout
            .lines()
            .any(|line| line.starts_with('+') && line.contains("two"))
    );
    assert_eq!(served(), "one");

    let agent = cluster.ctl.run(&["get", "agents", "-o", "name"]).unwrap();
    let agent = agent.stdout.trim().trim_start_matches("agent/").to_owned();
    let plan = run_with(&["plan", "-f", "-", "--agent", &agent], &site("two"));
    assert_eq!(plan.code, 2, "{}", plan.text());
    for line in ["-        return 200 one;", "+        return 200 two;"] {
        assert!(plan.stdout.contains(line), "{}", plan.text());
    }
    let same = run_with(&["plan", "-f", "-", "--agent", &agent], &site("one"));
    assert_eq!(same.code, 0, "{}", same.text());
    assert_eq!(served(), "one");

    cluster.apply(&site("two")).unwrap().success().unwrap();
    assert_eq!(served(), "two");
    let undone = run_with(&["rollout", "undo", "-m", "rather not"], "")
        .success()
        .unwrap();
    assert!(
        undone.stdout.contains("1 updated, 0 failed, 0 skipped"),
        "{}",
        undone.text()
    );
    assert_eq!(served(), "one");
    let history = run_with(&["rollout", "history", "-o", "json"], "")
        .json()
        .unwrap();
    let revisions = history["items"].as_array().unwrap();
    assert_eq!(revisions.len(), 3, "{history}");
    assert!(
        revisions
            .iter()
            .any(|revision| revision["message"] == "rather not"),
        "{history}"
    );

    let name = run_with(&["get", "virtualhosts", "-o", "name"], "");
    run_with(&["delete", name.stdout.trim(), "--yes"], "")
        .success()
        .unwrap();
    assert!(
        node.http("shop.test", "/").get().is_err(),
        "what was deleted is served"
    );
    assert_eq!(run_with(&["get", "virtualhost", "shop"], "").code, 4);
    assert_eq!(
        run_with(&["delete", "virtualhost", "shop", "--yes"], "").code,
        4
    );
}

#[test]
fn what_get_prints_is_what_apply_takes() {
    let cluster = Cluster::start(1).unwrap();
    let node = &cluster.nodes[0];
    let documents = format!(
        "{}kind: Upstream\nmetadata: {{ name: backend, labels: {{ team: web }} }}\n\
         spec: {{ balance: {{ hash: {{ key: request_uri, consistent: true }} }}, keepalive: 8, \
         servers: [{{ address: \"127.0.0.1:9\", weight: 3 }}, {{ address: \"127.0.0.1:10\" }}] }}\n---\n\
         kind: VirtualHost\nmetadata: {{ name: rich }}\nspec:\n  selector: \"node in (n1,n2),!canary\"\n  \
         server_names: [rich.test, \"*.rich.test\"]\n  \
         listen: [{{ port: {}, address: 127.0.0.1 }}]\n  max_body_size: 8m\n  \
         response_headers: [{{ name: X-Frame-Options, value: DENY, always: true }}]\n  locations:\n  \
         - {{ path: /, proxy: {{ upstream: backend, websocket: true, timeouts: {{ connect: 2s, read: 30s }}, \
         request_headers: [{{ name: X-Request-Id, variable: request_id }}] }} }}\n  \
         - {{ path: /files/, match: prefix_priority, static: {{ root: /srv/shop, index: [a.html] }} }}\n  \
         - {{ path: '\\.php$', match: regex, respond: {{ status: 403 }} }}\n  \
         - {{ path: /old, match: exact, redirect: {{ to: \"https://rich.test/new\", code: 308 }} }}\n",
        node.answering("shop", "shop.test", "one"),
        node.http_port()
    );
    cluster.apply(&documents).unwrap().success().unwrap();
    assert_eq!(
        node.http("www.rich.test", "/x.php").get().unwrap().status,
        403
    );
    let before = cluster
        .ctl
        .run(&["get", "revisions", "-o", "json"])
        .unwrap()
        .json()
        .unwrap();

    for thing in ["virtualhosts", "upstreams"] {
        for format in ["json", "yaml"] {
            let printed = cluster
                .ctl
                .run(&["get", thing, "-o", format])
                .unwrap()
                .success()
                .unwrap();
            let outcome = cluster.apply(&printed.stdout).unwrap();
            let text = outcome.text();
            assert_eq!(outcome.code, 0, "{thing} as {format}: {text}");
            let unchanged = text
                .lines()
                .filter(|line| line.ends_with(" unchanged"))
                .count();
            let expected = if thing == "upstreams" { 1 } else { 2 };
            assert_eq!(unchanged, expected, "{thing} as {format}: {text}");
        }
    }
    let after = cluster
        .ctl
        .run(&["get", "revisions", "-o", "json"])
        .unwrap()
        .json()
        .unwrap();
    assert_eq!(after, before);
}

#[test]
fn exit_codes_tell_what_went_wrong() {
    let mut cluster = Cluster::start(0).unwrap();
    let site = "kind: VirtualHost\nmetadata: { name: shop }\nspec: { server_names: [shop.test] }\n";
    let run = |arguments: &[&str], input: &str| cluster.ctl.run_with(arguments, input).unwrap();

    assert_eq!(run(&["validate", "-f", "-"], site).code, 0);
    for (bad, field) in [
        (
            site.replace("shop.test", "\"shop;test\""),
            "/spec/server_names/0",
        ),
        (site.replace("server_names", "server_name"), "server_name"),
        (site.replace("[shop.test]", "[]"), "/spec/server_names"),
    ] {
        for command in ["validate", "apply"] {
            let outcome = run(&[command, "-f", "-"], &bad);
            assert_eq!(outcome.code, 3, "{}", outcome.text());
            assert!(outcome.stderr.contains(field), "{}", outcome.stderr);
        }
    }
    assert_eq!(run(&["get", "upstream", "none"], "").code, 4);
    assert_eq!(run(&["get", "teapots"], "").code, 64);
    assert_eq!(run(&["validate", "-f", "/no/such/file"], "").code, 3);

    let url = cluster.master.url();
    let login = [
        "login",
        "--server",
        &url,
        "--username",
        "admin",
        "--password-file",
        "-",
    ];
    assert_eq!(run(&login, "wrong").code, 6);
    run(&["logout"], "").success().unwrap();
    assert_eq!(run(&["--server", &url, "get", "agents"], "").code, 6);
    cluster.login().unwrap();
    cluster.master.stop().unwrap();
    let outcome = cluster.ctl.run(&["get", "agents"]).unwrap();
    assert_eq!(outcome.code, 11, "{}", outcome.text());
    // Validating needs no server.
    assert_eq!(
        cluster
            .ctl
            .run_with(&["validate", "-f", "-"], site)
            .unwrap()
            .code,
        0
    );
}

#[test]
fn who_is_not_logged_in_gets_nothing() {
    let cluster = Cluster::start(0).unwrap();
    let workspace = "/api/v1/workspaces/default";
    for (method, path) in [
        ("GET", "/agents"),
        ("GET", "/virtual-hosts"),
        ("GET", "/certificates"),
        ("GET", "/revisions"),
        ("POST", "/apply"),
        ("POST", "/agents/bootstrap-tokens"),
        ("DELETE", "/virtual-hosts/shop"),
    ] {
        let path = format!("{workspace}{path}");
        for header in [
            "X-None: 1",
            "Authorization: Bearer x.y.z",
            "Authorization: Basic YWRtaW46",
        ] {
            let body: &[u8] = if method == "POST" { b"{}" } else { b"" };
            let response = cluster
                .master
                .request(method, &path, &[header], body)
                .unwrap();
            assert_eq!(response.status, 401, "{method} {path}: {}", response.text());
        }
    }
    for path in ["/livez", "/readyz", "/version", "/metrics"] {
        wait::until(path, || {
            Ok((cluster.master.request("GET", path, &[], b"")?.status == 200).then_some(()))
        })
        .unwrap();
    }
}

#[test]
fn an_existing_configuration_is_imported_and_served() {
    let cluster = Cluster::start(1).unwrap();
    let node = &cluster.nodes[0];
    let run_with =
        |arguments: &[&str], input: &str| cluster.ctl.run_with(arguments, input).unwrap();
    let dump = format!(
        "# configuration file /etc/nginx/nginx.conf:\nevents {{}}\nhttp {{\n  gzip on;\n  \
         include conf.d/*.conf;\n}}\n# configuration file /etc/nginx/conf.d/old.conf:\nserver {{\n  \
         listen 127.0.0.1:{};\n  server_name old.test;\n  location / {{ return 200 \"as before\"; }}\n  \
         location /slow {{ etag off; return 200 slow; }}\n}}\n",
        node.http_port()
    );
    let imported = run_with(&["import", "-", "-l", "node=n1"], &dump);
    let text = imported.text();
    for note in [
        "/etc/nginx/nginx.conf:3: gzip: in Snippet/imported-http",
        "/etc/nginx/conf.d/old.conf:5: etag: in Snippet/",
        "0 not imported",
    ] {
        assert!(text.contains(note), "{note:?} is missing in\n{text}");
    }
    let applied = run_with(&["apply", "-f", "-"], &imported.stdout);
    applied.success().unwrap();
    for (path, answer) in [("/", "as before"), ("/slow", "slow")] {
        assert_eq!(node.http("old.test", path).get().unwrap().text(), answer);
    }
    let broken = run_with(&["import", "-"], "# configuration file /n:\nhttp {\n");
    assert_eq!(broken.code, 3, "{}", broken.text());
    assert_eq!(run_with(&["import", "/no/such/file"], "").code, 4);
}

#[test]
fn kinds_and_fields_are_explained() {
    let cluster = Cluster::master_only(&nxmesh_e2e::sandbox::Sandbox::new().unwrap()).unwrap();
    let explain = |path: &[&str]| {
        let arguments = [&["explain"][..], path].concat();
        cluster.ctl.run(&arguments).unwrap()
    };
    let kinds = explain(&[]).success().unwrap();
    assert!(
        kinds.stdout.lines().any(|kind| kind == "VirtualHost"),
        "{}",
        kinds.stdout
    );
    for (path, words) in [
        ("virtualhost", "spec: object, required"),
        ("virtualhost.spec", "server_names: list of string, required"),
        (
            "virtualhost.spec.rate_limit.limits.rate",
            "for example 10r/s",
        ),
        (
            "vhost.spec.locations.proxy.timeouts.connect",
            "proxy_connect_timeout",
        ),
        ("upstream.spec.balance", "round_robin | least_conn"),
        (
            "upstream.spec.balance",
            "  least_conn\n      The one with the fewest connections",
        ),
        // Fields with the whole of what is said of them.
        ("virtualhost.spec.tls", "(nginx:\n      `ssl_buffer_size`)."),
    ] {
        let told = explain(&[path]).success().unwrap();
        assert!(
            told.stdout.contains(words),
            "{path}: {words:?} is missing in\n{}",
            told.stdout
        );
    }
    let template = explain(&["--template", "balancing"]).success().unwrap();
    for told in [
        "runs over a UpstreamRecord",
        "{{#each servers}} ServerRecord",
        "least_conn;",
    ] {
        assert!(
            template.stdout.contains(told),
            "{told} in {}",
            template.stdout
        );
    }
    assert_eq!(explain(&["--template", "balance"]).code, 4);
    let unknown = explain(&["virtualhost.spec.tsl"]);
    assert_eq!(unknown.code, 4, "{}", unknown.text());
    assert!(
        unknown.text().contains("server_names"),
        "{}",
        unknown.text()
    );
}
