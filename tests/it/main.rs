//! One binary of integration tests: the wall around the architecture, and the gateway driven from outside over real
//! sockets, with keys minted in each test.

mod architecture;
mod canary;
mod check;
mod crash;
mod demo;
mod disk;
mod identity;
mod loader;
mod origin;
mod refusals;
mod reload;
mod serve;
mod share;
mod streaming;
mod support;
