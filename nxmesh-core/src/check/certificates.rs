//! Certificates that a server shows side by side.

use std::collections::BTreeMap;

use crate::{
    document::Problem,
    model::{Resource, ResourceSet, value::ResourceName},
};

/// TLS libraries keep one certificate for each type of key; of two that are alike the second
/// would silently take the place of the first.
pub(super) fn check(resources: &ResourceSet) -> Vec<Problem> {
    let mut problems = Vec::new();
    for (key, resource) in resources.iter() {
        let (first, more) = match &**resource {
            Resource::VirtualHost(host) => match &host.spec.tls {
                Some(tls) => (&tls.certificate, &tls.more_certificates),
                None => continue,
            },
            Resource::StreamServer(server) => match &server.spec.tls {
                Some(tls) => (&tls.certificate, &tls.more_certificates),
                None => continue,
            },
            _ => continue,
        };
        if more.is_empty() {
            continue;
        }
        let key_type = |name: &ResourceName| {
            let certificate = resources.certificate(name)?;
            certificate.spec.certificate.key_type()
        };
        let mut seen: BTreeMap<_, _> = key_type(first).map(|it| (it, first)).into_iter().collect();
        for (index, name) in more.iter().enumerate() {
            let Some(found) = key_type(name) else {
                continue;
            };
            if let Some(other) = seen.insert(found, name) {
                let rule = format!(
                    "the key is of another type than that of Certificate/{other}: of two that \
                     are alike one would not be shown"
                );
                let pointer = format!("/spec/tls/more_certificates/{index}");
                problems.push(Problem::new(key, pointer, &rule));
            }
        }
    }
    problems
}
