//! Judges all facts.

use super::super::facts::{EngineState, Facts};
use super::engine::judge_engine;
use super::finding::{Finding, Verdict, finding};
use super::host::judge_host;

#[must_use]
pub(in super::super) fn judge(facts: &Facts) -> Vec<Finding> {
    let mut findings = Vec::new();
    let engine = match &facts.engine {
        EngineState::Fails(reason) => {
            // The message of the error has the advice after its first semicolon.
            let (value, advice) = reason.split_once("; ").unwrap_or((reason, "install or start a container engine"));
            findings.push(finding("engine", value, (Verdict::Problem, advice)));
            None
        }
        EngineState::Answers(engine) => {
            findings.extend(judge_engine(engine));
            Some(engine.as_ref())
        }
    };
    if let Some(host) = &facts.host {
        findings.extend(judge_host(host, engine));
    }
    findings
}

/// The worst verdict of all findings.
#[must_use]
pub(in super::super) fn worst(findings: &[Finding]) -> Verdict {
    findings.iter().map(|finding| finding.verdict).max().unwrap_or(Verdict::Ok)
}
