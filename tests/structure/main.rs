//! The rules of the source, as tests: which module may name what, that no modules depend on each other in a circle, how
//! long files are, which words and doc comments are refused. `init/README.md` explains the rules. These tests read the
//! checkout and run `cargo tree`; they need no privilege, no engine and no network. There are no exceptions.

mod checkout;
mod circles;
mod dependencies;
mod doc_comments;
mod finding;
mod homes;
mod layout;
mod pages;
mod syntax;
mod words;

use checkout::Checkout;
use finding::Finding;

/// Name of a rule, and the function that finds what breaks it.
type Rule = (&'static str, fn(&Checkout) -> Vec<Finding>);

const RULES: [Rule; 9] = [
    ("circle", circles::find),
    ("home", homes::find),
    ("logic-in-mod", layout::logic_in_mod),
    ("logic-in-main", layout::logic_in_main),
    ("length", layout::length),
    ("doc-comment", doc_comments::find),
    ("word", words::find),
    ("page", pages::find),
    ("dependency", dependencies::find),
];

#[test]
fn the_source_keeps_its_rules() {
    let checkout = Checkout::open();
    let complaints: Vec<String> = RULES
        .into_iter()
        .flat_map(|(rule, find)| {
            find(&checkout).into_iter().map(move |found| format!("{rule} {}: {}", found.path, found.problem))
        })
        .collect();
    assert!(complaints.is_empty(), "{}\n{} complaints", complaints.join("\n"), complaints.len());
}
