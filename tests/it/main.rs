//! One binary of integration tests: the wall around the architecture, and the gateway driven from outside over real
//! sockets, with keys minted in each test.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::print_stderr,
    clippy::disallowed_methods,
    reason = "a test stops at the first surprise, and is no part of what keeps clock and syncs in one place"
)]

mod architecture;
mod canary;
mod catalogue;
mod check;
mod crash;
mod demo;
mod disk;
mod explain;
mod format;
mod handover;
mod identity;
mod interop;
mod loader;
mod origin;
mod postgres;
mod proof;
mod proving;
mod publish;
mod quotas;
mod receipts;
mod refusals;
mod register;
mod reload;
mod replay;
mod rewriting;
mod rows;
mod serve;
mod share;
mod streaming;
mod suites;
mod support;
mod verify;
mod witness;
