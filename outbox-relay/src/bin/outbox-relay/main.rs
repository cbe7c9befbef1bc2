//! The `outbox-relay` program: creates the outbox tables, runs subscriptions, and shows how they stand.
//!
//! Data goes to standard output, the log and errors to standard error. The one place that picks a database adapter and a
//! publisher.

mod adapter;
mod allocator;
mod arguments;
mod cleanup_table;
mod commands;
mod events;
mod exit;
mod logging;
mod moment;
mod paint;
mod printable;
mod problem;
mod quantity;
#[cfg_attr(not(feature = "serve"), path = "unserved.rs")]
mod serve;
mod settings;
mod signals;
mod signature;
mod status_table;
mod table;
mod why;

use std::io::Write as _;
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser as _;

use arguments::{Arguments, Command};
use exit::{Exit, Failure};
use printable::{printable_text, without_secrets};
use settings::{Environment, Settings};

fn main() -> ExitCode {
    allocator::keep_small();
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => return usage(&error).into(),
    };
    logging::start(&arguments.global);
    match execute(&arguments) {
        Ok(exit) => exit.into(),
        Err(failure) => {
            failure.report();
            failure.exit().into()
        }
    }
}

/// Writes the help that was asked for, or says what is wrong with the command line: even there a URL may hold a password.
fn usage(error: &clap::Error) -> Exit {
    let text = error.render();
    if error.use_stderr() {
        let text = text.to_string();
        let _ = write!(std::io::stderr(), "{}", printable_text(&without_secrets(&text)));
        return Exit::Refused;
    }
    match error.print() {
        Ok(()) => Exit::Done,
        Err(_) => Exit::Failed,
    }
}

fn execute(arguments: &Arguments) -> Result<Exit, Failure> {
    let settings = Settings::read(&arguments.global, &arguments.command, &Environment::of_this_process())?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().map_err(Failure::System)?;
    let ended = runtime.block_on(async {
        match &arguments.command {
            Command::Migrate(flags) => commands::migrate::execute(flags, &settings.database, &arguments.global).await,
            Command::Run(_) => commands::run::execute(settings).await,
            Command::Doctor => commands::doctor::execute(&settings.database, arguments.global.json).await,
            Command::Why { subscription } => {
                commands::why::execute(&settings.database, subscription.as_deref(), arguments.global.json).await
            }
            Command::Events { command } => commands::events::execute(command, settings, &arguments.global).await,
            Command::Cleanup(flags) => {
                let Settings { database, retention, .. } = &settings;
                commands::cleanup::execute(flags.dry_run, database, retention, arguments.global.json).await
            }
            Command::Repair(flags) => commands::repair::execute(flags, &settings.database, arguments.global.json).await,
            Command::Adopt(flags) => commands::adopt::execute(flags, &settings.database, arguments.global.json).await,
            Command::DeadLetters { command } => {
                commands::dead_letters::execute(command, &settings.database, arguments.global.json).await
            }
            Command::Replay(flags) => commands::replay::execute(flags, &settings.database, arguments.global.json).await,
            Command::Pause(flags) => {
                commands::pause::execute(flags, true, &settings.database, arguments.global.json).await
            }
            Command::Resume(flags) => {
                commands::pause::execute(flags, false, &settings.database, arguments.global.json).await
            }
            Command::Status => commands::status::execute(&settings.database, arguments.global.json).await,
        }
    });
    // A write to a pipe that nobody reads would hold the program back for ever.
    runtime.shutdown_timeout(Duration::from_millis(100));
    ended
}
