//! The page for people, as HTML and as plain text. Pure: renders a status and escapes every text in it.

use std::fmt::{self, Write as _};

use kubake_contract::Endpoint;
use kubake_contract::status::{Outcome, Phase, Readiness, State, Status};

use super::site::Site;

const STYLE: &str = "body{font:16px/1.5 system-ui,sans-serif;max-width:46rem;margin:2rem auto;padding:0 1rem}\
    td,th{text-align:left;padding:.1rem 1rem .1rem 0;vertical-align:top}td:nth-child(2){text-align:right}\
    .failed{color:#b00}code{font-size:.95em;white-space:nowrap}@media(prefers-color-scheme:dark){body{background:#111;color:#ddd}a{color:#8bf}}";

/// The page as plain text, for `curl`.
pub(super) fn text(status: &Status, site: &Site) -> String {
    let mut page = format!("{}\n", headline(status, site));
    for line in missing(status) {
        let _ = writeln!(page, "  {line}");
    }
    page.push('\n');
    for phase in &status.phases {
        let detail = phase.detail.as_deref().map(|detail| format!("  {detail}")).unwrap_or_default();
        let _ = writeln!(page, "{:<20} {:>8}  {}{detail}", phase.name, took(phase), word(phase.outcome));
    }
    let _ = write!(page, "\n{}", endpoints_as_text());
    page
}

/// The page as HTML; it reloads itself during the boot.
pub(super) fn html(status: &Status, site: &Site) -> String {
    let refresh =
        if status.state == State::Booting { "<meta http-equiv=\"refresh\" content=\"1\">" } else { Default::default() };
    let mut page = String::new();
    head(&mut page, refresh);
    let class = if status.state == State::Failed { " class=\"failed\"" } else { "" };
    let _ = write!(page, "<h1>kubake</h1><p{class}><strong>{}</strong></p>", Escaped(&headline(status, site)));
    let missing = missing(status);
    if !missing.is_empty() {
        page.push_str("<ul>");
        for line in missing {
            let _ = write!(page, "<li>{}</li>", Escaped(&line));
        }
        page.push_str("</ul>");
    }
    if !status.phases.is_empty() {
        page.push_str("<h2>Boot</h2><table>");
        for phase in &status.phases {
            let _ = write!(
                page,
                "<tr><td>{}</td><td>{}</td><td>{}</td><td>{}</td></tr>",
                Escaped(&phase.name),
                took(phase),
                word(phase.outcome),
                Escaped(phase.detail.as_deref().unwrap_or_default())
            );
        }
        page.push_str("</table>");
    }
    page.push_str("<h2>Endpoints</h2><table>");
    for endpoint in Endpoint::ALL {
        let (path, about) = (endpoint.path(), endpoint.about());
        let _ = write!(
            page,
            "<tr><td><a href=\"{path}\"><code>{path}</code></a></td><td></td><td>{}</td></tr>",
            Escaped(about)
        );
    }
    page.push_str("</table>\n");
    page
}

/// The list of logs as HTML.
pub(super) fn logs_as_html(names: &[String]) -> String {
    let mut page = String::new();
    head(&mut page, "");
    page.push_str("<h1>Logs</h1><ul>");
    for name in names {
        let name = Escaped(name);
        let _ = write!(page, "<li><a href=\"{}{name}\">{name}</a></li>", Endpoint::Logs.path());
    }
    page.push_str("</ul>\n");
    page
}

/// The endpoints, one a line.
pub(super) fn endpoints_as_text() -> String {
    Endpoint::ALL.iter().map(|endpoint| format!("{:<20} {}\n", endpoint.path(), endpoint.about())).collect()
}

fn head(page: &mut String, extra: &str) {
    let _ = write!(
        page,
        "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\">{extra}<title>kubake</title>\
         <meta name=\"viewport\" content=\"width=device-width\"><style>{STYLE}</style></head><body>"
    );
}

fn headline(status: &Status, site: &Site) -> String {
    let version = &site.settings.kubernetes_version;
    let seconds = |millis: u64| Seconds(millis);
    let mut line = match (status.state, status.ready_after_ms) {
        (State::Booting, _) => {
            let uptime = u64::try_from(site.board.uptime().as_millis()).unwrap_or(u64::MAX);
            format!("Kubernetes {version} has been booting for {}", seconds(uptime))
        }
        (State::Running, Some(after)) if status.kubernetes.ready => {
            format!("Kubernetes {version} is ready; it took {}", seconds(after))
        }
        (State::Running, _) => format!("Kubernetes {version} was ready and is no longer"),
        (State::Stopping, _) => format!("Kubernetes {version} is stopping"),
        (State::Failed, _) => format!("Kubernetes {version} failed to boot"),
    };
    if let Some(reason) = &status.reason {
        let _ = write!(line, ": {reason}");
    }
    line
}

fn missing(status: &Status) -> Vec<String> {
    let of = |what: &'static str, readiness: &Readiness| {
        readiness.missing.iter().map(|line| format!("{what}: {line}")).collect::<Vec<_>>()
    };
    let hooks = status.hooks.iter().filter_map(|hook| hook.detail.clone()).collect();
    [of("kubernetes", &status.kubernetes), of("docker", &status.docker), hooks].concat()
}

fn took(phase: &Phase) -> String {
    phase.elapsed_ms.map(|millis| Seconds(millis).to_string()).unwrap_or_default()
}

fn word(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Running => "running",
        Outcome::Done => "done",
        Outcome::Failed => "failed",
    }
}

/// Milliseconds as seconds.
struct Seconds(u64);

impl fmt::Display for Seconds {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}.{:02} s", self.0 / 1000, self.0 % 1000 / 10)
    }
}

/// Text escaped for HTML and quoted attributes.
struct Escaped<'a>(&'a str);

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for character in self.0.chars() {
            match character {
                '&' => formatter.write_str("&amp;")?,
                '<' => formatter.write_str("&lt;")?,
                '>' => formatter.write_str("&gt;")?,
                '"' => formatter.write_str("&quot;")?,
                '\'' => formatter.write_str("&#39;")?,
                other => formatter.write_char(other)?,
            }
        }
        Ok(())
    }
}
