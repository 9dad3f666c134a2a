//! What the built-in policy refuses.

use nxmesh_core::snippet::{
    Reason, RewriteFlaw, SnippetContext, SnippetError, SnippetPolicy, SnippetRule, SnippetText,
};

fn refused(context: SnippetContext, text: &str) -> SnippetError {
    let snippet = SnippetText::parse(text).unwrap_or_else(|error| panic!("{text}: {error}"));
    match SnippetPolicy::default().approve(context, &snippet) {
        Err(error) => error,
        Ok(_) => panic!("approved in {context}: {text}"),
    }
}

#[test]
fn directives_are_refused_with_their_reason() {
    use SnippetContext::{Events, Http, Location, Main, Server, Stream, StreamServer, Upstream};
    for (reason, directives) in [
        (
            Reason::Code,
            &[
                (Main, "load_module modules/x.so;"),
                (Main, "ssl_engine dynamic;"),
                (Server, "ssl_conf_command Engine x;"),
                (Location, "proxy_ssl_conf_command Certificate /etc/x;"),
                (Location, "perl Module::handler;"),
                (Http, "perl_modules /tmp;"),
                (Http, "js_import /tmp/x.js;"),
                (Location, "js_content main.hello;"),
                (Location, "content_by_lua_block { os.execute('x') }"),
                (Location, "access_by_lua_file /tmp/x.lua;"),
                (Http, "lua_package_path /tmp;"),
                (Http, "init_by_lua 'x';"),
            ][..],
        ),
        (
            Reason::Files,
            &[
                (Main, "include /etc/shadow;"),
                (Server, "include *.conf;"),
                (Location, "'include' x;"),
                (Location, "auth_basic_user_file /etc/shadow;"),
                (Location, "client_body_temp_path /tmp;"),
                (Location, "proxy_temp_path /tmp;"),
                (Http, "proxy_cache_path /tmp keys_zone=a:1m;"),
                (Location, "proxy_store /tmp/x;"),
                (Location, "fastcgi_store on;"),
                (Location, "dav_methods PUT;"),
                (Location, "create_full_put_path on;"),
                (Location, "client_body_in_file_only on;"),
                (Main, "worker_rlimit_core 1g;"),
            ][..],
        ),
        (
            Reason::Served,
            &[
                (Location, "root /;"),
                (Location, "alias /etc/;"),
                (Server, "root /$arg_x;"),
            ][..],
        ),
        (
            Reason::Keys,
            &[
                (Server, "ssl_certificate /etc/x.pem;"),
                (Server, "ssl_certificate_key engine:a:b;"),
                (Server, "ssl_certificate_key data:$x;"),
                (Server, "ssl_password_file /x;"),
                (Server, "ssl_client_certificate /x;"),
                (Location, "proxy_ssl_certificate /x;"),
                (Location, "grpc_ssl_trusted_certificate /x;"),
                (StreamServer, "proxy_ssl_certificate_key /x;"),
            ][..],
        ),
        (
            Reason::Process,
            &[
                (Main, "user root;"),
                (Main, "daemon off;"),
                (Main, "master_process off;"),
                (Main, "worker_processes 1;"),
                (Main, "pid /tmp/x;"),
                (Main, "env LD_PRELOAD=/x;"),
                (Main, "lock_file /x;"),
                (Main, "working_directory /;"),
                (Main, "worker_shutdown_timeout 1s;"),
                (Main, "http { }"),
                (Main, "stream { }"),
                (Main, "events { }"),
                (Events, "worker_connections 1;"),
            ][..],
        ),
        (
            Reason::Fields,
            &[
                (Server, "listen 80;"),
                (Server, "server_name a;"),
                (Http, "server { }"),
                (Http, "upstream a { }"),
                (Stream, "server { }"),
                (Stream, "upstream a { }"),
                (Upstream, "server 10.0.0.1;"),
                (Upstream, "zone a 1m;"),
                (Http, "server_names_hash_max_size 1;"),
                (StreamServer, "listen 80;"),
            ][..],
        ),
    ] {
        for (context, text) in directives {
            let error = refused(*context, text);
            let SnippetRule::Refused { reason: found, .. } = error.rule else {
                panic!("{text}: {error}");
            };
            assert_eq!(found, reason, "{text}: {error}");
            assert_eq!(error.position.to_string(), "line 1, column 1", "{text}");
        }
    }
}

#[test]
fn what_nobody_knows_and_what_stands_elsewhere_is_refused() {
    for (context, text, rule) in [
        (
            SnippetContext::Location,
            "more_set_headers x;",
            "one of nginx's own",
        ),
        (SnippetContext::Location, "'' x;", "one of nginx's own"),
        (SnippetContext::Location, "GZIP on;", "one of nginx's own"),
        (SnippetContext::Http, "mail { }", "mail is refused"),
        (
            SnippetContext::Server,
            "internal;",
            "internal does not stand in server",
        ),
        (
            SnippetContext::Http,
            "location / { }",
            "location does not stand in http",
        ),
        (
            SnippetContext::Main,
            "gzip on;",
            "gzip does not stand outside of all blocks",
        ),
        (
            SnippetContext::Server,
            "if ($a) { proxy_pass http://a; }",
            "in an if of server",
        ),
        (
            SnippetContext::Location,
            "if ($a) { if ($b) { } }",
            "in an if of location",
        ),
        (
            SnippetContext::Location,
            "limit_except GET { gzip on; }",
            "in limit_except",
        ),
        (SnippetContext::Location, "gzip { on; }", "it has no block"),
        (
            SnippetContext::Server,
            "location /;",
            "location has a block",
        ),
        (
            SnippetContext::Stream,
            "gzip on;",
            "gzip does not stand in stream",
        ),
    ] {
        let error = refused(context, text);
        assert!(error.to_string().contains(rule), "{text}: {error}");
    }
}

#[test]
fn arguments_are_refused_in_their_place() {
    use SnippetContext::{Http, Location, Server, Upstream};
    for (context, text, place, rule) in [
        (
            Server,
            "access_log /var/log/x;",
            (1, 12),
            SnippetRule::LogFile,
        ),
        (Server, "access_log $host;", (1, 12), SnippetRule::LogFile),
        (
            Server,
            "access_log 'logs/x' combined;",
            (1, 12),
            SnippetRule::LogFile,
        ),
        (Server, "error_log off;", (1, 11), SnippetRule::LogFile),
        (
            Server,
            "error_log memory:1m;",
            (1, 11),
            SnippetRule::LogFile,
        ),
        (
            Location,
            "types { include /etc/x; }",
            (1, 9),
            SnippetRule::IncludedValues,
        ),
        (
            Http,
            "map $a $b { 'include' /etc/x; }",
            (1, 13),
            SnippetRule::IncludedValues,
        ),
        (
            Http,
            "geo $b { a x;\n \"include\" x; }",
            (2, 2),
            SnippetRule::IncludedValues,
        ),
        (
            Location,
            "set $nxmesh_dollar x;",
            (1, 5),
            SnippetRule::ReservedVariable,
        ),
        (
            Location,
            "set $NXMESH_x x;",
            (1, 5),
            SnippetRule::ReservedVariable,
        ),
        (
            Location,
            "set $http_x x;",
            (1, 5),
            SnippetRule::ReservedVariable,
        ),
        (
            Location,
            "set \"$upstream_x\" x;",
            (1, 5),
            SnippetRule::ReservedVariable,
        ),
        (
            Location,
            "if ($a) { set $cookie_x x; }",
            (1, 15),
            SnippetRule::ReservedVariable,
        ),
        (
            Location,
            "auth_request_set $arg_x x;",
            (1, 18),
            SnippetRule::ReservedVariable,
        ),
        (
            Http,
            "map $a $nxmesh_b { }",
            (1, 8),
            SnippetRule::ReservedVariable,
        ),
        (
            Http,
            "map $a $args { }",
            (1, 8),
            SnippetRule::ReservedVariable,
        ),
        (
            Http,
            "geo $http_x { }",
            (1, 5),
            SnippetRule::ReservedVariable,
        ),
        (
            Http,
            "geo $a $sent_http_x { }",
            (1, 8),
            SnippetRule::ReservedVariable,
        ),
        (
            Http,
            "split_clients $a $proxy_x { }",
            (1, 18),
            SnippetRule::ReservedVariable,
        ),
        (
            Server,
            "location ~ (?<nxmesh_x>a) { }",
            (1, 12),
            SnippetRule::ReservedName,
        ),
        (
            Server,
            "location ~ (?<nxmeshx>a) { }",
            (1, 12),
            SnippetRule::ReservedCapture,
        ),
        (
            Server,
            "location ~ (?P<http_host>a) { }",
            (1, 12),
            SnippetRule::ReservedCapture,
        ),
        (
            Location,
            "rewrite (?'args'a) /b;",
            (1, 9),
            SnippetRule::ReservedCapture,
        ),
        (
            Http,
            "map $a $b { ~(?<arg_x>a) b; }",
            (1, 13),
            SnippetRule::ReservedCapture,
        ),
        (
            Http,
            "limit_req_zone $a zone=nxmesh_x:1m rate=1r/s;",
            (1, 19),
            SnippetRule::ReservedName,
        ),
        (
            Location,
            "limit_req zone=nxmesh_x;",
            (1, 11),
            SnippetRule::ReservedName,
        ),
        (
            Location,
            "limit_conn nxmesh_x 1;",
            (1, 12),
            SnippetRule::ReservedName,
        ),
        (
            Location,
            "proxy_cache nxmesh_x;",
            (1, 13),
            SnippetRule::ReservedName,
        ),
        (
            Location,
            "proxy_pass http://nxmesh_up_0;",
            (1, 12),
            SnippetRule::ReservedName,
        ),
        (
            Location,
            "error_page 404 @nxmesh_x;",
            (1, 16),
            SnippetRule::ReservedName,
        ),
        (
            Http,
            "ssl_session_cache shared:nxmesh_tls:1m;",
            (1, 19),
            SnippetRule::ReservedName,
        ),
        (
            Upstream,
            "hash nxmesh_x;",
            (1, 6),
            SnippetRule::ReservedName,
        ),
    ] {
        let error = refused(context, text);
        let position = error.position;
        assert_eq!(
            (error.rule, (position.line, position.column)),
            (rule, place),
            "{text}: {error}"
        );
    }
}

#[test]
fn rewrites_that_overflow_are_refused() {
    for (text, place) in [
        ("rewrite ^/(.*)$ /a?b=c;\nset $shop_a $1;", (2, 13)),
        ("rewrite ^/(.*)$ /a?b=$1;\nset $shop_a x${1};", (2, 13)),
        (
            "rewrite ^/(.*)$ '/a?b=c?';\nrewrite ^/x(.*)$ /y/$9;",
            (2, 18),
        ),
        (
            "rewrite ^/(.*)$ /a?b;\nif ($uri = /$1) { return 200; }",
            (2, 12),
        ),
        (
            "rewrite ^/(.*)$ /a?b;\nif (-f /x/$2) { return 200; }",
            (2, 8),
        ),
        (
            "rewrite ^/(.*)$ /a?b;\nif ($a) { set $shop_a $1; }",
            (2, 23),
        ),
        (
            "if ($a) { rewrite ^/(.*)$ /a?b; }\nset $shop_a $1;",
            (2, 13),
        ),
        (
            "rewrite ^/(.*)$ $uri?a=b;\nreturn 200;\nset $shop_a $1;",
            (3, 13),
        ),
    ] {
        let error = refused(SnippetContext::Location, text);
        let position = error.position;
        assert_eq!(
            error.rule,
            SnippetRule::Overflow(RewriteFlaw::Arguments),
            "{text}"
        );
        assert_eq!((position.line, position.column), place, "{text}");
    }
    let text = "location /a { rewrite ^/(.*)$ /a?b; set $shop_a $1; }";
    assert_eq!(
        refused(SnippetContext::Server, text).rule,
        SnippetRule::Overflow(RewriteFlaw::Arguments)
    );
    // Another location is another script.
    let text = "location /a { rewrite ^/(.*)$ /a?b; }\nlocation ~ ^/(b)$ { set $shop_a $1; }";
    let snippet = SnippetText::parse(text).unwrap();
    SnippetPolicy::default()
        .approve(SnippetContext::Server, &snippet)
        .unwrap();

    for text in [
        "rewrite ^/((.*))$ http://a/$1$2 redirect;",
        "rewrite ^/((.*))$ http://a/?$1$2;",
        "rewrite ^/((.*))$ /a?b=$1&c=$2 last;",
        "rewrite ^/((.*))$ /a/$1/$2 permanent;",
    ] {
        let error = refused(SnippetContext::Location, text);
        assert_eq!(
            error.rule,
            SnippetRule::Overflow(RewriteFlaw::Overlap),
            "{text}"
        );
        assert_eq!(error.position.to_string(), "line 1, column 19", "{text}");
    }
    let snippet = SnippetText::parse("rewrite ^/((.*))$ /a/$1/$2 last;").unwrap();
    SnippetPolicy::default()
        .approve(SnippetContext::Location, &snippet)
        .unwrap();
}

#[test]
fn an_error_has_an_example_and_repeats_nothing() {
    for (context, text) in [
        (SnippetContext::Location, "secret_thing on;"),
        (SnippetContext::Location, "root /secret;"),
        (SnippetContext::Location, "set $http_secret secret;"),
        (SnippetContext::Location, "access_log /secret;"),
        (SnippetContext::Location, "content_by_lua_block { secret }"),
        (SnippetContext::Http, "gzip { secret on; }"),
    ] {
        let shown = refused(context, text).to_string();
        assert!(!shown.contains("secret"), "{shown}");
        let (_, example) = shown.rsplit_once(", for example ").expect("an example");
        assert!(!example.is_empty(), "{shown}");
    }
}
