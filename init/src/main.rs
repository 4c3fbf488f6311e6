//! `kubake-init`: decides whether this process is the stub or the supervisor, and nothing else.

use std::ffi::OsString;
use std::os::unix::process::CommandExt;
use std::process::ExitCode;

use kubake_contract::{exit, roles};
use kubake_init::invocation::{self, Invocation};
use kubake_init::log::Log;
use kubake_init::{healthcheck, pid1, supervise};

fn main() -> ExitCode {
    let mut args: Vec<OsString> = std::env::args_os().skip(1).collect();
    let is_supervisor = args.first().is_some_and(|first| first == roles::SUPERVISE);
    if is_supervisor {
        args.remove(0);
    }
    let invocation = invocation::parse(&args);
    // The engine runs the health check every few seconds, and shows its output as data.
    let log = (invocation != Ok(Invocation::Healthcheck)).then(Log::to_stderr);
    let code = match invocation {
        Ok(Invocation::Run { task, has_events }) if is_supervisor => supervise::run(task, has_events),
        Ok(Invocation::Run { .. }) => match pid1::run(&args) {
            Ok(code) => code,
            Err(error) => {
                tracing::error!("{error}");
                exit::FAILED
            }
        },
        Ok(Invocation::Healthcheck) => {
            let verdict = healthcheck::ask();
            print(&verdict.text);
            if verdict.is_ready { exit::OK } else { exit::FAILED }
        }
        Ok(Invocation::Exec(command)) => exec(&command),
        Ok(Invocation::Version) => print(&format!("kubake-init {}\n", env!("CARGO_PKG_VERSION"))),
        Ok(Invocation::Help) => print(invocation::HELP),
        Err(error) => {
            tracing::error!("{error}");
            exit::USAGE
        }
    };
    // The reason of a failure is the last line.
    if let Some(log) = log {
        log.flush();
    }
    // Exit codes are bytes; those of kubake-init and 128 + signal fit.
    ExitCode::from(u8::try_from(code).unwrap_or(1))
}

fn exec(command: &[OsString]) -> i32 {
    let Some((program, args)) = command.split_first() else { return exit::USAGE };
    // Returns only on failure.
    let error = std::process::Command::new(program).args(args).exec();
    tracing::error!("cannot run {}: {error}", program.to_string_lossy());
    127
}

#[expect(clippy::print_stdout, reason = "the output is data")]
fn print(text: &str) -> i32 {
    print!("{text}");
    exit::OK
}
