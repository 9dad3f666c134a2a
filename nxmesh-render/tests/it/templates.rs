//! Templates of users: what they can say, and how mistakes are told.

use std::collections::BTreeSet;

use nxmesh_core::{
    contract::renderer::{RenderError, RenderSettings, Renderer as _},
    model::{Resource, ResourceSet},
    testkit::sample,
};
use nxmesh_render::HandlebarsRenderer;
use proptest::prelude::*;
use serde_json::json;

fn render(templates: &[(&str, &str)]) -> String {
    let renderer = HandlebarsRenderer::with_templates(templates.iter().copied())
        .unwrap_or_else(|error| panic!("{error}"));
    let set: ResourceSet = [
        Resource::from(sample::virtual_host("shop")),
        sample::upstream("shop").into(),
    ]
    .into_iter()
    .collect();
    let tree = renderer
        .render(&set, &RenderSettings::default())
        .unwrap_or_else(|error| panic!("{error}"));
    let (_, file) = tree.files_under("virtual-hosts/").next().expect("a file");
    String::from_utf8(file.contents.to_vec()).expect("text")
}

#[test]
fn a_template_is_overridden_by_name() {
    let text = render(&[("location", "location {{path}} { return 403; }\n")]);
    assert!(text.contains("    location / { return 403; }\n"), "{text}");
    assert!(!text.contains("proxy_pass"), "{text}");
}

#[test]
fn own_templates_are_included_and_indented() {
    let text = render(&[
        ("location", "location {{path}} {\n    {{> mine}}\n}\n"),
        (
            "mine",
            "{{#if proxy}}\nset $one 1;\n\nset $two 2;\n{{else}}\nreturn 404;\n{{/if}}\n",
        ),
    ]);
    let proxied = "    location / {\n        set $one 1;\n\n        set $two 2;\n    }\n";
    assert!(text.contains(proxied), "{text}");
    assert!(
        text.contains("    location /static/ {\n        return 404;\n    }\n"),
        "{text}"
    );
}

#[test]
fn lists_flags_and_records_are_walked() {
    let text = render(&[(
        "virtual-host",
        "{{! nothing }}names{{#each server_names}} {{#if @first}}first={{else}}other={{/if}}{{this}}{{#if @last}} last{{/if}}{{/each}};
{{#each locations}}
{{#unless modifier}}plain{{else}}with {{modifier}}{{/unless}} {{#with proxy}}to {{scheme}} for {{../path}}{{else}}no proxy {{#each ../servers}}{{#each listens}} {{address}} of {{#each ../../../server_names}}{{#unless @first}} {{this}}{{/unless}}{{/each}}{{/each}}{{/each}}{{/with}};
{{else}}
never;
{{/each}}
",
    )]);
    assert_eq!(
        text,
        "names first=shop.example.com other=www.shop.example.com last;
plain to http for /;
with ^~ no proxy  80 of  www.shop.example.com [::]:80 of  www.shop.example.com;
"
    );
}

#[track_caller]
fn refused(name: &str, source: &str, at: (usize, usize), words: &str) {
    match HandlebarsRenderer::with_templates([(name, source)]) {
        Err(RenderError::Template {
            template,
            line,
            column,
            reason,
        }) => {
            assert_eq!(
                (template.as_str(), (line, column)),
                (name, at),
                "{reason} in {source:?}"
            );
            assert!(reason.contains(words), "{reason}");
        }
        Err(other) => panic!("{source:?}: {other}"),
        Ok(_) => panic!("{source:?} was accepted"),
    }
}

#[test]
fn mistakes_are_told_with_their_place() {
    let host = "virtual-host";
    refused(
        host,
        "server {\n  {{names}}\n}",
        (2, 3),
        "no field \"names\"; it has zones, ",
    );
    refused(
        host,
        "{{#each servers}}\n{{address}}{{/each}}",
        (2, 1),
        "no field \"address\"",
    );
    refused(host, "{{#if leads}}{{/if}}", (1, 1), "no field \"leads\"");
    refused(host, "\n {{servers}}", (2, 2), "enter it with {{#each}}");
    refused(host, "{{matches_all}}", (1, 1), "ask it with {{#if}}");
    refused(
        host,
        "{{#each servers}}{{tls}}{{/each}}",
        (1, 18),
        "enter it with {{#with}}",
    );
    refused(
        host,
        "{{max_body_size}}",
        (1, 1),
        "inside {{#if max_body_size}}",
    );
    refused(
        host,
        "{{#if max_body_size}}{{else}}{{max_body_size}}{{/if}}",
        (1, 30),
        "inside {{#if max_body_size}}",
    );
    refused(host, "{{#with servers}}{{/with}}", (1, 1), "not a record");
    refused(host, "{{#each matches_all}}{{/each}}", (1, 1), "not a list");
    refused(
        host,
        "{{upper server_names}}",
        (1, 1),
        "no helper \"upper\"",
    );
    refused(
        host,
        "{{#repeat servers}}{{/repeat}}",
        (1, 1),
        "no block \"repeat\"",
    );
    refused(
        host,
        "{{#each servers as |s|}}{{/each}}",
        (1, 1),
        "the name of one field",
    );
    refused(
        host,
        "{{#if servers headers}}{{/if}}",
        (1, 1),
        "the name of one field",
    );
    refused(
        host,
        "{{#if @first}}{{/if}}",
        (1, 1),
        "not inside {{#each}}",
    );
    refused(
        host,
        "{{#each servers}}{{#if @odd}}{{/if}}{{/each}}",
        (1, 18),
        "@first and @last",
    );
    refused(host, "{{../servers}}", (1, 1), "leads out");
    refused(host, "{{servers.listens}}", (1, 1), "several steps");
    refused(host, "{{> missing}}", (1, 1), "no template \"missing\"");
    refused(host, "{{> virtual-host}}", (1, 1), "includes itself");
    refused(host, "{{> headers x=1}}", (1, 1), "no parameters");
    refused(host, "a\n{{{server_names}}}", (2, 1), "quoted");
    refused(host, "{{& server_names}}", (1, 1), "quoted");
    refused(
        host,
        "{{#> headers}}{{/headers}}",
        (1, 1),
        "not part of the language",
    );
    refused(host, "{{* inline}}", (1, 1), "not part of the language");
    refused(host, "{{{{raw}}}}x{{{{/raw}}}}", (1, 1), "quoted");
    refused(host, "{{#if (servers)}}{{/if}}", (1, 1), "names only");
    refused(host, "{{#each servers}}\n{{/if}}", (2, 1), "is closing");
    refused(host, "  {{#each servers}}\n", (2, 1), "");
    refused(host, "", (1, 1), "empty");
    refused("unheard-of", "x", (1, 1), "no template includes this one");
    // In a template that is indented where it is included.
    refused("tls", "a;\n{{curves}} {{kee}}", (2, 12), "no field \"kee\"");
}

#[test]
fn templates_that_grow_without_bound_are_refused() {
    let doubling: Vec<(String, String)> = (0..40)
        .map(|level| {
            let next = format!("{{{{> level-{}}}}}", level + 1);
            (format!("level-{level}"), format!("{next}{next}"))
        })
        .chain([
            ("level-40".to_owned(), "x".to_owned()),
            ("upstream".to_owned(), "{{> level-0}}".to_owned()),
        ])
        .collect();
    let error = HandlebarsRenderer::with_templates(doubling).unwrap_err();
    assert!(error.to_string().contains("steps together"), "{error}");

    // Each list is gone through twice, as it changes what a character means.
    let lists = 30;
    let open: String = (0..lists)
        .map(|depth| format!("x{{{{#each {}servers}}}}", "../".repeat(depth)))
        .collect();
    let nested = format!("{open}x{}", "{{/each}}".repeat(lists));
    let error = HandlebarsRenderer::with_templates([("virtual-host", nested)]).unwrap_err();
    assert!(error.to_string().contains("depends on too much"), "{error}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn any_text_compiles_or_is_refused(parts in prop::collection::vec(prop::sample::select(vec![
        "{{", "}}", "{{#if ", "{{#each ", "{{/if}}", "{{/each}}", "{{else}}", "{{else if ", "{{^}}", "{{~", "~}}",
        "{{! ", "{{!-- ", "--}}", "{{> ", "{{#> ", "{{* ", "{{#* ", "{{/", "\\", "\\{{", "\n", " ", "\t", "\r\n",
        "servers", "listens", "server_names", "this", "../", "./", "@first", "@root", ".", "/", "as |x|", "x=1",
        "1", "null", "true", "-", "$", "é", "{", "}", "headers", "missing",
    ]), 0..24)) {
        let source = parts.concat();
        if let Ok(renderer) = HandlebarsRenderer::with_templates([("virtual-host", source)]) {
            let set = ResourceSet::from_iter([
                Resource::from(sample::virtual_host("shop")),
                sample::upstream("shop").into(),
            ]);
            match renderer.render(&set, &RenderSettings::default()) {
                Ok(_) | Err(RenderError::Structure { .. }) => {}
                Err(other) => prop_assert!(false, "{}", other),
            }
        }
    }
}

/// What a value may do to the file, through templates that do not leave it whole.
#[test]
fn a_template_that_splits_a_value_cannot_let_it_out() {
    let render = |location: &str, value: &str| {
        let renderer = HandlebarsRenderer::with_templates([("location", location)]).unwrap();
        let mut host = sample::virtual_host("shop");
        host.spec.locations.truncate(1);
        host.spec.locations[0].traffic.to_mut().response_headers =
            serde_json::from_value(json!([{ "name": "X-A", "value": value }])).unwrap();
        let set = ResourceSet::from_iter([Resource::from(host), sample::upstream("shop").into()]);
        renderer.render(&set, &RenderSettings::default()).map(drop)
    };
    let whole = "location {{path}} { {{#with own_headers}}{{#each headers}}add_header {{name}} {{value}};{{/each}}{{/with}} }\n";
    for value in ["x", "\"; } evil on; {", "; evil on;", "x\\"] {
        render(whole, value).unwrap_or_else(|error| panic!("{value}: {error}"));
    }
    for (template, sound, hostile) in [
        ("add_header {{name}} a-{{value}};", "x", "; evil on; x"),
        ("add_header {{name}} \"a {{value}}\";", "x", " ; evil on; "),
        ("add_header {{name}} '{{value}}';", "x", "'; evil on; '"),
        ("add_header {{name}} ~{{value}};", "x", "{ }"),
    ] {
        let location = format!(
            "location {{{{path}}}} {{ {{{{#with own_headers}}}}{{{{#each headers}}}} {template} {{{{/each}}}}{{{{/with}}}} }}\n"
        );
        render(&location, sound).unwrap_or_else(|error| panic!("{template}: {error}"));
        match render(&location, hostile) {
            Err(RenderError::Structure { resource, .. }) => {
                assert_eq!(resource.to_string(), "VirtualHost/shop");
            }
            other => panic!("{template} with {hostile:?}: {other:?}"),
        }
    }
}

#[test]
fn what_is_not_configuration_is_told_with_its_place() {
    let within = |line: &str| {
        format!(
            "location {{{{path}}}} {{ {{{{#with own_headers}}}}\n{{{{#each headers}}}}\n  {line}\n{{{{/each}}}}\n{{{{/with}}}} }}\n"
        )
    };
    for (line, at, words) in [
        ("{{value}} on;", (3, 3), "not the name of a directive"),
        ("x_{{value}} on;", (3, 5), "not the name of a directive"),
        ("# {{value}}", (3, 5), "in a comment"),
        ("a ${{value}};", (3, 6), "name of a variable"),
        ("a \"$ {{value}}\" \"${ {{value}}\";", (3, 0), ""),
        ("a_by_lua_block { {{value}} }", (3, 20), "in code"),
        ("a 'b'{{value}};", (3, 8), "after a closing quote"),
        ("a 'b'c;", (3, 8), "after a closing quote"),
        ("add_header A {{value}}", (5, 11), "before '}' ends"),
        ("a {{value}} }", (3, 15), "before '}' ends with ';'"),
        ("return 200 \";", (3, 3), "a quote that is opened"),
        ("};", (3, 3), "in the same"),
        ("a; } location /b {", (3, 6), "in the same"),
        ("location /b {", (3, 15), "in the same"),
        (
            "{{#if always}}location /b { {{/if}} a; {{#if always}} } {{/if}}",
            (3, 29),
            "in the same",
        ),
        (";", (3, 3), "begins with its name"),
        ("map $a $b { {{value}} { } }", (3, 25), "no blocks in it"),
    ] {
        if words.is_empty() {
            // A dollar and a value with something between them.
            HandlebarsRenderer::with_templates([("location", within(line))]).unwrap();
        } else {
            refused("location", &within(line), at, words);
        }
    }
    refused(
        "location",
        "location {{path}} {\n  return 200;\n",
        (1, 19),
        "in the same",
    );
    refused(
        "location",
        "location {{path}} {\n  return 200;\n} }\n",
        (3, 3),
        "in the same",
    );
    refused(
        "virtual-host",
        "server {\n  {{#each locations}}\n  {{/each}}\n",
        (1, 8),
        "is opened is closed",
    );
    refused("virtual-host", "server {\n}\n}\n", (3, 1), "closes a block");
    refused(
        "virtual-host",
        "server {\n}\nlisten 80",
        (3, 1),
        "ends with ';'",
    );
    // Code of Lua is Lua's.
    let lua =
        "location {{path}} { content_by_lua_block { a = '}' if b then { c() } end -- }\n } }\n";
    render(&[("location", lua)]);
    // Names and ends of words that depend on conditions.
    render(&[(
        "location",
        "location {{#if modifier}}{{modifier}} {{/if}}{{path}} { {{#if proxy}}gzip{{else}}expires{{/if}} on{{#if proxy}}; # {{else}} ; {{/if}}\n{{! }}}\n",
    )]);
}

fn with_template(name: &str, source: &str) -> ResourceSet {
    let template = sample::resource(json!({
        "kind": "Template", "metadata": { "name": name }, "spec": { "source": source },
    }));
    let mut set = sample::fleet(3);
    set.insert(template);
    set
}

#[test]
fn template_resources_replace_built_in_ones_for_their_set() {
    let renderer = HandlebarsRenderer::new();
    let settings = RenderSettings::default();
    let render = |set: &ResourceSet| renderer.render(set, &settings);
    let text = |set: &ResourceSet| {
        let tree = render(set).unwrap_or_else(|error| panic!("{error}"));
        let files = tree
            .files()
            .map(|(_, file)| String::from_utf8_lossy(&file.contents).into_owned());
        files.collect::<String>()
    };
    let plain = sample::fleet(3);
    let before = text(&plain);
    let own = with_template(
        "upstream",
        "upstream {{name}} {\n{{#each servers}}\n    server {{address}} max_fails=7;\n{{/each}}\n}\n",
    );
    assert_eq!(text(&own).matches("max_fails=7").count(), 9);
    assert_eq!(
        text(&plain),
        before,
        "what was compiled for one set is not another's"
    );
    let other = with_template("headers", "add_header X-Template yes;");
    assert!(!text(&other).contains("max_fails=7"));

    // The change of a template is a change of everything it shapes.
    let changed = BTreeSet::from(["Template/upstream".parse().expect("a key")]);
    let again = |previous: &ResourceSet, now: &ResourceSet| {
        let previous = render(previous).unwrap_or_else(|error| panic!("{error}"));
        let again = renderer.rerender(previous, now, &changed, &settings);
        again.unwrap_or_else(|error| panic!("{error}"))
    };
    assert_eq!(
        again(&plain, &own),
        render(&own).unwrap_or_else(|error| panic!("{error}"))
    );
    assert_eq!(
        again(&own, &plain),
        render(&plain).unwrap_or_else(|error| panic!("{error}"))
    );
}

#[test]
fn a_template_resource_that_is_wrong_is_told_with_its_place() {
    for (name, source, at) in [
        ("upstream", "upstream {{name}} {\n  {{nothing}}\n}", (2, 3)),
        ("nobodys", "x on;", (1, 1)),
    ] {
        let error = HandlebarsRenderer::new()
            .render(&with_template(name, source), &RenderSettings::default())
            .map(drop);
        match error {
            Err(RenderError::Template {
                template,
                line,
                column,
                ..
            }) => {
                assert_eq!((template.as_str(), (line, column)), (name, at));
            }
            other => panic!("{other:?}"),
        }
    }
}
