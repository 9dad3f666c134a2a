//! Where the text comes from.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

/// The files of a machine, as far as an import needs them.
pub trait Files {
    /// The contents of a file; `None` if it is not there or cannot be read.
    fn read(&self, path: &Path) -> Option<Vec<u8>>;

    /// The files whose absolute paths match `pattern` (`*`, `?`, `[…]`; none of
    /// them matches `/`), sorted as nginx does.
    fn matching(&self, pattern: &str) -> Vec<PathBuf>;
}

impl Files for BTreeMap<PathBuf, Vec<u8>> {
    fn read(&self, path: &Path) -> Option<Vec<u8>> {
        self.get(path).cloned()
    }

    fn matching(&self, pattern: &str) -> Vec<PathBuf> {
        let paths = self.keys();
        paths
            .filter(|path| path_matches(pattern, &path.to_string_lossy()))
            .cloned()
            .collect()
    }
}

/// The machine a configuration is of.
pub(super) struct Machine<'f> {
    pub(super) files: &'f dyn Files,
    /// The folder of the main file, from which nginx takes relative paths.
    pub(super) home: &'f Path,
}

impl Machine<'_> {
    /// The absolute path of a file that a directive names.
    pub(super) fn path(&self, path: &str) -> String {
        self.home.join(path).to_string_lossy().into_owned()
    }

    /// The text of a file that a directive names.
    pub(super) fn read(&self, path: &str) -> Option<String> {
        let bytes = self.files.read(&self.home.join(path))?;
        String::from_utf8(bytes).ok()
    }
}

/// Whether a path matches a pattern, as [`Files::matching`] has them (`glob(7)`).
#[must_use]
pub fn path_matches(pattern: &str, path: &str) -> bool {
    let (pattern, path): (Vec<&str>, Vec<&str>) =
        (pattern.split('/').collect(), path.split('/').collect());
    pattern.len() == path.len()
        && pattern.iter().zip(&path).all(|(pattern, part)| {
            // A leading dot is matched only by itself (glob(7)).
            let hidden = part.starts_with('.') && !pattern.starts_with('.');
            let (pattern, part): (Vec<char>, Vec<char>) =
                (pattern.chars().collect(), part.chars().collect());
            !hidden && part_matches(&pattern, &part)
        })
}

/// Goes back to the last `*` where a match fails, so the work is bounded by
/// the product of both lengths.
fn part_matches(pattern: &[char], text: &[char]) -> bool {
    let (mut at, mut from) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    while from < text.len() {
        let one = match pattern.get(at) {
            Some('*') => {
                star = Some((at, from));
                at += 1;
                continue;
            }
            Some('?') => Some(at + 1),
            Some('[') => class(pattern, at, text[from]),
            Some(literal) if *literal == text[from] => Some(at + 1),
            _ => None,
        };
        match (one, star) {
            (Some(next), _) => (at, from) = (next, from + 1),
            (None, Some((back, start))) => {
                star = Some((back, start + 1));
                (at, from) = (back + 1, start + 1);
            }
            (None, None) => return false,
        }
    }
    pattern[at..].iter().all(|rest| *rest == '*')
}

/// The place behind the class at `at`, if `character` is in it.
fn class(pattern: &[char], at: usize, character: char) -> Option<usize> {
    let end = at + 2 + pattern.get(at + 2..)?.iter().position(|it| *it == ']')?;
    let (negated, set) = match &pattern[at + 1..end] {
        ['!' | '^', set @ ..] => (true, set),
        set => (false, set),
    };
    let mut found = false;
    let mut index = 0;
    while index < set.len() {
        if let [low, '-', high, ..] = &set[index..] {
            found |= (*low..=*high).contains(&character);
            index += 3;
        } else {
            found |= set[index] == character;
            index += 1;
        }
    }
    (found != negated).then_some(end + 1)
}

/// Takes the output of `nginx -T` apart: the first file, and all files. `None`
/// if it is no such output. Certificates are not in it.
#[must_use]
pub fn dump(text: &str) -> Option<(PathBuf, BTreeMap<PathBuf, Vec<u8>>)> {
    const MARK: &str = "# configuration file ";
    let mut files: BTreeMap<PathBuf, Vec<u8>> = BTreeMap::new();
    let mut entry = None;
    let mut current: Option<PathBuf> = None;
    for line in text.split_inclusive('\n') {
        let named = line
            .strip_prefix(MARK)
            .and_then(|rest| rest.trim_end().strip_suffix(':'));
        if let Some(path) = named {
            let path = PathBuf::from(path);
            entry.get_or_insert_with(|| path.clone());
            files.insert(path.clone(), Vec::new());
            current = Some(path);
        } else if let Some(contents) = current.as_ref().and_then(|path| files.get_mut(path)) {
            contents.extend_from_slice(line.as_bytes());
        }
    }
    Some((entry?, files))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_match_as_the_shell_does() {
        for (pattern, path, expected) in [
            (
                "/etc/nginx/conf.d/*.conf",
                "/etc/nginx/conf.d/shop.conf",
                true,
            ),
            (
                "/etc/nginx/conf.d/*.conf",
                "/etc/nginx/conf.d/shop.conf.bak",
                false,
            ),
            (
                "/etc/nginx/conf.d/*.conf",
                "/etc/nginx/conf.d/a/b.conf",
                false,
            ),
            (
                "/etc/nginx/sites-enabled/*",
                "/etc/nginx/sites-enabled/default",
                true,
            ),
            (
                "/etc/nginx/sites-enabled/*",
                "/etc/nginx/sites-enabled/.hidden",
                false,
            ),
            ("/a/?[0-9][!x].conf", "/a/s1y.conf", true),
            ("/a/?[0-9][!x].conf", "/a/s1x.conf", false),
            ("/a/a*b*c", "/a/abbcbc", true),
            ("/a/a*b*c", "/a/abbcb", false),
            ("/a/[", "/a/[", false),
        ] {
            assert_eq!(path_matches(pattern, path), expected, "{pattern} {path}");
        }
        let hostile = format!("/{}", "*a".repeat(2_000));
        assert!(!path_matches(&hostile, &format!("/{}", "a".repeat(1_500))));
    }

    #[test]
    fn a_dump_has_its_files() {
        let text = "nginx: the configuration file /etc/nginx/nginx.conf syntax is ok\n\
                    # configuration file /etc/nginx/nginx.conf:\nevents {}\n\
                    # configuration file /etc/nginx/conf.d/a.conf:\n# configuration file\n";
        let (entry, files) = dump(text).unwrap();
        assert_eq!(entry, Path::new("/etc/nginx/nginx.conf"));
        assert_eq!(files[&entry], b"events {}\n");
        assert_eq!(
            files[Path::new("/etc/nginx/conf.d/a.conf")],
            b"# configuration file\n"
        );
        assert_eq!(dump("events {}\n"), None);
    }
}
