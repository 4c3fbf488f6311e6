//! Settings that are on or off.

/// Reads `on` and `off`, and the words that YAML has for them.
pub(super) fn parse_switch(text: &str) -> Result<bool, String> {
    match text {
        "on" | "true" | "yes" => Ok(true),
        "off" | "false" | "no" => Ok(false),
        _ => Err(format!("`{text}` is neither `on` nor `off`")),
    }
}

pub(super) fn print_switch(is_on: bool) -> String {
    if is_on { "on" } else { "off" }.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn switches() {
        assert_eq!((parse_switch("on"), parse_switch("false")), (Ok(true), Ok(false)));
        assert!(parse_switch("1").is_err() && parse_switch("").is_err());
    }
}
