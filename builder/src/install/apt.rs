//! Reads what a Debian host knows of its own packages: `/etc/os-release`, apt's sources in both formats, and
//! the answer of `apt-cache policy`. Parsers take text; the two readers take a root directory. It never changes
//! anything and never runs anything.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct OsRelease {
    /// Such as `debian`.
    pub(crate) id: String,
    /// Such as `debian` on its derivatives.
    pub(crate) id_like: Vec<String>,
    /// Such as `bookworm`.
    pub(crate) codename: String,
    pub(crate) pretty_name: String,
}

impl OsRelease {
    /// Parses the file.
    #[must_use]
    pub(crate) fn parse(text: &str) -> Self {
        let mut os = Self::default();
        for (key, value) in text.lines().filter_map(|line| line.trim().split_once('=')) {
            let value = value.trim_matches(['"', '\'']);
            match key {
                "ID" => os.id = value.to_ascii_lowercase(),
                "ID_LIKE" => os.id_like = value.split_whitespace().map(str::to_owned).collect(),
                "VERSION_CODENAME" => os.codename = value.to_owned(),
                "PRETTY_NAME" => os.pretty_name = value.to_owned(),
                _ => {}
            }
        }
        os
    }

    /// Reads the file below `root`.
    ///
    /// # Errors
    /// When neither of its two places can be read.
    pub(crate) fn read(root: &Path) -> io::Result<Self> {
        fs::read_to_string(root.join("etc/os-release"))
            .or_else(|_| fs::read_to_string(root.join("usr/lib/os-release")))
            .map(|text| Self::parse(&text))
    }
}

/// One entry of apt's sources.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Source {
    pub(crate) uris: Vec<String>,
    /// Such as `trixie` or `trixie-security`.
    pub(crate) suites: Vec<String>,
    /// Such as `main`.
    pub(crate) components: Vec<String>,
    pub(crate) signed_by: Option<String>,
}

/// Parses a `.sources` file (deb822); entries that are off or hold only sources are left out.
#[must_use]
pub(crate) fn parse_deb822(text: &str) -> Vec<Source> {
    let mut sources = Vec::new();
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    let mut fields: BTreeMap<String, String> = BTreeMap::new();
    let mut last = String::new();
    for line in lines.chain([""]) {
        if line.trim().is_empty() {
            sources.extend(deb822_entry(&std::mem::take(&mut fields)));
        } else if line.starts_with([' ', '\t']) {
            // A field goes on, as an embedded key does.
            let value = fields.entry(last.clone()).or_default();
            value.push(' ');
            value.push_str(line.trim());
        } else if let Some((key, value)) = line.split_once(':') {
            last = key.trim().to_ascii_lowercase();
            fields.insert(last.clone(), value.trim().to_owned());
        }
    }
    sources
}

fn deb822_entry(fields: &BTreeMap<String, String>) -> Option<Source> {
    let words = |key: &str| -> Vec<String> {
        fields.get(key).map(|value| value.split_whitespace().map(str::to_owned).collect()).unwrap_or_default()
    };
    let off = fields.get("enabled").is_some_and(|value| matches!(value.to_ascii_lowercase().as_str(), "no" | "false"));
    let uris = words("uris");
    if off || uris.is_empty() || !words("types").iter().any(|kind| kind == "deb") {
        return None;
    }
    Some(Source {
        uris,
        suites: words("suites"),
        components: words("components"),
        signed_by: fields.get("signed-by").filter(|value| value.starts_with('/')).cloned(),
    })
}

/// Parses a `.list` file (one line an entry).
#[must_use]
pub(crate) fn parse_one_line(text: &str) -> Vec<Source> {
    text.lines().filter_map(one_line_entry).collect()
}

fn one_line_entry(line: &str) -> Option<Source> {
    let line = line.split('#').next().unwrap_or_default().trim();
    let rest = line.strip_prefix("deb").filter(|rest| rest.starts_with([' ', '\t', '[']))?.trim_start();
    let (options, rest) = match rest.strip_prefix('[') {
        Some(rest) => rest.split_once(']')?,
        None => ("", rest),
    };
    let signed_by = options.split_whitespace().find_map(|option| option.strip_prefix("signed-by=")).map(str::to_owned);
    let mut words = rest.split_whitespace().map(str::to_owned);
    let uri = words.next()?;
    let suite = words.next()?;
    Some(Source { uris: vec![uri], suites: vec![suite], components: words.collect(), signed_by })
}

/// Reads all of apt's sources below `root`; a file that cannot be read is left out, as apt would do.
#[must_use]
pub(crate) fn read_sources(root: &Path) -> Vec<Source> {
    let mut files: Vec<PathBuf> = fs::read_dir(root.join("etc/apt/sources.list.d"))
        .map(|entries| entries.flatten().map(|entry| entry.path()).collect())
        .unwrap_or_default();
    files.sort();
    files.insert(0, root.join("etc/apt/sources.list"));
    let mut sources = Vec::new();
    for file in files {
        let Ok(text) = fs::read_to_string(&file) else { continue };
        match file.extension().and_then(|extension| extension.to_str()) {
            Some("sources") => sources.extend(parse_deb822(&text)),
            Some("list") => sources.extend(parse_one_line(&text)),
            _ => {}
        }
    }
    sources
}

/// The mirrors from which Debian's packages come on a host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Mirrors {
    /// The archive itself.
    pub(crate) main: String,
    /// The security archive.
    pub(crate) security: String,
}

impl Mirrors {
    /// The host's mirrors; none where it names none (it may be no Debian at all).
    #[must_use]
    pub(crate) fn of(sources: &[Source]) -> Option<Self> {
        // Debian's archives end in these names by convention; a derivative's or a vendor's do not.
        let find = |name: &str| {
            sources
                .iter()
                .flat_map(|source| &source.uris)
                .map(|uri| uri.trim_end_matches('/'))
                .find(|uri| uri.rsplit('/').next() == Some(name) && uri.starts_with("http"))
                .map(str::to_owned)
        };
        let main = find("debian")?;
        // A mirror has the security archive beside it, if it has one.
        let security = find("debian-security").unwrap_or_else(|| format!("{main}-security"));
        Some(Self { main, security })
    }
}

/// Parses `apt-cache policy PACKAGE…` into the version that would be installed of each package that has one.
#[must_use]
pub(crate) fn parse_policy(text: &str) -> BTreeMap<String, String> {
    let mut candidates = BTreeMap::new();
    let mut package = "";
    for line in text.lines() {
        if !line.starts_with(' ') {
            package = line.trim_end().trim_end_matches(':');
        } else if let Some(version) = line.trim().strip_prefix("Candidate: ") {
            if version != "(none)" {
                candidates.insert(package.to_owned(), version.to_owned());
            }
        }
    }
    candidates
}

/// The major part of a package's version, its epoch left out.
#[must_use]
pub(crate) fn major(version: &str) -> Option<u32> {
    let upstream = version.split_once(':').map_or(version, |(_, rest)| rest);
    upstream.split(|character: char| !character.is_ascii_digit()).next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn os_release_with_and_without_quotes() {
        let os = OsRelease::parse("PRETTY_NAME=\"Ubuntu 24.04\"\nID=ubuntu\nID_LIKE=debian\nVERSION_CODENAME=noble\n");
        assert_eq!((os.id.as_str(), os.codename.as_str()), ("ubuntu", "noble"));
        assert_eq!(os.id_like, ["debian"]);
    }

    #[test]
    fn deb822_with_comments_disabled_entries_and_embedded_keys() {
        let text = "Types: deb\n# a comment in between\nURIs: http://mirror.example/debian/\nSuites: bookworm bookworm-updates\n\
            Components: main\nSigned-By: /usr/share/keyrings/k.gpg\n\n\nTypes: deb-src\nURIs: http://x/debian\nSuites: a\n\n\
            Enabled: no\nTypes: deb\nURIs: http://off/debian\nSuites: a\n\nTypes: deb deb-src\nURIs: http://s/debian-security\n\
            Suites: bookworm-security\nSigned-By:\n -----BEGIN PGP PUBLIC KEY BLOCK-----\n .\n abc\n";
        let sources = parse_deb822(text);
        assert_eq!(sources.len(), 2);
        assert_eq!(sources[0].suites, ["bookworm", "bookworm-updates"]);
        assert_eq!(sources[0].signed_by.as_deref(), Some("/usr/share/keyrings/k.gpg"));
        assert_eq!(sources[1].signed_by, None);
        let mirrors = Mirrors::of(&sources).unwrap();
        assert_eq!(
            (mirrors.main.as_str(), mirrors.security.as_str()),
            ("http://mirror.example/debian", "http://s/debian-security")
        );
    }

    #[test]
    fn one_line_entries() {
        let text = "# deb http://no/debian a main\ndeb [arch=amd64 signed-by=/k.gpg] https://m/debian trixie main contrib # why\n\
            deb-src http://m/debian trixie main\ndeb\thttp://n/x y\ndeb\n";
        let sources = parse_one_line(text);
        assert_eq!(sources.len(), 2);
        assert_eq!(sources[0].signed_by.as_deref(), Some("/k.gpg"));
        assert_eq!(sources[0].components, ["main", "contrib"]);
        assert_eq!(Mirrors::of(&sources).unwrap().security, "https://m/debian-security");
    }

    #[test]
    fn a_derivatives_mirror_is_not_debians() {
        assert_eq!(Mirrors::of(&parse_one_line("deb http://m/ubuntu noble main\n")), None);
    }

    #[test]
    fn sources_are_read_below_a_root() {
        let root = tempfile::tempdir().unwrap();
        let directory = root.path().join("etc/apt/sources.list.d");
        fs::create_dir_all(&directory).unwrap();
        fs::write(root.path().join("etc/apt/sources.list"), "deb http://a/debian x main\n").unwrap();
        fs::write(directory.join("b.sources"), "Types: deb\nURIs: http://b/y\nSuites: z\n").unwrap();
        fs::write(directory.join("c.list.disabled"), "deb http://c/debian x main\n").unwrap();
        let uris: Vec<_> = read_sources(root.path()).into_iter().flat_map(|source| source.uris).collect();
        assert_eq!(uris, ["http://a/debian", "http://b/y"]);
    }

    #[test]
    fn policy_of_several_packages() {
        let text = "docker.io:\n  Installed: (none)\n  Candidate: 20.10.24+dfsg1-1+b3\n  Version table:\n     20.10 500\n\
            docker-cli:\n  Installed: (none)\n  Candidate: (none)\n";
        let candidates = parse_policy(text);
        assert_eq!(candidates.len(), 1);
        assert_eq!(major(&candidates["docker.io"]), Some(20));
        assert_eq!(major("5:26.1.5"), Some(26));
        assert_eq!(major("none"), None);
    }
}
