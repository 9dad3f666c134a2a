//! The table of directives, against a real nginx.

use std::collections::BTreeSet;

use nxmesh_core::snippet::{SnippetContext, SnippetPolicy};

use super::configuration;
use crate::nginx::{Nginx, Verdict};

/// What older versions take in other blocks only.
const NEWER: [(&str, SnippetContext); 2] = [
    ("resolver", SnippetContext::Upstream),
    ("resolver_timeout", SnippetContext::Upstream),
];

#[test]
fn nginx_takes_every_directive_where_the_table_says() {
    let Some(nginx) = Nginx::find() else { return };
    let mut known = BTreeSet::new();
    let mut unknown = BTreeSet::new();
    for (index, (name, contexts)) in SnippetPolicy::built_in().enumerate() {
        assert!(!contexts.is_empty(), "{name}");
        // Most stand in three blocks; one of them will do.
        let some = if contexts.len() == 3 {
            let at = index % contexts.len();
            &contexts[at..=at]
        } else {
            &contexts[..]
        };
        for context in some {
            match nginx.test(&configuration(*context, &format!("{name};"))) {
                Verdict::Meaning(said) if said.starts_with("unknown directive") => {
                    unknown.insert(name);
                }
                Verdict::Meaning(said) if said.contains("is not allowed here") => {
                    let newer = NEWER.contains(&(name, *context));
                    assert!(newer, "{name} in {context}: {said}");
                }
                // Its arguments or its block are missing, but it may be there.
                Verdict::Meaning(_) | Verdict::Accepted => {
                    known.insert(name);
                }
                Verdict::Syntax(said) => panic!("{name} in {context}: {said}"),
            }
        }
    }
    eprintln!("not in this nginx: {unknown:?}");
    assert!(
        known.len() > 400,
        "only {} are known to this nginx",
        known.len()
    );
}

#[test]
fn every_directive_stands_once() {
    let names: Vec<&str> = SnippetPolicy::built_in().map(|(name, _)| name).collect();
    let once: BTreeSet<&&str> = names.iter().collect();
    assert_eq!(once.len(), names.len());
    for context in SnippetContext::ALL {
        assert!(
            SnippetPolicy::built_in().any(|(_, contexts)| contexts.contains(&context)),
            "nothing may stand in {context}"
        );
    }
}
