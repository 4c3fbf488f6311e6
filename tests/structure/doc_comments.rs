//! A doc comment says something that the name does not. One or two words never do.

use proc_macro2::LineColumn;
use syn::visit::Visit;
use syn::{Attribute, Expr, Lit, Meta};

use crate::checkout::Checkout;
use crate::finding::Finding;

const FEWEST_WORDS: usize = 3;

/// One finding for each file with doc comments that are too short.
pub(crate) fn find(checkout: &Checkout) -> Vec<Finding> {
    let sources = checkout.texts.iter().filter(|(path, _)| path.ends_with(".rs"));
    sources
        .filter_map(|(path, text)| {
            let short = short_docs(text);
            (!short.is_empty())
                .then(|| Finding::new(path, format!("doc comments without content: {}", short.join(" | "))))
        })
        .collect()
}

#[derive(Default)]
struct Docs {
    found: Vec<String>,
    /// Line and text of the comment whose lines are being gathered.
    current: Option<(LineColumn, String)>,
}

fn short_docs(text: &str) -> Vec<String> {
    let mut docs = Docs::default();
    docs.visit_file(&syn::parse_file(text).expect("it was parsed before"));
    docs.finish();
    docs.found
}

impl Docs {
    fn finish(&mut self) {
        if let Some((at, text)) = self.current.take() {
            if text.split_whitespace().count() < FEWEST_WORDS {
                self.found.push(format!("{}:{}", at.line, text));
            }
        }
    }
}

impl<'ast> Visit<'ast> for Docs {
    fn visit_attribute(&mut self, attribute: &'ast Attribute) {
        let Meta::NameValue(pair) = &attribute.meta else { return };
        let Expr::Lit(value) = &pair.value else { return };
        let Lit::Str(line) = &value.lit else { return };
        if !pair.path.is_ident("doc") {
            return;
        }
        let at = line.span().start();
        match &mut self.current {
            Some((last, text)) if last.line + 1 == at.line => {
                *last = at;
                text.push(' ');
                text.push_str(&line.value());
            }
            _ => {
                self.finish();
                self.current = Some((at, line.value()));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_or_two_words_are_found_wherever_they_stand() {
        assert_eq!(short_docs("/// The port.\nfn f() {}\nstruct S {\n    /// Why.\n    a: u8,\n}").len(), 2);
        assert_eq!(short_docs("#[cfg(test)]\nmod tests {\n    /// Name.\n    fn f() {}\n}"), ["3: Name."]);
    }

    #[test]
    fn text_is_not_found() {
        assert_eq!(short_docs("//! Ports of the container.\n/// Seconds since\n/// the start.\nfn f() {}"), [""; 0]);
    }
}
