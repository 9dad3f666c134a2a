//! What belongs to a socket as a whole: options of which one host may say
//! something, and the PROXY protocol, which all speak or none.

use std::collections::BTreeMap;

use super::{Claim, Clashes, Socket};
use crate::model::Listen;

#[derive(Default)]
pub(super) struct Sockets<'a> {
    with_options: BTreeMap<Socket, Vec<Claim<'a>>>,
    proxied: BTreeMap<Socket, Vec<Claim<'a>>>,
    direct: BTreeMap<Socket, Vec<Claim<'a>>>,
}

impl<'a> Sockets<'a> {
    pub(super) fn add(&mut self, socket: Socket, listen: &Listen, claim: Claim<'a>) {
        if listen.has_socket_options() {
            self.with_options.entry(socket).or_default().push(claim);
        }
        let side = if listen.proxy_protocol {
            &mut self.proxied
        } else {
            &mut self.direct
        };
        side.entry(socket).or_default().push(claim);
    }

    pub(super) fn check(&self, clashes: &mut Clashes) {
        let shared = self.with_options.iter();
        for (socket, claims) in shared.filter(|(_, claims)| claims.len() > 1) {
            clashes.within(claims, |claim, other| {
                let what = format!(
                    "{other} says backlog, reuse_port, deferred or fast_open of port {} already",
                    socket.port
                );
                (claim.pointer(), what)
            });
        }
        for (socket, proxied) in &self.proxied {
            let Some(direct) = self.direct.get(socket) else {
                continue;
            };
            clashes.between(proxied, direct, |claim, other| {
                let pointer = format!("{}/proxy_protocol", claim.pointer());
                let what = format!(
                    "{other} uses port {} with proxy_protocol, this does not",
                    socket.port
                );
                (pointer, what)
            });
        }
    }
}
