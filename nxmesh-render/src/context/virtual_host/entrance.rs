//! What the host itself asks of a request before it is looked at: for all of its
//! locations alike.

use nxmesh_core::{
    contract::renderer::RenderError,
    model::{ClientVerify, Tls, TlsVersion, VirtualHostSpec},
};

use crate::{
    context::{
        Scene,
        location::RequestHeaderRecord,
        tls::{OWN_VERSIONS, versions},
        traffic::{GateRecord, Preamble, matching},
    },
    token::Word,
};

/// What the host itself asks of a request.
#[derive(Default)]
pub(in crate::context) struct Entrance {
    /// Variables that are 1 for requests that get a status.
    refusals: Vec<(String, u16)>,
    /// The status with which plain HTTP is led to HTTPS, by what a proxy says.
    to_https: Option<u16>,
    /// A variable that is 1 for those of other methods than GET and HEAD, and the
    /// status with which these are led there.
    others_to_https: Option<(String, u16)>,
    /// Whether upstreams are told about certificates of clients.
    passes_client: bool,
}

pub(super) fn of(
    scene: &Scene<'_>,
    spec: &VirtualHostSpec,
    preamble: &mut Preamble<'_>,
) -> Result<Entrance, RenderError> {
    let mut entrance = Entrance::default();
    if let Some(proxy) = &spec.behind_tls_proxy
        && proxy.redirect_http
    {
        entrance.to_https = Some(proxy.redirect_code.map_or(308, |code| code.get()));
        if let Some(code) = proxy.redirect_code_other_methods {
            let rows = vec![
                (Word::fixed("\"~^http:(GET|HEAD)$\""), Word::fixed("0")),
                (Word::fixed("\"~^http:\""), Word::fixed("1")),
            ];
            let source = Word::fixed("\"$http_x_forwarded_proto:$request_method\"");
            let name = preamble.map(source, rows, Word::fixed("0"));
            entrance.others_to_https = Some((name, code.get()));
        }
    }
    if let Some(tls) = &spec.tls {
        entrance.tls(scene, tls, preamble)?;
    }
    Ok(entrance)
}

impl Entrance {
    fn tls(
        &mut self,
        scene: &Scene<'_>,
        tls: &Tls,
        preamble: &mut Preamble<'_>,
    ) -> Result<(), RenderError> {
        if tls.strict_sni {
            let rows = vec![
                // Plain HTTP, or no name in the handshake.
                (Word::fixed("\"~^:\""), Word::fixed("0")),
                (Word::fixed("\"~*^(.+):\\1$\""), Word::fixed("0")),
            ];
            let source = Word::fixed("\"$ssl_server_name:$host\"");
            let name = preamble.map(source, rows, Word::fixed("1"));
            self.refusals.push((name, 421));
        }
        // The default server of a port may speak older ones, which nginx takes up then.
        if versions(tls) == [TlsVersion::Tls13] && !scene.nginx_is(OWN_VERSIONS) {
            let rows = vec![
                (Word::empty(), Word::fixed("0")),
                (Word::fixed("TLSv1.3"), Word::fixed("0")),
            ];
            let name = preamble.map(Word::variable("ssl_protocol"), rows, Word::fixed("1"));
            self.refusals.push((name, 421));
        }
        let Some(client) = &tls.client else {
            return Ok(());
        };
        self.passes_client = client.pass;
        if !client.subjects.is_empty() {
            scene.require("subjects of client certificates", (1, 11, 6))?;
            let rows = matching(scene, &client.subjects, "~", &Word::fixed("0"))?;
            let name = preamble.map(Word::variable("ssl_client_s_dn"), rows, Word::fixed("1"));
            // Also in plain HTTP: who shows no certificate has none that matches.
            let name = if client.verify == ClientVerify::Required {
                name
            } else {
                let rows = vec![(Word::fixed("SUCCESS"), Word::made_variable(name))];
                preamble.map(Word::variable("ssl_client_verify"), rows, Word::fixed("1"))
            };
            self.refusals.push((name, 403));
        }
        Ok(())
    }

    pub(in crate::context) const fn is_open(&self) -> bool {
        self.refusals.is_empty() && self.to_https.is_none()
    }

    pub(in crate::context) fn gates<'a>(&self) -> Vec<GateRecord<'a>> {
        let refusals = self.refusals.iter();
        refusals
            .map(|(name, status)| GateRecord {
                test: Word::condition(name),
                status: Word::number((*status).into()),
            })
            .collect()
    }

    pub(in crate::context) fn to_https<'a>(&self) -> Option<Word<'a>> {
        self.to_https.map(|code| Word::number(code.into()))
    }

    pub(in crate::context) fn others_to_https<'a>(&self) -> Option<GateRecord<'a>> {
        let (name, code) = self.others_to_https.as_ref()?;
        Some(GateRecord {
            test: Word::condition(name),
            status: Word::number((*code).into()),
        })
    }

    /// What upstreams are told about the certificate of a client.
    pub(in crate::context) fn client_headers<'a>(&self) -> Vec<RequestHeaderRecord<'a>> {
        const HEADERS: [(&str, &str); 4] = [
            ("X-Client-Verify", "ssl_client_verify"),
            ("X-Client-Subject", "ssl_client_s_dn"),
            ("X-Client-Fingerprint", "ssl_client_fingerprint"),
            ("X-Client-Cert", "ssl_client_escaped_cert"),
        ];
        let told = HEADERS.iter().filter(|_| self.passes_client);
        told.map(|(name, variable)| RequestHeaderRecord {
            name: Word::fixed(name),
            value: Word::variable(variable),
        })
        .collect()
    }
}
