//! Findings that no cluster survives, for `up` and `bake` to ask before an hour of compiling. Judges only what is certain:
//! everything else is for the user to read in `kubake doctor`.

use thiserror::Error;

use super::facts::{self, EngineState, Facts};
use super::judge::{self, Finding, Verdict};
use crate::engine::Engine;

/// Names of the findings that count, as `judge` gives them.
const CERTAIN: [&str; 3] = ["platform", "root", "disk"];

/// Why neither a bake nor a cluster can work here.
#[derive(Debug, Error)]
#[error("kubake does not work with this engine:{}", lines(.0))]
pub(crate) struct Obstacles(Vec<Finding>);

fn lines(findings: &[Finding]) -> String {
    findings.iter().map(|finding| format!("\n  {}: {}: {}", finding.name, finding.value, finding.advice)).collect()
}

/// Judges an engine that answers.
///
/// # Errors
/// [`Obstacles`], with all that were found.
pub(crate) fn obstacles(engine: &Engine) -> Result<(), Obstacles> {
    of_facts(&facts::from_engine(Ok(engine.clone())))
}

fn of_facts(facts: &Facts) -> Result<(), Obstacles> {
    debug_assert!(matches!(facts.engine, EngineState::Answers(_)), "only an engine that answers has a root");
    let is_certain =
        |finding: &Finding| finding.verdict == Verdict::Problem && CERTAIN.contains(&finding.name.as_str());
    let found: Vec<Finding> = judge::judge(facts).into_iter().filter(is_certain).collect();
    if found.is_empty() { Ok(()) } else { Err(Obstacles(found)) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::EngineFacts;

    #[test]
    fn what_cannot_work_is_said_at_once_and_the_rest_is_not() {
        let judged = |change: &dyn Fn(&mut EngineFacts)| {
            let mut engine = EngineFacts { os: "linux".into(), arch: "amd64".into(), ..EngineFacts::default() };
            change(&mut engine);
            of_facts(&Facts { engine: EngineState::Answers(Box::new(engine)), host: None })
        };
        // No memory, no cgroups, an unknown storage driver: `doctor` reports all of them.
        judged(&|_| ()).unwrap();
        let error = judged(&|engine| engine.security_options = vec!["name=rootless".into()]).unwrap_err().to_string();
        assert!(error.contains("\n  root: rootless: use an engine that runs as root"), "{error}");
        let remapped = judged(&|engine| engine.security_options = vec!["name=userns".into()]).unwrap_err();
        assert!(remapped.to_string().contains("unset userns-remap"), "{remapped}");
        let windows = judged(&|engine| engine.os = "windows".into()).unwrap_err();
        assert!(windows.to_string().contains("platform: windows/amd64: switch"), "{windows}");
    }
}
