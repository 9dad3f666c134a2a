//! Whether a certificate can be served, and whether it suits who serves it.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use nxmesh_core::{
    document::Problem,
    model::{CertificateSpec, ResourceKey, VirtualHost, value::ServerName},
};
use rustls::{Error, InconsistentKeys, crypto::aws_lc_rs, sign::CertifiedKey};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _};
use x509_parser::prelude::{FromDer as _, GeneralName, X509Certificate};

/// Certificates that end sooner are warned of.
const SOON: Duration = Duration::from_secs(14 * 24 * 3600);

/// What makes a certificate unfit to be served.
pub(super) fn problems(key: &ResourceKey, spec: &CertificateSpec) -> Vec<Problem> {
    let problem = |pointer: &str, rule: &str| vec![Problem::new(key, pointer, rule)];
    let chain = chain(spec);
    if let Some(place) = break_in(&chain) {
        let rule = format!(
            "the chain is leaf first, each certificate followed by its issuer; number {} did not issue number {place}",
            place + 1
        );
        return problem("/spec/certificate", &rule);
    }
    let Ok(private_key) = PrivateKeyDer::from_pem_slice(spec.private_key.expose_pem().as_bytes())
    else {
        return problem("/spec/private_key", "the private key can be read");
    };
    match CertifiedKey::from_der(chain, private_key, &aws_lc_rs::default_provider()) {
        Ok(_) | Err(Error::InconsistentKeys(InconsistentKeys::Unknown)) => Vec::new(),
        Err(Error::InconsistentKeys(_)) => problem(
            "/spec/private_key",
            "the private key belongs to the first certificate of the chain",
        ),
        Err(_) => problem(
            "/spec/private_key",
            "the private key is RSA of 2048 to 8192 bits, ECDSA P-256, P-384 or P-521, or Ed25519",
        ),
    }
}

/// What is doubtful about a certificate in use by `hosts`.
pub(super) fn warnings(
    key: &ResourceKey,
    spec: &CertificateSpec,
    hosts: &[&VirtualHost],
    now: SystemTime,
) -> Vec<String> {
    let der = spec.certificate.leaf_der();
    let Ok((_, leaf)) = X509Certificate::from_der(&der) else {
        return Vec::new();
    };
    let mut warnings: Vec<String> = period(key, &leaf, now).into_iter().collect();
    let names = names(&leaf);
    for host in hosts {
        let missing: Vec<&str> = host
            .spec
            .server_names
            .iter()
            .filter(|name| !covers(&names, name))
            .map(ServerName::as_str)
            .collect();
        if !missing.is_empty() {
            warnings.push(format!(
                "{key} does not cover {} of VirtualHost/{}",
                missing.join(", "),
                host.metadata.name
            ));
        }
    }
    warnings
}

fn chain(spec: &CertificateSpec) -> Vec<CertificateDer<'static>> {
    CertificateDer::pem_slice_iter(spec.certificate.as_pem().as_bytes())
        .filter_map(Result::ok)
        .collect()
}

/// The first certificate, from 1, that the next one did not issue, by name.
fn break_in(chain: &[CertificateDer<'_>]) -> Option<usize> {
    let place = chain.windows(2).position(|pair| {
        match (
            X509Certificate::from_der(&pair[0]),
            X509Certificate::from_der(&pair[1]),
        ) {
            (Ok((_, issued)), Ok((_, issuer))) => issued.issuer() != issuer.subject(),
            _ => true,
        }
    })?;
    Some(place + 1)
}

fn period(key: &ResourceKey, leaf: &X509Certificate<'_>, now: SystemTime) -> Option<String> {
    let seconds = now.duration_since(UNIX_EPOCH).map_or(0, |since| {
        i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
    });
    let validity = leaf.validity();
    let (from, until) = (validity.not_before, validity.not_after);
    let soon = seconds.saturating_add(SOON.as_secs().cast_signed());
    if until.timestamp() <= seconds {
        Some(format!("{key} expired on {until}"))
    } else if from.timestamp() > seconds {
        Some(format!("{key} is not valid before {from}"))
    } else if until.timestamp() <= soon {
        Some(format!("{key} expires on {until}"))
    } else {
        None
    }
}

/// The DNS names of the leaf, in lower case (RFC 6125: the common name does not count).
fn names(leaf: &X509Certificate<'_>) -> Vec<String> {
    let Ok(Some(extension)) = leaf.subject_alternative_name() else {
        return Vec::new();
    };
    let names = extension.value.general_names.iter();
    names
        .filter_map(|name| match name {
            GeneralName::DNSName(name) => Some(name.to_ascii_lowercase()),
            _ => None,
        })
        .collect()
}

/// Whether the names of a certificate cover a server name. Patterns and names
/// that end in `*` cannot be told, so they pass.
fn covers(names: &[String], wanted: &ServerName) -> bool {
    let text = wanted.as_str();
    if wanted.is_regex() || text == "_" || text.ends_with(".*") {
        return true;
    }
    names.iter().any(|name| {
        name == text
            || name
                .strip_prefix("*.")
                .zip(text.split_once('.'))
                .is_some_and(|(parent, (_, rest))| parent == rest)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wildcard_covers_one_label() {
        let names = ["*.example.com".to_owned(), "shop.example.org".to_owned()];
        for (name, covered) in [
            ("a.example.com", true),
            ("*.example.com", true),
            ("a.b.example.com", false),
            ("example.com", false),
            ("shop.example.org", true),
            ("www.example.org", false),
            ("www.example.*", true),
            ("_", true),
            (r"~^www\d+\.example\.org$", true),
        ] {
            let wanted = ServerName::parse(name).unwrap();
            assert_eq!(covers(&names, &wanted), covered, "{name}");
        }
    }
}
