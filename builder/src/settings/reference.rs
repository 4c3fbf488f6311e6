//! The reference of all settings as a Markdown table, made from their declarations.

use std::fmt::Write as _;

use super::resolved::declarations;

/// The reference as a Markdown table; the documentation holds a copy, which a test compares.
#[must_use]
pub(crate) fn reference() -> String {
    let mut text =
        String::from("| Key in `kubake.yaml` | Flag | Variable | Default | What it is |\n|---|---|---|---|---|\n");
    for declaration in declarations() {
        let env: Vec<String> = declaration.env.iter().map(|name| format!("`{name}`")).collect();
        // Writing to a String cannot fail.
        let _ = writeln!(
            text,
            "| `{}` | `{}` | {} | {} | {} |",
            declaration.key.path(),
            declaration.flag,
            env.join(", "),
            declaration.default,
            declaration.about
        );
    }
    text
}
