//! Reads `catalogue/**.toml` and `classes.toml`. What can be read is kept although its neighbours are wrong, so that one
//! mistake is one error and not also every reference to it.

mod item;
mod operation;
mod region;
mod uplift;
mod verify;

use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::route::Routes;
use super::{Catalogue, Class, Level, Mode, Origin, Resource, Sharing};
use crate::identity::parties::Parties;
use crate::lang::Text;
use crate::written::{Document, Place, Placed, Problems, Table, is_id, units};

/// Where the items of one catalogue claim a standard data element: one source per element (一数一源).
type Claims = BTreeMap<String, (String, Place)>;

pub(super) const SHARING: [(&str, Sharing); 3] =
    [("unconditional", Sharing::Unconditional), ("conditional", Sharing::Conditional), ("not_shared", Sharing::NotShared)];

const MODES: [(&str, Mode); 3] =
    [("service_interface", Mode::ServiceInterface), ("batch_exchange", Mode::BatchExchange), ("file_download", Mode::FileDownload)];

/// What reading one resource needs to know of the others.
struct Reading<'r> {
    parties: &'r Parties,
    problems: &'r Problems,
    classes: HashMap<Arc<str>, Class>,
    classes_registered: bool,
    claims: Claims,
    uplift: Vec<uplift::Step>,
}

impl Catalogue {
    /// Reads every resource, each file as its relative path and text, with the classes where they are registered and the
    /// uplift of grades where there is one.
    pub fn load(
        files: &[(String, String)],
        classes: Option<(&str, &str)>,
        grades: Option<(&str, &str)>,
        parties: &Parties,
        problems: &Problems,
    ) -> Self {
        let registered = classes.map(|(file, text)| read_classes(&Document::parse(file, text, problems), problems));
        let classes_registered = registered.is_some();
        let uplift = grades.map(|grades| uplift::read(grades, problems)).unwrap_or_default();
        let classes = registered.unwrap_or_default();
        let mut reading = Reading { parties, problems, classes, classes_registered, claims: Claims::new(), uplift };
        let mut resources: HashMap<Arc<str>, Arc<Resource>> = HashMap::new();
        let mut routes = Routes::default();
        for (file, text) in files {
            let document = Document::parse(file, text, problems);
            let Some((resource, places)) = reading.resource(document.root(problems)) else { continue };
            if let Some(first) = resources.get(&resource.id) {
                problems.known_from(&first.place.file, ("资源", "resource"), &resource.id, &resource.place);
                continue;
            }
            let resource = Arc::new(resource);
            for (operation, place) in resource.operations.iter().zip(&places).filter(|(operation, _)| !operation.path.is_empty()) {
                if let Err(other) = routes.add(&resource, operation) {
                    report_ambiguous(place, &other, problems);
                }
            }
            resources.insert(resource.id.clone(), resource);
        }
        Self { resources, classes: reading.classes, routes }
    }
}

fn report_ambiguous(place: &Place, other: &str, problems: &Problems) {
    let message = Text::new(format!("路径与 `{other}` 可能匹配同一请求"), format!("one request could match this path and `{other}`"));
    let help = Text::new(
        "改用互不重叠的路径：同一位置上固定文字与 `{参数}` 也算重叠",
        "use paths that cannot overlap: fixed text and a `{parameter}` in the same place do",
    );
    problems.error(place, "ambiguous_route", message, Some(help));
}

impl Reading<'_> {
    /// The resource of one file, and where each of its operations stands.
    fn resource(&mut self, root: Table<'_, '_>) -> Option<(Resource, Vec<Place>)> {
        let id = root.id("id");
        let code = root.filled("code").map(|code| code.value);
        let name = root.text("name");
        let provider = self.provider(&root, id.as_ref());
        let sharing = root.choice("sharing", &SHARING);
        let (conditions, legal_basis) = published_terms(&root, sharing);
        let mode = root.choice("mode", &MODES);
        let format = root.filled("format").map(|format| format.value);
        let update_cycle = root.filled("update_cycle").map(|cycle| cycle.value);
        let level = root.parsed("level", level).map(|level| level.value);
        let grade = root.integer("grade", 1..=4);
        let classes = self.classes(&root);
        let version = root.filled("version").map(|version| version.value);
        let region = root.opt_string("region_item").filter(|item| !item.value.is_empty());
        let origin = root.table("origin").map(origin);
        let mut written: Vec<operation::Read> = root.tables("operations").into_iter().map(operation::read).collect();
        if !root.has("operations") && sharing != Some(Sharing::NotShared) {
            root.missing("operations");
        }
        // What could not be read is reported, and the load refused: stand-ins keep one mistake from being many errors.
        let (sharing, level, grade) = (sharing.unwrap_or(Sharing::Conditional), level.unwrap_or(Level::Core), grade.unwrap_or(4));
        let resource_id = id.as_ref().map_or("", |id| &*id.value);
        let inherited = item::Inherited { resource: resource_id, sharing, level, grade, classes: &classes };
        let items = self.items(&root, &inherited, written.iter().map(|read| &read.operation));
        let region = region.and_then(|written_region| region::read(&root, &written_region, &items, &written));
        for operation::Read { operation, compare, .. } in &mut written {
            operation.uplift = uplift::of(&self.uplift, operation.max_records);
            verify::compare(operation, compare, &items, region.as_ref(), self.problems);
        }
        let (operations, places) = written.into_iter().map(|read| (Arc::new(read.operation), read.place)).unzip();
        root.finish();
        let Placed { value: id, place } = id?;
        let resource = Resource {
            id,
            code: code.unwrap_or_default(),
            name: name.unwrap_or_default(),
            provider: provider.unwrap_or_default(),
            sharing,
            conditions,
            legal_basis,
            mode: mode.unwrap_or(Mode::ServiceInterface),
            format: format.unwrap_or_default(),
            update_cycle: update_cycle.unwrap_or_default(),
            level,
            grade,
            personal: items.iter().any(|item| item.personal),
            classes,
            version: version.unwrap_or_default(),
            origin: origin.unwrap_or_else(nowhere),
            operations,
            items,
            region,
            place,
        };
        Some((resource, places))
    }

    /// The provider: registered, and the first part of the resource's id.
    fn provider(&self, root: &Table<'_, '_>, id: Option<&Placed<Arc<str>>>) -> Option<Arc<str>> {
        let written = root.id("provider")?;
        let Some((known, _)) = self.parties.departments.get_key_value(&written.value) else {
            root.problems().dangling(&written, ("部门", "department"), self.parties.departments.keys());
            return None;
        };
        let begins = |id: &Placed<Arc<str>>| id.value.strip_prefix(&**known).is_some_and(|rest| rest.starts_with('.') && rest.len() > 1);
        if let Some(id) = id.filter(|id| !begins(id)) {
            let message = Text::new(
                format!("资源标识 `{}` 应以提供部门 `{known}.` 开头", id.value),
                format!("the id `{}` must begin with its provider: `{known}.`", id.value),
            );
            self.problems.error(&id.place, "foreign_id", message, None);
        }
        Some(known.clone())
    }

    /// Data classes of a resource or an item; registered ones only, where they are registered at all.
    pub(super) fn classes(&mut self, table: &Table<'_, '_>) -> Vec<Arc<str>> {
        let mut classes: Vec<Arc<str>> = Vec::new();
        for written in table.strings("classes") {
            if let Some((known, _)) = self.classes.get_key_value(written.value.as_str()) {
                classes.push(known.clone());
            } else if self.classes_registered {
                table.problems().dangling(&written, ("数据分类", "class"), self.classes.keys());
            } else if is_id(&written.value) {
                let id: Arc<str> = written.value.into();
                self.classes.insert(id.clone(), Class { id: id.clone(), name: None, parent: None });
                classes.push(id);
            } else {
                let message = Text::new(
                    format!("数据分类 `{}` 不是合法标识", written.value),
                    format!("class `{}` is not an identifier", written.value),
                );
                table.problems().error(&written.place, "wrong_id", message, None);
            }
        }
        classes
    }
}

/// Conditions of conditional sharing, and the legal basis of not sharing (order 809, article 15).
fn published_terms(root: &Table<'_, '_>, sharing: Option<Sharing>) -> (Vec<String>, String) {
    let conditions: Vec<String> = root.strings("conditions").into_iter().map(|text| text.value).collect();
    let basis = root.opt_string("legal_basis").map(|text| text.value).unwrap_or_default();
    if sharing == Some(Sharing::Conditional) && conditions.iter().all(|text| text.trim().is_empty()) {
        let message = Text::new("有条件共享须在 `conditions` 列明共享范围和使用条件", "conditional sharing must publish its `conditions`");
        let help = Text::new("条例第十五条", "order 809, article 15");
        root.error("conditions", "missing_conditions", message, Some(help));
    }
    if sharing == Some(Sharing::NotShared) && basis.trim().is_empty() {
        let message = Text::new("不予共享须在 `legal_basis` 写明法律、行政法规依据", "not sharing needs its exact `legal_basis`");
        let help = Text::new("条例第十五条", "order 809, article 15");
        root.error("legal_basis", "missing_legal_basis", message, Some(help));
    }
    (conditions, basis)
}

/// A data level. Secrets are no level: they are not government data under the regulation (order 809, article 3).
pub(super) fn level(text: &str) -> Result<Level, Text> {
    match text {
        "general" => Ok(Level::General),
        "important" => Ok(Level::Important),
        "core" => Ok(Level::Core),
        _ => Err(Text::new(
            "应为 `general`、`important` 或 `core`；国家秘密、工作秘密不得登记（条例第三条）",
            "write `general`, `important` or `core`; state and work secrets may not be registered (order 809, article 3)",
        )),
    }
}

fn origin(table: Table<'_, '_>) -> Origin {
    let url = table.parsed("url", origin_url);
    let path = |key: &str| table.opt_string(key).filter(|path| !path.value.is_empty()).map(|path| PathBuf::from(path.value));
    let (ca, certificate, key) = (path("ca"), path("certificate"), path("key"));
    let time = |key: &str, seconds| table.opt_parsed(key, units::duration).map_or(Duration::from_secs(seconds), |duration| duration.value);
    let (connect_timeout, first_byte_timeout, idle_timeout) =
        (time("connect_timeout", 3), time("first_byte_timeout", 30), time("idle_timeout", 30));
    match (&certificate, &key) {
        (Some(_), None) => table.missing("key"),
        (None, Some(_)) => table.missing("certificate"),
        _ => {}
    }
    if url.as_ref().is_some_and(|url| url.value.starts_with("http:")) {
        for (name, _) in [("ca", &ca), ("certificate", &certificate), ("key", &key)].into_iter().filter(|(_, path)| path.is_some()) {
            table.wrong_value(name, "只用于 https 接口", "is for an https origin only");
        }
    }
    table.finish();
    let url = url.map(|url| url.value).unwrap_or_default();
    Origin { url, ca, certificate, key, connect_timeout, first_byte_timeout, idle_timeout }
}

/// Stands in for an origin that is not written.
const fn nowhere() -> Origin {
    let none = Duration::ZERO;
    let (connect_timeout, first_byte_timeout, idle_timeout) = (none, none, none);
    Origin { url: String::new(), ca: None, certificate: None, key: None, connect_timeout, first_byte_timeout, idle_timeout }
}

/// Scheme, host and port, and nothing else.
fn origin_url(text: &str) -> Result<String, Text> {
    let right = || {
        Text::new(
            "应写 http:// 或 https:// 加主机和端口，不带路径，例如 `http://10.1.2.3:8080`",
            "write http:// or https://, host and port without a path, such as `http://10.1.2.3:8080`",
        )
    };
    let uri: hyper::Uri = text.parse().map_err(|_| right())?;
    let scheme = uri.scheme_str().filter(|scheme| matches!(*scheme, "http" | "https")).ok_or_else(right)?;
    let authority = uri.authority().filter(|authority| !authority.host().is_empty()).ok_or_else(right)?;
    let port = authority.as_str().strip_prefix(authority.host()).unwrap_or("@");
    let wrong_port = !port.is_empty() && !port.strip_prefix(':').is_some_and(|port| port.parse::<u16>().is_ok_and(|port| port > 0));
    if text != format!("{scheme}://{authority}") || wrong_port {
        return Err(right());
    }
    Ok(text.to_owned())
}

fn read_classes(document: &Document<'_>, problems: &Problems) -> HashMap<Arc<str>, Class> {
    let root = document.root(problems);
    let mut classes: HashMap<Arc<str>, Class> = HashMap::new();
    let mut parents: Vec<(Arc<str>, Placed<String>)> = Vec::new();
    for table in root.tables("classes") {
        let id = table.id("id");
        let name = table.text("name");
        let parent = table.opt_string("parent").filter(|parent| !parent.value.is_empty());
        table.finish();
        let Some(id) = id else { continue };
        if classes.contains_key(&id.value) {
            problems.twice(&id.value, &id.place);
            continue;
        }
        parents.extend(parent.clone().map(|parent| (id.value.clone(), parent)));
        let parent = parent.map(|parent| Arc::from(parent.value));
        classes.insert(id.value.clone(), Class { id: id.value, name, parent });
    }
    for (id, parent) in &parents {
        if !classes.contains_key(parent.value.as_str()) {
            problems.dangling(parent, ("数据分类", "class"), classes.keys());
        }
        if is_above_itself(id, &classes) {
            let message = Text::new(format!("数据分类 `{id}` 的上级关系成环"), format!("the parents of class `{id}` form a ring"));
            problems.error(&parent.place, "parent_cycle", message, None);
            // Opened here, the ring is one error and no trouble to those who walk up.
            if let Some(class) = classes.get_mut(id) {
                class.parent = None;
            }
        }
    }
    root.finish();
    classes
}

fn is_above_itself(id: &Arc<str>, classes: &HashMap<Arc<str>, Class>) -> bool {
    let mut at = classes.get(id).and_then(|class| class.parent.as_ref());
    for _ in 0..classes.len() {
        match at {
            Some(parent) if parent == id => return true,
            Some(parent) => at = classes.get(parent).and_then(|class| class.parent.as_ref()),
            None => return false,
        }
    }
    false
}
