//! A plan made ready for rewriting: all paths in one trie, so that each name of an answer is looked up once.
//!
//! Where in the trie a value stands is a set of nodes: more than one only where a `..name` is open. A node whose
//! path goes on with `..name` has a *loop* node beside it, which stays in the set of everything beneath.

use std::sync::Arc;

use super::path::Segment;
use super::{ContentKind, Form, JsonPath, Likeness, Plan, Preset, Pseudonyms};

/// Plan, paths and field of one decision; kept beside the decision, shared by its calls.
#[derive(Debug)]
pub struct Compiled {
    pub(super) nodes: Vec<Node>,
    pub(super) items: Vec<Item>,
    /// The items in the order of their names.
    pub(super) by_name: Vec<usize>,
    /// For each place at which objects have names of the plan, those that it most likely shows, in their likely order;
    /// the last is where objects of no such names stand.
    pub(super) places: Vec<Vec<Known>>,
    pub(super) content: ContentKind,
    pub(super) max_records: u64,
    /// Records are shown by their region.
    pub(super) filters: bool,
    field: String,
}

/// What the rewriter needs of a planned item.
#[derive(Debug)]
pub(super) struct Item {
    pub(super) name: Arc<str>,
    pub(super) form: Option<Form>,
    pub(super) preset: Option<Preset>,
    pub(super) joinable: bool,
    pub(super) likeness: Option<Likeness>,
}

/// A name that an object most likely shows.
#[derive(Debug)]
pub(super) struct Known {
    /// As it stands in an object, quotes included.
    pub(super) spelt: Box<[u8]>,
    /// The node that it leads to.
    pub(super) node: usize,
    /// What becomes of scalars there.
    pub(super) scalar: Scalar,
}

/// The most names that are known of one place.
pub(super) const MOST_KNOWN: usize = 40;

/// What becomes of a scalar at a node, where nothing but the node needs to be known for it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Scalar {
    /// More needs to be known.
    #[default]
    Unknown,
    /// It is no item.
    Around,
    /// It is an item that is not shown.
    Hidden,
    /// It is an item that is shown as it is.
    Revealed(usize),
    /// It is an item that is shown in this form.
    Changed(usize, Form),
}

/// A place that some path goes through or ends at.
#[derive(Debug, Default)]
pub(super) struct Node {
    /// By name, sorted: the node, and which of the known names it is.
    names: Vec<(Box<[u8]>, usize, Option<u8>)>,
    /// The likely names of objects here, by their place.
    pub(super) place: usize,
    /// What becomes of scalars here.
    pub(super) scalar: Scalar,
    elements: Option<usize>,
    /// The loop node of the `..` that follows here.
    pub(super) descend: Option<usize>,
    /// This is a loop node.
    pub(super) loops: bool,
    /// The item that ends here; of several the one in the narrowest form.
    pub(super) item: Option<usize>,
    /// A record stands here.
    pub(super) record: bool,
    /// A record's region stands here.
    pub(super) region: bool,
    /// An object here leads to an item that is shown.
    pub(super) shows_members: bool,
    /// An array here does.
    pub(super) shows_elements: bool,
}

impl Compiled {
    /// Makes a plan ready.
    pub fn new(plan: &Plan) -> Self {
        let items = plan.items.iter().map(|item| Item {
            name: item.name.clone(),
            // Compared items are shown in no form.
            form: item.form.filter(|form| *form != Form::Compare),
            preset: item.preset.clone(),
            joinable: item.joinable,
            likeness: item.likeness,
        });
        let mut compiled = Self {
            nodes: vec![Node::default()],
            items: items.collect(),
            by_name: Vec::new(),
            places: Vec::new(),
            content: plan.content,
            max_records: plan.max_records,
            filters: plan.region.is_some(),
            field: plan.field(),
        };
        for (index, item) in plan.items.iter().enumerate() {
            for path in places(plan, &item.paths, Some(&item.name)) {
                let node = compiled.insert(&path);
                let other = compiled.nodes[node].item;
                compiled.nodes[node].item = Some(other.map_or(index, |other| compiled.narrower(other, index)));
            }
        }
        for records in places(plan, std::slice::from_ref(&plan.records), None) {
            let records = compiled.insert(&records);
            compiled.nodes[records].record = true;
        }
        if let Some(region) = &plan.region {
            let item = plan.items.iter().find(|item| item.paths.iter().any(|path| region.contains(path)));
            for path in places(plan, region, item.map(|item| &*item.name)) {
                let region = compiled.insert(&path);
                compiled.nodes[region].region = true;
            }
        }
        compiled.mark(0);
        compiled.make_ready();
        compiled
    }

    /// The value of `Share-Disclosure`.
    pub fn field(&self) -> &str {
        &self.field
    }

    /// Of two items the one in the narrower form, omission being the narrowest; of equals the catalogue's first.
    pub(super) fn narrower(&self, a: usize, b: usize) -> usize {
        let rank = |index: usize| self.items[index].form.map_or(u8::MAX, |form| form as u8);
        if (rank(b), a) > (rank(a), b) { b } else { a }
    }

    /// The node at the end of a path, made if it is not there.
    fn insert(&mut self, path: &JsonPath) -> usize {
        path.0.iter().fold(0, |node, segment| match segment {
            Segment::Name(name) => self.named(node, name),
            Segment::Elements => {
                let next = self.nodes[node].elements.unwrap_or(self.nodes.len());
                self.nodes[node].elements = Some(next);
                self.ensure(next)
            }
            Segment::Descendant(name) => {
                let next = self.nodes[node].descend.unwrap_or(self.nodes.len());
                self.nodes[node].descend = Some(next);
                self.ensure(next);
                self.nodes[next].loops = true;
                self.named(next, name)
            }
        })
    }

    fn named(&mut self, node: usize, name: &str) -> usize {
        let next = self.nodes.len();
        let names = &mut self.nodes[node].names;
        match names.binary_search_by(|(other, ..)| (**other).cmp(name.as_bytes())) {
            Ok(at) => names[at].1,
            Err(at) => {
                names.insert(at, (name.as_bytes().into(), next, None));
                self.ensure(next)
            }
        }
    }

    /// What is looked up for each name and each scalar, once for all.
    fn make_ready(&mut self) {
        self.by_name = (0..self.items.len()).collect();
        self.by_name.sort_by(|a, b| self.items[*a].name.cmp(&self.items[*b].name));
        let scalars: Vec<_> = self.nodes.iter().map(|node| self.scalar(node)).collect();
        for (node, scalar) in self.nodes.iter_mut().zip(&scalars) {
            node.scalar = *scalar;
            if node.names.is_empty() {
                node.place = usize::MAX;
                continue;
            }
            // Nodes are made in the order in which the plan names them, which is mostly the order of the answer.
            let mut order: Vec<_> = (0..node.names.len()).filter(|at| is_plain(&node.names[*at].0)).collect();
            order.sort_by_key(|at| node.names[*at].1);
            order.truncate(MOST_KNOWN);
            let known = order.iter().zip(0..).map(|(at, number)| {
                let (name, leads, known) = &mut node.names[*at];
                *known = Some(number);
                Known { spelt: [b"\"", &**name, b"\""].concat().into(), node: *leads, scalar: scalars[*leads] }
            });
            let known = known.collect();
            node.place = self.places.len();
            self.places.push(known);
        }
        let nowhere = self.places.len();
        self.places.push(Vec::new());
        self.nodes.iter_mut().filter(|node| node.place == usize::MAX).for_each(|node| node.place = nowhere);
    }

    fn scalar(&self, node: &Node) -> Scalar {
        if node.loops || node.descend.is_some() || node.record || node.region {
            return Scalar::Unknown;
        }
        let Some(item) = node.item else { return Scalar::Around };
        match self.items[item].form {
            None | Some(Form::Compare) => Scalar::Hidden,
            Some(Form::Reveal) => Scalar::Revealed(item),
            Some(form) => Scalar::Changed(item, form),
        }
    }

    /// The place of objects that have none of the plan's names.
    pub(super) fn nowhere(&self) -> usize {
        self.places.len() - 1
    }

    fn ensure(&mut self, node: usize) -> usize {
        if node == self.nodes.len() {
            self.nodes.push(Node::default());
        }
        node
    }

    /// Marks what leads to shown items; whether this node itself does. Paths are short, so the recursion is shallow.
    fn mark(&mut self, node: usize) -> bool {
        let children: Vec<_> = self.nodes[node].names.iter().map(|(_, child, _)| *child).collect();
        let descend = self.nodes[node].descend.is_some_and(|below| self.mark(below));
        let members = children.into_iter().fold(false, |shows, child| self.mark(child) | shows);
        let elements = self.nodes[node].elements.is_some_and(|child| self.mark(child));
        let loops = self.nodes[node].loops && members;
        let this = &mut self.nodes[node];
        this.shows_members = members || descend;
        this.shows_elements = elements || descend || loops;
        let shown = this.item.is_some_and(|item| self.items[item].form.is_some());
        let this = &self.nodes[node];
        shown || this.shows_members || this.shows_elements
    }

    /// The item that a column of this name is, in the narrowest form of several, and whether it carries the region.
    pub(super) fn column(&self, name: &[u8]) -> (Option<usize>, bool) {
        let roots = [Some(0), self.nodes[0].descend].into_iter().flatten();
        let nodes = roots.filter_map(|root| self.nodes[root].member(name)).map(|node| &self.nodes[node]);
        nodes.fold((None, false), |(item, region): (Option<usize>, bool), node| {
            let item = match (item, node.item) {
                (Some(one), Some(other)) => Some(self.narrower(one, other)),
                (one, other) => one.or(other),
            };
            (item, region | node.region)
        })
    }

    /// Whether any path leads through a root that is an object, or an array.
    pub(super) fn root_leads(&self, object: bool) -> bool {
        let root = &self.nodes[0];
        root.descend.is_some() || if object { !root.names.is_empty() } else { root.elements.is_some() }
    }
}

/// Whether a name is spelt without escapes, and short enough to be compared at once.
fn is_plain(name: &[u8]) -> bool {
    name.len() <= 64 && !name.iter().any(|byte| matches!(byte, b'"' | b'\\' | 0..0x20))
}

/// Where values of these paths stand in one document, line or row. Of lines and rows `$[*]` is each, as `$` is; a
/// column may also bear the item's name.
fn places(plan: &Plan, paths: &[JsonPath], item: Option<&str>) -> Vec<JsonPath> {
    if !matches!(plan.content, ContentKind::Ndjson | ContentKind::Csv) {
        return paths.to_vec();
    }
    let each = |path: &JsonPath| JsonPath(path.0.strip_prefix(&[Segment::Elements]).unwrap_or(&path.0).to_vec());
    let name = item.filter(|_| plan.content == ContentKind::Csv).map(|name| JsonPath(vec![Segment::Name(name.to_owned())]));
    paths.iter().map(each).chain(name).collect()
}

impl Item {
    /// Writes the value in a form that changes it; whether it has the shape that the form works on. If not, nothing is
    /// written.
    pub(super) fn change(&self, form: Form, pseudonyms: &Pseudonyms, text: &str, out: &mut Vec<u8>) -> bool {
        match form {
            Form::Mask => self.preset.as_ref().is_some_and(|preset| preset.write(text, out)),
            Form::Pseudonymise => pseudonyms.write(text, self.joinable, self.likeness, out),
            Form::Reveal | Form::Compare => false,
        }
    }

    /// Whether the form is null for whatever value: then null is what was asked for.
    pub(super) fn nulls(&self, form: Form) -> bool {
        form == Form::Mask && self.preset == Some(Preset::Null)
    }
}

impl Node {
    /// The node of a member.
    pub(super) fn member(&self, name: &[u8]) -> Option<usize> {
        self.named(name).map(|(node, _)| node)
    }

    /// The node of a member, and which of the known names it has.
    pub(super) fn named(&self, name: &[u8]) -> Option<(usize, Option<u8>)> {
        self.names.binary_search_by(|(other, ..)| (**other).cmp(name)).ok().map(|at| (self.names[at].1, self.names[at].2))
    }

    /// The node of the elements.
    pub(super) fn elements(&self) -> Option<usize> {
        self.elements
    }
}
