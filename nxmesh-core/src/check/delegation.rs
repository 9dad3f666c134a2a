//! Paths that a virtual host hands over, and what is written for them.

use std::collections::BTreeSet;

use super::{Found, location, traffic};
use crate::{
    document::Problem,
    model::{
        Location, PathMatch, Resource, ResourceKey, ResourceKind, ResourceSet, RouteSetSpec,
        TrafficSettings, VirtualHostSpec, traffic::Satisfy,
    },
};

/// Where authorities look for answers (RFC 8555, section 8.3).
pub(super) const ACME_CHALLENGE: &str = "/.well-known/acme-challenge/";

/// The most path prefixes of one virtual host.
const MOST: usize = 100;

pub(super) fn route_set(spec: &RouteSetSpec, found: &mut Found) {
    if spec.locations.is_empty() {
        found.say(
            "/spec/locations",
            "there is at least one location, for example { path: /docs/, proxy: { upstream: docs } }",
        );
    }
    for (index, location) in spec.locations.iter().enumerate() {
        let at = format!("/spec/locations/{index}");
        traffic::check(&at, &location.traffic, found);
        traffic::headers_of_location(&at, location, None, found);
        location::check(&at, location, found);
        if plain_path(location).is_none() {
            found.say(
                format!("{at}/match"),
                "a path that was handed over is exact, prefix or prefix_priority",
            );
        }
        if location.traffic.real_ip.is_some() {
            found.say(
                format!("{at}/real_ip"),
                "real_ip is for the virtual host: nginx takes the address before it looks for a location",
            );
        }
    }
}

/// What a virtual host hands over, in itself.
pub(super) fn delegates(spec: &VirtualHostSpec, found: &mut Found) {
    if spec.delegates.len() > MOST {
        found.say(
            "/spec/delegates",
            "a virtual host hands over at most 100 prefixes of paths",
        );
        return;
    }
    for (index, one) in spec.delegates.iter().enumerate() {
        let at = format!("/spec/delegates/{index}");
        let prefix = one.prefix.as_str();
        if !prefix.ends_with('/') || prefix == "/" {
            found.say(
                format!("{at}/prefix"),
                "a prefix that is handed over begins and ends with '/', and is not the whole site, for example /docs/",
            );
        }
        let others = spec.delegates.iter().take(index);
        let nested = |other: &str| prefix.starts_with(other) || other.starts_with(prefix);
        if others.clone().any(|other| nested(other.prefix.as_str())) {
            found.say(
                format!("{at}/prefix"),
                "a path is handed over once; no prefix begins with another",
            );
        }
        if others.clone().any(|other| other.routes == one.routes) {
            found.say(
                format!("{at}/routes"),
                "a RouteSet is named once per virtual host",
            );
        }
    }
    let own = spec.locations.iter().enumerate().filter_map(|(index, it)| {
        let pointer = format!("/spec/locations/{index}/path");
        Some((pointer, plain_path(it)?))
    });
    let answers = [
        ("/spec/health", spec.health.as_ref()),
        ("/spec/config_version", spec.config_version.as_ref()),
        ("/spec/status/path", spec.status.as_ref().map(|it| &it.path)),
    ];
    let answers = answers
        .into_iter()
        .filter_map(|(pointer, path)| Some((pointer.to_owned(), path?.as_str())));
    let challenge = spec.acme_challenge.as_ref().map(|_| {
        let pointer = "/spec/acme_challenge".to_owned();
        (pointer, ACME_CHALLENGE)
    });
    for (pointer, path) in own.chain(answers).chain(challenge) {
        let mut delegates = spec.delegates.iter();
        if delegates.any(|one| path.starts_with(one.prefix.as_str())) {
            found.say(pointer, "this path was handed over in spec.delegates");
        }
    }
}

/// Who writes for whom.
pub(super) fn check(resources: &ResourceSet) -> Vec<Problem> {
    let mut problems = Vec::new();
    for (key, resource) in resources.iter() {
        let Resource::VirtualHost(host) = &**resource else {
            continue;
        };
        let asked = asked(resources, &host.spec.traffic);
        for one in &host.spec.delegates {
            let Some(set) = resources.route_set(&one.routes) else {
                continue;
            };
            let owner = ResourceKey {
                kind: ResourceKind::RouteSet,
                name: one.routes.clone(),
            };
            let mut seen = BTreeSet::new();
            for (index, location) in set.spec.locations.iter().enumerate() {
                let at = format!("/spec/locations/{index}");
                for (field, pointer) in loosened(resources, &asked, &location.traffic) {
                    let rule = format!(
                        "{key} says {field} for all of its paths, which a RouteSet cannot change"
                    );
                    problems.push(Problem::new(&owner, format!("{at}/{pointer}"), &rule));
                }
                let pointer = || format!("{at}/path");
                let Some(path) = plain_path(location) else {
                    continue;
                };
                if !path.starts_with(one.prefix.as_str()) {
                    let rule = format!(
                        "{key} hands over the paths that begin with {}, for example {0}new",
                        one.prefix
                    );
                    problems.push(Problem::new(&owner, pointer(), &rule));
                }
                let exact = matches!(location.path, PathMatch::Exact(_));
                if !seen.insert((exact, path)) {
                    let rule = "a path is written once per kind of match";
                    problems.push(Problem::new(&owner, pointer(), rule));
                }
            }
        }
    }
    problems
}

/// The fields that keep clients out, of those that settings say themselves.
fn guards(settings: &TrafficSettings) -> impl Iterator<Item = &'static str> {
    [
        ("access", settings.access.is_some()),
        ("basic_auth", settings.basic_auth.is_some()),
        ("external_auth", settings.external_auth.is_some()),
        ("api_keys", settings.api_keys.is_some()),
        ("satisfy", settings.satisfy.is_some()),
        ("block", settings.block.is_some()),
        ("maintenance", settings.maintenance.is_some()),
        ("rate_limit", settings.rate_limit.is_some()),
        ("connection_limit", settings.connection_limit.is_some()),
    ]
    .into_iter()
    .filter_map(|(field, is_said)| is_said.then_some(field))
}

/// The guards that a virtual host asks for, itself or by its policies, and those that would
/// open another way around them.
fn asked(resources: &ResourceSet, host: &TrafficSettings) -> BTreeSet<&'static str> {
    const TOGETHER: [&str; 4] = ["access", "basic_auth", "external_auth", "satisfy"];
    let policies = host.policies.iter();
    let policies = policies.filter_map(|name| resources.policy(name));
    let parts = || std::iter::once(host).chain(policies.clone().map(|it| &it.spec));
    let mut asked: BTreeSet<_> = parts().flat_map(guards).collect();
    if parts().any(|it| it.satisfy == Some(Satisfy::Any)) {
        asked.extend(TOGETHER);
    } else if TOGETHER.iter().any(|field| asked.contains(field)) {
        asked.insert("satisfy");
    }
    asked
}

/// What a location says of guards that are `asked` for, and where.
fn loosened<'s>(
    resources: &'s ResourceSet,
    asked: &'s BTreeSet<&'static str>,
    location: &'s TrafficSettings,
) -> impl Iterator<Item = (&'static str, String)> + 's {
    let own = guards(location).map(|field| (field, field.to_owned()));
    let policies = location.policies.iter().enumerate();
    let by_policies = policies.flat_map(|(index, name)| {
        let policy = resources.policy(name);
        let fields = policy.map(|it| guards(&it.spec)).into_iter().flatten();
        fields.map(move |field| (field, format!("policies/{index}")))
    });
    own.chain(by_policies)
        .filter(|(field, _)| asked.contains(field))
}

fn plain_path(location: &Location) -> Option<&str> {
    match &location.path {
        PathMatch::Exact(path) | PathMatch::Prefix(path) | PathMatch::PrefixPriority(path) => {
            Some(path.as_str())
        }
        PathMatch::Regex(_) | PathMatch::RegexIgnoreCase(_) => None,
    }
}
