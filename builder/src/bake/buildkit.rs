//! Parses the plain progress output of BuildKit, line by line. Pure.

/// The build step that runs at the moment.
#[derive(Debug, Default)]
pub(super) struct Progress {
    current: Option<String>,
}

impl Progress {
    /// Parses one line. Returns the step if it differs from the one before.
    pub(super) fn line(&mut self, line: &str) -> Option<&str> {
        let vertex = vertex(line)?;
        if self.current.as_deref() == Some(vertex) {
            return None;
        }
        self.current = Some(vertex.to_owned());
        self.current.as_deref()
    }
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
            "#8 [kubernetes 4/4] RUN go build",
            "#9 exporting to image",
            "warning",
            "",
        ] {
            shown.extend(progress.line(line).map(str::to_owned));
        }
        assert_eq!(shown, ["[go 2/3] RUN apt-get update", "[kubernetes 4/4] RUN go build"]);
    }
}
