//! Texts made to cost a reader time or memory, and large honest ones.

use super::sample;
use Verdict::{Accepted, AcceptedIfSmall, Refused};

/// What a reader says to a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// All of it is taken, whether it is one megabyte or ten.
    Accepted,
    /// All of it is taken; ten megabytes may be more than is read at once.
    AcceptedIfSmall,
    /// Some problem has this pointer, and this in its rule.
    Refused {
        /// JSON pointer; empty when the whole text is meant.
        pointer: &'static str,
        /// A part of the rule.
        rule: &'static str,
    },
}

/// A text by its name.
#[derive(Debug, Clone, Copy)]
pub struct HostileText {
    /// What it is.
    pub name: &'static str,
    /// What a reader says to it if it is one megabyte long.
    pub verdict: Verdict,
    make: fn(usize) -> Vec<u8>,
}

impl HostileText {
    /// The text, about so many bytes long.
    #[must_use]
    pub fn of(&self, bytes: usize) -> Vec<u8> {
        (self.make)(bytes)
    }
}

const SYNTAX: &str = "not well-formed";
const TOO_MUCH: &str = "has at most";

const fn refused(pointer: &'static str, rule: &'static str) -> Verdict {
    Refused { pointer, rule }
}

/// Every text there is.
pub const TEXTS: &[HostileText] = &[
    // Honest ones: as large as they get.
    text("virtual hosts of 1 KB, YAML", Accepted, |size| {
        up_to(size, |number| virtual_host(number, ""))
    }),
    text("virtual hosts of 1 KB, a list in JSON", Accepted, json_list),
    text("one upstream of many servers", AcceptedIfSmall, |size| {
        let head = "kind: Upstream\nmetadata: { name: big }\nspec:\n  servers:\n";
        let server = |number: usize| {
            let [a, b, c] = [number >> 16 & 255, number >> 8 & 255, number & 255];
            format!(
                "    - {{ address: \"10.{a}.{b}.{c}:8080\", weight: 3, max_fails: 3, fail_timeout: \
                 10s }} # one of them\n"
            )
        };
        [head.as_bytes(), &up_to(size, server)].concat()
    }),
    // Structure.
    text("many small nodes, flow", refused("", TOO_MUCH), |size| {
        around("[", "0,", "]", size)
    }),
    text("many small nodes, block", refused("", TOO_MUCH), |size| {
        around("", "- 0\n", "", size)
    }),
    text("many empty flow sequences", refused("", TOO_MUCH), |size| {
        around("[", "[],", "]", size)
    }),
    text("many empty flow mappings", refused("", TOO_MUCH), |size| {
        around("[", "{},", "]", size)
    }),
    text(
        "many keys, flow",
        refused("/kind", "a kind is one of"),
        |size| keyed(size, "{", ":,", "}"),
    ),
    text(
        "many keys, block",
        refused("/kind", "a kind is one of"),
        |size| keyed(size, "", ": 0\n", ""),
    ),
    text("deep [", refused("", TOO_MUCH), |size| {
        around("", "[", "", size)
    }),
    text("deep {", refused("", TOO_MUCH), |size| {
        around("", "{", "", size)
    }),
    text("deep {a:", refused("", TOO_MUCH), |size| {
        around("", "{a: ", "", size)
    }),
    text("deep -", refused("", TOO_MUCH), |size| {
        around("", "- ", "", size)
    }),
    text("deep ?", refused("", TOO_MUCH), |size| {
        around("", "? ", "", size)
    }),
    text("deep indentation", refused("", TOO_MUCH), |size| {
        let mut text = Vec::new();
        for depth in 0.. {
            text.extend(std::iter::repeat_n(b' ', depth));
            text.extend(b"a:\n");
            if text.len() >= size {
                break;
            }
        }
        text
    }),
    text("] without [", refused("", SYNTAX), |size| {
        around("", "]", "", size)
    }),
    // Documents.
    text("empty documents", refused("", TOO_MUCH), |size| {
        around("", "---\n", "", size)
    }),
    text("documents of one letter", refused("", TOO_MUCH), |size| {
        around("", "--- a\n", "", size)
    }),
    text(
        "documents with an error each",
        refused("/kind", "a kind is one of"),
        |size| {
            around(
                "",
                "kind: X\nmetadata: { name: a-name-of-some-length-as-there-are }\n---\n",
                "",
                size,
            )
        },
    ),
    text("empty items", refused("", TOO_MUCH), |size| {
        around("items: [", "null,", "]\n", size)
    }),
    text(
        "items with an error each",
        refused("/kind", "a kind is one of"),
        |size| {
            around(
                "items:\n",
                "- kind: X\n  metadata: { name: a-name-of-some-length-as-there-are }\n",
                "",
                size,
            )
        },
    ),
    // Scalars.
    text(
        "a giant plain scalar",
        refused("", "a document is a mapping"),
        |size| around("", "a", "", size),
    ),
    text(
        "a giant name",
        refused("/metadata/name", "a name"),
        |size| around("kind: Upstream\nmetadata: { name: \"", "a", "\" }\n", size),
    ),
    text(
        "a giant block scalar",
        refused("/spec/certificate", "PEM"),
        |size| {
            let head = "kind: Certificate\nmetadata: { name: a }\nspec:\n  private_key: a\n  certificate: |\n";
            around(head, "    a\n", "", size)
        },
    ),
    text(
        "a folded scalar of empty lines",
        refused("/kind", "a kind is one of"),
        |size| around("kind: >\n", "\n", " a\n", size),
    ),
    text(
        "a quoted scalar of lines",
        refused("/kind", "a kind is one of"),
        |size| around("kind: \"", "a\n ", "\"\n", size),
    ),
    text(
        "a quoted scalar of escapes",
        refused("/kind", "a kind is one of"),
        |size| around("kind: \"", "\\u0041", "\"\n", size),
    ),
    text(
        "a plain scalar of lines",
        refused("/kind", "a kind is one of"),
        |size| around("kind: a\n", " a\n", "", size),
    ),
    text(
        "a giant number",
        refused("", "the value is not a finite number"),
        |size| {
            around(
                "kind: Upstream\nmetadata: { name: a }\nspec: { keepalive: ",
                "9",
                " }\n",
                size,
            )
        },
    ),
    text(
        "many giant exponents",
        refused("", "the value is not a finite number"),
        |size| around("[", "1e999999999,", "]", size),
    ),
    // Keys.
    text(
        "a giant key",
        refused("", "mapping values are not allowed"),
        |size| around("", "a", ": b\n", size),
    ),
    text(
        "a giant explicit key",
        refused("/kind", "a kind is one of"),
        |size| around("? \"", "a", "\"\n: b\n", size),
    ),
    text(
        "unknown fields",
        refused("/spec/f0000000", "there is no such field"),
        |size| {
            let head = "kind: Upstream\nmetadata: { name: a }\nspec:\n";
            let field = |number: usize| {
                format!(
                    "  f{number:07}: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\n"
                )
            };
            [head.as_bytes(), &up_to(size, field)].concat()
        },
    ),
    text("one key many times", refused("", SYNTAX), |size| {
        around("", "kind: Upstream\n", "", size)
    }),
    // What YAML can refer to.
    text("an alias bomb", refused("", TOO_MUCH), |size| {
        let mut text = b"a0: &a0 [x,x,x,x,x,x,x,x,x,x]\n".to_vec();
        for level in 1.. {
            let below = format!("*a{}", level - 1);
            let aliases = [&*below; 10].join(",");
            text.extend(
                format!(
                    "a{level}: &a{level} [{aliases}]
"
                )
                .bytes(),
            );
            if text.len() >= size {
                break;
            }
        }
        text
    }),
    text(
        "many aliases of a large anchor",
        refused("", TOO_MUCH),
        |size| {
            let anchor = around("a: &a [", "x,", "]\nb: [", size / 2);
            [&*anchor, &around("", "*a,", "]\n", size / 2)].concat()
        },
    ),
    text("anchors within anchors", refused("", TOO_MUCH), |size| {
        up_to(size, |number| match number {
            0 => "&a0 [".to_owned(),
            1..60 => format!("&a{number} ["),
            _ => "x,".to_owned(),
        })
    }),
    text("many anchors", refused("", TOO_MUCH), |size| {
        up_to(size, |number| format!("- &a{number} x\n"))
    }),
    text("merge keys", refused("", TOO_MUCH), |size| {
        let anchor = keyed(size / 20, "base: &a {", ":,", "}\n");
        let rest = up_to(size - size / 20, |number| format!("m{number}:\n  <<: *a\n"));
        [anchor, rest].concat()
    }),
    text("tags", refused("", SYNTAX), |size| {
        around("- ", "!a ", "", size)
    }),
    text(
        "a giant tag",
        refused("", "a document is a mapping"),
        |size| around("!", "a", " b", size),
    ),
    text("directives", refused("", SYNTAX), |size| {
        up_to(size, |number| {
            format!("%TAG !t{number}! tag:example,2000:\n")
        })
    }),
    // Nothing but room.
    text("spaces", refused("", "no document"), |size| {
        around("", " ", "\n", size)
    }),
    text("empty lines", refused("", "no document"), |size| {
        around("", "\n", "", size)
    }),
    text("comments", refused("", "no document"), |size| {
        around("", "#\n", "", size)
    }),
    text("carriage returns", refused("", "no document"), |size| {
        around("", "\r", "", size)
    }),
    text("tabs", refused("/kind", "a kind is one of"), |size| {
        around("a:", "\t", "b\n", size)
    }),
    // Bytes.
    text("invalid UTF-8 at the end", refused("", "UTF-8"), |size| {
        [up_to(size, |number| virtual_host(number, "")), vec![0xff]].concat()
    }),
    text("NUL", refused("", "unexpected character"), |size| {
        around("", "\0", "", size)
    }),
    text("UTF-16", refused("", "UTF-8"), |size| {
        let text = up_to(size / 2, |number| virtual_host(number, ""));
        let wide = text.iter().flat_map(|byte| [*byte, 0]);
        [0xff, 0xfe].into_iter().chain(wide).collect()
    }),
    text("a byte order mark, then virtual hosts", Accepted, |size| {
        let hosts = up_to(size, |number| virtual_host(number, ""));
        ["\u{feff}".as_bytes(), &hosts].concat()
    }),
    // What is well-formed and typed, and costs the rules behind.
    text("one virtual host of many names", Accepted, |size| {
        let head = "kind: VirtualHost\nmetadata: { name: big }\nspec:\n  server_names:\n";
        let name = |number: usize| {
            format!(
                "    - n{number:06}.a-name-of-some-length-as-there-are.in-some-domain.example.com\n"
            )
        };
        [head.as_bytes(), &up_to(size, name)].concat()
    }),
    text(
        "one virtual host of many locations",
        AcceptedIfSmall,
        |size| {
            let head = "kind: VirtualHost\nmetadata: { name: big }\nspec:\n  server_names: [a]\n  locations:\n";
            let location = |number: usize| {
                format!(
                    "    - path: /{number:07}\n      respond: {{ status: 200, body: \"{}\" }}\n",
                    "x".repeat(60)
                )
            };
            [head.as_bytes(), &up_to(size, location)].concat()
        },
    ),
    text(
        "patterns that grow beyond what PCRE takes",
        refused("/spec/locations/0/path", "a pattern is valid PCRE"),
        |size| patterns(size, &"((((((\\\\w{1,30}){1,30}){1,30})))|".repeat(28)),
    ),
    text(
        "patterns that grow to what PCRE takes",
        AcceptedIfSmall,
        |size| patterns(size, "(((\\\\w|x){1,9}){1,9}){1,20}"),
    ),
    text(
        "one name, selectors that exclude each other by k and !k",
        AcceptedIfSmall,
        |size| {
            up_to(size, |number| {
                let mut selector = String::new();
                for bit in 0..24 {
                    let not = if number >> bit & 1 == 0 { "!" } else { "" };
                    selector.push_str(&format!("{not}k{bit},"));
                }
                format!(
                    "kind: VirtualHost\nmetadata: {{ name: h{number} }}\nspec: {{ server_names: [a.example], selector: \"{}\" }}\n---\n",
                    selector.trim_end_matches(',')
                )
            })
        },
    ),
    text(
        "one name, selectors that are hard to tell apart",
        refused("/spec/selector", "takes too long"),
        |size| {
            up_to(size, |number| {
                let bit = |bit: usize| match number >> bit & 1 {
                    0 => format!("k{bit:02} in (a,b)"),
                    _ => format!("k{bit:02} in (c,d)"),
                };
                let selector = (0..20).rev().map(bit).collect::<Vec<_>>().join(",");
                format!(
                    "kind: VirtualHost\nmetadata: {{ name: h{number} }}\nspec: {{ server_names: [a.example], selector: \"{selector}\" }}\n---\n"
                )
            })
        },
    ),
    text(
        "one name, selectors that exclude each other by value",
        AcceptedIfSmall,
        |size| {
            up_to(size, |number| {
                format!(
                    "kind: VirtualHost\nmetadata: {{ name: h{number} }}\nspec: {{ server_names: [a.example], listen: [{{ port: 80, default_server: true }}], selector: \"agent=a{number},env in (a,b,c)\" }}\n---\n"
                )
            })
        },
    ),
    text(
        "one name, for every agent",
        refused("/spec/server_names/0", "is claimed by"),
        |size| {
            up_to(size, |number| {
                format!(
                    "kind: VirtualHost\nmetadata: {{ name: h{number} }}\nspec: {{ server_names: [a.example], locations: [{{ path: /, respond: {{ status: 200 }} }}] }}\n---\n"
                )
            })
        },
    ),
    text("references to what is not there", AcceptedIfSmall, |size| {
        up_to(size, |number| {
            format!(
                "kind: VirtualHost\nmetadata: {{ name: h{number} }}\nspec: {{ server_names: [a{number}.example], locations: [{{ path: /, proxy: {{ upstream: u{number} }} }}] }}\n---\n"
            )
        })
    }),
    text(
        "certificates that are none",
        refused("/spec/certificate", "PEM"),
        |size| {
            let base64 = "A".repeat(60_000);
            up_to(size, |number| {
                format!(
                    "kind: Certificate\nmetadata: {{ name: c{number} }}\nspec:\n  private_key: a\n  certificate: |\n    -----BEGIN CERTIFICATE-----\n    {base64}\n    -----END CERTIFICATE-----\n---\n"
                )
            })
        },
    ),
    text(
        "one resource many times",
        refused("/metadata/name", "written once"),
        |size| up_to(size, |_| virtual_host(7, "")),
    ),
    text(
        "a long template that another includes again and again",
        refused("/spec/source", "too much together"),
        |size| {
            let tags = "{{#if keepalive}}{{/if}}".repeat(600);
            let text = template("upstream", &"{{> balancing}}".repeat(1000))
                + &template("balancing", &tags);
            around(&text, "# nothing\n", "", size)
        },
    ),
    text(
        "a template of one long text",
        refused("/spec/source", "16 KiB at most"),
        |size| template("upstream", &"x".repeat(size)).into_bytes(),
    ),
];

/// A template called `name` that says `source`.
fn template(name: &str, source: &str) -> String {
    format!("kind: Template\nmetadata: {{ name: {name} }}\nspec: {{ source: \"{source}\" }}\n---\n")
}

const fn text(name: &'static str, verdict: Verdict, make: fn(usize) -> Vec<u8>) -> HostileText {
    HostileText {
        name,
        verdict,
        make,
    }
}

/// `unit` again and again, between `head` and `tail`.
fn around(head: &str, unit: &str, tail: &str, size: usize) -> Vec<u8> {
    let times = size.saturating_sub(head.len() + tail.len()) / unit.len();
    [head, &unit.repeat(times), tail].concat().into_bytes()
}

/// What `part` makes of 0, 1 and so on, as many as fit.
fn up_to(size: usize, part: impl Fn(usize) -> String) -> Vec<u8> {
    let mut text = Vec::new();
    for number in 0.. {
        let part = part(number);
        if text.len() + part.len() > size {
            break;
        }
        text.extend_from_slice(part.as_bytes());
    }
    text
}

/// A virtual host of locations with a pattern each.
fn patterns(size: usize, pattern: &str) -> Vec<u8> {
    let head =
        "kind: VirtualHost\nmetadata: { name: big }\nspec:\n  server_names: [a]\n  locations:\n";
    let location = |number: usize| {
        format!(
            "    - {{ path: \"{pattern}{number}\", match: regex, respond: {{ status: 200 }} }}\n"
        )
    };
    [head.as_bytes(), &up_to(size, location)].concat()
}

/// A mapping with as many short keys as fit.
fn keyed(size: usize, head: &str, after: &str, tail: &str) -> Vec<u8> {
    let keys = up_to(size, |number| format!("{number:x}{after}"));
    [head.as_bytes(), &keys, tail.as_bytes()].concat()
}

/// A virtual host as people write them, with its own names, one kilobyte long.
fn virtual_host(number: usize, selector: &str) -> String {
    format!(
        "kind: VirtualHost
metadata:
  name: site-{number:05}
  labels: {{ team: web, stage: live }}
spec:
  selector: \"{selector}\"
  server_names:
    - site-{number:05}.example.com
    - www.site-{number:05}.example.com
  listen:
    - port: 80
  locations:
    # The application.
    - path: /
      respond:
        status: 200
        body: \"one of the sites there are: number {number}\"
        content_type: text/plain
    - path: /static/
      match: prefix_priority
      static:
        root: /srv/site-{number:05}/static
        index: [index.html, index.htm]
    - path: /old/
      redirect:
        to: \"https://www.site-{number:05}.example.com/new/\"
        code: 308
    - path: /ping
      match: exact
      respond: {{ status: 200, body: pong, content_type: text/plain }}
  response_headers:
    - name: X-Frame-Options
      value: DENY
      always: true
    - name: Referrer-Policy
      value: strict-origin-when-cross-origin
  max_body_size: 10m
---
"
    )
}

/// What the API answers, as a program writes it.
fn json_list(size: usize) -> Vec<u8> {
    let mut text = b"{\"items\":[".to_vec();
    for number in 0.. {
        let mut host = sample::virtual_host(&format!("site-{number:05}"));
        host.spec.locations.remove(0);
        let document = crate::model::Resource::from(host).to_canonical_json();
        if text.len() + document.len() + 3 > size {
            break;
        }
        if number > 0 {
            text.push(b',');
        }
        text.extend_from_slice(&document);
    }
    text.extend_from_slice(b"]}");
    text
}
