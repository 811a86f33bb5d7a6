//! `kanhe`: the command.

use std::process::ExitCode;

/// Many small allocations on several threads: measured against the system's allocator by `benches/`.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    kanhe::cli::main().into()
}
