//! Writes a tree as YAML that kubectl reads the same way. kubectl reads YAML 1.1, in which plain `no`, `on` or `1_000` are
//! not strings; `serde_yaml` writes YAML 1.2 and leaves them plain. Pure.

use std::fmt::Write as _;

use serde_yaml::Value;

use super::error::Wrong;

/// Plain words that YAML 1.1 reads as something else than a string (yaml.org/type/bool.html, null.html), in lower case.
const NOT_STRINGS: [&str; 9] = ["y", "n", "yes", "no", "on", "off", "true", "false", "null"];

/// The tree in block style, as kubectl writes it.
///
/// # Errors
/// [`Wrong::Shape`] for tags and for keys that are no strings, which no kubeconfig has.
pub(super) fn to_string(tree: &Value) -> Result<String, Wrong> {
    let mut text = String::new();
    if has_lines(tree) {
        block(&mut text, tree, 0)?;
    } else {
        let _ = writeln!(text, "{}", inline(tree)?);
    }
    Ok(text)
}

/// Whether the value takes lines of its own: a mapping or list with content.
fn has_lines(value: &Value) -> bool {
    match value {
        Value::Mapping(mapping) => !mapping.is_empty(),
        Value::Sequence(list) => !list.is_empty(),
        _ => false,
    }
}

/// A mapping or list with content, each line with `depth` spaces before it.
fn block(text: &mut String, value: &Value, depth: usize) -> Result<(), Wrong> {
    match value {
        Value::Mapping(mapping) => {
            for (key, value) in mapping {
                let key = key.as_str().ok_or_else(|| Wrong::Shape("a key is not a string".to_owned()))?;
                let _ = write!(text, "{:depth$}{}:", "", string(key));
                // Lists stand below their key without further indentation.
                let deeper = if value.is_sequence() { depth } else { depth + 2 };
                nested(text, value, deeper)?;
            }
        }
        Value::Sequence(list) => {
            for value in list {
                let start = text.len();
                let _ = write!(text, "{:depth$}-", "");
                nested(text, value, depth + 2)?;
                // The item's first line follows its dash.
                let broken = format!("{:depth$}-\n{:depth$}  ", "", "");
                if text[start..].starts_with(&broken) {
                    text.replace_range(start..start + broken.len(), &format!("{:depth$}- ", ""));
                }
            }
        }
        _ => {}
    }
    Ok(())
}

/// What follows a key's colon or an item's dash.
fn nested(text: &mut String, value: &Value, depth: usize) -> Result<(), Wrong> {
    if has_lines(value) {
        text.push('\n');
        return block(text, value, depth);
    }
    let _ = writeln!(text, " {}", inline(value)?);
    Ok(())
}

fn inline(value: &Value) -> Result<String, Wrong> {
    match value {
        Value::Null => Ok("null".to_owned()),
        Value::Bool(truth) => Ok(truth.to_string()),
        Value::Number(number) => Ok(number.to_string()),
        Value::String(text) => Ok(string(text)),
        Value::Sequence(_) => Ok("[]".to_owned()),
        Value::Mapping(_) => Ok("{}".to_owned()),
        Value::Tagged(tagged) => Err(Wrong::Shape(format!("it has the tag `{}`", tagged.tag))),
    }
}

/// Plain if every version of YAML reads it as this string, else in double quotes with JSON's escapes, which YAML shares.
fn string(text: &str) -> String {
    let is_plain = text.starts_with(|first: char| first.is_ascii_alphabetic())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_./:@+=".contains(&byte))
        && !text.ends_with(':')
        && !NOT_STRINGS.contains(&text.to_ascii_lowercase().as_str());
    if is_plain { text.to_owned() } else { quoted(text) }
}

fn quoted(text: &str) -> String {
    // YAML forbids a few characters that JSON allows (yaml.org/spec/1.2.2, 5.1).
    let is_forbidden =
        |letter: char| letter.is_control() || "\u{2028}\u{2029}\u{feff}\u{fffe}\u{ffff}".contains(letter);
    serde_json::Value::from(text).to_string().chars().fold(String::new(), |mut escaped, letter| {
        if is_forbidden(letter) {
            let _ = write!(escaped, "\\u{:04x}", u32::from(letter));
        } else {
            escaped.push(letter);
        }
        escaped
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_yaml::Mapping;

    use super::*;

    fn trees() -> impl Strategy<Value = Value> {
        let scalar = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::Bool),
            any::<i64>().prop_map(|number| Value::Number(number.into())),
            ".{0,12}".prop_map(Value::String),
            "[a-z0-9_.:+= -]{0,8}".prop_map(Value::String),
        ];
        scalar.prop_recursive(4, 40, 5, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..5).prop_map(Value::Sequence),
                prop::collection::vec((".{0,6}", inner), 0..5).prop_map(|pairs| {
                    Value::Mapping(pairs.into_iter().map(|(key, value)| (key.into(), value)).collect::<Mapping>())
                }),
            ]
        })
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_again(tree in trees()) {
            let text = to_string(&tree).unwrap();
            prop_assert_eq!(serde_yaml::from_str::<Value>(&text).expect(&text), tree, "{}", text);
        }
    }

    #[test]
    fn strings_that_older_yaml_reads_otherwise_are_quoted() {
        for text in ["no", "Off", "y", "NULL", "~", "1_000", "0o7", "12:30:45", "", " a", "a: b", "a:", "#", "<<", "="]
        {
            assert!(string(text).starts_with('"'), "{text}");
        }
        for text in ["kubernetes-admin@kind", "https://127.0.0.1:8443", "LS0tLS1CRUdJTg==", "v1", "no-one"] {
            assert_eq!(string(text), text);
        }
    }

    #[test]
    fn the_layout_is_kubectls() {
        let tree: Value = serde_yaml::from_str("a: [{b: 1, c: []}, x]\nd: {e: {f: 'no'}}\ng: {}\n").unwrap();
        assert_eq!(to_string(&tree).unwrap(), "a:\n- b: 1\n  c: []\n- x\nd:\n  e:\n    f: \"no\"\ng: {}\n");
    }
}
