//! TLS towards clients, spoken with a real nginx.

use std::{
    io::{Read as _, Write as _},
    net::TcpStream,
    sync::Arc,
};

use nxmesh_core::contract::renderer::RenderSettings;
use nxmesh_render::older_forms;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use rustls::{
    ClientConfig, ClientConnection, ConfigBuilder, HandshakeKind, ProtocolVersion, RootCertStore,
    StreamOwned, SupportedProtocolVersion,
    client::WantsClientCert,
    crypto::aws_lc_rs,
    pki_types::{CertificateDer, PrivateKeyDer, ServerName},
    version,
};

use crate::{
    echo,
    nginx::{Staged, binaries, free_port, get, request, version as version_of},
    site::{body, header, resources, serving, upstream},
};

/// The group ffdhe2048 (RFC 7919, appendix A.1).
const DH_PARAMETERS: &str = "-----BEGIN DH PARAMETERS-----\n\
MIIBCAKCAQEA//////////+t+FRYortKmq/cViAnPTzx2LnFg84tNpWp4TZBFGQz\n\
+8yTnc4kmz75fS/jY2MMddj2gbICrsRhetPfHtXV/WVhJDP1H18GbtCFY2VVPe0a\n\
87VXE15/V8k1mE8McODmi3fipona8+/och3xWKE2rec1MKzKT0g6eXq8CrGCsyT7\n\
YdEIqUuyyOP7uWrat2DX9GgdT0Kj3jlN9K5W7edjcrsZCwenyO4KbXCeAvzhzffi\n\
7MA0BM0oNC9hkXL+nOmFg/+OTxIy7vKBg8P+OxtMb61zO7X8vC7CIAXFjvGDfRaD\n\
ssbzSibBsu/6iGtCOGEoXJf//////////wIBAg==\n\
-----END DH PARAMETERS-----\n";

/// An authority, and certificates it signs.
pub(crate) struct Authority(CertifiedIssuer<'static, KeyPair>);

/// A certificate and its key, in PEM.
pub(crate) struct Pair {
    pub(crate) certificate: String,
    pub(crate) key: String,
    der: CertificateDer<'static>,
}

impl Authority {
    pub(crate) fn new() -> Self {
        let mut params = CertificateParams::new(Vec::<String>::new()).expect("parameters");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params
            .distinguished_name
            .push(DnType::CommonName, "authority");
        let key = KeyPair::generate().expect("a key");
        Self(CertifiedIssuer::self_signed(params, key).expect("an authority"))
    }

    /// Its own certificate.
    pub(crate) fn pem(&self) -> String {
        self.0.pem()
    }

    fn trusting(&self) -> ConfigBuilder<ClientConfig, WantsClientCert> {
        let mut roots = RootCertStore::empty();
        roots.add(self.0.der().clone()).expect("a root");
        ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()
            .expect("versions")
            .with_root_certificates(roots)
    }

    /// What a client that trusts it says in handshakes.
    pub(crate) fn client(&self) -> ClientConfig {
        self.trusting().with_no_client_auth()
    }

    pub(crate) fn sign(&self, name: &str) -> Pair {
        let mut params = CertificateParams::new(vec![name.to_owned()]).expect("parameters");
        params.distinguished_name.push(DnType::CommonName, name);
        let key = KeyPair::generate().expect("a key");
        let certificate = params.signed_by(&key, &self.0).expect("a certificate");
        Pair {
            certificate: certificate.pem(),
            key: key.serialize_pem(),
            der: certificate.der().clone(),
        }
    }
}

impl Pair {
    pub(crate) fn document(&self, name: &str) -> String {
        let block = |pem: &str| {
            pem.lines()
                .fold(String::new(), |text, line| text + "    " + line + "\n")
        };
        format!(
            "---\nkind: Certificate\nmetadata: {{ name: {name} }}\nspec:\n  certificate: |\n{}  private_key: |\n{}",
            block(&self.certificate),
            block(&self.key)
        )
    }
}

/// Asks for `path` of `host` in a connection for `sni`; the answer as text.
pub(crate) fn ask(
    port: u16,
    (sni, host): (&str, &str),
    path: &str,
    authority: &Authority,
    client: Option<&Pair>,
) -> std::io::Result<String> {
    let builder = authority.trusting();
    let config = match client {
        Some(pair) => {
            use rustls::pki_types::pem::PemObject as _;
            let key = PrivateKeyDer::from_pem_slice(pair.key.as_bytes()).expect("a key");
            builder
                .with_client_auth_cert(vec![pair.der.clone()], key)
                .expect("a certificate")
        }
        None => builder.with_no_client_auth(),
    };
    let name = ServerName::try_from(sni.to_owned()).expect("a name");
    let connection = ClientConnection::new(Arc::new(config), name).expect("a connection");
    let mut stream = StreamOwned::new(connection, TcpStream::connect(("127.0.0.1", port))?);
    let request = format!(
        "GET {path} HTTP/1.1\r\nHost: {host}\r\nX-Client-Subject: forged\r\nConnection: close\r\n\r\n"
    );
    stream.write_all(request.as_bytes())?;
    let mut answer = Vec::new();
    match stream.read_to_end(&mut answer) {
        Err(error) if answer.is_empty() => Err(error),
        _ => Ok(String::from_utf8_lossy(&answer).into_owned()),
    }
}

/// A handshake for `name` as `config` says: the version, and whether a session was taken up
/// again; and what is answered to `GET /`.
fn shake(
    port: u16,
    name: &str,
    config: &Arc<ClientConfig>,
) -> std::io::Result<(ProtocolVersion, HandshakeKind, String)> {
    let server = ServerName::try_from(name.to_owned()).expect("a name");
    let connection = ClientConnection::new(Arc::clone(config), server).expect("a connection");
    let mut stream = StreamOwned::new(connection, TcpStream::connect(("127.0.0.1", port))?);
    let request = format!("GET / HTTP/1.1\r\nHost: {name}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes())?;
    let mut answer = Vec::new();
    // The connection may end without a word.
    drop(stream.read_to_end(&mut answer));
    let version = stream.conn.protocol_version().expect("a version");
    let kind = stream.conn.handshake_kind().expect("a handshake");
    Ok((version, kind, String::from_utf8_lossy(&answer).into_owned()))
}

/// A client that trusts `authority` and speaks these versions.
fn speaking(
    authority: &Authority,
    versions: &[&'static SupportedProtocolVersion],
) -> Arc<ClientConfig> {
    let mut roots = RootCertStore::empty();
    roots.add(authority.0.der().clone()).expect("a root");
    let provider = Arc::new(aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(provider);
    let builder = builder.with_protocol_versions(versions).expect("versions");
    Arc::new(builder.with_root_certificates(roots).with_no_client_auth())
}

/// nginx takes much of the default server of a port for all of it.
#[test]
fn a_host_that_takes_no_handshake_takes_nothing_from_its_neighbours() {
    let authority = Authority::new();
    let port = free_port();
    let documents = format!(
        "kind: VirtualHost
metadata: {{ name: stranger }}
spec:
  server_names: [_]
  listen: [{{ port: {port}, address: 127.0.0.1, tls: true, default_server: true }}]
  reject_handshake: true
---
kind: VirtualHost
metadata: {{ name: site }}
spec:
  server_names: [site.test]
  listen: [{{ port: {port}, address: 127.0.0.1, tls: true }}]
  tls: {{ certificate: site }}
  locations: [{{ path: /, respond: {{ status: 200 }} }}]
{}",
        authority.sign("site.test").document("site")
    );
    for binary in binaries() {
        let staged = Staged::new(binary, &resources(&documents));
        staged.assert_accepted("the site");
        let _nginx = staged.start();
        for (spoken, version) in [
            (&version::TLS12, ProtocolVersion::TLSv1_2),
            (&version::TLS13, ProtocolVersion::TLSv1_3),
        ] {
            let client = speaking(&authority, &[spoken]);
            let mut kinds = Vec::new();
            for _ in 0..2 {
                let (used, kind, answer) = shake(port, "site.test", &client).expect("a handshake");
                assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
                assert_eq!(used, version);
                kinds.push(kind);
            }
            assert_eq!(
                kinds,
                [HandshakeKind::Full, HandshakeKind::Resumed],
                "{version:?}"
            );
            assert!(shake(port, "unknown.test", &client).is_err());
        }
    }
}

#[test]
fn a_host_of_tls_1_3_alone_answers_nobody_over_another() {
    let authority = Authority::new();
    let port = free_port();
    let host = |name: &str, tls: &str| {
        format!(
            "---
kind: VirtualHost
metadata: {{ name: {name} }}
spec:
  server_names: [{name}.test]
  listen: [{{ port: {port}, address: 127.0.0.1, tls: true }}]
  tls: {{ certificate: {name}{tls} }}
  locations: [{{ path: /, respond: {{ status: 200 }} }}]
{}",
            authority.sign(&format!("{name}.test")).document(name)
        )
    };
    let set = resources(&(host("first", "") + &host("second", ", policy: modern")));
    for binary in binaries() {
        let settings = RenderSettings {
            nginx: version_of(&binary),
            ..RenderSettings::default()
        };
        let notes = older_forms(&set, &settings);
        let [note] = &notes[..] else {
            panic!("{notes:?}");
        };
        assert_eq!(note.resource.to_string(), "VirtualHost/second");
        assert!(note.note.contains("VirtualHost/first"), "{}", note.note);
        let staged = Staged::new(binary, &set);
        staged.assert_accepted("the site");
        let _nginx = staged.start();
        let ask = |name: &str, spoken: &'static SupportedProtocolVersion| {
            let answer = shake(port, name, &speaking(&authority, &[spoken]));
            answer.expect("a handshake").2[..12].to_owned()
        };
        assert_eq!(ask("first.test", &version::TLS12), "HTTP/1.1 200");
        assert_eq!(ask("second.test", &version::TLS13), "HTTP/1.1 200");
        assert_eq!(ask("second.test", &version::TLS12), "HTTP/1.1 421");
    }
}

#[test]
fn clients_show_certificates_and_hosts_are_told_apart() {
    let authority = Authority::new();
    let (plain, secure) = (free_port(), free_port());
    let folder = tempfile::TempDir::new().expect("a folder");
    let trusted = folder.path().join("ca.pem");
    std::fs::write(&trusted, authority.pem()).expect("a file");
    let dh_parameters = folder.path().join("dh.pem");
    std::fs::write(&dh_parameters, DH_PARAMETERS).expect("a file");
    let site = format!(
        "kind: VirtualHost
metadata: {{ name: site }}
spec:
  server_names: [site.test]
  redirect_names: [www.site.test]
  listen: [{{ port: {plain}, address: 127.0.0.1 }}, {{ port: {secure}, address: 127.0.0.1, tls: true }}]
  health: /healthz
  tls:
    certificate: site
    protocols: [TLSv1.2, TLSv1.3]
    ciphers: ECDHE-ECDSA-AES128-GCM-SHA256
    curves: X25519:prime256v1
    prefer_server_ciphers: true
    session: {{ cache: 1m, timeout: 1h, tickets: true }}
    early_data: true
    buffer_size: 4k
    strict_sni: true
    redirect_http: true
    redirect_code: 301
    redirect_code_other_methods: 307
    dh_parameters: {}
    hsts: {{ max_age: 1d }}
    client:
      trusted: {{ file: {} }}
      depth: 2
      subjects: [\"CN=anna\", \"CN=ber.a\"]
      pass: true
  locations:
    - {{ path: /, respond: {{ status: 200, body: hello }} }}
    - {{ path: /echo, proxy: {{ upstream: backend }} }}
",
        dh_parameters.display(),
        trusted.display()
    );
    let other = format!(
        "---
kind: VirtualHost
metadata: {{ name: other }}
spec:
  server_names: [other.test]
  listen: [{{ port: {secure}, address: 127.0.0.1, tls: true }}]
  tls: {{ certificate: other, policy: old }}
  locations: [{{ path: /, respond: {{ status: 200, body: other }} }}]
"
    );
    let stranger = format!(
        "---
kind: VirtualHost
metadata: {{ name: stranger }}
spec:
  server_names: [_]
  listen: [{{ port: {secure}, address: 127.0.0.1, tls: true, default_server: true }}]
  reject_handshake: true
"
    );
    let documents = [
        site,
        other,
        stranger,
        authority.sign("site.test").document("site"),
        authority.sign("other.test").document("other"),
        upstream("backend", &[echo::start()]),
    ];
    let Some(_nginx) = serving(&documents) else {
        return;
    };
    let anna = authority.sign("anna");
    let site = ("site.test", "site.test");
    let asked =
        |names, path: &str, client: Option<&Pair>| ask(secure, names, path, &authority, client);
    let answer = asked(site, "/", Some(&anna)).expect("an answer");
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    assert!(
        answer.contains("Strict-Transport-Security: max-age=86400"),
        "{answer}"
    );
    let told = asked(site, "/echo", Some(&anna)).expect("an answer");
    assert!(told.contains("X-Client-Verify: SUCCESS"), "{told}");
    assert!(told.contains("X-Client-Subject: CN=anna"), "{told}");
    assert!(!told.contains("forged"), "{told}");
    let carl = asked(site, "/", Some(&authority.sign("carl"))).expect("an answer");
    assert!(carl.starts_with("HTTP/1.1 403"), "{carl}");
    let nobody = asked(site, "/", None).expect("an answer");
    assert!(nobody.starts_with("HTTP/1.1 400"), "{nobody}");
    let unknown = Authority::new().sign("anna");
    let unknown = asked(site, "/", Some(&unknown));
    assert!(!unknown.is_ok_and(|answer| answer.starts_with("HTTP/1.1 200")));
    let crossed = asked(("other.test", "site.test"), "/", Some(&anna)).expect("an answer");
    assert!(crossed.starts_with("HTTP/1.1 421"), "{crossed}");
    let other = asked(("other.test", "other.test"), "/", None).expect("an answer");
    assert!(other.ends_with("other"), "{other}");
    assert!(asked(("unknown.test", "unknown.test"), "/", None).is_err());
    let led = get(plain, "site.test", b"/a");
    assert_eq!(led.status, 301);
    let to = format!("https://site.test:{secure}/a");
    assert_eq!(header(&led, "Location"), Some(to));
    let posted = request(plain, "POST", "site.test", b"/a", "Content-Length: 0\r\n");
    assert_eq!(posted.status, 307);
    assert_eq!(body(&get(plain, "site.test", b"/healthz")), "ok");
}
