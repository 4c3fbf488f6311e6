//! Everything that the supervisor checks before it changes anything: its task, variables, the image's settings, and what the
//! container may do. Collects all mistakes, so that users see them at once; the modules that own a value parse it.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use kubake_contract::error_chain::chain;
use kubake_contract::token::Token;
use kubake_contract::{ClusterSettings, env, paths};

use crate::boot_options::BootOptions;
use crate::files::under;
use crate::host::{mountinfo, preflight};
use crate::identity;
use crate::invocation::Task;

/// A checked task with all its input.
#[derive(Debug)]
pub(crate) struct Launch {
    pub task: Task,
    /// The settings that the image was baked with.
    pub settings: ClusterSettings,
    /// What the host allows this container.
    pub facts: preflight::Facts,
    pub identity: identity::Request,
    pub boot_options: BootOptions,
    /// Guards credentials and logs.
    pub token: Option<Token>,
}

/// Settings of the image that cannot be used.
#[derive(Debug, thiserror::Error)]
enum SettingsError {
    #[error("cannot read {}; this program is PID 1 of an image that `kubake bake` made", path.display())]
    Read {
        path: PathBuf,
        #[source]
        source: std::io::Error,
    },
    #[error("cannot parse {}; bake the image again", path.display())]
    Parse {
        path: PathBuf,
        #[source]
        source: serde_yaml::Error,
    },
    #[error("{}: {key}: {problem}; bake the image again with another value", path.display())]
    Value { path: PathBuf, key: &'static str, problem: String },
}

/// A variable whose value is not text.
#[derive(Debug, thiserror::Error)]
#[error("{variable}: the value is not UTF-8; set it to text, or leave it out")]
struct EncodingError {
    variable: String,
}

impl Launch {
    /// Gathers and checks everything. `get` returns variables; files are below `root` (`/` in a container).
    ///
    /// # Errors
    /// Every mistake, one sentence each.
    pub(crate) fn gather(
        task: Task,
        get: impl Fn(&str) -> Option<OsString>,
        root: &Path,
        now: SystemTime,
    ) -> Result<Self, Vec<String>> {
        let mut mistakes = Mistakes::default();
        let token = mistakes.except(Token::from_sources(get(env::TOKEN), get(env::TOKEN_FILE)).map_err(one));
        let garbled = RefCell::new(BTreeSet::new());
        let text = |name: &str| get(name)?.into_string().map_err(|_| garbled.borrow_mut().insert(name.to_owned())).ok();
        let is_boot = task == Task::Boot;
        let mounts = mountinfo::load(&under(root, "/proc/self/mountinfo"));
        let identity = if is_boot {
            let is_made = identity::is_made_at(root);
            if !is_made {
                // A mount table that cannot be read is a mistake that `preflight` reports.
                mistakes.0.extend(each(&identity::mounted(mounts.as_deref().unwrap_or_default())));
            }
            mistakes.except(identity::Request::from_variables(text, now, is_made).map_err(|errors| each(&errors)))
        } else {
            Some(identity::Request::default())
        };
        let boot_options =
            mistakes.except(if is_boot { BootOptions::from_variables(text) } else { BootOptions::of_a_bake(text) });
        let garbled = garbled.into_inner().into_iter().map(|variable| EncodingError { variable });
        mistakes.0.extend(garbled.map(|error| chain(&error)));
        let settings = mistakes.except(load_settings(&under(root, paths::SETTINGS)).map_err(|errors| each(&errors)));
        let facts = mistakes.except(preflight::check(root, mounts).map_err(|refusals| each(&refusals)));
        let boot_options = boot_options.map(|mut boot_options| {
            // A token says that not everyone may have everything, and this port asks for none.
            if matches!(token, Some(Some(_))) && get(env::DOCKER_TCP).is_none() {
                boot_options.is_docker_tcp_served = false;
            }
            boot_options
        });
        match (token, identity, boot_options, settings, facts) {
            (Some(token), Some(identity), Some(boot_options), Some(settings), Some(facts)) if mistakes.0.is_empty() => {
                Ok(Self { task, settings, facts, identity, boot_options, token })
            }
            _ => Err(mistakes.0),
        }
    }
}

/// The mistakes found so far, one sentence each.
#[derive(Debug, Default)]
struct Mistakes(Vec<String>);

impl Mistakes {
    fn except<T>(&mut self, result: Result<T, Vec<String>>) -> Option<T> {
        result.map_err(|found| self.0.extend(found)).ok()
    }
}

fn one(error: impl std::error::Error + 'static) -> Vec<String> {
    vec![chain(&error)]
}

fn each<E: std::error::Error + 'static>(errors: &[E]) -> Vec<String> {
    errors.iter().map(|error| chain(error)).collect()
}

fn load_settings(path: &Path) -> Result<ClusterSettings, Vec<SettingsError>> {
    let path = || path.to_owned();
    let text = std::fs::read_to_string(path()).map_err(|source| vec![SettingsError::Read { path: path(), source }])?;
    let settings: ClusterSettings =
        serde_yaml::from_str(&text).map_err(|source| vec![SettingsError::Parse { path: path(), source }])?;
    let problems = settings.problems();
    if problems.is_empty() {
        return Ok(settings);
    }
    Err(problems.into_iter().map(|(key, problem)| SettingsError::Value { path: path(), key, problem }).collect())
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::ffi::OsStringExt;

    use super::*;

    /// The files of a container that the engine has just created, with these settings in its image.
    fn container(settings: &str) -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        let mounts = "1 0 0:1 / / rw - overlay overlay rw\n2 1 0:2 / /proc rw - proc proc rw\n\
                      4 1 0:4 / /sys/fs/cgroup rw - cgroup2 cgroup rw\n";
        for (path, text) in [
            (paths::SETTINGS, settings),
            ("/proc/self/status", "CapEff:\t000001ffffffffff\n"),
            ("/proc/self/uid_map", "0 0 4294967295\n"),
            ("/proc/self/mountinfo", mounts),
            ("/sys/fs/cgroup/cgroup.controllers", "cpu memory\n"),
        ] {
            let path = under(root.path(), path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        root
    }

    fn gather(task: Task, root: &Path, variables: &[(&str, &str)]) -> Result<Launch, Vec<String>> {
        let get = |name: &str| variables.iter().find(|(key, _)| *key == name).map(|(_, value)| value.into());
        Launch::gather(task, get, root, SystemTime::now())
    }

    #[test]
    fn a_launch_holds_what_was_given() {
        let root = container("{}");
        let variables = [(env::TOKEN, "open sesame"), (env::API_PORT, "32768"), (env::DOCKER_TCP, "off")];
        let launch = gather(Task::Boot, root.path(), &variables).unwrap();
        assert_eq!((launch.task, launch.settings), (Task::Boot, ClusterSettings::default()));
        assert!(launch.token.unwrap().is(b"open sesame"));
        assert_eq!((launch.boot_options.api_port, launch.boot_options.is_docker_tcp_served), (32768, false));
    }

    #[test]
    fn a_token_closes_the_docker_port_that_asks_for_none() {
        let root = container("{}");
        let token = (env::TOKEN, "open sesame");
        for (variables, is_served) in [
            (&[][..], true),
            (&[token], false),
            (&[token, (env::DOCKER_TCP, "on")], true),
            (&[(env::DOCKER_TCP, "off")], false),
        ] {
            let launch = gather(Task::Boot, root.path(), variables).unwrap();
            assert_eq!(launch.boot_options.is_docker_tcp_served, is_served, "{variables:?}");
        }
    }

    #[test]
    fn all_mistakes_are_reported_together() {
        let root = container("staticIp: 127.0.0.1\nserviceSubnet: 10.244.0.0/16\n");
        fs::write(under(root.path(), "/proc/self/status"), "CapEff:\t00000000a80425fb\n").unwrap();
        let variables = [
            (env::TOKEN, "short"),
            (env::API_PORT, "http"),
            (env::DOCKER_TCP, "of"),
            (env::HOOK_TIMEOUT, "soon"),
            (env::CERT_SANS, "a/b"),
            (env::REGISTRY, "ghcr.io"),
        ];
        let mistakes = gather(Task::Boot, root.path(), &variables).unwrap_err();
        for beginning in [
            "the token in KUBAKE_TOKEN is shorter than 8 bytes; ",
            "KUBAKE_API_PORT: `http` is not a port; ",
            "KUBAKE_DOCKER_TCP: `of` is neither",
            "KUBAKE_HOOK_TIMEOUT is `soon`, which is no duration; ",
            "KUBAKE_CERT_SANS: `a/b` is neither",
            "REGISTRY is set and ",
            &format!("{}: staticIp: ", under(root.path(), paths::SETTINGS).display()),
            &format!("{}: podSubnet: ", under(root.path(), paths::SETTINGS).display()),
            "the container lacks CAP_SYS_ADMIN: run the container with --privileged",
        ] {
            let count = mistakes.iter().filter(|mistake| mistake.starts_with(beginning)).count();
            assert_eq!(count, 1, "{beginning} in {mistakes:#?}");
        }
    }

    #[test]
    fn a_mounted_identity_is_refused_at_the_first_boot_only() {
        let root = container("{}");
        let table = under(root.path(), "/proc/self/mountinfo");
        let mounts = fs::read_to_string(&table).unwrap() + "5 1 0:5 / /etc/kubernetes/pki rw - ext4 /dev/vda rw\n";
        fs::write(table, mounts).unwrap();
        let mistakes = gather(Task::Boot, root.path(), &[]).unwrap_err();
        assert!(mistakes.len() == 1 && mistakes[0].starts_with("/etc/kubernetes/pki is a mount"), "{mistakes:?}");
        fs::create_dir_all(under(root.path(), "/etc/kubake")).unwrap();
        fs::write(under(root.path(), paths::IDENTITY), "").unwrap();
        assert!(gather(Task::Boot, root.path(), &[]).is_ok());
    }

    #[test]
    fn a_bake_ignores_identity_and_registries() {
        let root = container("{}");
        let variables = [(env::CERT_SANS, "a/b"), (env::REGISTRY, "ghcr.io"), (env::HOOK_TIMEOUT, "soon")];
        assert!(gather(Task::BakeImages, root.path(), &variables).is_ok());
        let mistakes = gather(Task::BakeImages, root.path(), &[(env::TOKEN, ""), ("HTTP_PROXY", "a b")]).unwrap_err();
        assert!(mistakes.len() == 2 && mistakes[1].starts_with("HTTP_PROXY: "), "{mistakes:?}");
    }

    #[test]
    fn broken_settings_are_refused_with_the_key() {
        for (text, part) in [("statikIp: 10.0.0.1\n", "statikIp"), ("staticIp: 127.0.0.1\n", "staticIp: ")] {
            let mistakes = gather(Task::Boot, container(text).path(), &[]).unwrap_err();
            assert!(
                mistakes.len() == 1 && mistakes[0].contains("settings.yaml") && mistakes[0].contains(part),
                "{mistakes:?}"
            );
            assert!(mistakes[0].contains("; bake the image again"), "{mistakes:?}");
        }
        let root = container("{}");
        fs::remove_file(under(root.path(), paths::SETTINGS)).unwrap();
        let mistakes = gather(Task::Boot, root.path(), &[]).unwrap_err();
        assert!(mistakes.len() == 1 && mistakes[0].contains("an image that `kubake bake` made"), "{mistakes:?}");
    }

    #[test]
    fn a_variable_that_is_not_text_is_a_mistake() {
        let root = container("{}");
        let get = |name: &str| (name == env::DOCKER_TCP).then(|| OsString::from_vec(vec![b'o', 0xff]));
        let mistakes = Launch::gather(Task::Boot, get, root.path(), SystemTime::now()).unwrap_err();
        assert_eq!(mistakes, ["KUBAKE_DOCKER_TCP: the value is not UTF-8; set it to text, or leave it out"]);
    }
}
