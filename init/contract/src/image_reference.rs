//! Image references such as `registry.example:5000/team/app:1.0`, with Docker's rules for the parts that may be left out.
//! `oci_spec` parses them; nothing else in kubake takes a reference apart. Pure: asks no engine and no registry.

use oci_spec::distribution::Reference;

/// The registry of a reference that names none, under the name that Docker once gave it.
const LEGACY_DOCKER_HUB: &str = "index.docker.io/";
/// Stands for an IPv6 address while `oci_spec` parses the rest: it knows no such hosts, and containerd does.
const IPV6_STAND_IN: &str = "ipv6.invalid";

/// A well-formed reference to an image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImageReference {
    text: String,
    parsed: Reference,
    /// The host in brackets for which [`IPV6_STAND_IN`] stands in `parsed`.
    ipv6_host: Option<String>,
}

impl ImageReference {
    /// Parses a reference. Returns `None` if an engine would refuse it, or take it for an option.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        // The library's `\w` takes letters of every language for a tag, and Docker's is ASCII.
        if !text.is_ascii() {
            return None;
        }
        let (ipv6_host, parsable) = match split_ipv6_host(text) {
            Some((host, rest)) => (Some(host.to_owned()), format!("{IPV6_STAND_IN}{rest}")),
            None => (None, text.to_owned()),
        };
        let parsed: Reference = parsable.parse().ok()?;
        let is_lower = !parsed.repository().bytes().any(|byte| byte.is_ascii_uppercase());
        let is_sha256 =
            |digest: &str| digest.starts_with("sha256:") && !digest.bytes().any(|byte| byte.is_ascii_uppercase());
        let is_valid = is_lower && parsed.digest().is_none_or(is_sha256);
        is_valid.then(|| Self { text: text.to_owned(), parsed, ipv6_host })
    }

    /// Whether the text names the registry, so that the image can be pulled without guessing.
    #[must_use]
    pub fn names_registry(&self) -> bool {
        let names = |registry: &str| self.text.strip_prefix(registry).is_some_and(|rest| rest.starts_with('/'));
        self.ipv6_host.is_some() || names(self.parsed.registry()) || self.text.starts_with(LEGACY_DOCKER_HUB)
    }

    /// Whether the text names a digest.
    #[must_use]
    pub fn has_digest(&self) -> bool {
        self.parsed.digest().is_some()
    }

    /// The text, with `:latest` where it has neither tag nor digest.
    #[must_use]
    pub fn with_tag(&self) -> String {
        match self.parsed.tag() {
            Some(tag) if !self.has_digest() && !self.text.ends_with(&format!(":{tag}")) => {
                format!("{}:{tag}", self.text)
            }
            _ => self.text.clone(),
        }
    }

    /// `REGISTRY/REPOSITORY@DIGEST`, the name under which Kubernetes looks for an image by digest: a tag beside the digest
    /// does not count. `None` without a digest.
    #[must_use]
    pub fn by_digest(&self) -> Option<String> {
        let digest = self.parsed.digest()?;
        Some(self.with_host(self.parsed.clone_with_digest(digest.to_owned()).whole()))
    }

    /// The name that kubelet looks for: with registry, repository, and tag or digest.
    #[must_use]
    pub fn canonical(&self) -> String {
        self.with_host(self.parsed.whole())
    }

    /// The last part of the repository: `coredns` of `registry.k8s.io/coredns/coredns:v1.14.1`.
    #[must_use]
    pub fn base_name(&self) -> &str {
        let repository = self.parsed.repository();
        repository.rsplit('/').next().unwrap_or(repository)
    }

    /// The tag; `latest` where the text has neither tag nor digest.
    #[must_use]
    pub fn tag(&self) -> Option<&str> {
        self.parsed.tag()
    }

    fn with_host(&self, whole: String) -> String {
        match &self.ipv6_host {
            Some(host) => whole.replacen(IPV6_STAND_IN, host, 1),
            None => whole,
        }
    }
}

/// `[::1]` and `:5000/app` of `[::1]:5000/app`.
fn split_ipv6_host(text: &str) -> Option<(&str, &str)> {
    let (address, rest) = text.strip_prefix('[')?.split_once(']')?;
    address.parse::<std::net::Ipv6Addr>().ok()?;
    (rest.starts_with([':', '/'])).then(|| text.split_at(text.len() - rest.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> ImageReference {
        ImageReference::parse(text).unwrap_or_else(|| panic!("{text}"))
    }

    fn digest() -> String {
        format!("sha256:{}", "0a".repeat(32))
    }

    #[test]
    fn a_missing_tag_is_latest() {
        for (text, full) in [
            ("kubake", "kubake:latest"),
            ("kubake:v1", "kubake:v1"),
            ("localhost:5000/kubake", "localhost:5000/kubake:latest"),
            ("[::1]:5000/kubake", "[::1]:5000/kubake:latest"),
            ("registry.example/a/b:1.0", "registry.example/a/b:1.0"),
        ] {
            assert_eq!(parsed(text).with_tag(), full);
        }
        let by_digest = format!("kubake@{}", digest());
        assert_eq!(parsed(&by_digest).with_tag(), by_digest);
    }

    #[test]
    fn only_a_first_part_with_a_dot_or_a_port_is_a_registry() {
        for text in ["localhost/x:1", "r.io/x:1", "docker.io/x", "index.docker.io/x", "r:5000/x", "[fd00::1]/x"] {
            assert!(parsed(text).names_registry(), "{text}");
        }
        for text in ["team/x:1", "kubake:1.0", "localhost:1", "docker.io"] {
            assert!(!parsed(text).names_registry(), "{text}");
        }
    }

    #[test]
    fn kubernetes_looks_for_the_registry_and_the_digest() {
        let digest = digest();
        for (text, name) in [
            ("nginx", "docker.io/library/nginx"),
            ("nginx:1.29", "docker.io/library/nginx"),
            ("me/app", "docker.io/me/app"),
            ("reg.example:5000/app:2", "reg.example:5000/app"),
            ("[::1]:5000/app:2", "[::1]:5000/app"),
        ] {
            assert_eq!(parsed(text).by_digest(), None);
            assert_eq!(parsed(&format!("{text}@{digest}")).by_digest().unwrap(), format!("{name}@{digest}"));
        }
    }

    #[test]
    fn a_canonical_name_has_all_parts() {
        for (text, name) in [
            ("nginx:1.29", "docker.io/library/nginx:1.29"),
            ("me/tool", "docker.io/me/tool:latest"),
            ("localhost/y:2", "localhost/y:2"),
            ("docker.io/kubake/by-digest:0", "docker.io/kubake/by-digest:0"),
            ("[::1]:5000/app", "[::1]:5000/app:latest"),
        ] {
            assert_eq!(parsed(text).canonical(), name);
        }
    }

    #[test]
    fn the_last_part_and_the_tag() {
        let reference = parsed("registry.k8s.io/coredns/coredns:v1.14.1");
        assert_eq!((reference.base_name(), reference.tag()), ("coredns", Some("v1.14.1")));
    }

    #[test]
    fn what_an_engine_refuses_is_no_reference() {
        let upper = format!("x@{}", digest().to_uppercase().replace("SHA256", "sha256"));
        for text in [
            "",
            "Kubake",
            "Team/x",
            "kubake:",
            "a b",
            "-x",
            "--privileged",
            "a//b",
            "../x",
            "x@sha256:00",
            "a:b:c",
            "kubake:a/b:",
            "x:ä",
            "[::1]",
            "[x]/y",
            "x\n",
            &upper,
        ] {
            assert_eq!(ImageReference::parse(text), None, "{text}");
        }
    }

    proptest::proptest! {
        #[test]
        fn a_reference_is_one_word_and_no_option(text in "\\PC{0,40}|[a-z@:/.-]{0,30}") {
            if ImageReference::parse(&text).is_some() {
                assert!(!text.starts_with('-') && !text.contains(|c: char| c.is_whitespace() || c.is_control()), "{text:?}");
            }
        }
    }
}
