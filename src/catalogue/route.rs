//! From method and path to an operation. Each method has a tree of path segments. Two templates that one path could
//! match are a load error, so that no order of files decides what a call is for.

use std::collections::HashMap;
use std::sync::Arc;

use hyper::Method;

use super::template::{self, Segment};
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

impl Target {
    /// What the ledger names: `POST /mca/marriage/query`, with `{name}` where the call had a value.
    pub fn template(&self) -> String {
        format!("{} {}", self.operation.method, self.operation.path)
    }

    /// The path at the origin, each parameter's value encoded anew.
    pub fn origin_target(&self) -> String {
        let mut path = String::with_capacity(self.operation.origin_path.len() + 32);
        for segment in template::segments(&self.operation.origin_path) {
            path.push('/');
            match segment {
                Segment::Literal(text) => path.push_str(text),
                Segment::Parameter(name) => {
                    let value = self.parameters.iter().find(|(known, _)| **known == *name);
                    template::encode(value.map_or("", |(_, value)| value), &mut path);
                }
            }
        }
        path
    }
}

/// Why no operation was found.
#[derive(Debug, PartialEq, Eq)]
pub enum RouteError {
    /// No resource has this path.
    Unknown,
    /// The path is known with these methods only.
    Method(Vec<Method>),
}

/// All routes of a catalogue.
#[derive(Debug, Default)]
pub struct Routes {
    methods: Vec<(Method, Node)>,
}

#[derive(Debug, Default)]
struct Node {
    literals: HashMap<Box<str>, Node>,
    parameter: Option<Box<Node>>,
    route: Option<Route>,
}

#[derive(Clone, Debug)]
struct Route {
    resource: Arc<Resource>,
    operation: Arc<Operation>,
    names: Vec<Arc<str>>,
}

impl Routes {
    /// The operation at a normalised path. Costs one look-up a segment; only where a literal and a parameter stand side
    /// by side are both followed.
    pub fn find(&self, method: &Method, path: &str) -> Result<Target, RouteError> {
        let segments: Vec<&str> = path.strip_prefix('/').ok_or(RouteError::Unknown)?.split('/').collect();
        let found = |node: &Node| {
            let mut values = Vec::new();
            let route = node.find(&segments, &mut values)?;
            let parameters: Option<Vec<_>> =
                route.names.iter().zip(&values).map(|(name, value)| Some((name.clone(), template::decode(value)?))).collect();
            Some(Target { resource: route.resource.clone(), operation: route.operation.clone(), parameters: parameters? })
        };
        if let Some(target) = self.methods.iter().find(|(known, _)| known == method).and_then(|(_, node)| found(node)) {
            return Ok(target);
        }
        let others: Vec<Method> = self.methods.iter().filter(|(_, node)| found(node).is_some()).map(|(known, _)| known.clone()).collect();
        if others.is_empty() { Err(RouteError::Unknown) } else { Err(RouteError::Method(others)) }
    }

    /// Adds an operation. Where some path would match another operation of the same method too, nothing is added and
    /// that operation comes back.
    pub(super) fn add(&mut self, resource: &Arc<Resource>, operation: &Arc<Operation>) -> Result<(), String> {
        let at = self.methods.iter().position(|(known, _)| *known == operation.method).unwrap_or_else(|| {
            self.methods.push((operation.method.clone(), Node::default()));
            self.methods.sort_by(|(a, _), (b, _)| a.as_str().cmp(b.as_str()));
            self.methods.iter().position(|(known, _)| *known == operation.method).unwrap_or_default()
        });
        let Some((_, root)) = self.methods.get_mut(at) else { return Ok(()) };
        let segments: Vec<Segment<'_>> = template::segments(&operation.path).collect();
        if let Some(other) = root.clash(&segments) {
            return Err(format!("{} {} ({})", other.operation.method, other.operation.path, other.resource.id));
        }
        let names = template::names(&operation.path).map(Arc::from).collect();
        root.insert(&segments, Route { resource: resource.clone(), operation: operation.clone(), names });
        Ok(())
    }
}

impl Node {
    fn find<'p>(&self, segments: &[&'p str], values: &mut Vec<&'p str>) -> Option<&Route> {
        let Some((first, rest)) = segments.split_first() else { return self.route.as_ref() };
        if let Some(route) = self.literals.get(*first).and_then(|node| node.find(rest, values)) {
            return Some(route);
        }
        let node = self.parameter.as_deref().filter(|_| !first.is_empty())?;
        values.push(first);
        let route = node.find(rest, values);
        if route.is_none() {
            values.pop();
        }
        route
    }

    /// A route that some path shares with this template.
    fn clash(&self, segments: &[Segment<'_>]) -> Option<&Route> {
        let Some((first, rest)) = segments.split_first() else { return self.route.as_ref() };
        let parameter = self.parameter.as_deref();
        match first {
            Segment::Literal(text) => {
                let literal = self.literals.get(*text).and_then(|node| node.clash(rest));
                literal.or_else(|| parameter.filter(|_| !text.is_empty()).and_then(|node| node.clash(rest)))
            }
            Segment::Parameter(_) => {
                let literals = self.literals.iter().filter(|(text, _)| !text.is_empty());
                let literal = literals.map(|(_, node)| node).find_map(|node| node.clash(rest));
                literal.or_else(|| parameter.and_then(|node| node.clash(rest)))
            }
        }
    }

    fn insert(&mut self, segments: &[Segment<'_>], route: Route) {
        match segments.split_first() {
            None => self.route = Some(route),
            Some((Segment::Literal(text), rest)) => self.literals.entry((*text).into()).or_default().insert(rest, route),
            Some((Segment::Parameter(_), rest)) => self.parameter.get_or_insert_default().insert(rest, route),
        }
    }
}
