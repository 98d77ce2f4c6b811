//! The `thalweg` program: arguments, one command, an exit code.

use std::process::ExitCode;

/// Buffers are made on many threads and freed on others. The C library's allocator keeps a heap per
/// thread and grows by half under such use (`docs/performance.md`); this one gives memory back.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    thalweg::cli::main()
}
