//! `thalweg config init | check | print`: a file to begin with, what is wrong with one, what is in force.

use std::{
    io::{self, Write},
    path::PathBuf,
};

use clap::{Args, Subcommand};
use serde::Serialize;

use super::{Failure, assemble::assemble, block_on, serve};
use crate::config::{ConfigError, EXAMPLE, Inputs, Origin};

#[derive(Debug, Args)]
pub(super) struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Print a file of settings to begin with: every one, explained, with its default
    Init,
    /// Say everything that is wrong with a file of settings, and try what it names
    Check(CheckArguments),
    /// Print the settings that `thalweg serve` with the same arguments would use
    Print(Box<PrintArguments>),
}

#[derive(Debug, Args)]
struct CheckArguments {
    /// The file; without one, the environment alone is checked
    file: Option<PathBuf>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
struct PrintArguments {
    #[command(flatten)]
    serve: serve::Arguments,
    /// Say where each came from: default, file and line, environment variable or flag
    #[arg(long)]
    origin: bool,
}

pub(super) fn run(arguments: &Arguments) -> Result<(), Failure> {
    match &arguments.command {
        Command::Init => Ok(io::stdout().lock().write_all(EXAMPLE.as_bytes())?),
        Command::Check(arguments) => check(arguments),
        Command::Print(arguments) => print(arguments),
    }
}

/// One problem, for programs.
#[derive(Debug, Serialize)]
struct Problem {
    #[serde(skip_serializing_if = "Option::is_none")]
    file: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    line: Option<usize>,
    /// The variable, when it is none of a file.
    #[serde(skip_serializing_if = "Option::is_none")]
    variable: Option<String>,
    message: String,
}

impl From<&ConfigError> for Problem {
    fn from(error: &ConfigError) -> Self {
        let (mut file, mut line, mut variable) = (None, None, None);
        match &error.origin {
            Origin::File { path, line: at } => {
                file = Some(path.display().to_string());
                line = Some(*at).filter(|n| *n > 0);
            }
            Origin::Variable(name) | Origin::Flag(name) => variable = Some(name.clone()),
            Origin::Default | Origin::Argument => {}
        }
        Self { file, line, variable, message: error.message.clone() }
    }
}

fn check(arguments: &CheckArguments) -> Result<(), Failure> {
    let inputs = Inputs { file: arguments.file.clone(), ..Inputs::default() };
    // A file that cannot be read is no finding: the check could not be run.
    if let Some(error) =
        inputs.read().problems.into_iter().find(|p| matches!(p.origin, Origin::File { line: 0, .. }))
    {
        return Err(Failure::Usage(error.to_string()));
    }
    let problems = block_on(async {
        Ok(assemble(&inputs, u64::MAX, None).err().map_or_else(Vec::new, |r| r.problems))
    })?;
    let mut out = io::stdout().lock();
    if arguments.json {
        let problems: Vec<Problem> = problems.iter().map(Problem::from).collect();
        serde_json::to_writer(&mut out, &serde_json::json!({ "problems": problems }))
            .map_err(Failure::failed)?;
        writeln!(out)?;
    } else {
        for problem in &problems {
            writeln!(out, "{problem}")?;
        }
        match problems.len() {
            0 => writeln!(out, "no problem")?,
            1 => writeln!(out, "1 problem")?,
            n => writeln!(out, "{n} problems")?,
        }
    }
    if problems.is_empty() { Ok(()) } else { Err(Failure::Reported) }
}

fn print(arguments: &PrintArguments) -> Result<(), Failure> {
    let loaded = arguments.serve.inputs().read();
    io::stdout().lock().write_all(loaded.print(arguments.origin).as_bytes())?;
    if loaded.problems.is_empty() {
        return Ok(());
    }
    let lines: Vec<String> = loaded.problems.iter().map(ToString::to_string).collect();
    Err(Failure::Usage(lines.join("\n")))
}
