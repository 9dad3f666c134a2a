//! Snippets: raw nginx directives, for what no field says yet.
//!
//! A [`SnippetText`] is well-formed: it is whole directives, and can neither
//! leave the block it is put into nor swallow what follows it. That never
//! changes, so it is asked whenever a document is read.
//!
//! A [`SnippetPolicy`] says which directives may be used where. It is asked
//! when documents are checked and again when they are rendered, so that an
//! agent that is stricter than its master stays so. Only an
//! [`ApprovedSnippet`] is ever written into a file.
//!
//! What the built-in policy refuses, and why:
//!
//! | refused | because |
//! |---|---|
//! | what is not one of nginx's own directives | nobody knows what it does; a policy can allow it by name |
//! | a directive in a block where nginx does not take it | nginx refuses the whole configuration |
//! | `load_module`, `ssl_engine`, `…ssl_conf_command`, `perl…`, `js_…`, `…_by_lua…` | code: it runs with nginx's rights, some of it during `nginx -t` already |
//! | `include`, `…_temp_path`, `…_cache_path`, `…_store`, `dav_…`, `auth_basic_user_file`, `geoip_…` | files: it reads or writes files of the machine that nobody delivered |
//! | `include` in `types`, `map`, `geo` | the same |
//! | `access_log` and `error_log` but to `off`, `syslog:` and `stderr` | the same: a log is a file that grows, wherever its path leads |
//! | `root`, `alias` | which files are served is said by `static.root`, where reviews and plans show it |
//! | `ssl_certificate`, `ssl_certificate_key`, `ssl_…_certificate`, `…_password_file`, `…_crl` | keys and certificates are resources; a path, `engine:` or `data:` would go past them |
//! | `user`, `pid`, `daemon`, `worker_processes`, `env`, `lock_file`, `events { }`, `http { }` … | the process of nginx is the agent's: it finds it, counts its workers and waits for them |
//! | `worker_shutdown_timeout` | it cuts requests at every reload |
//! | `listen`, `server_name`, `server`, `upstream`, `zone`, `http2` … | NxMesh has to know them: it checks claims, confirms what is served, and computes the hashes for names |
//! | `set`, `map`, `geo` … for `$nxmesh…`, and for `$http_…`, `$arg_…`, `$cookie_…`, `$upstream_…` and the like | variables belong to all servers: it would hide the one that others read. So would captures of these names |
//! | any word `nxmesh_…` that is not a variable | zones, upstreams and named locations of that name are NxMesh's, and others' |
//! | a `rewrite` with `?` that goes on, before a `set`, `rewrite` or `if` that uses `$1` to `$9` | CVE-2026-42945: nginx up to 1.30.0 writes beyond its memory |
//! | a `rewrite` that redirects or has `?`, with two captures of which one is in the other | CVE-2026-9256: nginx up to 1.30.1 does |
//!
//! ```
//! use nxmesh_core::snippet::{SnippetContext, SnippetPolicy, SnippetText};
//!
//! let text = SnippetText::parse("limit_rate 1m;\nif ($http_x_slow) {\n    limit_rate 10k;\n}")?;
//! let policy = SnippetPolicy::default();
//! assert_eq!(policy.approve(SnippetContext::Location, &text)?.as_str(), text.as_str());
//!
//! let error = SnippetText::parse("limit_rate 1m; }\nserver {").unwrap_err();
//! assert!(error.to_string().starts_with("line 1, column 16: a '}' closes a block"));
//!
//! let text = SnippetText::parse("gzip on;\nload_module /tmp/evil.so;")?;
//! let error = policy.approve(SnippetContext::Server, &text).unwrap_err();
//! assert!(error.to_string().starts_with("line 2, column 1: load_module is refused"));
//! # Ok::<(), nxmesh_core::snippet::SnippetError>(())
//! ```

mod allowed;
mod arguments;
mod context;
mod error;
mod passes;
mod policy;
mod refused;
mod rewrite;
mod text;

pub use context::SnippetContext;
pub use error::{SnippetError, SnippetRule};
pub use policy::{ApprovedSnippet, SnippetPolicy};
pub use refused::Reason;
pub use rewrite::{Overflow, RewriteFlaw, overflows};
pub use text::{MAX_SNIPPET_BYTES, SnippetText};
