//! From method and path to an operation. Ambiguous routes are load errors.

use std::sync::Arc;

use super::{Operation, Resource};

/// The operation that a call is for: step 3 of the line, after authentication, so that strangers cannot probe.
#[derive(Clone, Debug)]
pub struct Target {
    /// The resource.
    pub resource: Arc<Resource>,
    /// The operation.
    pub operation: Arc<Operation>,
    /// Values of the path's parameters, in order, percent-decoded once.
    pub parameters: Vec<(Arc<str>, String)>,
}

/// Why no operation was found.
#[derive(Debug, PartialEq, Eq)]
pub enum RouteError {
    /// No resource has this path.
    Unknown,
    /// The path is known with these methods only.
    Method(Vec<hyper::Method>),
}

/// All routes of a catalogue.
#[derive(Debug, Default)]
pub struct Routes {}
