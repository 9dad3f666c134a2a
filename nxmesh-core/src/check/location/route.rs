//! What routes and their conditions have to be in themselves.

use super::{Found, action, has_variable};
use crate::model::{Condition, FieldMatch, Location, Variable};

pub(super) fn check(at: &str, location: &Location, found: &mut Found) {
    if location.routes.len() > 20 {
        found.say(
            format!("{at}/routes"),
            "a location has at most 20 routes; more are for other locations",
        );
    }
    let routes = location.routes.iter();
    let conditions: usize = routes.map(|route| route.when.count()).sum();
    if conditions > 60 {
        found.say(
            format!("{at}/routes"),
            "the routes of a location have at most 60 conditions together",
        );
    }
    for (index, route) in location.routes.iter().enumerate() {
        let at = format!("{at}/routes/{index}");
        condition(&format!("{at}/when"), &route.when, found);
        action(&at, &route.action, location, found);
    }
}

/// Checks which requests something is for.
pub(in crate::check) fn condition(at: &str, when: &Condition, found: &mut Found) {
    if *when == Condition::default() {
        found.say(
            at,
            "a condition is for some requests, for example { methods: [POST] }",
        );
    }
    at_most_ten(at, "methods", &when.methods, found);
    let repeated = |index: usize| when.methods[..index].contains(&when.methods[index]);
    if let Some(index) = (0..when.methods.len()).find(|index| repeated(*index)) {
        found.say(format!("{at}/methods/{index}"), "a method is written once");
    }
    at_most_ten(at, "headers", &when.headers, found);
    at_most_ten(at, "query", &when.query, found);
    at_most_ten(at, "cookies", &when.cookies, found);
    at_most_ten(at, "variables", &when.variables, found);
    let appended = |it: &FieldMatch<Variable>| it.name == Variable::ProxyAddXForwardedFor;
    if let Some(index) = when.variables.iter().position(appended) {
        found.say(
            format!("{at}/variables/{index}/name"),
            "what is told to upstreams is no condition, for example { name: remote_addr, value: 192.0.2.1 }",
        );
    }
    for (index, header) in when.headers.iter().enumerate() {
        if !has_variable(&header.name) {
            found.say(
                format!("{at}/headers/{index}/name"),
                "a header to ask for has letters, digits and '-' only, for example { name: X-Version, value: v2 }",
            );
        }
    }
}

fn at_most_ten<T>(at: &str, field: &str, list: &[T], found: &mut Found) {
    if list.len() > 10 {
        found.say(format!("{at}/{field}"), "there are at most 10");
    }
}
