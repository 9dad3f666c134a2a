//! Free text that goes to clients.

use super::{fits_a_token, fits_lines, parsed_text};

parsed_text! {
    /// The value of a header field: any text without control characters.
    HeaderValue,
    rule: "a header value has no control characters (line breaks, tabs, NUL) and is at most about 4000 bytes",
    example: "DENY",
    parse: |text| (!text.is_empty() && fits_a_token(text)).then(|| text.to_owned()),
}

parsed_text! {
    /// The body of a fixed response; may be empty, and have line breaks and tabs.
    ResponseBody,
    rule: "a response body has no control characters but line breaks and tabs, and is at most about 4000 bytes",
    example: "pong",
    parse: |text| fits_lines(text).then(|| text.to_owned()),
}

parsed_text! {
    /// The text of a template; may have line breaks and tabs.
    TemplateSource,
    rule: "a template is not empty, 16 KiB at most, and has no control characters but line breaks and tabs",
    example: "listen {{address}};",
    parse: |text| {
        let plain = |c: char| !c.is_control() || matches!(c, '\n' | '\t');
        let fits = !text.trim().is_empty() && text.len() <= 16 << 10;
        (fits && text.chars().all(plain)).then(|| text.to_owned())
    },
}

impl Default for ResponseBody {
    fn default() -> Self {
        Self("".into())
    }
}

parsed_text! {
    /// A media type with optional parameters (RFC 9110, section 8.3.1).
    ContentType,
    rule: "a content type is type/subtype with optional parameters, in ASCII",
    example: "text/plain; charset=utf-8",
    parse: |text| {
        let (media, parameters) = text.split_once(';').unwrap_or((text, ""));
        let (kind, subtype) = media.trim_end().split_once('/')?;
        let token = |part: &str| {
            !part.is_empty()
                && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"!#&-^_.+".contains(&byte))
        };
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b" ;=-_.\"".contains(&byte);
        (text.len() <= 255 && token(kind) && token(subtype) && parameters.bytes().all(plain))
            .then(|| text.to_owned())
    },
}
