//! Answers of the server: status codes, and the headers that every answer carries.

use http_body_util::Full;
use hyper::body::Bytes;
use hyper::header::{self, HeaderName, HeaderValue};
use hyper::{Response, StatusCode};
use kubake_contract::env;

pub(super) type Answer = Response<Full<Bytes>>;

/// In an answer that says "not ready": the boot is still going on.
pub(crate) const BOOTING: HeaderName = HeaderName::from_static("kubake-booting");

pub(super) const TEXT: &str = "text/plain; charset=utf-8";
pub(super) const HTML: &str = "text/html; charset=utf-8";

pub(super) fn not_found(why: &str) -> Answer {
    text(StatusCode::NOT_FOUND, why.to_owned())
}

pub(super) fn unauthorized() -> Answer {
    let mut answer = text(
        StatusCode::UNAUTHORIZED,
        "credentials and logs of this cluster take its token: send the header `Authorization: Bearer TOKEN`\n",
    );
    answer.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer realm=\"kubake\""));
    answer
}

/// For a request under a name that may be that of any web page.
pub(super) fn misdirected(host: &str) -> Answer {
    let why = format!(
        "credentials and logs are not served under the name `{host}`, since any web page could use it: call this server by \
         its address or by a name without a dot, add the name to {}, or set a token ({})\n",
        env::CERT_SANS,
        env::TOKEN
    );
    text(StatusCode::MISDIRECTED_REQUEST, why)
}

pub(super) fn unavailable(why: impl Into<Bytes>) -> Answer {
    let mut answer = text(StatusCode::SERVICE_UNAVAILABLE, why);
    answer.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
    answer
}

pub(super) fn text(code: StatusCode, text: impl Into<Bytes>) -> Answer {
    body(code, TEXT, text)
}

pub(super) fn body(code: StatusCode, content_type: &'static str, content: impl Into<Bytes>) -> Answer {
    let mut answer = Response::new(Full::new(content.into()));
    *answer.status_mut() = code;
    for (name, value) in [
        (header::CONTENT_TYPE, content_type),
        // An answer is true at this moment only, and `/config` holds a key.
        (header::CACHE_CONTROL, "no-store"),
        // Logs contain any output of programs: no browser may render them as a page.
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::CONTENT_SECURITY_POLICY, "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'"),
    ] {
        answer.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    answer
}
