//! Kanhe.
pub mod lang;
pub mod sys;
pub mod written;

pub mod disclosure;
pub mod identity;
pub mod ledger;

pub mod catalogue;

pub mod purpose;

pub mod policy;

pub mod cli;
