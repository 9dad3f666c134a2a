//! Renders resources into nginx files, with nothing else of NxMesh: no master,
//! no agent, no runtime.
//!
//! ```text
//! cargo run -p nxmesh-examples --example render_only                      # a sample, printed
//! cargo run -p nxmesh-examples --example render_only -- shop.yaml         # a file, printed
//! cargo run -p nxmesh-examples --example render_only -- shop.yaml out/    # written to a folder
//! ```

use std::{env, fs, path::Path};

use anyhow::{Context as _, Result, anyhow, bail};
use nxmesh_core::{
    check::check,
    contract::renderer::{RenderSettings, Renderer as _},
    document::{self, Problem},
};
use nxmesh_render::{
    HandlebarsRenderer,
    placement::{Placement, PlacementMode, entry, place},
};

const SAMPLE: &str = r#"
kind: VirtualHost
metadata: { name: shop }
spec:
  server_names: [shop.example.com]
  listen: [{ port: 80 }]
  locations:
    - { path: /, proxy: { upstream: shop-backend, websocket: true } }
    - { path: /static/, match: prefix_priority, static: { root: /srv/shop } }
    - { path: /ping, match: exact, respond: { status: 200, body: "it costs $5; \"really\"" } }
---
kind: Upstream
metadata: { name: shop-backend }
spec:
  balance: least_conn
  servers: [{ address: "10.0.0.11:8080", weight: 3 }, { address: "10.0.0.12:8080" }]
"#;

fn main() -> Result<()> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let (source, text, out) = match &arguments[..] {
        [] => ("the sample", SAMPLE.to_owned(), None),
        [file] => (file.as_str(), read(file)?, None),
        [file, out] => (file.as_str(), read(file)?, Some(Path::new(out))),
        _ => bail!("usage: render_only [RESOURCES.yaml [FOLDER]]"),
    };

    // Text becomes resources, or a list of what is wrong with it.
    let parsed = document::parse(source, &text).map_err(told)?;
    let resources = parsed.into_iter().map(|parsed| parsed.resource).collect();
    let checked = check(resources).map_err(told)?;

    // Resources become files.
    let settings = RenderSettings {
        nginx: "1.22.1".parse()?,
        ..RenderSettings::default()
    };
    let tree = HandlebarsRenderer::new().render(checked.resources(), &settings)?;
    let digest = tree.digest();

    // Beside them go those that know where the tree will lie.
    let folder = out.unwrap_or_else(|| Path::new("/var/lib/nxmesh/releases/1"));
    let release_dir = std::path::absolute(folder)?;
    let placement = Placement {
        release_dir: &release_dir,
        release_id: &digest.short(),
        probe_socket: Path::new("/run/nxmesh/probe.sock"),
        mode: PlacementMode::Include,
        settings: &settings,
    };
    let placed = place(&tree, &placement)?;
    let files = tree
        .files()
        .map(|(path, file)| (path, &file.contents[..]))
        .chain(
            placed
                .iter()
                .map(|(name, contents)| (name.as_str(), &contents[..])),
        );
    for (path, contents) in files {
        match out {
            Some(_) => write(&release_dir.join(path), contents)?,
            None => println!("# {path}\n{}", String::from_utf8_lossy(contents)),
        }
    }

    println!("# digest {digest}; to be put into the http block of nginx.conf:");
    print!("{}", entry(&placement));
    if tree.pem_files().len() > 0 {
        println!(
            "# {} certificate files are to be written to {} by whoever keeps the keys",
            tree.pem_files().len(),
            settings.tls_dir.display()
        );
    }
    Ok(())
}

fn read(file: &str) -> Result<String> {
    fs::read_to_string(file).with_context(|| format!("could not read {file}"))
}

fn write(file: &Path, contents: &[u8]) -> Result<()> {
    if let Some(folder) = file.parent() {
        fs::create_dir_all(folder)
            .with_context(|| format!("could not make the folder {}", folder.display()))?;
    }
    fs::write(file, contents).with_context(|| format!("could not write {}", file.display()))
}

fn told(problems: Vec<Problem>) -> anyhow::Error {
    let lines: Vec<String> = problems.iter().map(Problem::to_string).collect();
    anyhow!(lines.join("\n"))
}
