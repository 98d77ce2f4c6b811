//! The command line: arguments to one function per command.
//!
//! Exit codes: 0 done; 1 it could not be done; 2 the command line or a setting is wrong. Errors are one
//! sentence on standard error.

mod assemble;
mod cat;
mod check;
mod config;
mod explain;
mod ls;
mod ncml;
mod secrets;
mod serve;
mod sign;
mod stores;
mod subject;

use std::{
    fmt::Display,
    io::{self, Write},
    path::PathBuf,
    process::ExitCode,
    sync::Arc,
};

use clap::{Parser, Subcommand};
use handlers::{
    Registry,
    chunked::{Engine, EngineOptions},
    references::{AllowList, Opener},
    storage::{is_store_url, remote_root},
};

use crate::config::Config;

/// Serves netCDF and HDF5 files over OPeNDAP (DAP4 and DAP2).
#[derive(Debug, Parser)]
#[command(name = "thalweg", version, about, arg_required_else_help = true)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Serve folders and files over HTTP
    Serve(serve::Arguments),
    /// List the datasets in a folder
    Ls(ls::Arguments),
    /// Print a dataset's structure, and the values of variables, as CDL
    Cat(cat::Arguments),
    /// Print a dataset's structure as NcML
    Ncml(ncml::Arguments),
    /// Find what cannot be served, or not well, and say what mends it
    Check(check::Arguments),
    /// Say what a URL means, and what answering it would take
    Explain(explain::Arguments),
    /// Write, check and print settings
    Config(config::Arguments),
    /// Make what settings keep of a password, which is read from standard input
    HashPassword,
    /// Make what settings keep of a token, which is read from standard input
    HashToken {
        /// Make a new token, too
        #[arg(long)]
        new: bool,
    },
    /// Print a URL that opens a dataset or a folder for whoever has it, until a time
    Sign(Box<sign::Arguments>),
    /// Have a running server read its settings again, and say what came of it
    Reload(serve::ReloadArguments),
}

/// Why a command ended without success.
#[derive(Debug)]
enum Failure {
    /// The command line or a setting is wrong: 2.
    Usage(String),
    /// It could not be done: 1.
    Failed(String),
    /// Something was found wanting and has been said: 1.
    Reported,
}

impl Failure {
    fn failed(error: impl Display) -> Self {
        Self::Failed(error.to_string())
    }
}

impl From<cdm::Error> for Failure {
    fn from(error: cdm::Error) -> Self {
        use std::error::Error;
        // Whoever runs a command may know what ails the storage; clients of the server may not.
        let is_storage = matches!(error.kind(), cdm::ErrorKind::Storage | cdm::ErrorKind::TimedOut);
        match error.source().filter(|_| is_storage) {
            Some(cause) => Self::failed(format_args!("{error}: {cause}")),
            None => Self::failed(error),
        }
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self::failed(error)
    }
}

/// Runs the command that the process arguments name.
pub fn main() -> ExitCode {
    let outcome = match Arguments::parse().command {
        Command::Serve(arguments) => serve::run(&arguments),
        Command::Ls(arguments) => ls::run(&arguments),
        Command::Cat(arguments) => cat::run(&arguments),
        Command::Ncml(arguments) => ncml::run(&arguments),
        Command::Check(arguments) => check::run(&arguments),
        Command::Explain(arguments) => explain::run(&arguments),
        Command::Config(arguments) => config::run(&arguments),
        Command::HashPassword => secrets::hash_password(),
        Command::HashToken { new } => secrets::hash_token(new),
        Command::Sign(arguments) => sign::run(&arguments),
        Command::Reload(arguments) => serve::reload(&arguments),
    };
    let (code, message) = match outcome {
        Ok(()) => return ExitCode::SUCCESS,
        Err(Failure::Usage(message)) => (2, message),
        Err(Failure::Failed(message)) => (1, message),
        Err(Failure::Reported) => return ExitCode::from(1),
    };
    say(format_args!("thalweg: {message}"));
    ExitCode::from(code)
}

/// Bands of a stream that are read at once when storage is far away, as far as memory allows: each waits
/// for the network, not for the processor.
const BANDS_FROM_AFAR: usize = 6;

/// Bytes of each of them: fewer requests, each of which costs as much as reading a megabyte.
const BAND_FROM_AFAR: u64 = 2 << 20;

/// The formats, with an engine within the limits for data at `roots`, and references that lead where they
/// are allowed to.
fn registry(config: &Config, roots: &[PathBuf]) -> Result<Registry, Failure> {
    let is_far = roots.iter().any(|root| root.to_str().is_some_and(is_store_url));
    let default = EngineOptions::default();
    let engine = Arc::new(Engine::new(EngineOptions {
        cache_bytes: config.limits.chunk_cache,
        budget_bytes: config.limits.memory,
        stall: config.limits.data_timeout,
        bands_in_flight: default.bands_in_flight.max(if is_far { BANDS_FROM_AFAR } else { 1 }),
        band_bytes: if is_far { BAND_FROM_AFAR } else { default.band_bytes },
        ..default
    }));
    let remote = config.remote.clone();
    let opener: Opener = Arc::new(move |url| remote_root(url, &remote));
    let allowed = AllowList::new(&config.references_allow, opener)
        .map_err(|e| Failure::Usage(format!("references.allow: {e}")))?;
    Ok(Registry::new(engine).allowing(allowed).collecting(config.collections.options()))
}

/// One line on standard error. When that is closed there is nobody to tell.
fn say(line: impl Display) {
    let _ = writeln!(io::stderr().lock(), "{line}");
}

/// Runs a command's future on this process's runtime.
fn block_on<T>(work: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    tokio::runtime::Builder::new_multi_thread().enable_all().build()?.block_on(work)
}
