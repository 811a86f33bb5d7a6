//! JSON paths: the subset of RFC 9535 that items and records are declared with (`$`, names, `[*]`, `..name`).

/// A step of a path.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Segment {
    /// A member by name.
    Name(String),
    /// Every element of an array.
    Elements,
    /// Members of this name at any depth.
    Descendant(String),
}

/// A parsed path; no segments is the root.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct JsonPath(pub Vec<Segment>);
