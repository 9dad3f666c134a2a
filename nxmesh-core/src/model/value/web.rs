//! Paths of URLs, parts of cookies, ciphers.

use super::{fits_a_token, parsed_text};

parsed_text! {
    /// The path of a URL as it is sent: RFC 3986, section 3.3, without a query.
    UriPath,
    rule: "a path of a URL starts with one '/' and has letters, digits, any of -._~!&'()*+,;=:@ and %XX, 1000 bytes at most",
    example: "/v1/",
    parse: |text| {
        let bytes = text.as_bytes();
        let encoded = |at: usize| {
            bytes.get(at + 1..at + 3).is_some_and(|hex| hex.iter().all(u8::is_ascii_hexdigit))
        };
        let plain = bytes.iter().enumerate().all(|(at, byte)| match byte {
            b'%' => encoded(at),
            other => other.is_ascii_alphanumeric() || b"/-._~!&'()*+,;=:@".contains(other),
        });
        let path = text.starts_with('/') && !text.starts_with("//");
        (path && plain && text.len() <= 1000).then(|| text.to_owned())
    },
}

parsed_text! {
    /// The `Domain` of a cookie; a leading dot counts for nothing.
    CookieDomain,
    rule: "a domain of a cookie is a host name of letters, digits, '-' and '.', 253 bytes at most",
    example: "shop.example.com",
    parse: |text| {
        let name = text.strip_prefix('.').unwrap_or(text);
        let label = |label: &str| {
            !label.is_empty() && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
        };
        (name.len() <= 253 && name.split('.').all(label)).then(|| text.to_owned())
    },
}

parsed_text! {
    /// The `Path` of a cookie (RFC 6265, section 4.1.1).
    CookiePath,
    rule: "a path of a cookie starts with '/', in printable ASCII without spaces and ';', 1000 bytes at most",
    example: "/shop/",
    parse: |text| {
        let plain = text.bytes().all(|byte| byte.is_ascii_graphic() && byte != b';');
        let fits = text.len() <= 1000 && fits_a_token(text);
        (text.starts_with('/') && plain && fits).then(|| text.to_owned())
    },
}

parsed_text! {
    /// A text that another is compared with. As a pattern of nginx it is up to
    /// four times as long.
    MatchText,
    rule: "a text to compare with has no control characters (line breaks, tabs, NUL) and no spaces at its ends, 1 to 1000 bytes",
    example: "v2",
    parse: |text| {
        // Clients' spaces around a header are not part of it.
        let fits = matches!(text.len(), 1..=1000) && text.trim() == text && fits_a_token(text);
        fits.then(|| text.to_owned())
    },
}

parsed_text! {
    /// The end of the name of a file.
    FileSuffix,
    rule: "the end of a file name is '.' and letters, digits, '-', '_' and '.', 50 bytes at most",
    example: ".html",
    parse: |text| {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
        let whole = text.len() > 1 && !text.contains("..") && text.bytes().all(plain);
        (text.starts_with('.') && whole && text.len() <= 50).then(|| text.to_owned())
    },
}

parsed_text! {
    /// What stands behind the last dot of a file's name; as nginx compares it, in small
    /// letters.
    FileExtension,
    rule: "an extension is 1 to 30 letters, digits, '-', '_' and '+'",
    example: "html",
    parse: |text| {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_+".contains(&byte);
        let fits = (1..=30).contains(&text.len()) && text.bytes().all(plain);
        fits.then(|| text.to_ascii_lowercase())
    },
}

parsed_text! {
    /// The name of a parameter of FastCGI.
    ParamName,
    rule: "a name of a parameter is 1 to 100 capital letters, digits and '_', and starts with a letter",
    example: "APP_ENV",
    parse: |text| {
        let plain = |byte: u8| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'_';
        let starts = text.starts_with(|first: char| first.is_ascii_uppercase());
        (starts && text.len() <= 100 && text.bytes().all(plain)).then(|| text.to_owned())
    },
}

parsed_text! {
    /// Ciphers in the form of OpenSSL (manual, openssl-ciphers).
    CipherList,
    rule: "ciphers are names as OpenSSL writes them, with ':' between, 2000 bytes at most",
    example: "ECDHE-RSA-AES256-GCM-SHA384:!aNULL",
    parse: |text| {
        let plain = text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_+!:@=.".contains(&byte));
        (matches!(text.len(), 1..=2000) && plain).then(|| text.to_owned())
    },
}

parsed_text! {
    /// Elliptic curves for key exchange, as OpenSSL calls them.
    CurveList,
    rule: "curves are names as OpenSSL writes them, with ':' between, 500 bytes at most",
    example: "X25519:prime256v1",
    parse: |text| {
        let name = |name: &str| {
            !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
        };
        (text.len() <= 500 && text.split(':').all(name)).then(|| text.to_owned())
    },
}
