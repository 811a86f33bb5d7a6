//! Tests of the policy decision point over the shipped control folder.

mod cached;
mod caps;
mod differential;
mod loading;
mod plans;
mod suites;
pub(in crate::policy) mod world;
