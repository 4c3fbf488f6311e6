//! What is a secret: the rules, for the content of a file and for the place where it lies. Does no I/O and knows nothing
//! of archives.

use serde_json::Value;

use super::Kind;
use super::search::{self, Needle, Pem};

/// Where a file lies, as far as it changes what may be in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    /// Certificates may be here: those of Debian's authorities, of examples.
    Anywhere,
    /// Here lies what a cluster is, and nothing of that may be in an image: not even what is public.
    Cluster,
    /// As `Cluster`. In the files of a database everything counts that is left of a value, also on pages that are free.
    Database,
}

impl Place {
    fn of(path: &str) -> Self {
        let is_in = |directory: &str| path.strip_prefix(directory).is_some_and(|rest| rest.starts_with('/'));
        if is_in("var/lib/etcd") {
            Self::Database
        } else if ["etc/kubernetes", "etc/kubake", "var/lib/kubelet", "root"].into_iter().any(is_in) {
            Self::Cluster
        } else {
            Self::Anywhere
        }
    }
}

/// Something that was found in a content.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Hit {
    /// The byte at which it begins.
    pub(super) offset: usize,
    pub(super) kind: Kind,
}

/// What was found in one content.
#[derive(Debug, Default)]
pub(super) struct Hits {
    /// Files that may not exist in any image.
    pub(super) certain: Vec<Hit>,
    /// All certificates: where they begin, and in DER. Whether they may be there is seen when all are known.
    pub(super) certificates: Vec<(usize, Vec<u8>)>,
}

impl Hits {
    fn add(&mut self, offset: usize, kind: Kind) {
        let hit = Hit { offset, kind };
        if !self.certain.contains(&hit) {
            self.certain.push(hit);
        }
    }
}

/// Looks at a file. `path` has no leading slash.
pub(super) fn file(path: &str, content: &[u8]) -> Hits {
    let mut hits = Hits::default();
    let place = Place::of(path);
    anywhere(content, place, &mut hits, 0);
    if place == Place::Database {
        database(content, &mut hits);
    }
    if place == Place::Cluster || path.rsplit('/').next().is_some_and(|name| name.contains("kubeadm")) {
        for offset in bootstrap_tokens(content) {
            hits.add(offset, Kind::BootstrapToken);
        }
    }
    if let Some(kind) = forbidden(path, content) {
        hits.add(0, kind);
    }
    if let Ok(text) = std::str::from_utf8(content.get(..LONGEST_SETTINGS.min(content.len())).unwrap_or_default()) {
        settings(path, text, &mut hits);
    }
    hits
}

/// Looks at a text of an image's configuration: a variable, a label, a line of its history.
pub(super) fn configuration(text: &str) -> Hits {
    let mut hits = Hits::default();
    anywhere(text.as_bytes(), Place::Anywhere, &mut hits, 0);
    if let Some(offset) = password_in_address(text) {
        hits.add(offset, Kind::RegistryCredential);
    }
    hits
}

/// Files in which a person or a program writes settings are not longer.
const LONGEST_SETTINGS: usize = 1 << 20;
/// How often something may be packed into base64: a key in a kubeconfig in a Secret's manifest.
const DEEPEST: usize = 3;

const CLIENT_KEY: Needle = Needle::new("client-key-data", 6);
const CLIENT_CERTIFICATE: Needle = Needle::new("client-certificate-data", 6);
const TOKEN: Needle = Needle::new("eyJ", 2);
const AUTHS: Needle = Needle::new("\"auths\"", 2);

/// What gives itself away by its form, wherever it is.
fn anywhere(content: &[u8], place: Place, hits: &mut Hits, depth: usize) {
    for pem in Pem::all(content) {
        // What is left of a key in a database is found without its end, too.
        let counts = pem.is_real() && (pem.is_whole || place == Place::Database);
        if !counts {
            continue;
        }
        if pem.is_private_key() {
            hits.add(pem.offset, Kind::PrivateKey);
        } else if pem.is_trust() && place != Place::Anywhere {
            hits.add(pem.offset, Kind::ClusterTrust);
        }
        if pem.is_certificate() {
            hits.certificates.push((pem.offset, pem.content));
        }
    }
    for needle in [CLIENT_KEY, CLIENT_CERTIFICATE] {
        for offset in needle.offsets(content) {
            let value = content.get(offset + needle.len()..).and_then(value_after_key);
            // Programs name the key; only a kubeconfig has base64 behind it.
            if value.is_some_and(|value| value.iter().take_while(|byte| search::is_base64(**byte)).count() >= 16) {
                hits.add(offset, Kind::Kubeconfig);
            }
        }
    }
    for offset in TOKEN.offsets(content) {
        if content.get(offset..).is_some_and(|text| is_token(text, place)) {
            hits.add(offset, Kind::Token);
        }
    }
    for offset in AUTHS.offsets(content) {
        let value = content.get(offset + AUTHS.len()..).and_then(value_after_key);
        let parsed = value.and_then(|value| serde_json::Deserializer::from_slice(value).into_iter::<Value>().next());
        if parsed.is_some_and(|parsed| parsed.is_ok_and(|entries| has_registry_credential(&entries))) {
            hits.add(offset, Kind::RegistryCredential);
        }
    }
    if depth < DEEPEST {
        for (offset, decoded) in search::encoded(content) {
            let mut inner = Hits::default();
            anywhere(&decoded, place, &mut inner, depth + 1);
            for hit in inner.certain {
                hits.add(offset, hit.kind);
            }
            hits.certificates.extend(inner.certificates.into_iter().map(|(_, der)| (offset, der)));
        }
    }
}

/// What stands after a key in JSON or YAML: the value, without the quote that may open it.
fn value_after_key(rest: &[u8]) -> Option<&[u8]> {
    let unquoted = |bytes: &[u8]| -> usize {
        // Escaped, where JSON holds JSON.
        bytes.iter().take_while(|byte| matches!(byte, b'"' | b'\'' | b'\\')).count()
    };
    let rest = rest.get(unquoted(rest)..)?.trim_ascii_start().strip_prefix(b":")?.trim_ascii_start();
    rest.get(unquoted(rest)..)
}

/// Whether a signed token begins here: a header that names an algorithm, a payload, a signature. A signature of a text
/// beside it has no payload; it opens nothing (kubeadm holds one as an example) but is old where a cluster lies.
fn is_token(bytes: &[u8], place: Place) -> bool {
    let (header, rest) = search::base64url_run(bytes);
    let Some(rest) = rest.strip_prefix(b".") else { return false };
    let (payload, rest) = search::base64url_run(rest);
    let Some(rest) = rest.strip_prefix(b".") else { return false };
    let (signature, _) = search::base64url_run(rest);
    let object = |part: &[u8]| serde_json::from_slice::<Value>(&search::decode_url(part)).ok().filter(Value::is_object);
    let is_header = object(header).is_some_and(|header| header["alg"].is_string());
    let is_payload = if payload.is_empty() { place != Place::Anywhere } else { object(payload).is_some() };
    is_header && is_payload && signature.len() >= 16
}

/// Whether a value behind `"auths"`, or a whole `.dockercfg`, holds a credential.
fn has_registry_credential(entries: &Value) -> bool {
    let entries = entries.as_object().into_iter().flatten();
    let secrets = ["auth", "identitytoken", "registrytoken", "password"];
    entries
        .into_iter()
        .any(|(_, entry)| secrets.iter().any(|name| entry[name].as_str().is_some_and(|value| !value.is_empty())))
}

const BOOTSTRAP_SECRET: Needle = Needle::new("bootstrap-token-", 9);
/// The signature that a bootstrap token leaves beside `cluster-info`.
const BOOTSTRAP_SIGNATURE: Needle = Needle::new("jws-kubeconfig-", 1);

/// What is left of the past in the files of a database.
fn database(content: &[u8], hits: &mut Hits) {
    for needle in [BOOTSTRAP_SECRET, BOOTSTRAP_SIGNATURE] {
        for offset in needle.offsets(content) {
            let name = content.get(offset + needle.len()..).unwrap_or_default();
            if name.iter().take(6).filter(|byte| is_token_character(**byte)).count() == 6 {
                hits.add(offset, Kind::BootstrapToken);
            }
        }
    }
    for (offset, label) in search::orphaned_ends(content) {
        let kind = if label.contains("PRIVATE KEY") { Kind::PrivateKey } else { Kind::ClusterTrust };
        hits.add(offset, kind);
    }
}

const fn is_token_character(byte: u8) -> bool {
    byte.is_ascii_lowercase() || byte.is_ascii_digit()
}

/// Where a bootstrap token stands: six characters, a dot, sixteen more, and nothing that would make it part of a name.
fn bootstrap_tokens(content: &[u8]) -> Vec<usize> {
    const DOT: Needle = Needle::new(".", 0);
    let is_part = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'/');
    DOT.offsets(content)
        .filter_map(|dot| {
            let start = dot.checked_sub(6)?;
            let (before, token) = content.split_at_checked(start)?;
            let (token, after) = token.split_at_checked(6 + 1 + 16)?;
            let is_form = token.iter().enumerate().all(|(index, byte)| index == 6 || is_token_character(*byte));
            let is_alone = !before.last().is_some_and(is_part) && !after.first().is_some_and(is_part);
            (is_form && is_alone).then_some(start)
        })
        .collect()
}

/// What may not be there because of its name, if anything is in it.
fn forbidden(path: &str, content: &[u8]) -> Option<Kind> {
    let content = content.trim_ascii();
    let name = path.rsplit('/').next().unwrap_or_default();
    if content.is_empty() {
        return None;
    }
    if name.starts_with("ssh_host_") && !name.ends_with(".pub") && path.contains("etc/ssh/") {
        return Some(Kind::SshHostKey);
    }
    if name.starts_with('.') && (name.ends_with("_history") || name == ".history") {
        return Some(Kind::ShellHistory);
    }
    // systemd's word for "not yet".
    let is_machine_id = ["etc/machine-id", "var/lib/dbus/machine-id"].contains(&path);
    (is_machine_id && content != b"uninitialized").then_some(Kind::MachineId)
}

/// Credentials that are recognised by what kind of file it is.
fn settings(path: &str, text: &str, hits: &mut Hits) {
    let name = path.rsplit('/').next().unwrap_or_default();
    if name == ".dockercfg" && serde_json::from_str(text).is_ok_and(|entries| has_registry_credential(&entries)) {
        hits.add(0, Kind::RegistryCredential);
    }
    if [".netrc", "_netrc"].contains(&name) || path.starts_with("etc/apt/auth.conf") {
        let mut words = text.lines().filter(|line| !line.trim_start().starts_with('#')).flat_map(str::split_whitespace);
        if words.any(|word| word == "password") {
            hits.add(0, Kind::RegistryCredential);
        }
    }
    if path.starts_with("etc/apt/") {
        if let Some(offset) = password_in_address(text) {
            hits.add(offset, Kind::RegistryCredential);
        }
    }
    if path.contains("containerd/") && name.ends_with(".toml") {
        let keys = ["auth", "password", "identitytoken", "authorization"];
        if let Some(offset) = filled_in(text, &keys) {
            hits.add(offset, Kind::RegistryCredential);
        }
    }
    if is_kubeconfig(text) {
        if let Some(offset) = filled_in(text, &["token", "password"]) {
            hits.add(offset, Kind::Kubeconfig);
        }
    }
}

fn is_kubeconfig(text: &str) -> bool {
    const KIND: Needle = Needle::new("kind", 0);
    const USERS: Needle = Needle::new("users", 0);
    let bytes = text.as_bytes();
    let is_config = KIND.offsets(bytes).any(|offset| {
        let value = bytes.get(offset + KIND.len()..).and_then(value_after_key);
        value
            .and_then(|value| value.strip_prefix(b"Config"))
            .is_some_and(|rest| !rest.first().is_some_and(u8::is_ascii_alphanumeric))
    });
    is_config && USERS.is_in(bytes)
}

/// Where one of these keys has a value, in YAML, JSON or TOML; what is commented out has none.
fn filled_in(text: &str, keys: &[&str]) -> Option<usize> {
    let mut line_start = 0;
    for line in text.split_inclusive('\n') {
        let start = line_start;
        line_start += line.len();
        if line.trim_start().starts_with('#') {
            continue;
        }
        // JSON may have all of it in one line.
        let mut item_start = start;
        for item in line.split_inclusive([',', '{']) {
            let at = item_start;
            item_start += item.len();
            let Some((key, value)) = item.split_once([':', '=']) else { continue };
            let bare = |text: &str| {
                text.trim_matches(|one: char| one.is_whitespace() || "\"'{}[],-".contains(one)).to_ascii_lowercase()
            };
            let value = bare(value);
            if keys.contains(&bare(key).as_str()) && !value.is_empty() && value != "null" && value != "~" {
                return Some(at);
            }
        }
    }
    None
}

/// Where an address names a user and a password, as those of proxies and private registries may.
fn password_in_address(text: &str) -> Option<usize> {
    text.match_indices("://").find_map(|(offset, separator)| {
        let authority = text.get(offset + separator.len()..)?;
        let end = authority.find(|one: char| one.is_whitespace() || "/?#\"'`<>,".contains(one));
        let (user, _) = authority.get(..end.unwrap_or(authority.len()))?.rsplit_once('@')?;
        let (_, password) = user.split_once(':')?;
        // A variable of a script is none.
        (!password.is_empty() && !password.starts_with('$')).then_some(offset)
    })
}
