//! A socket is for one stream server alone.
//!
//! Of two servers of the same block at a wildcard and at a specific address of
//! one port nginx makes one socket; of one with HTTP and one with a stream it
//! cannot, and then the system refuses the second (`src/http/ngx_http.c`,
//! `ngx_http_add_addresses`; `src/stream/ngx_stream.c`).

use std::collections::BTreeMap;

use super::{Claim, Clashes, Socket};
use crate::model::{Listen, ResourceKey, StreamProtocol, StreamServerSpec};

/// A port of one family of addresses.
type Family = (bool, u16);

#[derive(Default)]
pub(super) struct Streams<'a> {
    streams: BTreeMap<(StreamProtocol, Socket), Vec<Claim<'a>>>,
    http: BTreeMap<(StreamProtocol, Family), BTreeMap<Socket, Vec<Claim<'a>>>>,
}

impl<'a> Streams<'a> {
    pub(super) fn add(&mut self, owner: &'a ResourceKey, spec: &'a StreamServerSpec) {
        for (place, listen) in spec.listen.iter().enumerate() {
            let claim = Claim {
                owner,
                selector: &spec.selector,
                field: "listen",
                place,
            };
            for socket in Socket::at(listen.address, listen.port) {
                let claims = self.streams.entry((spec.protocol, socket)).or_default();
                claims.push(claim);
            }
        }
    }

    pub(super) fn add_http(&mut self, socket: Socket, listen: &Listen, claim: Claim<'a>) {
        let udp = listen.http3.then_some(StreamProtocol::Udp);
        for protocol in udp.into_iter().chain([StreamProtocol::Tcp]) {
            let sockets = self.http.entry((protocol, family(socket))).or_default();
            sockets.entry(socket).or_default().push(claim);
        }
    }

    pub(super) fn check(&self, clashes: &mut Clashes) {
        for ((protocol, socket), claims) in &self.streams {
            if claims.len() > 1 {
                clashes.within(claims, |claim, other| {
                    let what = format!("{other} is at port {} already", socket.port);
                    (claim.pointer(), what)
                });
            }
            let Some(http) = self.http.get(&(*protocol, family(*socket))) else {
                continue;
            };
            let beside = http.iter().filter(|(other, _)| {
                *other == socket || is_wildcard(**other) || is_wildcard(*socket)
            });
            let beside: Vec<Claim<'_>> = beside.flat_map(|(_, it)| it).copied().collect();
            clashes.between(&beside, claims, |claim, other| {
                let what = format!("{other} speaks HTTP at port {}", socket.port);
                (claim.pointer(), what)
            });
        }
    }
}

const fn family(socket: Socket) -> Family {
    (socket.address.is_ipv6(), socket.port)
}

const fn is_wildcard(socket: Socket) -> bool {
    socket.address.is_unspecified()
}
