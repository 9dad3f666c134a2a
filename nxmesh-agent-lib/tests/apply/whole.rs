//! What stands outside of the block `http`.

use std::{fs, os::unix::fs::symlink, path::Path, time::Duration};

use nxmesh_agent_lib::{
    apply::{ApplyOptions, Mode, code},
    nginx::{Layout, NginxBuild},
    testkit::{RealNginx, free_port, nginx_binary},
};
use tokio::{
    io::AsyncReadExt as _,
    net::{TcpListener, TcpStream},
};

use crate::site::{Site, applied, eventually, rejected};

/// The folder of modules that can be loaded, and whether streams are one of them.
async fn modules() -> (std::path::PathBuf, bool) {
    let build = NginxBuild::ask(&nginx_binary().unwrap(), Duration::from_secs(10))
        .await
        .unwrap();
    let folder = build.prefix.join("modules");
    let streams = folder.join("ngx_stream_module.so").exists();
    (folder, streams)
}

fn load_streams(site: &mut Site, modules: &Path) {
    let file = site.folder.path().join("modules.conf");
    let module = modules.join("ngx_stream_module.so");
    fs::write(&file, format!("load_module {};", module.display())).unwrap();
    if let Mode::Full(options) = &mut site.options.mode {
        options.modules_include = Some(file);
    }
}

fn stream(port: u16, to: u16) -> String {
    format!(
        "---\nkind: StreamServer\nmetadata: {{ name: db }}\nspec: {{ listen: [{{ port: {port}, \
         address: 127.0.0.1 }}], pass: db }}\n---\nkind: Upstream\nmetadata: {{ name: db }}\n\
         spec: {{ servers: [{{ address: \"127.0.0.1:{to}\" }}] }}\n"
    )
}

/// Says `text` to everybody.
async fn backend(text: &'static str) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let said = tokio::io::AsyncWriteExt::write_all(&mut stream, text.as_bytes()).await;
            drop(said);
        }
    });
    port
}

async fn hear(port: u16) -> String {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).await.unwrap();
    text
}

#[tokio::test]
async fn streams_and_the_number_of_workers_are_applied() {
    let mut site = Site::new();
    let (modules, streams) = modules().await;
    if streams {
        load_streams(&mut site, &modules);
    }
    let mut pipeline = site.up().await;
    let settings = |count: u16| {
        format!(
            "---\nkind: NginxSettings\nmetadata: {{ name: small }}\n\
             spec: {{ worker_processes: {{ count: {count} }}, worker_connections: 64 }}\n"
        )
    };
    let port = free_port();
    let mut revision = 0;
    for (text, workers) in [("one", 1), ("two", 3)] {
        revision += 1;
        let documents = site.host("shop", text) + &stream(port, backend(text).await);
        applied(&mut pipeline, revision, &(documents + &settings(workers))).await;
        assert_eq!(site.get("shop").await, format!("200 {text}"));
        assert_eq!(hear(port).await, text);
        let seen = pipeline.observe().await.generation.unwrap();
        assert_eq!(seen.workers.len(), usize::from(workers));
    }
    applied(&mut pipeline, 3, &site.host("shop", "three")).await;
    // Old workers may take connections for a moment more.
    eventually("the stream is gone", || {
        std::net::TcpStream::connect(("127.0.0.1", port)).is_err()
    })
    .await;
}

#[tokio::test]
async fn in_the_block_of_others_it_is_refused_by_name() {
    let nginx = RealNginx::new();
    let layout = Layout::new(nginx.dir().join("s"), nginx.dir().join("r"));
    fs::create_dir_all(layout.state_dir()).unwrap();
    let mode = Mode::Include {
        nginx_conf: nginx.conf(),
    };
    let options = ApplyOptions::new(layout, mode);
    let include = format!(
        "include {};\n{}",
        options.entry().display(),
        nginx.server("theirs")
    );
    nginx.set_conf(&nginx.conf_with("", &include));
    let site = Site {
        folder: tempfile::tempdir().unwrap(),
        options,
        port: free_port(),
    };
    let mut pipeline = site.up().await;
    let failure = rejected(&mut pipeline, 1, &stream(free_port(), 1)).await;
    assert_eq!(failure.code, code::RENDER);
    assert_eq!(failure.resource.unwrap().to_string(), "StreamServer/db");
    assert!(failure.message.contains("mode full"), "{}", failure.message);
    assert_eq!(nginx.get().await.unwrap(), "theirs");
}

/// Debian's `nginx.conf` loads modules by paths that count from the prefix.
#[tokio::test]
async fn modules_of_the_users_nginx_are_found_by_a_check() {
    let (modules, there) = modules().await;
    if !there {
        eprintln!("skipped: this nginx has no modules to load");
        return;
    }
    let nginx = RealNginx::new();
    symlink(&modules, nginx.dir().join("modules")).unwrap();
    let layout = Layout::new(nginx.dir().join("s"), nginx.dir().join("r"));
    fs::create_dir_all(layout.state_dir()).unwrap();
    let mode = Mode::Include {
        nginx_conf: nginx.conf(),
    };
    let mut options = ApplyOptions::new(layout, mode);
    options.nginx_prefix = Some(nginx.dir().to_owned());
    let include = format!("include {};", options.entry().display());
    let load = "load_module modules/ngx_stream_module.so;\n";
    nginx.set_conf(&nginx.conf_with(load, &include));
    let site = Site {
        folder: tempfile::tempdir().unwrap(),
        options,
        port: free_port(),
    };
    let mut pipeline = site.up().await;
    applied(&mut pipeline, 1, &site.host("shop", "one")).await;
    assert_eq!(site.get("shop").await, "200 one");
}
