//! Nothing is open but what the table of routes says.

use http::Method;
use nxmesh_master_lib::{
    api::rest::{Access, ROUTES},
    testkit::TestMaster,
};

use super::{master, problem};

/// The path with something plausible in its variable parts.
fn filled(path: &str) -> String {
    path.replace("{workspace}", "default")
        .replace("{kind}", "upstreams")
        .replace("{name}", "shop")
        .replace("{revision}", "1")
        .replace("{command}", "0190f3a1-7c5e-7cc0-9f43-0d9a3f1b2c4d")
        .replace("{agent}", "0190f3a1-7c5e-7cc0-9f43-0d9a3f1b2c4d")
}

#[tokio::test]
async fn every_route_denies_strangers() {
    let master = TestMaster::start().await.unwrap();
    let strangers = [
        master.anonymous(),
        master.anonymous().with_token(""),
        master.anonymous().with_token("a.b.c"),
    ];
    let mut asked = 0;
    for route in ROUTES
        .iter()
        .filter(|route| route.access == Access::LoggedIn)
    {
        for method in route.methods {
            for stranger in &strangers {
                let path = filled(route.path);
                let answer = stranger.send(method.clone(), &path, &[], "").await.unwrap();
                problem(&answer, 401);
                assert_eq!(answer.header("www-authenticate"), "Bearer");
                asked += 1;
            }
        }
    }
    assert!(asked > 30, "only {asked} requests were made");
}

#[test]
fn the_public_routes_are_these_and_no_others() {
    let public: Vec<_> = ROUTES
        .iter()
        .filter(|route| route.access == Access::Public)
        .map(|route| route.path)
        .collect();
    assert_eq!(
        public,
        [
            "/livez",
            "/readyz",
            "/version",
            "/metrics",
            "/.well-known/jwks.json",
            "/api/v1/auth/login",
            "/api/v1/schemas/{kind}",
        ]
    );
}

#[tokio::test]
async fn methods_and_paths_outside_the_table_are_denied_to_strangers_too() {
    let master = TestMaster::start().await.unwrap();
    let stranger = master.anonymous();
    for (method, path) in [
        (Method::PATCH, "/api/v1/workspaces/default/apply"),
        (
            Method::GET,
            "/api/v1/workspaces/default/nothing/here/at/all",
        ),
        (Method::GET, "/api/v1/users"),
        (Method::GET, "/"),
    ] {
        let answer = stranger.send(method, path, &[], "").await.unwrap();
        problem(&answer, 401);
    }
}

#[tokio::test]
async fn the_methods_of_the_table_are_those_that_are_served() {
    let (_master, client) = master().await;
    for route in &ROUTES {
        for method in [
            Method::GET,
            Method::PUT,
            Method::POST,
            Method::DELETE,
            Method::PATCH,
        ] {
            let path = filled(route.path);
            let answer = client.send(method.clone(), &path, &[], "").await.unwrap();
            let is_there = answer.status != 405;
            assert_eq!(
                is_there,
                route.methods.contains(&method),
                "{method} {path}: {}",
                answer.status
            );
        }
    }
}
