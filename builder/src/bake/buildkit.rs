//! Parses the plain progress output of BuildKit, line by line. Pure.

/// The build step that runs at the moment.
#[derive(Debug, Default)]
pub(super) struct Progress {
    current: Option<String>,
}

impl Progress {
    /// Parses one line. Returns the step if it differs from the one before.
    pub(super) fn line(&mut self, line: &str) -> Option<&str> {
        let vertex = short(vertex(line)?);
        if self.current.as_ref() == Some(&vertex) {
            return None;
        }
        self.current = Some(vertex);
        self.current.as_deref()
    }
}

/// Longest step that is shown, in characters.
const LONGEST_STEP: usize = 100;

/// The step without the mounts of its caches, on one line that fits a terminal.
fn short(vertex: &str) -> String {
    let words: Vec<&str> = vertex.split_whitespace().filter(|word| !word.starts_with("--mount=")).collect();
    let step = words.join(" ");
    if step.chars().count() <= LONGEST_STEP {
        return step;
    }
    step.chars().take(LONGEST_STEP - 1).chain(['…']).collect()
}

/// `[stage 2/5] RUN …` of `#12 [stage 2/5] RUN …`; `None` for output, for the end of a step, and for internal steps.
fn vertex(line: &str) -> Option<&str> {
    let (number, rest) = line.strip_prefix('#')?.split_once(' ')?;
    let good =
        number.bytes().all(|byte| byte.is_ascii_digit()) && rest.starts_with('[') && !rest.starts_with("[internal]");
    good.then_some(rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shows_the_step_that_began_last() {
        let mut progress = Progress::default();
        let mut shown = Vec::new();
        for line in [
            "#0 building with \"default\" instance using docker driver",
            "#1 [internal] load build definition from Dockerfile",
            "#1 DONE 0.0s",
            "#7 [go 2/3] RUN apt-get update",
            "#7 0.312 Get:1 http://m/debian",
            "#7 [go 2/3] RUN apt-get update",
            "#7 DONE 12.1s",
            "#8 [kubernetes 4/4] RUN --mount=type=cache,id=go-build,target=/root/.cache     go build",
            "#9 exporting to image",
            "warning",
            "",
        ] {
            shown.extend(progress.line(line).map(str::to_owned));
        }
        assert_eq!(short(&format!("[a 1/1] RUN {}", "é".repeat(200))).chars().count(), LONGEST_STEP);
        assert_eq!(shown, ["[go 2/3] RUN apt-get update", "[kubernetes 4/4] RUN go build"]);
    }
}
