//! One run of a build container: created, filled, started, followed by its events, committed, removed. Owns the order
//! of these; what the container does is `kubake-init`'s business.

use std::collections::VecDeque;
use std::fs::File;
use std::ops::ControlFlow;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use kubake_init::contract::{BOOT_TIMEOUT, Event, HEALTHCHECK_LIMIT, labels, moments, names, paths, roles};
use kubake_init::proxies::VARIABLES;

use super::inputs::{self, Archive, Packed};
use super::{Context, Error, HookSecrets, doing, hooks};
use crate::engine::command::{Commit, ContainerSpec, CopyInto, Start, Tag};
use crate::engine::{ContainerGuard, Engine, EngineFacts, Flavour, ImageGuard, Input, RunError, Stream};
use crate::printer::Phase;

/// Where the image has `kubake-init`; a commit has to name it, since it keeps the build container's own command.
const INIT: &str = "/usr/local/bin/kubake-init";
/// Repository of images whose commit has not ended yet.
const UNFINISHED: &str = "kubake/unfinished";
/// How often the engine asks a cluster that was ready once. Each time costs it a `docker exec`.
const HEALTH_INTERVAL: Duration = Duration::from_secs(10);
/// The same while it boots. Short, because it is the time until the first check and the pause between two of them, and
/// a check waits by itself for what boots: there are few.
const HEALTH_START_INTERVAL: Duration = Duration::from_secs(1);
/// Later than the check itself gives up, so that what it says then is not lost.
const HEALTH_TIMEOUT: Duration = Duration::from_secs(HEALTHCHECK_LIMIT.as_secs() + 2);
/// One failure may be a busy machine's.
const HEALTH_RETRIES: u32 = 2;
/// Docker's first version that knows `--start-interval`; others refuse the instruction (moby's tracking issue 45897).
const START_INTERVAL_SINCE: u32 = 25;
/// How often it is shown how much of an archive was copied.
const PROGRESS_INTERVAL: Duration = Duration::from_millis(500);
/// How much of a failed container's log its error carries.
const LOG_LINES: usize = 30;

/// What to do.
#[derive(Debug)]
pub(super) struct Recipe<'a> {
    /// The image to start from.
    pub(super) from: &'a str,
    /// The role of `kubake-init`.
    pub(super) role: &'static str,
    /// Small files.
    pub(super) files: Vec<Packed>,
    /// Archives of images and what they are called in the inbox.
    pub(super) archives: Vec<(Archive, String)>,
    /// Tars of files that are laid over those of the image.
    pub(super) trees: Vec<PathBuf>,
    /// Whether hooks of the host run, and those of the container get their secrets and know of proxies.
    pub(super) has_hooks: bool,
    /// Name of the image that is made.
    pub(super) name: &'a str,
    /// Instruction of the image that is made (see [`healthcheck`]).
    pub(super) healthcheck: Option<&'a str>,
    /// Labels of the image that is made.
    pub(super) labels: Vec<(&'static str, &'a str)>,
}

/// Bakes one half; answers with the image's id.
pub(super) fn bake(context: &Context<'_>, phase: &Phase, recipe: &Recipe<'_>) -> Result<String, Error> {
    let engine = context.engine;
    let process = std::process::id().to_string();
    let container = format!("kubake-{}-{process}", recipe.role);
    let spec = ContainerSpec {
        name: Some(container.clone()),
        privileged: true,
        // An argument and not a variable: a commit would keep the variable.
        command: vec![recipe.role.to_owned(), "--events=json".to_owned()],
        labels: vec![(labels::BUILD.to_owned(), process)],
        hostname: Some(names::CLUSTER.to_owned()),
        network: context.settings.network.clone(),
        pull: Some("never".to_owned()),
        ..ContainerSpec::new(recipe.from)
    };
    let guard = create(engine, spec)?;

    phase.message("filling the build container");
    let packed = tempfile::tempfile_in(context.directory.path())
        .map_err(|source| Error::Temporary { path: context.directory.path().to_owned(), source })?;
    let packed = inputs::pack(&recipe.files, packed)?;
    let copy =
        |source: PathBuf, target: String| CopyInto { source, container: container.clone(), target, archive: false };
    engine
        .run_with_input(&copy("-".into(), "/".to_owned()), Input::File(packed))
        .map_err(doing("copy the settings into the build container"))?;
    for path in &recipe.trees {
        let tree = File::open(path).map_err(|source| inputs::Error::Read { path: path.clone(), source })?;
        engine
            .run_with_input(&copy("-".into(), "/".to_owned()), Input::File(tree))
            .map_err(doing("copy the programs of add-ons into the build container"))?;
    }
    for (archive, name) in &recipe.archives {
        copy_archive(engine, phase, archive, name, &copy("-".into(), paths::INBOX_IMAGES.to_owned()))?;
    }
    let mut guard = Some(guard);
    let mut keep = || {
        if !context.options.retain {
            return None;
        }
        let kept = guard.take().map(ContainerGuard::keep)?;
        withdraw_secrets(engine, context, &copy("-".into(), "/".to_owned()));
        Some(kept)
    };
    let on_host = |moment: &str| -> Result<(), Error> {
        if context.hooks.host.is_empty() {
            return Ok(());
        }
        let found = engine.container(&container).map_err(doing("look for the build container"))?;
        let id = found.map_or_else(|| container.clone(), |container| container.id);
        let given = hooks::Surroundings {
            directory: &context.hooks.directory,
            settings: &context.settings.cluster,
            engine: engine.program(),
            timeout: context.settings.hook_timeout,
            failure: context.settings.hook_failure,
        };
        hooks::run(engine.runner(), moment, &id, &given, phase)
    };
    if recipe.has_hooks {
        on_host(moments::BEFORE_SETUP).map_err(|error| error.retained_by(&mut keep))?;
        // Last of all, so that nothing but the container's own first program finds them.
        let (secrets, proxies) = (&context.options.secrets, context.options.host_context.proxies());
        if !(secrets.is_empty() && proxies.is_empty()) {
            hand_over(engine, secrets, proxies, &copy("-".into(), "/".to_owned()))?;
        }
    }

    phase.message("starting");
    let mut follower = Follower::new(phase);
    let ended = engine.stream(&Start { container: container.clone(), attach: true }, |line| {
        match line.stream {
            Stream::Stdout => follower.event(line.text),
            Stream::Stderr => follower.log(line.text),
        }
        ControlFlow::Continue(())
    });
    if let Err(source) = ended {
        return Err(match source {
            source @ RunError::Failed { .. } => follower.failure(recipe.role, &source, keep()),
            source => doing(format!("follow the build container of {}", recipe.role))(source),
        });
    }

    if recipe.has_hooks {
        on_host(moments::AFTER_SETUP).map_err(|error| error.retained_by(&mut keep))?;
    }
    phase.message(format_args!("committing {}", recipe.name));
    // Ctrl-C ends the command but not the engine's work: the image would appear a moment later. So the commit runs to its
    // end, under a name that goes away again, and the image gets its own one only if nobody wanted to stop meanwhile.
    let unfinished = ImageGuard::new(engine, &format!("{UNFINISHED}:{}", std::process::id()));
    let id = engine
        .for_cleanup()
        .run_captured(&Commit {
            container,
            image: unfinished.name().to_owned(),
            changes: changes(recipe, &context.settings.cluster.kubernetes_version),
            message: Some(format!("kubake {}", recipe.role)),
            // It has ended.
            pause: false,
        })
        .map_err(doing(format!("commit the build container as `{}`", recipe.name)))?;
    engine
        .run(&Tag { image: unfinished.name().to_owned(), name: recipe.name.to_owned() })
        .map_err(doing(format!("name the image `{}`", recipe.name)))?;
    if let Some(guard) = guard {
        guard.remove().map_err(doing("remove the build container"))?;
    }
    Ok(id)
}

/// Creates the build container. The engine's client gives it variables about proxies that its user configured, and an image
/// keeps what stands there: then once more, with all of them empty.
fn create(engine: &Engine, spec: ContainerSpec) -> Result<ContainerGuard, Error> {
    let doing = || doing(format!("create the build container from `{}`", spec.image));
    let guard = engine.create(spec.clone()).map_err(doing())?;
    let container = engine.container(guard.name()).map_err(doing())?;
    let variables = container.map(|container| container.variables).unwrap_or_default();
    if !VARIABLES.iter().any(|name| variables.iter().any(|variable| variable == name)) {
        return Ok(guard);
    }
    guard.remove().map_err(doing())?;
    let env = VARIABLES.map(|name| (name.to_owned(), String::new())).to_vec();
    engine.create(ContainerSpec { env, ..spec.clone() }).map_err(doing())
}

fn hand_over(
    engine: &Engine,
    secrets: &HookSecrets,
    proxies: &[(String, String)],
    copy: &CopyInto,
) -> Result<(), Error> {
    let packed = super::secrets::pack(secrets, proxies)
        .map_err(|source| inputs::Error::Pack { path: PathBuf::from(paths::INBOX_SECRETS), source })?;
    engine.run_with_input(copy, Input::Bytes(packed)).map_err(doing("hand the hooks' secrets to the build container"))
}

/// Leaves no secret in a container that is kept: one that could not be started has not removed them.
fn withdraw_secrets(engine: &Engine, context: &Context<'_>, copy: &CopyInto) {
    if context.options.secrets.is_empty() && context.options.host_context.proxies().is_empty() {
        return;
    }
    if let Err(error) = hand_over(&engine.for_cleanup(), &HookSecrets::default(), &[], copy) {
        tracing::warn!("the container that is kept may hold secrets of hooks in {}: {error}", paths::INBOX_SECRETS);
    }
}

/// Copies an archive as the plain tar that it is or becomes, and shows how far it is.
fn copy_archive(engine: &Engine, phase: &Phase, archive: &Archive, name: &str, copy: &CopyInto) -> Result<(), Error> {
    let copied = Arc::new(AtomicU64::new(0));
    let stream = inputs::stream(archive, name, Arc::clone(&copied))
        .map_err(|source| inputs::Error::Pack { path: archive.path.clone(), source })?;
    let is_done = AtomicBool::new(false);
    thread::scope(|scope| {
        let shown = scope.spawn(|| {
            while !is_done.load(Ordering::Relaxed) {
                phase.message(progress(&archive.name, copied.load(Ordering::Relaxed), archive.size));
                thread::park_timeout(PROGRESS_INTERVAL);
            }
        });
        let outcome = engine.run_with_input(copy, Input::Reader(stream));
        is_done.store(true, Ordering::Relaxed);
        shown.thread().unpark();
        outcome.map_err(doing(format!("copy `{}` into the build container", archive.path.display())))
    })
}

/// Such as `copying a.tar: 120 of 1800 MB (6 %)`.
fn progress(name: &str, copied: u64, size: u64) -> String {
    // The stream is a little longer than the archive in it.
    let copied = copied.min(size);
    let percent = copied.saturating_mul(100).checked_div(size).unwrap_or(100);
    format!("copying {name}: {} of {} MB ({percent} %)", copied / 1_000_000, size.div_ceil(1_000_000))
}

/// The instruction with which an engine sees for itself whether the cluster is ready, as far as it understands one. Only
/// for images that boot: nothing should ask during a bake.
///
/// `commit` takes it as it takes `ENTRYPOINT` (moby: `validCommitCommands`). Podman commits in the OCI format, which has
/// no place for it.
pub(super) fn healthcheck(facts: &EngineFacts) -> Option<String> {
    if facts.flavour == Flavour::Podman {
        return None;
    }
    let mut options = vec![
        ("interval", HEALTH_INTERVAL),
        ("timeout", HEALTH_TIMEOUT),
        // As long as kubake-init itself gives a boot; failures count only afterwards.
        ("start-period", BOOT_TIMEOUT),
    ];
    if facts.major().is_some_and(|major| major >= START_INTERVAL_SINCE) {
        options.push(("start-interval", HEALTH_START_INTERVAL));
    }
    let options: String = options.iter().map(|(name, time)| format!("--{name}={}s ", time.as_secs())).collect();
    Some(format!("HEALTHCHECK {options}--retries={HEALTH_RETRIES} CMD [\"{INIT}\",\"{}\"]", roles::HEALTHCHECK))
}

/// What the image is to have beside the container's files.
fn changes(recipe: &Recipe<'_>, version: &str) -> Vec<String> {
    let mut changes = vec![format!("ENTRYPOINT [\"{INIT}\"]"), "CMD []".to_owned()];
    changes.extend(recipe.healthcheck.map(str::to_owned));
    let fixed = [(labels::KUBERNETES_VERSION, version), (labels::BUILD, "")];
    for (name, value) in recipe.labels.iter().copied().chain(fixed) {
        changes.push(format!("LABEL {name}={}", quoted(value)));
    }
    changes
}

/// A value as a Dockerfile's double quotes take it.
fn quoted(value: &str) -> String {
    format!("\"{}\"", value.replace('\\', "\\\\").replace('"', "\\\"").replace('$', "\\$"))
}

/// Turns what a build container says into what is shown and what an error tells.
struct Follower<'a> {
    phase: &'a Phase,
    at: String,
    reason: Option<String>,
    log: VecDeque<String>,
}

impl<'a> Follower<'a> {
    fn new(phase: &'a Phase) -> Self {
        Self { phase, at: "start".to_owned(), reason: None, log: VecDeque::new() }
    }

    fn event(&mut self, line: &str) {
        match serde_json::from_str::<Event>(line) {
            Ok(Event::PhaseStarted { name, index, count }) => {
                self.phase.message(format_args!("{name} ({index}/{count})"));
                self.at = name;
            }
            Ok(Event::PhaseDone { name, elapsed_ms }) => self.phase.step(name, Duration::from_millis(elapsed_ms)),
            Ok(Event::PhaseFailed { name, reason, .. }) => {
                self.at = name;
                self.reason = Some(reason);
            }
            Ok(Event::Note { text }) => {
                self.phase.message(format_args!("{}: {text}", self.at));
                // Hooks speak through notes, and what they said last is what an error needs.
                self.remember(&text);
            }
            Ok(Event::Warning { text }) => self.phase.warn(text),
            Err(_) => self.log(line),
        }
    }

    fn log(&mut self, line: &str) {
        self.phase.detail(line);
        self.remember(line);
    }

    fn remember(&mut self, line: &str) {
        if line.trim().is_empty() {
            return;
        }
        if self.log.len() == LOG_LINES {
            self.log.pop_front();
        }
        self.log.push_back(line.to_owned());
    }

    fn failure(self, role: &'static str, ended: &RunError, retained: Option<String>) -> Error {
        let reason = self.reason.unwrap_or_else(|| match ended.code() {
            Some(code) => format!("it ended with status {code} and gave no reason"),
            None => "it was killed".to_owned(),
        });
        Error::Container { role, phase: self.at, reason, log: self.log.into(), retained }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::printer::{Printer, Verbosity};

    #[test]
    fn progress_is_told_in_bytes() {
        assert_eq!(progress("a.tar", 120_500_000, 1_800_000_000), "copying a.tar: 120 of 1800 MB (6 %)");
        assert_eq!(progress("a.tar", 3000, 2000), "copying a.tar: 0 of 1 MB (100 %)");
    }

    #[test]
    fn values_of_labels_survive_the_dockerfile_syntax() {
        assert_eq!(quoted(r#"{"a":"$b\c"}"#), r#""{\"a\":\"\$b\\c\"}""#);
    }

    #[test]
    fn the_healthcheck_is_what_the_engine_understands() {
        let of = |flavour, version: &str| {
            healthcheck(&EngineFacts { flavour, version: version.to_owned(), ..EngineFacts::default() })
        };
        let old = "HEALTHCHECK --interval=10s --timeout=30s --start-period=900s --retries=2 \
                   CMD [\"/usr/local/bin/kubake-init\",\"healthcheck\"]";
        let new = old.replace("--retries", "--start-interval=1s --retries");
        assert_eq!(of(Flavour::Docker, "24.0.9").as_deref(), Some(old));
        assert_eq!(of(Flavour::Docker, "25.0.0").as_deref(), Some(new.as_str()));
        assert_eq!(of(Flavour::Docker, "26.1.5+dfsg1").as_deref(), Some(new.as_str()));
        assert_eq!(of(Flavour::Docker, "").as_deref(), Some(old));
        assert_eq!(of(Flavour::Podman, "5.4.2"), None);
    }

    #[test]
    fn only_an_image_that_boots_is_asked_for_its_health() {
        let recipe = |healthcheck| Recipe {
            from: "a",
            role: roles::BAKE_CLUSTER,
            files: Vec::new(),
            archives: Vec::new(),
            trees: Vec::new(),
            has_hooks: false,
            name: "b",
            healthcheck,
            labels: vec![(labels::STAGE, "baked")],
        };
        let made = changes(&recipe(Some("HEALTHCHECK CMD [\"c\"]")), "v1.2.3");
        assert_eq!(
            made,
            [
                "ENTRYPOINT [\"/usr/local/bin/kubake-init\"]",
                "CMD []",
                "HEALTHCHECK CMD [\"c\"]",
                "LABEL io.kubake.stage=\"baked\"",
                "LABEL io.kubake.kubernetes-version=\"v1.2.3\"",
                "LABEL io.kubake.build=\"\"",
            ]
        );
        assert!(!changes(&recipe(None), "v1.2.3").iter().any(|change| change.starts_with("HEALTHCHECK")));
    }

    #[test]
    fn events_become_lines_and_a_failure_tells_its_phase() {
        let printer = Printer::capturing(Verbosity::Normal);
        let phase = printer.phase("cluster");
        let mut follower = Follower::new(&phase);
        for line in [
            r#"{"event":"phase-started","name":"kubeadm","index":3,"count":7}"#,
            r#"{"event":"phase-done","name":"kubeadm","elapsed_ms":1500}"#,
            r#"{"event":"phase-started","name":"hooks","index":4,"count":7}"#,
            r#"{"event":"warning","text":"hook 05-y failed"}"#,
            r#"{"event":"note","text":"10-x | oh no"}"#,
            "not an event",
            r#"{"event":"phase-failed","name":"hooks","elapsed_ms":5,"reason":"hook 10-x failed"}"#,
        ] {
            follower.event(line);
        }
        follower.log("last words");
        let ended = RunError::Interrupted { command: String::new() };
        let error = follower.failure("bake-cluster", &ended, None);
        assert_eq!(
            error.to_string(),
            "bake-cluster failed in hooks: hook 10-x failed\n  | 10-x | oh no\n  | not an event\n  | last words"
        );
        assert_eq!(printer.captured(), "• cluster\n  ✓ kubeadm 1.5s\nwarning: hook 05-y failed\n");
    }
}
