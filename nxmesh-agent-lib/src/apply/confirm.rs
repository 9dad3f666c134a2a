//! Seventh step: the proof. A release is applied when nginx says so itself,
//! and every changed virtual host is there.

use std::{
    collections::BTreeSet,
    fmt::Display,
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    path::Path,
    time::{Duration, Instant},
};

use nxmesh_core::{
    digest::Digest,
    model::{
        Listen, ResourceKey, ResourceKind, ResourceSet, Tls, TlsVersion, VirtualHost,
        value::ResourceName,
    },
};
use rustls_pki_types::ServerName;
use tokio::time::{sleep, timeout};

use super::{ApplyOptions, Failure, code, probe, render};

/// Between two questions that got no good answer.
const PAUSE: Duration = Duration::from_millis(10);
/// How long one question may take.
const QUESTION: Duration = Duration::from_secs(2);

/// Whether nginx names `release` on as many new connections in a row as the
/// options ask for. Asks until then or the deadline.
pub(super) async fn serves(options: &ApplyOptions, release: &str) -> Result<(), Failure> {
    let socket = options.layout.probe_socket();
    let begun = Instant::now();
    let mut in_a_row = 0;
    loop {
        let answer = ask(probe::release(&socket)).await;
        match &answer {
            Ok(named) if named == release => {
                in_a_row += 1;
                if in_a_row >= options.probe_attempts.max(1) {
                    return Ok(());
                }
                continue;
            }
            _ => in_a_row = 0,
        }
        if begun.elapsed() >= options.confirm_deadline {
            return Err(Failure::new(
                code::PROBE,
                match answer {
                    Ok(named) => format!("nginx serves release {named} instead of {release}"),
                    Err(error) => unanswered(&socket, &error),
                },
            ));
        }
        sleep(PAUSE).await;
    }
}

/// Whether nginx names `release` now, on every one of the connections.
pub(super) async fn serves_now(options: &ApplyOptions, release: &str) -> bool {
    let socket = options.layout.probe_socket();
    for _ in 0..options.probe_attempts.max(1) {
        if !ask(probe::release(&socket))
            .await
            .is_ok_and(|named| named == release)
        {
            return false;
        }
    }
    true
}

/// The release nginx names now.
pub(super) async fn release_named(options: &ApplyOptions) -> io::Result<String> {
    ask(probe::release(&options.layout.probe_socket())).await
}

fn unanswered(socket: &Path, error: &dyn Display) -> String {
    format!("nginx did not answer at {}: {error}", socket.display())
}

pub(super) async fn ask<T>(question: impl Future<Output = io::Result<T>>) -> io::Result<T> {
    timeout(QUESTION, question)
        .await
        .unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
}

/// One question about a changed virtual host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct HostProbe {
    resource: ResourceKey,
    address: SocketAddr,
    /// A name it answers to, and the certificates of which it has to show one.
    certificates: Option<(String, Vec<Digest>)>,
}

impl HostProbe {
    /// Where and for which name a certificate is asked for, and the good answers.
    pub(super) fn certificate(&self) -> Option<(SocketAddr, &str, &[Digest])> {
        let (name, expected) = self.certificates.as_ref()?;
        Some((self.address, name, expected))
    }
}

/// The questions about what differs between two sets of resources: one for
/// each address of a host that changed or whose certificate did. Of more than
/// `limit` hosts, as many are chosen, spread evenly.
pub(super) fn questions(before: &ResourceSet, after: &ResourceSet, limit: usize) -> Vec<HostProbe> {
    let changed = render::changed(before, after);
    let concerned: Vec<&VirtualHost> = after
        .virtual_hosts()
        .filter(|host| {
            let is_changed = |name: &ResourceName| {
                changed.contains(&ResourceKey {
                    kind: ResourceKind::Certificate,
                    name: name.clone(),
                })
            };
            let tls = host.spec.tls.as_ref();
            tls.is_some_and(|tls| shown(tls).any(is_changed)) || changed.contains(&key(host))
        })
        .collect();
    let claimed: BTreeSet<SocketAddr> = after
        .virtual_hosts()
        .flat_map(|host| &host.spec.listen)
        .filter_map(|listen| Some(SocketAddr::new(listen.address?.ip(), listen.port.get())))
        .collect();
    let step = concerned.len().div_ceil(limit.max(1)).max(1);
    concerned
        .into_iter()
        .step_by(step)
        .flat_map(|host| {
            let claimed = &claimed;
            host.spec.listen.iter().filter_map(move |listen| {
                Some(HostProbe {
                    resource: key(host),
                    address: reach(listen, claimed)?,
                    certificates: certificates(host, listen, after),
                })
            })
        })
        .collect()
}

fn key(host: &VirtualHost) -> ResourceKey {
    ResourceKey {
        kind: ResourceKind::VirtualHost,
        name: host.metadata.name.clone(),
    }
}

/// An address of this machine at which nginx takes `listen` for the answer,
/// and not a more exact one.
fn reach(listen: &Listen, claimed: &BTreeSet<SocketAddr>) -> Option<SocketAddr> {
    let port = listen.port.get();
    match listen.address.map(|address| address.ip()) {
        Some(ip) if !ip.is_unspecified() => Some(SocketAddr::new(ip, port)),
        Some(IpAddr::V6(_)) => Some(SocketAddr::new(Ipv6Addr::LOCALHOST.into(), port)),
        // All of 127.0.0.0/8 is this machine.
        _ => (1..=254)
            .map(|last| SocketAddr::new(Ipv4Addr::new(127, 0, 0, last).into(), port))
            .find(|address| !claimed.contains(address)),
    }
}

/// The certificates of which each client is shown one.
fn shown(tls: &Tls) -> impl Iterator<Item = &ResourceName> {
    std::iter::once(&tls.certificate).chain(&tls.more_certificates)
}

fn certificates(
    host: &VirtualHost,
    listen: &Listen,
    resources: &ResourceSet,
) -> Option<(String, Vec<Digest>)> {
    let tls = host.spec.tls.as_ref().filter(|_| listen.tls)?;
    if listen.proxy_protocol || !is_spoken(tls) {
        return None;
    }
    let name = host
        .spec
        .server_names
        .iter()
        .filter_map(|name| name.sample_host())
        .find(|name| can_be_asked_for(name))?;
    let expected = shown(tls).filter_map(|name| resources.certificate(name));
    let expected = expected.map(|it| it.spec.certificate.fingerprint());
    Some((name, expected.collect()))
}

/// Whether the client here is sure to agree on how to speak: it knows what is
/// usual, and not what may be asked for instead.
fn is_spoken(tls: &Tls) -> bool {
    let has_1_3 = tls.protocols.is_empty() || tls.protocols.contains(&TlsVersion::Tls13);
    has_1_3 && tls.curves.is_none()
}

/// Whether a TLS client can name the host (RFC 6066, section 3: no addresses).
fn can_be_asked_for(host: &str) -> bool {
    matches!(ServerName::try_from(host), Ok(ServerName::DnsName(_)))
}

/// Asks every question until it is answered well or the deadline has come.
/// The first bad answer ends it.
pub(super) async fn hosts(options: &ApplyOptions, probes: &[HostProbe]) -> Result<(), Failure> {
    let begun = Instant::now();
    let by_tls = probes.iter().any(|probe| probe.certificates.is_some());
    let connector = by_tls
        .then(probe::connector)
        .transpose()
        .map_err(|error| Failure::new(code::VIRTUAL_HOST, format!("no TLS client: {error}")))?;
    for probe in probes {
        loop {
            let problem = match (&probe.certificates, &connector) {
                (None, _) | (_, None) => ask(probe::accepts(probe.address)).await.err(),
                (Some((host, expected)), Some(connector)) => {
                    match ask(probe::fingerprint(connector, probe.address, host)).await {
                        Ok(found) if expected.contains(&found) => None,
                        Ok(found) => {
                            return Err(failure(
                                probe,
                                format!(
                                    "{host} shows the certificate {} instead of {}",
                                    found.short(),
                                    names(expected)
                                ),
                            ));
                        }
                        Err(error) => Some(error),
                    }
                }
            };
            match problem {
                None => break,
                Some(error) if begun.elapsed() >= options.confirm_deadline => {
                    return Err(failure(probe, format!("does not answer: {error}")));
                }
                Some(_) => sleep(PAUSE).await,
            }
        }
    }
    Ok(())
}

fn names(digests: &[Digest]) -> String {
    let names: Vec<String> = digests.iter().map(Digest::short).collect();
    names.join(" or ")
}

fn failure(probe: &HostProbe, what: String) -> Failure {
    let message = format!("{} at {}: {what}", probe.resource, probe.address);
    let mut failure = Failure::new(code::VIRTUAL_HOST, message);
    failure.resource = Some(probe.resource.clone());
    failure
}

#[cfg(test)]
mod tests {
    use nxmesh_core::testkit::sample;

    use super::*;

    fn set(text: &str) -> ResourceSet {
        let parsed = nxmesh_core::document::parse("test", text).unwrap();
        parsed.into_iter().map(|parsed| parsed.resource).collect()
    }

    fn host(name: &str, listen: &str) -> String {
        format!(
            "---\nkind: VirtualHost\nmetadata: {{ name: {name} }}\n\
             spec: {{ server_names: [{name}.example], listen: [{listen}] }}\n"
        )
    }

    #[test]
    fn changed_hosts_are_asked_where_no_other_answers() {
        let before = set(&host("same", "{ port: 80 }"));
        let after = set(&[
            host("same", "{ port: 80 }"),
            host("wide", "{ port: 81 }, { port: 82, address: '::' }"),
            host("exact", "{ port: 81, address: 127.0.0.1 }"),
        ]
        .concat());
        let asked: Vec<String> = questions(&before, &after, 10)
            .iter()
            .map(|probe| format!("{} {}", probe.resource.name, probe.address))
            .collect();
        assert_eq!(
            asked,
            ["exact 127.0.0.1:81", "wide 127.0.0.2:81", "wide [::1]:82"]
        );
    }

    #[test]
    fn certificates_are_asked_for_where_that_can_be_understood() {
        let asked = |listen: &str, tls: &str| {
            let text = host("a", listen) + &certificate("a") + &certificate("b");
            let text = text.replace(
                "] }\n",
                &format!("], tls: {{ certificate: a, {tls} }} }}\n"),
            );
            let probes = questions(&ResourceSet::default(), &set(&text), 10);
            let certificates = probes.into_iter().find_map(|probe| probe.certificates);
            certificates.map(|(name, of)| (name, of.len()))
        };
        let name = || "a.example".to_owned();
        let usual = "{ port: 443, tls: true }";
        assert_eq!(asked(usual, "policy: modern"), Some((name(), 1)));
        assert_eq!(asked(usual, "more_certificates: [b]"), Some((name(), 2)));
        assert_eq!(asked(usual, "protocols: [TLSv1.1]"), None);
        assert_eq!(asked(usual, "curves: secp521r1"), None);
        let proxied = "{ port: 443, tls: true, proxy_protocol: true }";
        assert_eq!(asked(proxied, "policy: modern"), None);
    }

    fn certificate(name: &str) -> String {
        let resource = nxmesh_core::model::Resource::from(sample::certificate(name));
        format!(
            "---\n{}\n",
            String::from_utf8_lossy(&resource.to_canonical_json())
        )
    }

    #[test]
    fn of_many_hosts_some_are_asked() {
        let text: String = (0..100)
            .map(|number| host(&format!("h{number}"), "{ port: 80 }"))
            .collect();
        let asked = questions(&ResourceSet::default(), &set(&text), 10);
        assert_eq!(asked.len(), 10);
    }

    #[test]
    fn only_names_that_tls_knows_are_asked_for() {
        let known = [
            "shop.example",
            "under_score.example",
            "nxmesh-probe.shop.example",
        ];
        let long = ["a".repeat(60).as_str(); 5].join(".");
        let unknown = ["192.0.2.7", "192.0.2.700", &long];
        assert!(known.into_iter().all(can_be_asked_for));
        assert!(!unknown.into_iter().any(can_be_asked_for));
    }
}
