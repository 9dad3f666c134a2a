//! `http.conf`: what stands in the `http` block.

use std::collections::BTreeSet;

use nxmesh_core::contract::renderer::{NginxVersion, RenderedFile, RenderedTree};

use super::{
    FullOptions, HTTP_CONF, PlaceError, Placement, PlacementMode, back, media_types, path,
    text::Text,
};
use crate::{names, request_log, token};

/// What the rendered files refer to: a literal `$` and an empty text where
/// variables are expanded.
pub(super) const VARIABLES: &str = r#"
geo $nxmesh_dollar {
    default "$";
}
geo $nxmesh_empty {
    default "";
}
"#;

/// The `Connection` header that goes with an `Upgrade` header. Only where it is
/// referred to: for a `map` of any size nginx clears more than a megabyte when
/// it reads its configuration (`src/core/ngx_hash.c`, `NGX_HASH_LARGE`), a tenth
/// of the time that `nginx -t` takes with 20 virtual hosts.
const UPGRADE: &str = r#"map $http_upgrade $nxmesh_connection_upgrade {
    default upgrade;
    '' "";
}
"#;
const UPGRADE_VARIABLE: &str = "$nxmesh_connection_upgrade";

/// The name of the release, for who asks for it. Only where it is referred to, or
/// `http.conf` alone would differ.
const RELEASE_VARIABLE: &str = "$nxmesh_release";

pub(super) fn contents(
    tree: &RenderedTree,
    placement: &Placement<'_>,
) -> Result<Vec<u8>, PlaceError> {
    path::without_variables("TLS folder", &placement.settings.tls_dir)?;
    let mut text = Text::default();
    text.say("# Written by NxMesh; changes are overwritten.\n");
    let server_names = ServerNames::of(tree);
    match placement.mode {
        PlacementMode::Full(options) => {
            if tree.files_under(names::MEDIA_TYPES).next().is_none() {
                media_types::say(&mut text, options)?;
            }
            own_settings(&mut text, placement, options, &server_names)?;
        }
        PlacementMode::Include => {
            text.say(&server_names.when_needed());
        }
    }
    if let Some(socket) = &placement.settings.request_log {
        let to = request_log::target(socket).map_err(|reason| PlaceError::Path {
            what: "socket of the request log",
            path: socket.clone(),
            reason,
        })?;
        text.say(request_log::FORMAT);
        text.say("access_log ").word(to).say(" nxmesh_requests;\n");
    }
    text.say(VARIABLES);
    if tree
        .files()
        .any(|(_, file)| refers_to(file, UPGRADE_VARIABLE))
    {
        text.say(UPGRADE);
    }
    if tree.files().any(|(_, file)| refers_to(file, back::NAMES)) {
        back::say(&mut text)?;
    }
    if tree
        .files()
        .any(|(_, file)| refers_to(file, RELEASE_VARIABLE))
    {
        // Nothing is expanded in a geo.
        let id = release_id(placement, token::quote(placement.release_id))?;
        text.say("geo $nxmesh_release {\n    default ")
            .word(id)
            .say(";\n}\n");
    }
    probe(&mut text, placement)?;
    quic(&mut text, tree);
    let elsewhere = names::OUTSIDE_OF_HTTP;
    let files = tree.files().map(|(file, _)| file);
    for file in files.filter(|file| !elsewhere.iter().any(|folder| file.starts_with(folder))) {
        let path = path::included("release folder", &placement.release_dir.join(file))?;
        text.say("include ").word(path).say(";\n");
    }
    text.finish(HTTP_CONF, placement.settings.nginx)
}

fn refers_to(file: &RenderedFile, variable: &str) -> bool {
    // What cannot be read is taken for a reference.
    str::from_utf8(&file.contents).map_or(true, |text| text.contains(variable))
}

/// The name of the release as a word.
fn release_id(
    placement: &Placement<'_>,
    quoted: Result<token::Word<'_>, token::QuoteError>,
) -> Result<String, PlaceError> {
    quoted
        .map(|word| word.to_string())
        .map_err(|error| PlaceError::Text {
            what: "release id",
            text: placement.release_id.to_owned(),
            reason: error.to_string(),
        })
}

/// The settings of an `http` block that is ours alone.
fn own_settings(
    text: &mut Text,
    placement: &Placement<'_>,
    options: &FullOptions,
    names: &ServerNames,
) -> Result<(), PlaceError> {
    text.say(
        "types_hash_max_size 4096;\n\
             default_type application/octet-stream;\n",
    );
    if placement.settings.request_log.is_none() {
        text.say("access_log off;\n");
    }
    text.say(
        "sendfile on;\n\
             tcp_nopush on;\n\
             variables_hash_max_size 4096;\n",
    );
    text.say(&names.always());
    for kind in ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"] {
        let folder = options.temp_dir.join(kind);
        let path = path::word("temporary folder", &folder)?;
        text.say(kind).say("_temp_path ").word(path).say(";\n");
    }
    if placement.settings.nginx >= KEEPALIVE_MIN_TIMEOUT {
        // Without it a reload can close an idle connection just as its next
        // request arrives.
        text.say("keepalive_min_timeout 1s;\n");
    }
    Ok(())
}

/// nginx changes, 1.27.4: `keepalive_min_timeout`.
const KEEPALIVE_MIN_TIMEOUT: NginxVersion = NginxVersion {
    major: 1,
    minor: 27,
    patch: 4,
};

/// What counts connections.
const STUB_STATUS_MODULE: &str = "http_stub_status_module";

/// The server that tells the agent which release runs.
fn probe(text: &mut Text, placement: &Placement<'_>) -> Result<(), PlaceError> {
    let quoted = token::quote_expanding_before(placement.release_id, "\\n");
    let id = release_id(placement, quoted)?;
    let socket = path::socket("probe socket", placement.probe_socket)?;
    text.say("\nserver {\n    listen ").word(socket).say(
        r";
    access_log off;
    location = /nxmesh/release {
        default_type text/plain;
        return 200 ",
    );
    text.word(id).say(";\n    }\n");
    let modules = placement.settings.modules.as_ref();
    if modules.is_none_or(|built_in| built_in.contains(STUB_STATUS_MODULE)) {
        text.say("    location = /nxmesh/stub_status {\n        stub_status;\n    }\n");
    }
    text.say(
        r"    location / {
        return 404;
    }
}

",
    );
    Ok(())
}

/// A server for each socket of HTTP/3. Each worker needs a socket of its own there, or
/// packets of one connection reach another (nginx manual, `ngx_http_v3_module`), and
/// one server alone may say so. It knows no names: where no host is the default of
/// its port, who asks for a name nobody has is turned away.
fn quic(text: &mut Text, tree: &RenderedTree) {
    let mut sockets = BTreeSet::new();
    for (_, file) in tree.files_under(names::VIRTUAL_HOSTS) {
        for line in file.contents.split(|byte| *byte == b'\n') {
            let words = line.trim_ascii().strip_suffix(b";");
            let words = words.and_then(|words| words.strip_prefix(b"listen "));
            let mut words = words.unwrap_or_default().split(|byte| *byte == b' ');
            let socket = words.next().map(String::from_utf8_lossy);
            if let Some(socket) = socket
                && words.any(|word| word == b"quic")
            {
                sockets.insert(socket.into_owned());
            }
        }
    }
    for socket in sockets {
        text.say("server {\n    listen ").word(socket).say(
            " quic reuseport;\n    ssl_protocols TLSv1.3;\n    ssl_reject_handshake on;\n}\n\n",
        );
    }
}

/// nginx keeps server names in hashes; a name that does not fit into a bucket
/// makes it refuse the whole configuration (nginx manual, "Server names",
/// Optimization).
struct ServerNames {
    /// The length of the longest name in bytes.
    longest: usize,
    count: usize,
}

impl ServerNames {
    /// What nginx has room for when it is told nothing, on processors with
    /// cache lines of 64 bytes.
    const DEFAULT_BUCKET: usize = 64;

    fn of(tree: &RenderedTree) -> Self {
        let mut names = Self {
            longest: 0,
            count: 0,
        };
        for (_, file) in tree.files_under(names::VIRTUAL_HOSTS) {
            for line in file.contents.split(|byte| *byte == b'\n') {
                let line = line.trim_ascii();
                let Some(words) = line.strip_prefix(b"server_name ") else {
                    continue;
                };
                for word in words.split(|byte| b" ;".contains(byte)) {
                    names.longest = names.longest.max(word.len());
                    names.count += usize::from(!word.is_empty());
                }
            }
        }
        names
    }

    /// A name takes its length and two bytes, aligned, and two pointers
    /// (`src/core/ngx_hash.c`, `NGX_HASH_ELT_SIZE`).
    fn bucket(&self) -> usize {
        ((self.longest + 2).next_multiple_of(8) + 16)
            .max(Self::DEFAULT_BUCKET)
            .next_power_of_two()
    }

    /// For an `http` block of our own: large buckets, so that nginx finds a
    /// size for many names soon; they take the memory they need only.
    fn always(&self) -> String {
        // Above 10000 nginx always takes the largest size, however few names there are.
        let size = self.count.next_power_of_two().clamp(512, 10_000);
        let bucket = self.bucket().max(512);
        format!("server_names_hash_bucket_size {bucket};\nserver_names_hash_max_size {size};\n")
    }

    /// For the `http` block of somebody else, in which the directive may stand
    /// once: only when nginx would refuse the names without it.
    fn when_needed(&self) -> String {
        if self.bucket() > Self::DEFAULT_BUCKET {
            format!("server_names_hash_bucket_size {};\n", self.bucket())
        } else {
            String::new()
        }
    }
}
