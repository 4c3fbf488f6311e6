//! What each subcommand does with what was typed: settings first, then the work, then the result on stdout. Owns the
//! mapping of every failure to an exit code and a hint. Does no work itself.

pub mod bake;
pub mod bench;
pub mod completions;
pub mod doctor;
pub mod down;
pub mod engine;
pub mod settings;
pub mod up;

use std::io;
use std::path::PathBuf;

use kubake_init::token::TokenError;
use thiserror::Error;

use crate::advice::Advice;
use crate::cli::{Cli, Command, Global, SettingFlags, Subset};
use crate::engine::install::{self, InstallError};
use crate::engine::{Cancel, Engine, Runner};
use crate::printer::{Printer, chain};
use crate::settings::{Settings, Sources};
use crate::versions::Error as VersionError;

/// How the program ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum ExitCode {
    /// It did what it was asked to.
    Ok = 0,
    /// It could not.
    Failed = 1,
    /// What was asked for makes no sense; nothing was touched (`EX_USAGE`).
    Usage = 64,
    /// The user asked to stop (128 + SIGINT).
    Interrupted = 130,
}

impl From<ExitCode> for std::process::ExitCode {
    fn from(code: ExitCode) -> Self {
        Self::from(code as u8)
    }
}

impl From<&Error> for ExitCode {
    fn from(error: &Error) -> Self {
        match error {
            Error::Settings(_)
            | Error::Token(_)
            | Error::HookSecrets(_)
            | Error::NoName { .. }
            | Error::OneName { .. } => Self::Usage,
            Error::Bake(crate::bake::Error::Version(VersionError::NotPinned { .. })) => Self::Usage,
            error if error.is_interrupted() => Self::Interrupted,
            _ => Self::Failed,
        }
    }
}

/// Why a subcommand failed.
#[derive(Debug, Error)]
pub enum Error {
    /// What was asked for makes no sense.
    #[error(transparent)]
    Settings(#[from] crate::settings::Error),
    /// The token cannot be used.
    #[error(transparent)]
    Token(#[from] TokenError),
    /// Secrets for hooks cannot be used.
    #[error(transparent)]
    HookSecrets(#[from] crate::bake::HookSecretsError),
    /// A custom image would take the name of the image that everybody starts from.
    #[error("an image that starts from `{from}` needs a name of its own; give it one with `-t NAME`")]
    NoName {
        /// What it starts from.
        from: String,
    },
    /// Several images would take one name.
    #[error("images of several versions cannot all be called `{image}`; leave the setting `image` out")]
    OneName {
        /// The name.
        image: String,
    },
    /// There is no engine.
    #[error(transparent)]
    Install(#[from] InstallError),
    /// The bake failed.
    #[error(transparent)]
    Bake(#[from] crate::bake::Error),
    /// The cluster is not up, or not down.
    #[error(transparent)]
    Up(#[from] crate::up::Error),
    /// Nothing was measured.
    #[error(transparent)]
    Bench(#[from] crate::bench::Error),
    /// The picture cannot be written.
    #[error("write the picture `{}`", .path.display())]
    Plot {
        /// Where.
        path: PathBuf,
        /// The system's reason.
        #[source]
        source: io::Error,
    },
    /// The doctor found something; the report says what.
    #[error("kubake does not work on this machine yet")]
    Unhealthy,
    /// The result cannot be written.
    #[error("write the result to stdout")]
    Output(#[source] io::Error),
    /// Ctrl-C cannot be caught.
    #[error("install the signal handlers")]
    Signals(#[source] io::Error),
}

impl Advice for Error {
    fn cause(&self) -> Option<&dyn Advice> {
        match self {
            Self::Settings(error) => Some(error),
            Self::Install(error) => Some(error),
            Self::Bake(error) => Some(error),
            Self::Up(error) => Some(error),
            Self::Bench(error) => Some(error),
            _ => None,
        }
    }
}

/// Tells why it failed; answers with the exit code.
#[must_use]
pub fn report(error: &Error, printer: &Printer) -> ExitCode {
    let code = ExitCode::from(error);
    if code == ExitCode::Interrupted {
        // The user knows why; which command it hit is for `-v`.
        printer.detail(chain(error));
        printer.line("interrupted; what had begun was undone");
        return code;
    }
    if matches!(error, Error::Unhealthy) {
        // The report was the message.
        return code;
    }
    printer.error(error);
    if let Some(hint) = error.hint() {
        printer.hint(hint);
    }
    code
}

/// Runs what was typed.
///
/// # Errors
/// See [`Error`].
pub fn run(cli: &Cli, printer: &Printer) -> Result<(), Error> {
    match &cli.command {
        Command::Up(args) => up::run(args, &cli.global, printer),
        Command::Down(args) => down::run(args, &cli.global, printer),
        Command::Bake(args) => bake::run(args, &cli.global, printer),
        Command::Bench(args) => bench::run(args, &cli.global, printer),
        Command::Doctor(args) => doctor::run(args, printer),
        Command::Settings(args) => settings::run(args, &cli.global, printer),
        Command::Completions(args) => completions::run(args, printer),
        Command::Engine(args) => engine::run(args, printer),
    }
}

fn resolve<S: Subset>(flags: &SettingFlags<S>, global: &Global) -> Result<Settings, Error> {
    let sources = Sources::load(global.settings.as_deref(), flags.entries.clone())?;
    Ok(Settings::resolve(&sources)?)
}

/// A runner whose commands Ctrl-C ends, and which `-v` shows.
fn runner(printer: &Printer) -> Result<Runner, Error> {
    let cancel = Cancel::on_signals().map_err(Error::Signals)?;
    let shown = printer.clone();
    Ok(Runner::new(cancel).on_command(move |line| shown.detail(format_args!("+ {line}"))))
}

/// The engine, installed and started first where that is allowed.
fn find_engine(printer: &Printer, allowed: bool) -> Result<Engine, Error> {
    let runner = runner(printer)?;
    let phase = printer.phase("engine");
    let (engine, _) = install::ensure(&runner, allowed, |line| phase.message(line))?;
    let facts = engine.facts();
    phase.done_with(format_args!("{:?} {}", facts.flavour, facts.version).to_string().to_lowercase());
    Ok(engine)
}
