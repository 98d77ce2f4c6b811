//! The `thalweg` program: arguments, one command, an exit code.

use std::process::ExitCode;

fn main() -> ExitCode {
    thalweg::cli::main()
}
