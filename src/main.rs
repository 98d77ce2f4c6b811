//! The `thalweg` program: arguments, one command, an exit code.

use std::process::ExitCode;

/// It gives memory back ten seconds after a rush, where the C library's keeps it (docs/decisions/010-allocator.md).
#[cfg(target_os = "linux")]
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> ExitCode {
    thalweg::cli::main()
}
