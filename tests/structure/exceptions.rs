//! Compares what breaks the rules with the written list of known exceptions. A line of the list is `RULE PATH`; `#` begins
//! a comment.

use std::collections::BTreeSet;

use crate::finding::Finding;

/// One complaint for each finding that is not listed, and one for each exception without a finding.
pub(crate) fn compare(list: &str, findings: &[Finding]) -> Vec<String> {
    let listed: BTreeSet<(&str, &str)> = list
        .lines()
        .map(|line| line.split('#').next().unwrap_or_default().trim())
        .filter(|line| !line.is_empty())
        .map(|line| line.split_once(' ').unwrap_or((line, "")))
        .collect();
    let found: BTreeSet<(&str, &str)> = findings.iter().map(|finding| (finding.rule, finding.path.as_str())).collect();
    let new = findings
        .iter()
        .filter(|finding| !listed.contains(&(finding.rule, finding.path.as_str())))
        .map(|finding| format!("{} {}: {}", finding.rule, finding.path, finding.problem));
    let stale = listed.difference(&found).map(|(rule, path)| {
        format!("stale exception `{rule} {path}`: the rule is kept there now; remove the line from exceptions.txt")
    });
    new.chain(stale).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn finding() -> Finding {
        Finding::new("a.rs", "600 lines").of_rule("length")
    }

    #[test]
    fn a_finding_without_an_exception_is_a_complaint() {
        assert_eq!(compare("# none\n", &[finding()]), ["length a.rs: 600 lines"]);
        assert_eq!(compare("word a.rs\n", &[finding()]).len(), 2);
    }

    #[test]
    fn an_exception_silences_its_finding_and_is_a_complaint_without_one() {
        assert_eq!(compare("length a.rs # for now\n", &[finding()]), [""; 0]);
        assert!(compare("length a.rs\n", &[])[0].starts_with("stale exception `length a.rs`"));
    }
}
