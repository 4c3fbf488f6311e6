//! Whether a request may have secrets: it bears the token, or there is none and it comes under a name of this container. And
//! the parts of a status that are shown to others. Pure; answers nothing. The endpoints that are guarded are in
//! [`kubake_contract::Endpoint`].

use hyper::header::{self, HeaderMap};
use hyper::http::request::Parts;
use kubake_contract::status::Status;
use kubake_contract::token::Token;

use super::forwarded;
use super::site::Site;

/// Why a request gets no secrets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Refusal {
    /// There is a token, and it does not bear it.
    Token,
    /// There is no token, and the request came under this name, which may be that of any web page.
    Host(String),
}

/// Checks a request for secrets.
pub(super) fn check(request: &Parts, site: &Site) -> Result<(), Refusal> {
    match &site.token {
        // A web page does not know it.
        Some(token) if bears(&request.headers, token) => Ok(()),
        Some(_) => Err(Refusal::Token),
        None => {
            let forwarded = || forwarded::host(&request.headers).filter(|host| !site.own_hosts.contains(host));
            let stranger = site.own_hosts.stranger_in(request);
            stranger.or_else(|| Some(forwarded()?.to_string())).map_or(Ok(()), |host| Err(Refusal::Host(host)))
        }
    }
}

/// Whether a request bears the token: one `Authorization: Bearer TOKEN` (RFC 6750) and no second one, since a proxy in
/// between may have checked either of two.
pub(super) fn bears(headers: &HeaderMap, token: &Token) -> bool {
    let mut all = headers.get_all(header::AUTHORIZATION).iter();
    let (Some(only), None) = (all.next(), all.next()) else { return false };
    let value = only.as_bytes();
    let Some(space) = value.iter().position(|byte| *byte == b' ') else { return false };
    let (scheme, offered) = value.split_at(space);
    scheme.eq_ignore_ascii_case(b"bearer") && token.is(offered.trim_ascii_start())
}

/// The status for callers without the token: the first line of each text. The lines after it are ends of logs, which
/// are guarded themselves.
pub(super) fn without_logs(mut status: Status) -> Status {
    // Each field by name, so that a new one does not compile without a decision here.
    let Status {
        state: _,
        reason,
        phases,
        components,
        docker,
        kubernetes,
        ready_after_ms: _,
        hooks,
        milestones: _,
        usage_at_ready: _,
    } = &mut status;
    let details = phases.iter_mut().map(|phase| &mut phase.detail);
    let details = details.chain(hooks.iter_mut().map(|hook| &mut hook.detail));
    let details = details.chain(components.iter_mut().map(|component| &mut component.last_exit));
    let missing = docker.missing.iter_mut().chain(&mut kubernetes.missing);
    details.chain([reason]).flatten().chain(missing).for_each(shorten);
    status
}

fn shorten(text: &mut String) {
    if let Some(end) = text.find('\n') {
        text.truncate(end);
        text.push_str(" (the rest takes the token: `Authorization: Bearer TOKEN`)");
    }
}

#[cfg(test)]
mod tests {
    use kubake_contract::status::{ComponentState, Outcome, Readiness, State};

    use super::*;
    use crate::status::Board;

    #[test]
    fn without_the_token_no_text_of_a_status_has_the_lines_of_a_log() {
        let board = Board::new();
        let text = |what: &str| format!("{what} failed; the end of its log:\nsecret 1\nsecret 2");
        board.phase_started("containerd");
        board.phase_ended("containerd", Outcome::Failed, Some(text("containerd")));
        board.hook_started("kubernetes-ready/10-apply");
        board.hook_ended("kubernetes-ready/10-apply", Some(text("hook")));
        board.update_component("kubelet", |component| {
            component.state = ComponentState::Failed;
            component.last_exit = Some(text("kubelet"));
        });
        board.set_docker(Readiness::missing(text("dockerd")));
        board.set_kubernetes(Readiness::from_missing(vec!["the node is not Ready".to_owned(), text("etcd")]));
        board.set_state(State::Failed, Some(text("phase containerd")));
        let whole = board.snapshot();
        let shown = without_logs(whole.clone());
        let json = serde_json::to_string(&shown).unwrap();
        assert!(!json.contains("secret") && !json.contains("\\n"), "{json}");
        let rest = "(the rest takes the token: `Authorization: Bearer TOKEN`)";
        assert_eq!(shown.reason, Some(format!("phase containerd failed; the end of its log: {rest}")));
        assert_eq!(shown.kubernetes.missing[0], "the node is not Ready", "a text without a log stays as it is");
        assert_eq!(json.matches(rest).count(), 6, "{json}");
        let outcomes = |status: &Status| (status.state, status.phases[0].outcome, status.phases[0].elapsed_ms);
        assert_eq!(outcomes(&shown), outcomes(&whole));
    }

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
