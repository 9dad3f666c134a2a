//! From resources to the files nginx reads.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    ops::Bound,
    path::PathBuf,
    sync::Arc,
};

use crate::{
    digest::Digest,
    document::Problem,
    model::{ResourceKey, ResourceKind, ResourceSet},
    snippet::SnippetPolicy,
};

/// The version of an nginx, for what can be said to it. Default: 1.18.0, the
/// oldest that is supported.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NginxVersion {
    /// 1 in 1.22.1.
    pub major: u16,
    /// 22 in 1.22.1.
    pub minor: u16,
    /// 1 in 1.22.1.
    pub patch: u16,
}

impl NginxVersion {
    /// The newest whose directives are known here; a newer one is told the same.
    pub const NEWEST: Self = Self {
        major: 1,
        minor: 29,
        patch: 7,
    };
}

impl Default for NginxVersion {
    fn default() -> Self {
        Self {
            major: 1,
            minor: 18,
            patch: 0,
        }
    }
}

impl fmt::Display for NginxVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.major, self.minor, self.patch)
    }
}

impl std::str::FromStr for NginxVersion {
    type Err = crate::model::value::ValueError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut parts = text.splitn(3, '.').map(|part| part.parse().ok());
        match (
            parts.next().flatten(),
            parts.next().flatten(),
            parts.next().flatten(),
        ) {
            (Some(major), Some(minor), Some(patch)) => Ok(Self {
                major,
                minor,
                patch,
            }),
            _ => Err(crate::model::value::ValueError {
                rule: "an nginx version is three numbers joined by dots",
                example: "1.22.1",
            }),
        }
    }
}

/// What the renderer has to know beside the resources.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RenderSettings {
    /// The nginx the files are for.
    pub nginx: NginxVersion,
    /// The absolute folder in which certificates and keys will lie, under the
    /// names of [`RenderedTree::pem_files`].
    pub tls_dir: PathBuf,
    /// The absolute folder below which nginx keeps cached responses, each cache
    /// in a folder of its own. It exists, and nginx's workers get through it.
    pub cache_dir: PathBuf,
    /// Whether the whole of `nginx.conf` is ours. Otherwise only the block `http` can
    /// be said, and what belongs elsewhere is refused.
    pub whole_conf: bool,
    /// Whether the machine has IPv6, so that a `listen` without address covers it.
    pub ipv6: bool,
    /// The modules that nginx was built with, by the names it is configured with:
    /// `http_ssl_module` for `--with-http_ssl_module`. `None` if that is not known;
    /// then all those are assumed that distributions build in.
    pub modules: Option<Arc<BTreeSet<String>>>,
    /// What snippets may say beside the built-in rules. An agent may be stricter
    /// than its master.
    pub snippets: Arc<SnippetPolicy>,
    /// The absolute path of a unix socket to which nginx writes a line for each
    /// request, for whoever counts them, beside what hosts log themselves. Default:
    /// none, and no lines.
    pub request_log: Option<PathBuf>,
}

impl Default for RenderSettings {
    fn default() -> Self {
        Self {
            nginx: NginxVersion::default(),
            tls_dir: PathBuf::from("/run/nxmesh/tls"),
            cache_dir: PathBuf::from("/var/cache/nxmesh"),
            whole_conf: true,
            ipv6: true,
            modules: None,
            snippets: Arc::default(),
            request_log: None,
        }
    }
}

/// One rendered file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RenderedFile {
    /// The bytes to write.
    pub contents: Arc<[u8]>,
    /// Their digest.
    pub digest: Digest,
    /// The resource it says; `None` for what belongs to no single one.
    pub resource: Option<ResourceKey>,
}

/// A certificate chain or private key that rendered files refer to by an
/// absolute path below [`RenderSettings::tls_dir`].
#[derive(Clone, PartialEq, Eq)]
pub struct PemFile {
    /// PEM text; wiped by its owner's type, so clone with care.
    pub contents: Arc<zeroize::Zeroizing<String>>,
    /// Private keys are written with mode 0600.
    pub secret: bool,
    /// Whether nginx's workers read it themselves, which may be another user: then
    /// it is open to whoever knows its name, which nobody can guess.
    pub for_workers: bool,
}

impl fmt::Debug for PemFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PemFile")
            .field("secret", &self.secret)
            .finish_non_exhaustive()
    }
}

/// The files for one set of resources. Paths are relative, sorted, and made
/// of letters, digits, `-`, `_`, `.` and `/` only.
///
/// Where the release lies is not yet known here, so no file names its siblings;
/// whoever writes the tree to disk adds a file that includes them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RenderedTree {
    files: BTreeMap<Arc<str>, RenderedFile>,
    pem_files: BTreeMap<Arc<str>, PemFile>,
}

impl RenderedTree {
    /// Adds or replaces a file; its digest is computed here.
    pub fn insert(
        &mut self,
        path: impl Into<Arc<str>>,
        contents: impl Into<Arc<[u8]>>,
        resource: Option<ResourceKey>,
    ) {
        let contents = contents.into();
        let digest = Digest::of(&contents);
        self.files.insert(
            path.into(),
            RenderedFile {
                contents,
                digest,
                resource,
            },
        );
    }

    /// Removes a file.
    pub fn remove(&mut self, path: &str) -> Option<RenderedFile> {
        self.files.remove(path)
    }

    /// Adds all files of another tree, in place of those at the same paths.
    pub fn append(&mut self, mut other: Self) {
        self.files.append(&mut other.files);
        self.pem_files.append(&mut other.pem_files);
    }

    /// The file at `path`.
    #[must_use]
    pub fn file(&self, path: &str) -> Option<&RenderedFile> {
        self.files.get(path)
    }

    /// All files, by path.
    pub fn files(&self) -> impl ExactSizeIterator<Item = (&str, &RenderedFile)> {
        self.files.iter().map(|(path, file)| (&**path, file))
    }

    /// The files whose paths start with `prefix`, by path; found without
    /// looking at the others.
    pub fn files_under(&self, prefix: &str) -> impl Iterator<Item = (&str, &RenderedFile)> {
        self.files
            .range::<str, _>((Bound::Included(prefix), Bound::Unbounded))
            .map(|(path, file)| (&**path, file))
            .take_while(move |(path, _)| path.starts_with(prefix))
    }

    /// Adds a certificate or key. The name is made from a digest of the
    /// contents, so one name always means the same bytes.
    pub fn insert_pem(&mut self, name: impl Into<Arc<str>>, file: PemFile) {
        self.pem_files.insert(name.into(), file);
    }

    /// Removes a certificate or key.
    pub fn remove_pem(&mut self, name: &str) -> Option<PemFile> {
        self.pem_files.remove(name)
    }

    /// Certificates and keys by file name.
    pub fn pem_files(&self) -> impl ExactSizeIterator<Item = (&str, &PemFile)> {
        self.pem_files.iter().map(|(name, file)| (&**name, file))
    }

    /// The digest over all paths and contents. Certificates count through the
    /// files that name them. Takes time in proportion to the number of files.
    #[must_use]
    pub fn digest(&self) -> Digest {
        Digest::of_parts(
            self.files
                .iter()
                .flat_map(|(path, file)| [path.as_bytes(), &file.digest.as_bytes()[..]]),
        )
    }
}

/// Renders resources for nginx.
///
/// # Contract
///
/// 1. Pure: the same resources and settings give the same bytes, in any order
///    of insertion, on any machine.
/// 2. One file per virtual host and per upstream; a file changes only when
///    its resource, what it refers to or the settings change.
/// 3. `rerender` gives exactly what `render` would give for the new resources.
/// 4. No value of a resource changes the structure of the output: nginx reads
///    every text back byte for byte.
/// 5. A reference to a resource that is not in the set is an error, never an
///    omission.
pub trait Renderer: fmt::Debug + Send + Sync + 'static {
    /// Stable short name for metric labels and errors, for example `"handlebars"`.
    fn backend(&self) -> &'static str;

    /// Renders everything.
    ///
    /// # Errors
    ///
    /// [`RenderError`] names the resource at fault.
    fn render(
        &self,
        resources: &ResourceSet,
        settings: &RenderSettings,
    ) -> Result<RenderedTree, RenderError>;

    /// Renders what `changed` names (added, changed or removed resources) and
    /// takes the rest from `previous`, which was rendered with the same settings.
    /// Takes time in proportion to what changed, not to what there is.
    ///
    /// # Errors
    ///
    /// [`RenderError`] names the resource at fault; `previous` is gone then.
    fn rerender(
        &self,
        previous: RenderedTree,
        resources: &ResourceSet,
        changed: &BTreeSet<ResourceKey>,
        settings: &RenderSettings,
    ) -> Result<RenderedTree, RenderError>;
}

/// Why resources could not be rendered.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RenderError {
    /// A resource refers to one that is not there.
    #[error("{resource} refers to {missing}, which is not there")]
    MissingReference {
        /// The resource that refers.
        resource: ResourceKey,
        /// What it refers to.
        missing: ResourceKey,
    },
    /// A resource says what this nginx cannot do.
    #[error("{resource} needs nginx {needs} or newer for {feature}, this is {has}")]
    Unsupported {
        /// The resource at fault.
        resource: ResourceKey,
        /// What is asked for.
        feature: &'static str,
        /// The first version that has it.
        needs: NginxVersion,
        /// The version rendered for.
        has: NginxVersion,
    },
    /// The nginx has not the module that a resource needs.
    #[error(
        "{resource} uses {feature}, which needs the module {module}; this nginx was built without it"
    )]
    MissingModule {
        /// The resource.
        resource: ResourceKey,
        /// What it uses.
        feature: &'static str,
        /// The module, as nginx is built with it: `http_auth_request_module`.
        module: &'static str,
    },
    /// A resource says something outside of the block `http`, of a `nginx.conf` that
    /// is not ours.
    #[error(
        "{resource} needs an nginx.conf that is wholly managed (mode full): {feature} stands outside of the block http"
    )]
    OutsideOfHttp {
        /// The resource.
        resource: ResourceKey,
        /// What it says.
        feature: &'static str,
    },
    /// A resource cannot be written as nginx configuration: it was not
    /// checked, or its files would be too large.
    #[error("{resource} cannot be rendered: {reason}")]
    Unrenderable {
        /// The resource at fault.
        resource: ResourceKey,
        /// What is wrong.
        reason: String,
    },
    /// A rendered file was read again and is not what its templates say: a value
    /// would be more than an argument, or the file is not nginx configuration.
    #[error(
        "{resource}: line {line}, column {column} of its file is not what the templates say: {reason}"
    )]
    Structure {
        /// The resource whose file it is.
        resource: ResourceKey,
        /// From 1.
        line: u32,
        /// In characters, from 1.
        column: u32,
        /// What differs.
        reason: String,
    },
    /// A template is wrong or asks for what is not there.
    #[error("template {template}, line {line}, column {column}: {reason}")]
    Template {
        /// The template's name.
        template: String,
        /// From 1.
        line: usize,
        /// From 1.
        column: usize,
        /// What is wrong.
        reason: String,
    },
}

impl RenderError {
    /// The document at fault, where in it, and why.
    #[must_use]
    pub fn problem(&self) -> Problem {
        match self {
            Self::MissingReference { resource, .. }
            | Self::Unsupported { resource, .. }
            | Self::MissingModule { resource, .. }
            | Self::OutsideOfHttp { resource, .. }
            | Self::Unrenderable { resource, .. }
            | Self::Structure { resource, .. } => Problem::new(resource, "", &self.to_string()),
            Self::Template {
                template,
                line,
                column,
                reason,
            } => {
                let document = format!("{}/{template}", ResourceKind::Template);
                let rule = format!("line {line}, column {column}: {reason}");
                Problem::new(document, "/spec/source", &rule)
            }
        }
    }
}
