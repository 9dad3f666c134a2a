//! What the built-in policy approves, nginx takes.

use nxmesh_core::snippet::{SnippetContext, SnippetPolicy, SnippetText};

use super::configuration;
use crate::nginx::{Nginx, Verdict};

const APPROVED: [(SnippetContext, &str); 22] = [
    (SnippetContext::Main, "worker_priority -5;\npcre_jit on;"),
    (SnippetContext::Events, "multi_accept on;"),
    (
        SnippetContext::Http,
        "limit_req_zone $binary_remote_addr zone=logins:1m rate=1r/s;\nlog_format mine '$remote_addr';",
    ),
    (
        SnippetContext::Http,
        "map $uri $shop_new {\n    default 0;\n    ~^/(?<shop_rest>.*)$ $shop_rest;\n    \\include 1;\n}",
    ),
    (
        SnippetContext::Http,
        "geo $shop_country { default none; 10.0.0.0/8 local; }",
    ),
    (
        SnippetContext::Http,
        "split_clients $remote_addr $shop_variant { 50% a; * b; }",
    ),
    (SnippetContext::Server, "access_log off;"),
    (
        SnippetContext::Server,
        "access_log syslog:server=127.0.0.1 combined;",
    ),
    (
        SnippetContext::Server,
        "error_log syslog:server=127.0.0.1 warn;\nerror_log stderr;",
    ),
    (
        SnippetContext::Server,
        "location /a { if ($arg_x = \"1\") { return 403; } limit_except GET { deny all; } }",
    ),
    (
        SnippetContext::Server,
        "if ($host = 'a') { set $shop_a 1; }",
    ),
    (SnippetContext::Server, "\"gzip\" 'on';"),
    (
        SnippetContext::Location,
        "set $args a=1;\nset $limit_rate 1m;",
    ),
    (SnippetContext::Location, "types { text/html html; }"),
    (
        SnippetContext::Location,
        "return 200 \"$nxmesh_dollar ${nxmesh_dollar} my_nxmesh_x\";",
    ),
    (
        SnippetContext::Location,
        "if ($uri ~ ^/(?<shop_path>.*)$) { return 200 $shop_path; }",
    ),
    (
        SnippetContext::Location,
        "rewrite ^/(.*)$ /a?b=$1 last;\nrewrite ^/b/(.*)$ /$1 break;",
    ),
    (
        SnippetContext::Location,
        "rewrite ^/(.*)$ /a?b=$1 last;\nset $shop_a $1;",
    ),
    (
        SnippetContext::Location,
        "rewrite ^/(.*)$ https://a/?b=$1;\nset $shop_a $1;",
    ),
    (
        SnippetContext::Location,
        "rewrite ^/(.*)$ /a/$1?;\nset $shop_a $1;",
    ),
    (
        SnippetContext::Location,
        "rewrite ^/(.*)$ /a?b=c;\nset $shop_a $uri;\nreturn 302 /$1;",
    ),
    (
        SnippetContext::Upstream,
        "least_conn;\nkeepalive 8;\nkeepalive_requests 10;",
    ),
];

#[test]
fn what_is_approved_is_taken_by_nginx() {
    let nginx = Nginx::find();
    for (context, text) in APPROVED {
        let snippet = SnippetText::parse(text).unwrap_or_else(|error| panic!("{text}: {error}"));
        let approved = SnippetPolicy::default().approve(context, &snippet);
        let approved = approved.unwrap_or_else(|error| panic!("{text}: {error}"));
        assert_eq!((approved.context(), approved.as_str()), (context, text));
        let Some(nginx) = &nginx else { continue };
        // What the renderer defines.
        let text = if context == SnippetContext::Location {
            configuration(context, text)
                .replace("http {", "http { geo $nxmesh_dollar { default $; }")
        } else {
            configuration(context, text)
        };
        match nginx.test(&text) {
            Verdict::Accepted => {}
            Verdict::Syntax(said) | Verdict::Meaning(said) => panic!("{said} in\n{text}"),
        }
    }
}

#[test]
fn an_installation_has_its_own_policy() {
    let mut policy = SnippetPolicy::default();
    let text = SnippetText::parse("more_set_headers 'X: y';").unwrap();
    assert!(policy.approve(SnippetContext::Location, &text).is_err());
    policy.allow.insert(
        "more_set_headers".to_owned(),
        [SnippetContext::Location].into(),
    );
    policy.approve(SnippetContext::Location, &text).unwrap();
    assert!(policy.approve(SnippetContext::Server, &text).is_err());
    let inside = SnippetText::parse("if ($a) { more_set_headers 'X: y'; }").unwrap();
    policy.approve(SnippetContext::Location, &inside).unwrap();
    assert!(policy.approve(SnippetContext::Server, &inside).is_err());

    // What is built in can be allowed, and denied; denying wins.
    policy
        .allow
        .insert("root".to_owned(), [SnippetContext::Location].into());
    policy.deny.insert("gzip".to_owned());
    let root = SnippetText::parse("root /srv;").unwrap();
    policy.approve(SnippetContext::Location, &root).unwrap();
    let gzip = SnippetText::parse("gzip on;").unwrap();
    let error = policy.approve(SnippetContext::Location, &gzip).unwrap_err();
    assert!(
        error.to_string().contains("policy of this installation"),
        "{error}"
    );
    policy.deny.insert("root".to_owned());
    assert!(policy.approve(SnippetContext::Location, &root).is_err());

    // Names and variables are not the installation's to give away.
    policy
        .allow
        .insert("js_set".to_owned(), [SnippetContext::Http].into());
    let text = SnippetText::parse("js_set $a zone=nxmesh_x:1m;").unwrap();
    assert!(policy.approve(SnippetContext::Http, &text).is_err());
}
