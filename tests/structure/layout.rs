//! Where code lies: folders' `mod.rs` and `lib.rs` hold docs, declarations and re-exports, `main.rs` wires, and no file is
//! longer than a reader can keep in mind.

use syn::Item;

use crate::checkout::Checkout;
use crate::finding::Finding;

/// Longest file, in lines that are neither blank nor a comment.
const MOST_LINES: usize = 500;

/// Functions, implementations, traits, statics and macros in a `mod.rs` or `lib.rs`.
pub(crate) fn logic_in_mod(checkout: &Checkout) -> Vec<Finding> {
    let is_index = |path: &str| path.ends_with("/mod.rs") || path.ends_with("/lib.rs");
    logic(checkout, is_index, |item| {
        matches!(item, Item::Fn(_) | Item::Impl(_) | Item::Trait(_) | Item::Static(_) | Item::Macro(_))
            || matches!(item, Item::Mod(module) if module.content.is_some())
    })
}

/// Types and their implementations in the `main.rs` of a program.
pub(crate) fn logic_in_main(checkout: &Checkout) -> Vec<Finding> {
    let is_main = |path: &str| path.ends_with("src/main.rs");
    logic(checkout, is_main, |item| {
        matches!(item, Item::Impl(_) | Item::Trait(_) | Item::Struct(_) | Item::Enum(_) | Item::Static(_))
    })
}

fn logic(checkout: &Checkout, file: fn(&str) -> bool, item: fn(&Item) -> bool) -> Vec<Finding> {
    let files = checkout.sources.iter().filter(|(path, _)| file(path));
    let counts = files.map(|(path, source)| (path, source.items.iter().filter(|it| item(it)).count()));
    counts
        .filter(|(_, count)| *count > 0)
        .map(|(path, count)| Finding::new(path, format!("{count} items belong into files named by noun")))
        .collect()
}

/// Sources longer than the limit.
pub(crate) fn length(checkout: &Checkout) -> Vec<Finding> {
    let sources = checkout.texts.iter().filter(|(path, _)| path.ends_with(".rs"));
    let lengths = sources.map(|(path, text)| (path, lines_of_code(text)));
    lengths
        .filter(|(_, lines)| *lines > MOST_LINES)
        .map(|(path, lines)| Finding::new(path, format!("{lines} lines of code, {MOST_LINES} are the limit")))
        .collect()
}

fn lines_of_code(text: &str) -> usize {
    text.lines().map(str::trim_start).filter(|line| !line.is_empty() && !line.starts_with("//")).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_function_in_an_index_is_found_and_a_declaration_is_not() {
        let of = |text: &str| logic_in_mod(&Checkout::of(&[("x/src/a/mod.rs", text)])).len();
        assert_eq!(of("mod a;\npub use a::A;\nfn f() {}"), 1);
        assert_eq!(of("pub struct A;\nimpl A {}"), 1);
        assert_eq!(of("//! Docs.\nmod a;\npub use a::A;\n#[cfg(test)]\nmod tests { fn f() {} }"), 0);
    }

    #[test]
    fn a_type_in_main_is_found_and_a_function_is_not() {
        let of = |text: &str| logic_in_main(&Checkout::of(&[("x/src/main.rs", text)])).len();
        assert_eq!(of("struct Cli;\nfn main() {}"), 1);
        assert_eq!(of("fn main() {}"), 0);
    }

    #[test]
    fn a_long_file_is_found_and_its_comments_do_not_count() {
        let of = |text: &str| length(&Checkout::of(&[("x/src/a.rs", text)])).len();
        assert_eq!(of(&"use a;\n".repeat(MOST_LINES + 1)), 1);
        assert_eq!(of(&"// why\n\nuse a;\n".repeat(MOST_LINES)), 0);
    }
}
