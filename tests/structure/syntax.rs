//! What several rules ask of Rust's syntax: which parts only tests compile, and the tokens of an item in one row.

use proc_macro2::{TokenStream, TokenTree};
use quote::ToTokens;
use syn::{Attribute, File, Item, Meta};

/// Whether an attribute says `#[cfg(test)]` or `#[test]`.
pub(crate) fn is_for_tests(attributes: &[Attribute]) -> bool {
    attributes.iter().any(|attribute| match &attribute.meta {
        Meta::Path(path) => path.is_ident("test"),
        Meta::List(list) => list.path.is_ident("cfg") && list.tokens.to_string() == "test",
        Meta::NameValue(_) => false,
    })
}

/// Paths, without `.rs`, of the modules that this file declares for tests only.
pub(crate) fn test_files(path: &str, file: &File) -> Vec<String> {
    let folder = folder(path);
    let modules = file.items.iter().filter_map(|item| match item {
        Item::Mod(module) if module.content.is_none() && is_for_tests(&module.attrs) => Some(module.ident.to_string()),
        _ => None,
    });
    modules.map(|name| format!("{folder}/{name}")).collect()
}

/// The directory of a file's child modules.
fn folder(path: &str) -> &str {
    let roots = ["/mod.rs", "/lib.rs", "/main.rs"];
    roots.iter().find_map(|root| path.strip_suffix(root)).or_else(|| path.strip_suffix(".rs")).unwrap_or(path)
}

/// Removes the file's items that only tests compile.
pub(crate) fn without_tests(mut file: File) -> File {
    file.items.retain(|item| !is_for_tests(attributes(item)));
    file
}

fn attributes(item: &Item) -> &[Attribute] {
    match item {
        Item::Const(item) => &item.attrs,
        Item::Enum(item) => &item.attrs,
        Item::Fn(item) => &item.attrs,
        Item::Impl(item) => &item.attrs,
        Item::Macro(item) => &item.attrs,
        Item::Mod(item) => &item.attrs,
        Item::Static(item) => &item.attrs,
        Item::Struct(item) => &item.attrs,
        Item::Trait(item) => &item.attrs,
        Item::Type(item) => &item.attrs,
        Item::Use(item) => &item.attrs,
        _ => &[],
    }
}

/// The tokens of a file or item, groups opened; doc comments left out.
pub(crate) fn tokens(item: impl ToTokens) -> Vec<TokenTree> {
    let mut row = Vec::new();
    open(item.into_token_stream(), &mut row);
    row
}

pub(crate) fn open(stream: TokenStream, row: &mut Vec<TokenTree>) {
    let mut after_hash = false;
    for token in stream {
        match token {
            TokenTree::Group(group) => {
                if !(after_hash && group.stream().to_string().starts_with("doc")) {
                    open(group.stream(), row);
                }
                after_hash = false;
            }
            TokenTree::Punct(punct) => {
                // `#![doc]` has an exclamation mark between.
                after_hash = punct.as_char() == '#' || (after_hash && punct.as_char() == '!');
                row.push(TokenTree::Punct(punct));
            }
            other => {
                after_hash = false;
                row.push(other);
            }
        }
    }
}

/// The text of a string literal's token.
pub(crate) fn string(token: &TokenTree) -> Option<String> {
    let TokenTree::Literal(literal) = token else { return None };
    match syn::parse_str::<syn::Lit>(&literal.to_string()) {
        Ok(syn::Lit::Str(text)) => Some(text.value()),
        _ => None,
    }
}
