//! Directives of nginx that the built-in policy refuses, by reason.

use std::{collections::HashMap, sync::LazyLock};

/// Why a directive is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum Reason {
    /// It loads or runs code.
    #[error("it loads or runs code")]
    Code,
    /// It reads or writes files.
    #[error("it reads or writes files of the machine")]
    Files,
    /// It chooses the files that are served.
    #[error("which files are served is a field of the location")]
    Served,
    /// It names keys or certificates.
    #[error("keys and certificates are resources")]
    Keys,
    /// It is about nginx's process.
    #[error("the process of nginx belongs to the agent")]
    Process,
    /// It is about what a resource says.
    #[error("it is said by the fields of a resource")]
    Fields,
}

impl Reason {
    /// What is accepted instead.
    pub(super) const fn example(self) -> &'static str {
        match self {
            Self::Code | Self::Files => "gzip on;",
            Self::Served => "static: { root: /srv/shop }",
            Self::Keys => "tls: { certificate: shop }",
            Self::Process => "worker_priority -5;",
            Self::Fields => "listen: [{ port: 8080 }]",
        }
    }
}

const REFUSED: [(Reason, &str); 6] = [
    (
        Reason::Code,
        "google_perftools_profiles grpc_ssl_conf_command load_module proxy_ssl_conf_command
         ssl_conf_command ssl_engine uwsgi_ssl_conf_command",
    ),
    (
        Reason::Files,
        "auth_basic_user_file client_body_in_file_only client_body_temp_path create_full_put_path
         dav_access dav_methods debug_connection fastcgi_cache_path fastcgi_store
         fastcgi_store_access fastcgi_temp_path geoip_city geoip_country geoip_org include
         min_delete_depth proxy_cache_path proxy_store proxy_store_access proxy_temp_path
         quic_host_key scgi_cache_path scgi_store scgi_store_access scgi_temp_path
         uwsgi_cache_path uwsgi_store uwsgi_store_access uwsgi_temp_path worker_rlimit_core
         xml_entities xslt_stylesheet",
    ),
    (Reason::Served, "alias root"),
    (
        Reason::Keys,
        "grpc_ssl_certificate grpc_ssl_certificate_cache grpc_ssl_certificate_key grpc_ssl_crl
         grpc_ssl_password_file grpc_ssl_trusted_certificate proxy_ssl_certificate
         proxy_ssl_certificate_cache proxy_ssl_certificate_key proxy_ssl_crl
         proxy_ssl_password_file proxy_ssl_trusted_certificate ssl_certificate
         ssl_certificate_cache ssl_certificate_key ssl_client_certificate ssl_crl ssl_dhparam
         ssl_ech_file ssl_password_file ssl_session_ticket_key ssl_stapling_file
         ssl_trusted_certificate uwsgi_ssl_certificate uwsgi_ssl_certificate_cache
         uwsgi_ssl_certificate_key uwsgi_ssl_crl uwsgi_ssl_password_file
         uwsgi_ssl_trusted_certificate",
    ),
    (
        Reason::Process,
        "daemon debug_points env events http lock_file mail master_process pid stream user
         worker_connections worker_processes worker_shutdown_timeout working_directory",
    ),
    (
        Reason::Fields,
        "http2 http3 listen server server_name server_names_hash_bucket_size
         server_names_hash_max_size ssl upstream variables_hash_bucket_size
         variables_hash_max_size zone",
    ),
];

/// The reason to refuse `name`, and how to call it.
pub(super) fn reason(name: &str) -> Option<(&'static str, Reason)> {
    static BY_NAME: LazyLock<HashMap<&str, Reason>> = LazyLock::new(|| {
        let named = |(reason, names): (Reason, &'static str)| {
            names.split_whitespace().map(move |name| (name, reason))
        };
        REFUSED.into_iter().flat_map(named).collect()
    });
    if let Some((name, reason)) = BY_NAME.get_key_value(name) {
        return Some((name, *reason));
    }
    // Modules that run code have many directives, and get more.
    let code = match name {
        _ if name.starts_with("js_") => "js_…",
        _ if name.starts_with("perl") => "perl…",
        _ if name.starts_with("lua_") => "lua_…",
        _ if name.contains("_by_lua") => "…_by_lua…",
        _ => return None,
    };
    Some((code, Reason::Code))
}
