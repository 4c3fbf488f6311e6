//! The name by which a proxy's caller reached this server: `Forwarded` (RFC 7239) and `X-Forwarded-Host`. Pure. Ignores
//! values that are no host; a caller with a forged header misleads only itself.

use hyper::header::{self, HeaderMap, HeaderName};

use crate::kubeconfig::address::{self, Host};

const X_FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");

/// The host by which the first proxy was called; none without a usable header.
pub(super) fn host(headers: &HeaderMap) -> Option<Host> {
    let first = |name: HeaderName| headers.get(name).and_then(|value| value.to_str().ok());
    let standard = first(header::FORWARDED).and_then(first_host).and_then(|text| parse(&text));
    standard.or_else(|| parse(first(X_FORWARDED_HOST)?.split(',').next()?.trim()))
}

/// Drops the port: it is the proxy's port for this server, not the API server's.
fn parse(text: &str) -> Option<Host> {
    address::split_authority(text).map(|(host, _port)| host)
}

/// The value of `host` in the first element of a `Forwarded` header; none where there is none or the element is broken.
fn first_host(text: &str) -> Option<String> {
    let mut host = None;
    let mut rest = text;
    loop {
        let (name, after) = rest.split_once('=')?;
        let (value, after) = value(after)?;
        if name.trim().eq_ignore_ascii_case("host") && host.replace(value).is_some() {
            // Twice: it is unknown which one counts.
            return None;
        }
        let after = after.trim_start();
        match after.bytes().next() {
            None | Some(b',') => return host,
            Some(b';') => rest = after.get(1..)?,
            Some(_) => return None,
        }
    }
}

/// A token or a quoted string at the start of a text, and what follows it.
fn value(text: &str) -> Option<(String, &str)> {
    let Some(quoted) = text.strip_prefix('"') else {
        let end = text.find([';', ',', ' ', '\t']).unwrap_or(text.len());
        let (token, rest) = text.split_at_checked(end)?;
        return (!token.is_empty() && !token.contains('"')).then(|| (token.to_owned(), rest));
    };
    let mut value = String::new();
    let mut characters = quoted.char_indices();
    while let Some((at, character)) = characters.next() {
        match character {
            '"' => return Some((value, quoted.get(at + 1..)?)),
            '\\' => value.push(characters.next()?.1),
            other => value.push(other),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn found(headers: &[(&str, &str)]) -> Option<String> {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(HeaderName::try_from(*name).unwrap(), value.parse().unwrap());
        }
        host(&map).map(|host| host.to_string())
    }

    #[test]
    fn the_first_element_counts() {
        for (value, expected) in [
            ("host=ci.example", Some("ci.example")),
            ("for=192.0.2.43;Host=CI.example:8080;proto=https", Some("ci.example")),
            ("for=\"[2001:db8::17]:4711\"; host=\"[::1]:80\"", Some("[::1]")),
            ("for=\"a;host=evil,\";host=good", Some("good")),
            ("host=\"g\\ood\", host=other", Some("good")),
            ("for=a, host=second", None),
            ("host=a;host=b", None),
            ("host=", None),
            ("host", None),
            ("", None),
            ("host=\"a", None),
            ("host=a b", None),
            ("host=a/b", None),
            ("host=\"a\\\"b\"", None),
            ("=;=;", None),
        ] {
            assert_eq!(found(&[("forwarded", value)]).as_deref(), expected, "{value}");
        }
    }

    #[test]
    fn the_standard_header_has_priority_when_it_is_usable() {
        assert_eq!(found(&[("forwarded", "host=a"), ("x-forwarded-host", "b")]).as_deref(), Some("a"));
        assert_eq!(found(&[("forwarded", "for=a"), ("x-forwarded-host", "b:1, c")]).as_deref(), Some("b"));
        assert_eq!(found(&[("forwarded", "host=\"a b\""), ("x-forwarded-host", "b")]).as_deref(), Some("b"));
        assert_eq!(found(&[("x-forwarded-host", "a b, c")]), None);
        assert_eq!(found(&[("x-forwarded-host", ",c")]), None);
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 1000, ..ProptestConfig::default() })]

        #[test]
        fn any_header_yields_a_host_or_nothing(
            value in "\\PC{0,40}|([hH]ost|for|proto|x)=[-a-z0-9.:;,=\" \t\\\\\\[\\]@/]{0,40}|(host=\"?[a-z:.0-9]{0,6}\"?[;,]? ?){0,4}",
        ) {
            if let Ok(header) = hyper::header::HeaderValue::from_str(&value) {
                for name in [header::FORWARDED, X_FORWARDED_HOST] {
                    let headers: HeaderMap = [(name, header.clone())].into_iter().collect();
                    if let Some(host) = host(&headers) {
                        prop_assert_eq!(Host::parse(&host.to_string()), Some(host));
                    }
                }
            }
            if let Some(text) = first_host(&value) {
                prop_assert!(text.len() <= value.len());
            }
        }
    }
}
