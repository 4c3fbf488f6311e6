//! Searches an image for secrets as an attacker would: in every layer, also in files that a later layer deletes, and in its
//! configuration. Owns what a finding is and the walk through an image from its first byte to its last; a finding never
//! holds the secret itself. Changes nothing.
//!
//! There is no list of exceptions. Rules ask for the whole form of a secret, so that texts which only speak of one (help,
//! documentation, constants in programs) are none.

mod archive;
pub mod plant;
mod rules;
mod search;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::fmt;
use std::io::Read;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use crate::{engine, process};
use rules::Hits;
use search::Pem;

/// The directory of the public CAs in Debian's package.
const PUBLIC_AUTHORITIES: &str = "usr/share/ca-certificates/mozilla/";
/// Where a Debian host keeps all authorities that it trusts.
const HOST_AUTHORITIES: &str = "/etc/ssl/certs/ca-certificates.crt";
/// Writing and reading an image, on a busy machine.
const PATIENCE: Duration = Duration::from_secs(600);

/// The kinds of secrets that the search finds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// A private key in PEM.
    PrivateKey,
    /// A certificate or a public key where only those of a cluster can be.
    ClusterTrust,
    /// A kubeconfig with credentials.
    Kubeconfig,
    /// A signed token, such as a service account's.
    Token,
    /// A token with which nodes join, or what is left of one.
    BootstrapToken,
    /// A credential of a registry, a proxy or a package archive.
    RegistryCredential,
    /// An authority that only the host trusts on which the image was made.
    HostAuthority,
    /// The identity of an SSH server.
    SshHostKey,
    /// The history of a shell.
    ShellHistory,
    /// An identity that systemd or D-Bus gave to a machine.
    MachineId,
}

impl fmt::Display for Kind {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::PrivateKey => "a private key",
            Self::ClusterTrust => "a certificate or public key of a cluster",
            Self::Kubeconfig => "a kubeconfig with credentials",
            Self::Token => "a signed token",
            Self::BootstrapToken => "a bootstrap token",
            Self::RegistryCredential => "a credential of a registry or proxy",
            Self::HostAuthority => "an authority that only the build host trusts",
            Self::SshHostKey => "an SSH host key",
            Self::ShellHistory => "a shell's history",
            Self::MachineId => "a machine id",
        })
    }
}

/// Where in an image something was found.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Origin {
    /// In a layer: its place from 1, the lowest, and its name within the archive.
    Layer(usize, String),
    /// In the image's configuration.
    Configuration,
}

/// A place in an image that holds a secret.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Finding {
    /// In which part of the image.
    pub origin: Origin,
    /// The file without a leading slash, or the place in the configuration, such as `config.Env[2]`.
    pub path: String,
    /// At which byte of it.
    pub offset: usize,
    /// The kind of the secret.
    pub kind: Kind,
}

impl fmt::Display for Finding {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.origin {
            Origin::Layer(number, name) => write!(formatter, "layer {number} ({name})")?,
            Origin::Configuration => formatter.write_str("configuration")?,
        }
        write!(formatter, ", {} at byte {}: {}", self.path, self.offset, self.kind)
    }
}

/// The extent of a search, and its findings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// How many layers there are.
    pub layers: usize,
    /// All files that were looked at, by path; those of lower layers, too.
    pub files: BTreeSet<String>,
    /// How many bytes they have in all.
    pub bytes: u64,
    /// What was found, from the lowest layer on.
    pub findings: Vec<Finding>,
}

impl Report {
    /// The findings, each on a line.
    #[must_use]
    pub fn lines(&self) -> String {
        let lines: Vec<String> = self.findings.iter().map(Finding::to_string).collect();
        lines.join("\n")
    }
}

/// Certificates, as DER.
#[derive(Debug, Clone, Default)]
pub struct Authorities(BTreeSet<Vec<u8>>);

impl Authorities {
    /// Those that this host trusts.
    ///
    /// # Errors
    /// When it trusts none: then a comparison with them would find nothing in any image.
    pub fn of_host() -> Result<Self> {
        let path = Path::new(HOST_AUTHORITIES);
        let text = std::fs::read(path).with_context(|| format!("cannot read `{}`", path.display()))?;
        let authorities = Self::parse(&text);
        ensure!(!authorities.0.is_empty(), "`{}` holds no certificate", path.display());
        Ok(authorities)
    }

    /// Those in a bundle.
    #[must_use]
    pub fn parse(bundle: &[u8]) -> Self {
        Self(Pem::all(bundle).filter(Pem::is_certificate).map(|pem| pem.content).collect())
    }
}

/// Searches an image of the engine.
///
/// # Errors
/// When the engine does not export it, or a part of it cannot be read: then nothing is known about it.
pub fn of_image(image: &str, host: &Authorities) -> Result<Report> {
    let mut command = engine::docker(["save", image]);
    process::stream(&mut command, PATIENCE, |stream| scan(stream, host)).with_context(|| format!("the image `{image}`"))
}

/// Searches what `docker save` writes. `host` holds what the host trusts on which the image was made.
///
/// # Errors
/// When a part of it cannot be read: then nothing is known about it.
pub fn scan(stream: impl Read, host: &Authorities) -> Result<Report> {
    let mut scanner = Scanner::new(host);
    let index = archive::walk(stream, &mut scanner)?;
    // Only now is known what Debian brings along: its package may lie in a layer above.
    let Scanner { public, suspects, mut found, files, bytes, .. } = scanner;
    for (blob, path, offset, certificate) in suspects {
        if !public.contains(&certificate) {
            found.push(Found { blob, path, offset, kind: Kind::HostAuthority });
        }
    }
    let mut findings = BTreeSet::new();
    for Found { blob, path, offset, kind } in found {
        let mut places = index.layers.iter().enumerate().filter(|(_, layer)| **layer == blob);
        let origin = match places.next() {
            Some((place, name)) => Origin::Layer(place + 1, name.clone()),
            None => Origin::Configuration,
        };
        findings.insert(Finding { origin, path, offset, kind });
    }
    Ok(Report { layers: index.layers.len(), files, bytes, findings: findings.into_iter().collect() })
}

struct Found {
    blob: String,
    path: String,
    offset: usize,
    kind: Kind,
}

struct Scanner<'a> {
    host: &'a Authorities,
    /// The authorities of Debian's package in the image.
    public: BTreeSet<Vec<u8>>,
    /// Where an authority of the host is: blob, path, offset, and the certificate.
    suspects: Vec<(String, String, usize, Vec<u8>)>,
    found: Vec<Found>,
    files: BTreeSet<String>,
    bytes: u64,
}

impl<'a> Scanner<'a> {
    fn new(host: &'a Authorities) -> Self {
        Self {
            host,
            public: BTreeSet::new(),
            suspects: Vec::new(),
            found: Vec::new(),
            files: BTreeSet::new(),
            bytes: 0,
        }
    }

    fn note(&mut self, blob: &str, path: &str, hits: Hits) {
        let found = |offset, kind| Found { blob: blob.to_owned(), path: path.to_owned(), offset, kind };
        self.found.extend(hits.certain.into_iter().map(|hit| found(hit.offset, hit.kind)));
        for (offset, certificate) in hits.certificates {
            if self.host.0.contains(&certificate) {
                self.suspects.push((blob.to_owned(), path.to_owned(), offset, certificate));
            }
        }
    }
}

impl archive::Visitor for Scanner<'_> {
    fn file(&mut self, blob: &str, path: &str, content: &[u8]) {
        self.files.insert(path.to_owned());
        self.bytes += content.len() as u64;
        let hits = rules::file(path, content);
        if path.starts_with(PUBLIC_AUTHORITIES) {
            self.public.extend(hits.certificates.iter().map(|(_, certificate)| certificate.clone()));
        }
        self.note(blob, path, hits);
    }

    fn configuration(&mut self, blob: &str, place: &str, text: &str) {
        self.note(blob, place, rules::configuration(text));
    }
}
