//! What two virtual hosts cannot both have on one agent: a name on a socket,
//! the default of a socket, and a socket with TLS and without.
//!
//! Sockets are told apart as nginx does: a wildcard address and a specific one
//! are different sockets, of which the specific one wins (nginx manual,
//! "How nginx processes a request").

use std::{
    collections::{BTreeMap, BTreeSet},
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

use crate::{
    document::Problem,
    model::{
        Listen, Requirement, ResourceKey, ResourceKind, ResourceSet, Selector, VirtualHost,
        value::{LabelKey, LabelValue, ServerName},
    },
};

/// An address and port nginx binds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Socket {
    address: IpAddr,
    port: u16,
}

impl Socket {
    /// The sockets of a `listen`: one, or without an address those of IPv4 and IPv6.
    pub(super) fn of(listen: &Listen) -> impl Iterator<Item = Self> + use<> {
        let port = listen.port.get();
        let wildcards = [Ipv4Addr::UNSPECIFIED.into(), Ipv6Addr::UNSPECIFIED.into()];
        let given = listen.address.map(|address| address.ip());
        let wildcards = wildcards.into_iter().filter(move |_| given.is_none());
        given
            .into_iter()
            .chain(wildcards)
            .map(move |address| Self { address, port })
    }
}

/// A virtual host that claims something, and the place in the list where it does.
#[derive(Clone, Copy)]
struct Claim<'a> {
    host: &'a VirtualHost,
    place: usize,
}

pub(super) fn check(resources: &ResourceSet) -> Vec<Problem> {
    let mut names: BTreeMap<(Socket, &ServerName), Vec<Claim<'_>>> = BTreeMap::new();
    let mut defaults: BTreeMap<Socket, Vec<Claim<'_>>> = BTreeMap::new();
    let mut with_tls: BTreeMap<Socket, Vec<Claim<'_>>> = BTreeMap::new();
    let mut plain: BTreeMap<Socket, Vec<Claim<'_>>> = BTreeMap::new();
    for host in resources.virtual_hosts() {
        for (place, listen) in host.spec.listen.iter().enumerate() {
            let claim = Claim { host, place };
            let side = if listen.tls {
                &mut with_tls
            } else {
                &mut plain
            };
            for socket in Socket::of(listen) {
                side.entry(socket).or_default().push(claim);
                if listen.default_server {
                    defaults.entry(socket).or_default().push(claim);
                }
                for (place, name) in host.spec.server_names.iter().enumerate() {
                    let claims = names.entry((socket, name)).or_default();
                    claims.push(Claim { host, place });
                }
            }
        }
    }
    let mut clashes = Clashes::default();
    for ((socket, name), claims) in names.iter().filter(|(_, claims)| claims.len() > 1) {
        clashes.within(claims, |claim, other| {
            let pointer = format!("/spec/server_names/{}", claim.place);
            let what = format!("{name} on port {} is claimed by {other} too", socket.port);
            (pointer, what)
        });
    }
    for (socket, claims) in defaults.iter().filter(|(_, claims)| claims.len() > 1) {
        clashes.within(claims, |claim, other| {
            let pointer = format!("/spec/listen/{}/default_server", claim.place);
            let what = format!(
                "{other} is the default server of port {} already",
                socket.port
            );
            (pointer, what)
        });
    }
    for (socket, plain) in &plain {
        let Some(with_tls) = with_tls.get(socket) else {
            continue;
        };
        clashes.between(with_tls, plain, |claim, other| {
            let pointer = format!("/spec/listen/{}/tls", claim.place);
            let what = format!("{other} uses port {} with tls, this does not", socket.port);
            (pointer, what)
        });
    }
    clashes.into_problems()
}

/// Says what is wrong with a claim beside the virtual host named second: a
/// JSON pointer and a sentence.
type Tell<'a> = &'a dyn Fn(&Claim<'_>, &str) -> (String, String);

/// Clashes by virtual host and pointer, each told once.
#[derive(Default)]
struct Clashes(BTreeMap<(ResourceKey, String), String>);

impl Clashes {
    /// Each claim clashes with those before it.
    fn within(
        &mut self,
        claims: &[Claim<'_>],
        tell: impl Fn(&Claim<'_>, &str) -> (String, String),
    ) {
        let mut earlier = Index::fit_for(claims);
        for claim in claims {
            self.note(claim, &earlier, &tell);
            earlier.add(*claim);
        }
    }

    /// Each of `claims` clashes with any of `others`.
    fn between(
        &mut self,
        others: &[Claim<'_>],
        claims: &[Claim<'_>],
        tell: impl Fn(&Claim<'_>, &str) -> (String, String),
    ) {
        let mut index = Index::fit_for(others);
        others.iter().for_each(|other| index.add(*other));
        for claim in claims {
            self.note(claim, &index, &tell);
        }
    }

    fn note(&mut self, claim: &Claim<'_>, others: &Index<'_>, tell: Tell<'_>) {
        let Some(other) = others.sharing_agents_with(claim) else {
            return;
        };
        let key = |host: &VirtualHost| ResourceKey {
            kind: ResourceKind::VirtualHost,
            name: host.metadata.name.clone(),
        };
        let (pointer, what) = tell(claim, &key(other.host).to_string());
        let rule = format!("{what}, for agents both may select");
        self.0.entry((key(claim.host), pointer)).or_insert(rule);
    }

    fn into_problems(self) -> Vec<Problem> {
        self.0
            .into_iter()
            .map(|((key, pointer), rule)| Problem::new(key, pointer, &rule))
            .collect()
    }
}

/// Claims, found by the values they ask of one label, so that thousands of
/// virtual hosts with an agent each are not compared pair by pair.
struct Index<'a> {
    label: Option<&'a LabelKey>,
    by_value: BTreeMap<&'a LabelValue, Vec<Claim<'a>>>,
    /// Those that ask nothing of the label.
    others: Vec<Claim<'a>>,
}

impl<'a> Index<'a> {
    /// An empty index by the label of which `claims` name most values.
    fn fit_for(claims: &[Claim<'a>]) -> Self {
        let mut named: BTreeMap<&LabelKey, BTreeSet<&LabelValue>> = BTreeMap::new();
        for claim in claims {
            for requirement in claim.host.spec.selector.requirements() {
                if let Requirement::In(key, values) = requirement {
                    named.entry(key).or_default().extend(values);
                }
            }
        }
        let most = named.into_iter().max_by_key(|(_, values)| values.len());
        Self {
            label: most.map(|(key, _)| key),
            by_value: BTreeMap::new(),
            others: Vec::new(),
        }
    }

    /// The values `claim` asks of the label; `None` if it does not care.
    fn values(&self, claim: &Claim<'a>) -> Option<&'a BTreeSet<LabelValue>> {
        let mut requirements = claim.host.spec.selector.requirements().iter();
        requirements.find_map(|requirement| match requirement {
            Requirement::In(key, values) if Some(key) == self.label => Some(values),
            _ => None,
        })
    }

    fn add(&mut self, claim: Claim<'a>) {
        match self.values(&claim) {
            Some(values) => values
                .iter()
                .for_each(|value| self.by_value.entry(value).or_default().push(claim)),
            None => self.others.push(claim),
        }
    }

    fn sharing_agents_with(&self, claim: &Claim<'a>) -> Option<&Claim<'a>> {
        let clashes = |other: &&Claim<'_>| {
            other.host.metadata.name != claim.host.metadata.name
                && may_share_agents(&other.host.spec.selector, &claim.host.spec.selector)
        };
        if let Some(found) = self.others.iter().find(clashes) {
            return Some(found);
        }
        match self.values(claim) {
            Some(values) => values
                .iter()
                .filter_map(|value| self.by_value.get(value))
                .find_map(|claims| claims.iter().find(clashes)),
            None => self
                .by_value
                .values()
                .find_map(|claims| claims.iter().find(clashes)),
        }
    }
}

/// Whether some set of labels could satisfy both selectors. Only the clear
/// cases are told apart; the rest counts as shared.
#[must_use]
pub fn may_share_agents(one: &Selector, other: &Selector) -> bool {
    !one.requirements()
        .iter()
        .any(|a| other.requirements().iter().any(|b| exclude(a, b)))
}

/// Whether no set of labels satisfies both.
fn exclude(one: &Requirement, other: &Requirement) -> bool {
    use Requirement::{Absent, Exists, In, NotIn};
    match (one, other) {
        (In(key, values), In(same, others)) => key == same && values.is_disjoint(others),
        (In(key, values), NotIn(same, others)) | (NotIn(same, others), In(key, values)) => {
            key == same && values.is_subset(others)
        }
        (In(key, _) | Exists(key), Absent(same)) | (Absent(key), In(same, _) | Exists(same)) => {
            key == same
        }
        _ => false,
    }
}
