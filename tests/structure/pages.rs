//! Pages for people: README is short, and every link within the checkout leads to a file.

use std::path::{Component, Path, PathBuf};

use crate::checkout::Checkout;
use crate::finding::Finding;

/// Longest README of the top level, in lines.
const README_LINES: usize = 150;

/// One finding for each page that is too long or has a dead link.
pub(crate) fn find(checkout: &Checkout) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (path, text) in checkout.texts.iter().filter(|(path, _)| path.ends_with(".md")) {
        let lines = text.lines().count();
        if path == "README.md" && lines > README_LINES {
            findings.push(Finding::new(path, format!("{lines} lines, {README_LINES} are the limit")));
        }
        for link in links(text).filter(|link| !exists(checkout, path, link)) {
            findings.push(Finding::new(path, format!("the link to {link} leads nowhere")));
        }
    }
    findings
}

/// Targets of Markdown's links that are no URL, without the part after `#`.
fn links(text: &str) -> impl Iterator<Item = &str> {
    let targets = text.split("](").skip(1).filter_map(|rest| rest.split([')', ' ', '\n']).next());
    targets
        .filter(|link| !link.contains("://"))
        .filter_map(|link| link.split('#').next())
        .filter(|link| !link.is_empty())
}

fn exists(checkout: &Checkout, page: &str, link: &str) -> bool {
    let mut target = PathBuf::new();
    let folder = Path::new(page).parent().unwrap_or(Path::new(""));
    for part in folder.join(link.trim_end_matches('/')).components() {
        match part {
            Component::ParentDir => {
                target.pop();
            }
            Component::Normal(name) => target.push(name),
            _ => {}
        }
    }
    match &checkout.root {
        Some(root) => root.join(&target).exists(),
        None => checkout.texts.contains_key(&*target.to_string_lossy()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dead_link_is_found_and_a_live_one_is_not() {
        let of = |text: &str| find(&Checkout::of(&[("a/page.md", text), ("b/other.md", "")])).len();
        assert_eq!(of("See [this](../b/missing.md)."), 1);
        assert_eq!(of("See [this](../b/other.md#part), [that](https://example.org/x) and [below](#below)."), 0);
    }

    #[test]
    fn a_long_readme_is_found() {
        let of = |path: &str| find(&Checkout::of(&[(path, &"line\n".repeat(README_LINES + 1))])).len();
        assert_eq!((of("README.md"), of("init/README.md")), (1, 0));
    }
}
