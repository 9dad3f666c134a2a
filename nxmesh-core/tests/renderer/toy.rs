//! A small renderer that keeps the contract, and ways to break it.

use std::{
    collections::BTreeSet,
    fmt::Write as _,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use nxmesh_core::{
    check::references_of,
    contract::renderer::{PemFile, RenderError, RenderSettings, RenderedTree, Renderer},
    digest::Digest,
    model::{Action, Resource, ResourceKey, ResourceSet, UpstreamSpec, VirtualHostSpec},
};

/// What the renderer does wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    None,
    /// Writes something else each time.
    Impure,
    /// Names files after what a document says.
    PathsFromText,
    /// Writes everything into one file.
    OneFile,
    /// Names certificates after their resource, not their content.
    CertificateByName,
    /// Renders again only what was named, not what refers to it.
    ForgetsReferrers,
    /// Leaves files of removed resources behind.
    KeepsRemoved,
    /// Does not quote.
    Unquoted,
    /// Doubles no backslashes.
    HalfQuoted,
    /// Writes HTML for quotes.
    HtmlEscaped,
    /// Drops what does not exist.
    OmitsMissing,
}

#[derive(Debug)]
pub(crate) struct Toy(pub(crate) Fault);

static CALLS: AtomicUsize = AtomicUsize::new(0);

impl Toy {
    fn word(&self, text: &str) -> String {
        match self.0 {
            Fault::Unquoted => text.to_owned(),
            Fault::HalfQuoted => format!("\"{}\"", text.replace('"', "\\\"")),
            Fault::HtmlEscaped => text.replace('"', "&quot;").replace(' ', "&nbsp;"),
            _ => format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\"")),
        }
    }

    fn add(
        &self,
        tree: &mut RenderedTree,
        resource: &Resource,
        resources: &ResourceSet,
        settings: &RenderSettings,
    ) -> Result<(), RenderError> {
        let key = resource.key();
        let mut text = match resource {
            Resource::VirtualHost(host) => {
                for (_, missing) in references_of(resource) {
                    if resources.get(&missing).is_none() && self.0 != Fault::OmitsMissing {
                        let resource = key;
                        return Err(RenderError::MissingReference { resource, missing });
                    }
                }
                self.host(tree, &host.spec, resources, settings)
            }
            Resource::Upstream(upstream) => self.upstream(&key, &upstream.spec),
            _ => return Ok(()),
        };
        if self.0 == Fault::Impure {
            let call = CALLS.fetch_add(1, Ordering::SeqCst);
            writeln!(text, "# {call}").unwrap();
        }
        let path = match self.0 {
            Fault::PathsFromText => format!("{} {}.conf", key.kind, key.name),
            _ => path_of(&key),
        };
        if self.0 == Fault::OneFile {
            tree.insert("all.conf", text.into_bytes(), None);
        } else {
            tree.insert(path, text.into_bytes(), Some(key));
        }
        Ok(())
    }

    fn host(
        &self,
        tree: &mut RenderedTree,
        spec: &VirtualHostSpec,
        resources: &ResourceSet,
        settings: &RenderSettings,
    ) -> String {
        let mut text = String::from("server {\n");
        let names: Vec<String> = spec
            .server_names
            .iter()
            .map(|name| self.word(name.as_str()))
            .collect();
        writeln!(text, "server_name {};", names.join(" ")).unwrap();
        for listen in &spec.listen {
            writeln!(text, "listen {};", listen.port).unwrap();
        }
        let certificate = spec
            .tls
            .as_ref()
            .and_then(|tls| resources.certificate(&tls.certificate));
        if let Some(certificate) = certificate {
            let spec = &certificate.spec;
            let name = match self.0 {
                Fault::CertificateByName => certificate.metadata.name.to_string(),
                _ => spec.certificate.fingerprint().short(),
            };
            let files = [
                ("certificate", spec.certificate.as_pem(), false),
                ("key", spec.private_key.expose_pem(), true),
            ];
            for (kind, pem, secret) in files {
                let file = format!("{name}.{kind}.pem");
                let path = settings.tls_dir.join(&file);
                writeln!(text, "ssl_{kind} {};", self.word(path.to_str().unwrap())).unwrap();
                let contents = Arc::new(pem.to_owned().into());
                tree.insert_pem(
                    file,
                    PemFile {
                        contents,
                        secret,
                        for_workers: false,
                    },
                );
            }
        }
        for header in &spec.traffic.response_headers {
            let (name, value) = (
                self.word(header.name.as_str()),
                self.word(header.value.as_str()),
            );
            writeln!(text, "add_header {name} {value};").unwrap();
        }
        for location in &spec.locations {
            let kind = match &location.path {
                nxmesh_core::model::PathMatch::Exact(_) => "=",
                nxmesh_core::model::PathMatch::Prefix(_) => "",
                nxmesh_core::model::PathMatch::PrefixPriority(_) => "^~",
                nxmesh_core::model::PathMatch::Regex(_) => "~",
                nxmesh_core::model::PathMatch::RegexIgnoreCase(_) => "~*",
            };
            let path = self.word(location.path.as_str());
            writeln!(
                text,
                "location {kind} {path} {{ {} }}",
                self.action(&location.action)
            )
            .unwrap();
        }
        text.push_str("}\n");
        text
    }

    fn action(&self, action: &Action) -> String {
        match action {
            Action::Proxy(proxy) => {
                let mut text = format!("proxy_pass {};", self.word(proxy.upstream.as_str()));
                for header in &proxy.request_headers {
                    let name = self.word(header.name.as_str());
                    let value = match &header.value {
                        nxmesh_core::model::RequestHeaderValue::Text(text) => {
                            self.word(text.as_str())
                        }
                        other => self.word(&format!("{other:?}")),
                    };
                    write!(text, " proxy_set_header {name} {value};").unwrap();
                }
                text
            }
            Action::Grpc(grpc) => format!("grpc_pass {};", self.word(grpc.upstream.as_str())),
            Action::FastCgi(fastcgi) => {
                format!("fastcgi_pass {};", self.word(fastcgi.upstream.as_str()))
            }
            Action::Static(files) => {
                let index: Vec<String> = files
                    .index
                    .iter()
                    .map(|name| self.word(name.as_str()))
                    .collect();
                let root = self.word(files.folder.path().as_str());
                match index.is_empty() {
                    true => format!("root {root};"),
                    false => format!("root {root}; index {};", index.join(" ")),
                }
            }
            Action::Redirect(redirect) => {
                let to = match &redirect.to {
                    nxmesh_core::model::RedirectTo::Target { target, .. } => target.as_str(),
                    nxmesh_core::model::RedirectTo::Parts(_) => "/",
                };
                format!("return {} {};", redirect.code.get(), self.word(to))
            }
            Action::Respond(respond) => {
                let kind = respond
                    .content_type
                    .as_ref()
                    .map_or("", |kind| kind.as_str());
                let (kind, body) = (self.word(kind), self.word(respond.body.as_str()));
                format!(
                    "default_type {kind}; return {} {body};",
                    respond.status.get()
                )
            }
        }
    }

    fn upstream(&self, key: &ResourceKey, spec: &UpstreamSpec) -> String {
        let mut text = format!("upstream {} {{\n", self.word(key.name.as_str()));
        for server in &spec.servers {
            writeln!(text, "server {};", self.word(server.address.as_str())).unwrap();
        }
        text.push_str("}\n");
        text
    }
}

fn path_of(key: &ResourceKey) -> String {
    format!(
        "{}/{}.conf",
        key.kind.plural(),
        Digest::of(key.name.as_str().as_bytes()).short()
    )
}

impl Renderer for Toy {
    fn backend(&self) -> &'static str {
        "toy"
    }

    fn render(
        &self,
        resources: &ResourceSet,
        settings: &RenderSettings,
    ) -> Result<RenderedTree, RenderError> {
        let mut tree = RenderedTree::default();
        for (_, resource) in resources.iter() {
            self.add(&mut tree, resource, resources, settings)?;
        }
        Ok(tree)
    }

    fn rerender(
        &self,
        mut previous: RenderedTree,
        resources: &ResourceSet,
        changed: &BTreeSet<ResourceKey>,
        settings: &RenderSettings,
    ) -> Result<RenderedTree, RenderError> {
        match self.0 {
            Fault::ForgetsReferrers => {
                for key in changed {
                    match resources.get(key) {
                        Some(resource) => self.add(&mut previous, resource, resources, settings)?,
                        None => drop(previous.remove(&path_of(key))),
                    }
                }
                Ok(previous)
            }
            Fault::KeepsRemoved => {
                let rendered = self.render(resources, settings)?;
                for (path, file) in rendered.files() {
                    previous.insert(path, Arc::clone(&file.contents), file.resource.clone());
                }
                Ok(previous)
            }
            _ => self.render(resources, settings),
        }
    }
}
