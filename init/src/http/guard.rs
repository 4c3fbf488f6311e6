//! Which endpoints are guarded by the token, and whether a request bears it. Pure; answers nothing.

use hyper::header::{self, HeaderMap};

use crate::contract::endpoints;
use crate::token::Token;

/// What an endpoint gives away.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Guarded {
    /// Something with which one gets in.
    Credentials(&'static str),
    /// Whatever programs print, which may be a secret of somebody's.
    Logs,
}

impl Guarded {
    /// What is guarded at a path; none where it holds no secret.
    pub(super) fn of(path: &str) -> Option<Self> {
        const CREDENTIALS: [&str; 4] =
            [endpoints::CONFIG, endpoints::CLIENT_CERT, endpoints::CLIENT_KEY, endpoints::DOCKER_CLIENT];
        if path.starts_with(endpoints::LOGS) {
            return Some(Self::Logs);
        }
        CREDENTIALS.into_iter().find(|known| *known == path).map(Self::Credentials)
    }

    /// How the log calls it. All logs are one, so that no caller decides what is written there.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Credentials(path) => path,
            Self::Logs => endpoints::LOGS,
        }
    }
}

/// Whether a request bears the token: one `Authorization: Bearer TOKEN` (RFC 6750) and no second one, since of two
/// nobody knows which a proxy before us looked at.
pub(super) fn bears(headers: &HeaderMap, token: &Token) -> bool {
    let mut all = headers.get_all(header::AUTHORIZATION).iter();
    let (Some(only), None) = (all.next(), all.next()) else { return false };
    let value = only.as_bytes();
    let Some(space) = value.iter().position(|byte| *byte == b' ') else { return false };
    let (scheme, offered) = value.split_at(space);
    scheme.eq_ignore_ascii_case(b"bearer") && token.is(offered.trim_ascii_start())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_header_with_the_token_opens() {
        let token = Token::parse("open sesame").unwrap();
        let bears = |values: &[&str]| {
            let mut headers = HeaderMap::new();
            for value in values {
                headers.append(header::AUTHORIZATION, value.parse().unwrap());
            }
            bears(&headers, &token)
        };
        for value in ["Bearer open sesame", "bearer open sesame", "BEARER   open sesame"] {
            assert!(bears(&[value]), "{value}");
        }
        for values in [
            &[][..],
            &["Bearer"],
            &["Bearer "],
            &["open sesame"],
            &["Basic open sesame"],
            &["Bearer: open sesame"],
            &["Bearer open sesam"],
            &["Bearer open sesame!"],
            &["Bearer Open sesame"],
            &["Bearer open sesame", "Bearer open sesame"],
            &["Bearer open sesame", ""],
        ] {
            assert!(!bears(values), "{values:?}");
        }
    }
}
