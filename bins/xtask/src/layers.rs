//! Checks who depends on whom.
//!
//! The language of the system (`nxmesh-core`, `nxmesh-render`) must be usable without a runtime, a
//! socket or a database, and master and agent must not see each other. cargo itself would accept
//! any edge, so this reads `cargo tree` and refuses the forbidden ones, direct or not.

use anyhow::{Context, Result, bail, ensure};

use crate::workspace;

/// What a crate must not depend on.
struct Layer {
    package: &'static str,
    forbidden: &'static [&'static str],
}

/// Each is looked at with all its features, since any of them may be on.
const LAYERS: [Layer; 5] = [
    Layer {
        package: "nxmesh-core",
        forbidden: &[
            "tokio",
            "tonic",
            "axum",
            "hyper",
            "sea-orm",
            "redis",
            "nxmesh-render",
            "nxmesh-agent-lib",
            "nxmesh-master-lib",
        ],
    },
    Layer {
        package: "nxmesh-render",
        forbidden: &[
            "tokio",
            "tonic",
            "axum",
            "hyper",
            "sea-orm",
            "redis",
            "nxmesh-agent-lib",
            "nxmesh-master-lib",
        ],
    },
    Layer {
        package: "nxmesh-agent-lib",
        forbidden: &["axum", "sea-orm", "redis", "nxmesh-master-lib"],
    },
    Layer {
        package: "nxmesh-master-lib",
        forbidden: &["nxmesh-agent-lib"],
    },
    Layer {
        package: "nxmeshctl",
        forbidden: &["tonic", "sea-orm", "nxmesh-agent-lib", "nxmesh-master-lib"],
    },
];

pub(crate) fn run() -> Result<()> {
    let mut offences = Vec::new();
    for layer in LAYERS {
        let tree = dependency_tree(layer.package)?;
        let found = forbidden_paths(&tree, layer.forbidden)
            .with_context(|| format!("could not read the dependencies of {}", layer.package))?;
        let verdict = if found.is_empty() {
            "free of"
        } else {
            "NOT free of"
        };
        println!(
            "layers: {} is {verdict} {}",
            layer.package,
            layer.forbidden.join(", ")
        );
        offences.extend(found);
    }
    if !offences.is_empty() {
        bail!("forbidden dependencies:\n  {}", offences.join("\n  "));
    }
    Ok(())
}

fn dependency_tree(package: &str) -> Result<String> {
    let mut command = workspace::cargo()?;
    command.args([
        "tree",
        "--package",
        package,
        "--edges",
        "normal",
        "--all-features",
    ]);
    // A depth before each name lets the way to an offender be told.
    command.args(["--prefix", "depth", "--color", "never"]);
    workspace::capture(&mut command)
}

/// For each forbidden package in the tree the way that leads to it.
///
/// The tree has one package per line, `<depth><name> v<version> …`. A subtree that was printed
/// before is left out there, so each package is reported once.
fn forbidden_paths(tree: &str, forbidden: &[&str]) -> Result<Vec<String>> {
    let mut path: Vec<&str> = Vec::new();
    let mut offences: Vec<(&str, String)> = Vec::new();
    for line in tree.lines().filter(|line| !line.is_empty()) {
        let name_at = line
            .find(|c: char| !c.is_ascii_digit())
            .unwrap_or(line.len());
        let (depth, rest) = line.split_at(name_at);
        let depth: usize = depth
            .parse()
            .with_context(|| format!("no depth before `{line}`"))?;
        let name = rest.split_whitespace().next().unwrap_or_default();
        ensure!(depth <= path.len(), "a level is missing before `{line}`");
        path.truncate(depth);
        path.push(name);
        if forbidden.contains(&name) && offences.iter().all(|(known, _)| *known != name) {
            offences.push((name, path.join(" -> ")));
        }
    }
    ensure!(!path.is_empty(), "the dependency tree is empty");
    Ok(offences.into_iter().map(|(_, way)| way).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    const TREE: &str = "\
0nxmesh-core v0.1.0 (/somewhere/nxmesh-core)
1bytes v1.12.2
1prost v0.14.6
2bytes v1.12.2
2prost-derive v0.14.6 (proc-macro)
1futures-tokio v1.0.0
2tokio v1.54.1
3mio v1.2.5
1helper v0.3.0
2tokio v1.54.1 (*)
";

    #[test]
    fn an_indirect_offence_is_found_once_with_its_way() {
        let found = forbidden_paths(TREE, &["tokio", "axum"]).unwrap();
        assert_eq!(found, ["nxmesh-core -> futures-tokio -> tokio"]);
    }

    #[test]
    fn a_name_that_only_contains_a_forbidden_one_is_none() {
        assert!(
            forbidden_paths(TREE, &["futures", "prost-der", "1bytes"])
                .unwrap()
                .is_empty()
        );
    }

    #[test]
    fn a_tree_that_cannot_be_read_is_no_clean_tree() {
        assert!(forbidden_paths("", &["tokio"]).is_err());
        assert!(forbidden_paths("nxmesh-core v0.1.0\n", &["tokio"]).is_err());
        assert!(forbidden_paths("0nxmesh-core v0.1.0\n2tokio v1.54.1\n", &["tokio"]).is_err());
    }
}
