//! What every black-box test stands on: a world of keys, control folder and origins in a folder of its own, the gateway
//! as a process, and a client stricter than any real one.

pub mod client;
pub mod folder;
pub mod gateway;
pub mod haproxy;
pub mod keys;
pub mod long;
pub mod nginx;
pub mod postgres;
pub mod scripted;
pub mod world;

pub use client::{Answer, Ask, Client, Receipt, Speak};
pub use gateway::Gateway;
pub use world::{Setup, World};

use std::time::{Duration, Instant};

/// How long anything here may take before a test gives up.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// Looks again until `look` finds something; fails the test when it never does. For effects that nobody announces.
#[track_caller]
#[expect(clippy::disallowed_methods, reason = "a test measures its own patience")]
pub fn eventually<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let until = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < until, "this never came about: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}
