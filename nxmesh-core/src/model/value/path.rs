//! Paths: of locations, of files, and patterns that match paths.

use super::{fits_a_token, parsed_text};

parsed_text! {
    /// The path of a location, matched by nginx against the decoded request path.
    LocationPath,
    rule: "a location path starts with '/' and has no control characters, 1000 bytes at most",
    example: "/static/",
    parse: |text| {
        (text.starts_with('/') && text.len() <= 1000 && fits_a_token(text)).then(|| text.to_owned())
    },
}

parsed_text! {
    /// A PCRE pattern, compiled once here with the library nginx uses.
    ///
    /// Names of captures become nginx variables of every server, whatever
    /// their case, so those are refused that would take the place of a variable
    /// nginx or NxMesh sets.
    RegexPattern,
    rule: "a pattern is valid PCRE without control characters and without captures named like variables of nginx (host, uri, args, arg_…, http_…, ssl_…, upstream_… and so on) or nxmesh…, 1000 bytes at most",
    example: r"\.(png|jpg)$",
    parse: |text| {
        if text.is_empty() || text.len() > 1000 || !fits_a_token(text) {
            return None;
        }
        let pattern = pcre2::bytes::RegexBuilder::new().build(text).ok()?;
        let reserved = pattern.capture_names().iter().flatten().any(|name| is_reserved_variable(name));
        (!reserved).then(|| text.to_owned())
    },
}

impl RegexPattern {
    /// How many captures it has.
    #[must_use]
    pub fn captures(&self) -> usize {
        let compiled = pcre2::bytes::RegexBuilder::new().build(self.as_str());
        compiled.map_or(0, |pattern| pattern.captures_len() - 1)
    }
}

/// Whether a capture of this name, or a variable that is set, would be one that
/// others read: nginx takes `args`, `limit_rate` and names below some prefixes for
/// new ones that hide the old, and refuses its other variables
/// (`ngx_http_add_variable`), each where its module is built in.
pub(crate) fn is_reserved_variable(name: &str) -> bool {
    const PREFIXES: [&str; 9] = [
        "nxmesh",
        "arg_",
        "cookie_",
        "geoip_",
        "http_",
        "proxy_",
        "sent_",
        "ssl_",
        "upstream_",
    ];
    let name = name.to_ascii_lowercase();
    matches!(&*name, "args" | "limit_rate")
        || OF_NGINX.binary_search(&&*name).is_ok()
        || PREFIXES.iter().any(|prefix| name.starts_with(prefix))
}

/// The variables of nginx that nobody can set (nginx manual, "Alphabetical index of
/// variables"), in order; those of 2025 and later left out, which older files may
/// have for themselves.
const OF_NGINX: [&str; 71] = [
    "ancient_browser",
    "binary_remote_addr",
    "body_bytes_sent",
    "bytes_sent",
    "connection",
    "connection_requests",
    "connection_time",
    "connections_active",
    "connections_reading",
    "connections_waiting",
    "connections_writing",
    "content_length",
    "content_type",
    "date_gmt",
    "date_local",
    "document_root",
    "document_uri",
    "fastcgi_path_info",
    "fastcgi_script_name",
    "gzip_ratio",
    "host",
    "hostname",
    "http2",
    "http3",
    "https",
    "invalid_referer",
    "is_args",
    "limit_conn_status",
    "limit_req_status",
    "modern_browser",
    "msec",
    "msie",
    "nginx_version",
    "pid",
    "pipe",
    "query_string",
    "realip_remote_addr",
    "realip_remote_port",
    "realpath_root",
    "remote_addr",
    "remote_port",
    "remote_user",
    "request",
    "request_body",
    "request_body_file",
    "request_completion",
    "request_filename",
    "request_id",
    "request_length",
    "request_method",
    "request_time",
    "request_uri",
    "scheme",
    "secure_link",
    "secure_link_expires",
    "server_addr",
    "server_name",
    "server_port",
    "server_protocol",
    "slice_range",
    "status",
    "tcpinfo_rcv_space",
    "tcpinfo_rtt",
    "tcpinfo_rttvar",
    "tcpinfo_snd_cwnd",
    "time_iso8601",
    "time_local",
    "uid_got",
    "uid_reset",
    "uid_set",
    "uri",
];

parsed_text! {
    /// An absolute path of a file or folder on the agent's machine.
    FilePath,
    rule: "a file path is absolute, without '..' and control characters, 1000 bytes at most",
    example: "/srv/shop",
    parse: |text| {
        let climbs = text.split('/').any(|part| part == "..");
        (text.starts_with('/') && text.len() <= 1000 && !climbs && fits_a_token(text)).then(|| text.to_owned())
    },
}

parsed_text! {
    /// The name of a file that is served for a folder.
    IndexName,
    rule: "an index name is a file name without '/', '..' and control characters, 255 bytes at most",
    example: "index.html",
    parse: |text| {
        let plain = !text.is_empty() && text.len() <= 255 && !text.contains('/') && text != ".." && text != ".";
        (plain && fits_a_token(text)).then(|| text.to_owned())
    },
}
