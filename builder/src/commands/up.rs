//! `kubake up`: resolves settings, token and host context, brings the cluster up, and prints what to type next.

use std::ffi::OsString;

use kubake_contract::env;
use kubake_contract::token::{Token, TokenError};

use super::Error;
use super::preparation::{find_engine, resolve};
use crate::bake::HookSecrets;
use crate::cli::{Global, UpArgs};
use crate::cluster;
use crate::doctor;
use crate::host_context::HostContext;
use crate::printer::{Printer, seconds};
use crate::settings::{Key, Origin, Settings};

pub(super) fn run(args: &UpArgs, global: &Global, printer: &Printer) -> Result<(), Error> {
    let settings = resolve(&args.settings, global)?;
    let token = token(&settings, std::env::var_os(env::TOKEN))?;
    let hook_secrets = HookSecrets::load(&args.hook_secret, |name| std::env::var_os(name))?;
    let host_context = HostContext::for_up(&settings, |name| std::env::var(name).ok())?;
    host_context.warn(printer);
    let engine = find_engine(printer, args.yes)?;
    doctor::obstacles(&engine)?;
    let options = cluster::Options {
        retain: args.retain,
        set_context: args.set_context,
        token: token.as_ref(),
        hook_secrets: &hook_secrets,
        host_context: &host_context,
    };
    let cluster = cluster::up(&engine, &settings, options, printer)?;
    if let Some(millis) = cluster.ready_after_ms {
        let name = &cluster.name;
        let took = seconds(std::time::Duration::from_millis(millis));
        let page = cluster.page.as_ref().unwrap_or(&cluster.endpoint);
        printer.line(format_args!("the cluster `{name}` was ready after {took}; {page} shows its state"));
    }
    let has_kubectl = which::which("kubectl").is_ok();
    printer.next(&cluster::next_commands(&cluster, &settings, has_kubectl, token.is_some()));
    if printer.is_json() { printer.json(&cluster).map_err(Error::Output) } else { Ok(()) }
}

/// The token in effect. `variable` is the value of KUBAKE_TOKEN, which ranks as the variable of a setting: below the flag
/// `--token-file`, above the file; it may not contradict KUBAKE_TOKEN_FILE. The token is no setting itself, because settings
/// are printed.
fn token(settings: &Settings, variable: Option<OsString>) -> Result<Option<Token>, TokenError> {
    // An empty variable is how a CI system says "not set".
    let variable = variable.filter(|value| !value.is_empty());
    let file = settings.container.token_file.clone().map(OsString::from);
    match settings.origin(Key::TOKEN_FILE) {
        Origin::Flag(_) => Token::from_sources(None, file),
        Origin::File { .. } if variable.is_some() => Token::from_sources(variable, None),
        _ => Token::from_sources(variable, file),
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;
    use crate::settings::{Entry, Sources, Value};

    #[test]
    fn the_tokens_sources_have_the_precedence_of_settings() {
        let directory = tempfile::tempdir().unwrap();
        let write = |name: &str| {
            std::fs::write(directory.path().join(name), format!("token-of-{name}\n")).unwrap();
            directory.path().join(name).display().to_string()
        };
        let (file, env, flag) = (write("file"), write("env"), write("flag"));
        let settings = |with_file: bool, with_env: bool, with_flag: bool| {
            let text = format!("version: 1\ntokenFile: {file}\n");
            let flag =
                Entry { key: Key::TOKEN_FILE, value: Value::One(flag.clone()), origin: Origin::Flag("--token-file") };
            let env = ("KUBAKE_TOKEN_FILE".to_owned(), env.clone());
            Settings::resolve(&Sources {
                file: with_file.then(|| (PathBuf::from("kubake.yaml"), text)),
                env: with_env.then_some(env).into_iter().collect(),
                flags: with_flag.then_some(flag).into_iter().collect(),
                ..Sources::default()
            })
            .unwrap()
        };
        let found = |settings: &Settings, variable: Option<&str>| {
            token(settings, variable.map(OsString::from)).unwrap().map(|token| token.expose().to_owned())
        };
        let variable = Some("token-of-variable");
        assert_eq!(found(&settings(false, false, false), None), None);
        assert_eq!(found(&settings(false, false, false), Some("")), None);
        assert_eq!(found(&settings(false, false, false), variable).as_deref(), variable);
        assert_eq!(found(&settings(true, false, false), None).as_deref(), Some("token-of-file"));
        assert_eq!(found(&settings(true, false, false), variable).as_deref(), variable);
        assert_eq!(found(&settings(true, true, false), None).as_deref(), Some("token-of-env"));
        assert_eq!(found(&settings(true, true, true), variable).as_deref(), Some("token-of-flag"));
        assert!(matches!(token(&settings(false, true, false), variable.map(Into::into)), Err(TokenError::Both)));
    }
}
