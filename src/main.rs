//! `kanhe`: the command.

use std::process::ExitCode;

/// A share makes many small allocations on several threads, which is what mimalloc is made for.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    kanhe::cli::main().into()
}
