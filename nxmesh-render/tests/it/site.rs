//! Virtual hosts that a real nginx is asked for.

use nxmesh_core::{check::check, document::parse, model::ResourceSet};

use crate::nginx::{Answer, Nginx, Staged, binary, get, get_with};

/// The documents of `text`, checked together.
pub(crate) fn resources(text: &str) -> ResourceSet {
    let parsed = parse("test", text).unwrap_or_else(|problems| panic!("{}", problems[0]));
    let set = parsed.into_iter().map(|parsed| parsed.resource).collect();
    let checked = check(set).unwrap_or_else(|problems| panic!("{}", problems[0]));
    checked.into_resources()
}

/// A host `NAME.test` on `port` with `spec`, which is indented by two.
pub(crate) fn host(name: &str, port: u16, spec: &str) -> String {
    format!(
        "---\nkind: VirtualHost\nmetadata: {{ name: {name} }}\nspec:\n  server_names: [{name}.test]\n  \
         listen: [{{ port: {port}, address: 127.0.0.1 }}]\n{spec}\n"
    )
}

/// An upstream of servers on ports of this machine.
pub(crate) fn upstream(name: &str, ports: &[u16]) -> String {
    let servers: Vec<String> = ports
        .iter()
        .map(|port| format!("{{ address: \"127.0.0.1:{port}\" }}"))
        .collect();
    format!(
        "---\nkind: Upstream\nmetadata: {{ name: {name} }}\nspec: {{ servers: [{}] }}\n",
        servers.join(", ")
    )
}

/// The host `site.test` on `port`, and other documents beside it.
pub(crate) fn site(port: u16, spec: &str, others: &str) -> ResourceSet {
    resources(&format!("{}---\n{others}", host("site", port, spec)))
}

/// nginx with these documents; `None` if there is no nginx.
pub(crate) fn serving(documents: &[String]) -> Option<Nginx> {
    serving_set(&resources(&documents.concat()))
}

/// The same with resources.
pub(crate) fn serving_set(resources: &ResourceSet) -> Option<Nginx> {
    let staged = Staged::new(binary()?, resources);
    staged.assert_accepted("the site");
    Some(staged.start())
}

/// The status with which `site.test` answers.
pub(crate) fn status(port: u16, path: &str) -> u16 {
    ask(port, path).status
}

/// Asks `site.test`.
pub(crate) fn ask(port: u16, path: &str) -> Answer {
    get(port, "site.test", path.as_bytes())
}

/// The same with headers, each with its line break.
pub(crate) fn ask_with(port: u16, path: &str, headers: &str) -> Answer {
    get_with(port, "site.test", path.as_bytes(), headers)
}

/// The body as text.
pub(crate) fn body(answer: &Answer) -> String {
    String::from_utf8_lossy(&answer.body).into_owned()
}

/// The value of a header as text.
pub(crate) fn header(answer: &Answer, name: &str) -> Option<String> {
    let value = answer.header(name)?;
    Some(String::from_utf8_lossy(value).into_owned())
}
