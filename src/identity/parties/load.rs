//! Reads `departments.toml`, `requesters.toml` and `regions.toml`. What can be read is kept although its neighbours
//! are wrong, so that one mistake is one error and not also every reference to it.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use jiff::tz::TimeZone;

use super::{CertificateRule, Certificates, Department, Parties, Region, Requester, parent_by_code};
use crate::cores::on_every_core;
use crate::lang::Text;
use crate::written::{Document, Place, Placed, Problems, Table, is_id, parts};

const DEFAULT_TIME_ZONE: &str = "Asia/Shanghai";
/// Access levels run beside the grades of general data, 1 to 4; 0 reaches none of them.
const CLEARANCES: std::ops::RangeInclusive<i64> = 0..=4;

/// One of the `[[requesters]]`.
struct Read {
    id: Option<Placed<Arc<str>>>,
    roles: BTreeSet<Arc<str>>,
    certificate: Option<Placed<CertificateRule>>,
    /// None: without an id, or of no registered department.
    requester: Option<Arc<Requester>>,
}

impl Parties {
    /// Reads the three files, each as name and text. Regions are optional: without them they are known by their codes.
    pub fn load(
        departments: Option<(&str, &str)>,
        requesters: Option<(&str, &str)>,
        regions: Option<(&str, &str)>,
        problems: &Problems,
    ) -> Self {
        let mut regions_read = HashMap::new();
        if let Some((file, text)) = regions {
            regions_read = read_regions(&Document::parse(file, text, problems).root(problems));
        }
        let mut parties = Self {
            departments: HashMap::new(),
            requesters: HashMap::new(),
            regions: regions_read,
            regions_registered: regions.is_some(),
            roles: BTreeSet::new(),
            time_zone: TimeZone::get(DEFAULT_TIME_ZONE).unwrap_or(TimeZone::UTC),
            certificates: Certificates::default(),
        };
        match departments {
            Some((file, text)) => parties.read_departments(Document::parse(file, text, problems).root(problems)),
            None => missing_file("departments.toml", problems),
        }
        match requesters {
            Some((file, text)) => parties.read_requesters(file, text, problems),
            None => missing_file("requesters.toml", problems),
        }
        if !parties.regions_registered {
            parties.regions_by_code();
        }
        parties
    }

    fn read_departments(&mut self, root: Table<'_, '_>) {
        if let Some(zone) = root.opt_parsed("time_zone", time_zone) {
            self.time_zone = zone.value;
        }
        self.roles.extend(roles(&root));
        let mut parents = Vec::new();
        for table in root.tables("departments") {
            let id = table.id("id");
            let name = table.text("name").unwrap_or_default();
            let tier = table.filled("tier").map(|tier| tier.value).unwrap_or_default();
            let region = table.region("region");
            let code = table.filled("code").map(|code| code.value).unwrap_or_default();
            let parent = table.opt_string("parent").filter(|parent| !parent.value.is_empty());
            let authority = table.opt_bool("authority").unwrap_or_default();
            if let Some(region) = &region
                && self.regions_registered
                && !self.regions.contains_key(&*region.value)
            {
                table.problems().dangling(region, ("行政区划", "region"), self.regions.keys());
            }
            if let Some(id) = id.filter(|id| is_new(&table, id, &self.departments)) {
                parents.extend(parent.clone().map(|parent| (id.value.clone(), parent)));
                let region = region.map(|region| region.value).unwrap_or_default();
                let parent = parent.map(|parent| Arc::from(parent.value));
                let department = Department { id: id.value.clone(), name, tier, region, code, parent, authority };
                self.departments.insert(id.value, Arc::new(department));
            }
            table.finish();
        }
        for (_, parent) in parents.iter().filter(|(_, parent)| !self.departments.contains_key(&*parent.value)) {
            root.problems().dangling(parent, ("部门", "department"), self.departments.keys());
        }
        report_cycles(&root, &parents);
        root.finish();
    }

    /// In parts on every core; what looks at two requesters at once comes afterwards, in the order of the file.
    fn read_requesters(&mut self, file: &str, text: &str, problems: &Problems) {
        let file = Arc::from(file);
        let parts = on_every_core(&parts(text, "requesters"), |part| {
            let problems = Problems::default();
            let document = Document::part(&file, part, &problems);
            let root = document.root(&problems);
            let read: Vec<_> = root.tables("requesters").into_iter().map(|table| self.requester(table)).collect();
            root.finish();
            (read, problems.into_parts())
        });
        for (read, (errors, warnings)) in parts {
            problems.add(errors, warnings);
            read.into_iter().for_each(|read| self.add_requester(read, problems));
        }
    }

    fn requester(&self, table: Table<'_, '_>) -> Read {
        let id = table.id("id");
        let department = table.id("department").and_then(|id| self.department(&table, &id));
        let mut serves = Vec::new();
        for served in table.strings("serves") {
            let served = Placed { value: served.value.into(), place: served.place };
            serves.extend(self.department(&table, &served));
        }
        let name = table.text("name").unwrap_or_default();
        let clearance = table.opt_integer("clearance", CLEARANCES).unwrap_or_default();
        let roles = roles(&table);
        let certificate = table.opt_parsed("certificate", certificate_rule);
        let suspended = table.choice("status", &[("active", false), ("suspended", true)]).unwrap_or(true);
        table.finish();
        let rule = certificate.as_ref().map(|rule| rule.value.clone());
        let requester = id.as_ref().zip(department).map(|(id, department)| {
            let (id, roles) = (id.value.clone(), roles.clone());
            Arc::new(Requester { id, department, serves, name, clearance, roles, certificate: rule, suspended })
        });
        Read { id, roles, certificate, requester }
    }

    fn add_requester(&mut self, Read { id, roles, certificate, requester }: Read, problems: &Problems) {
        self.roles.extend(roles);
        let Some(Placed { value: id, place }) = id else { return };
        if self.requesters.contains_key(&id) {
            return problems.twice(&id, &place);
        }
        let Some(requester) = requester else { return };
        if let Some(rule) = certificate {
            self.certificates.add(rule, &requester, problems);
        }
        self.requesters.insert(id, Placed { value: requester, place });
    }

    fn department(&self, table: &Table<'_, '_>, id: &Placed<Arc<str>>) -> Option<Arc<Department>> {
        let found = self.departments.get(&id.value).cloned();
        if found.is_none() {
            table.problems().dangling(id, ("部门", "department"), self.departments.keys());
        }
        found
    }

    /// Without `regions.toml`: the regions in use and those around them, by their digits.
    fn regions_by_code(&mut self) {
        let mut codes: Vec<Arc<str>> = self.departments.values().map(|department| department.region.clone()).collect();
        while let Some(code) = codes.pop() {
            if code.is_empty() || self.regions.contains_key(&code) {
                continue;
            }
            let parent: Option<Arc<str>> = parent_by_code(&code).map(Arc::from);
            codes.extend(parent.clone());
            self.regions.insert(code.clone(), Region { id: code, name: None, parent });
        }
    }
}

impl Certificates {
    /// A certificate names one requester, or nobody could tell who calls.
    fn add(&mut self, rule: Placed<CertificateRule>, requester: &Arc<Requester>, problems: &Problems) {
        let before = match rule.value {
            CertificateRule::Fingerprint(fingerprint) => self.fingerprints.insert(fingerprint, requester.clone()),
            CertificateRule::CommonName(name) => self.names.insert(name, requester.clone()),
        };
        if let Some(before) = before {
            let message = Text::new(
                format!("该证书已由需求系统 `{}` 登记", before.id),
                format!("this certificate is already registered by requester `{}`", before.id),
            );
            problems.error(&rule.place, "duplicate_certificate", message, None);
        }
    }
}

fn read_regions(root: &Table<'_, '_>) -> HashMap<Arc<str>, Region> {
    let mut regions: HashMap<Arc<str>, Region> = HashMap::new();
    let mut parents = Vec::new();
    for table in root.tables("regions") {
        let id = table.region("id");
        let name = table.text("name");
        let parent = table.opt_string("parent").filter(|parent| !parent.value.is_empty());
        if let Some(id) = id.filter(|id| is_new(&table, id, &regions)) {
            parents.extend(parent.clone().map(|parent| (id.value.clone(), parent)));
            let parent = parent.map(|parent| Arc::from(parent.value));
            regions.insert(id.value.clone(), Region { id: id.value, name, parent });
        }
        table.finish();
    }
    for (_, parent) in parents.iter().filter(|(_, parent)| !regions.contains_key(&*parent.value)) {
        root.problems().dangling(parent, ("行政区划", "region"), regions.keys());
    }
    report_cycles(root, &parents);
    regions
}

fn missing_file(file: &str, problems: &Problems) {
    let place = Place { file: file.into(), line: 1, column: 1 };
    problems.error(&place, "missing_file", Text::new(format!("缺少文件 `{file}`"), format!("file `{file}` is missing")), None);
}

fn is_new<T>(table: &Table<'_, '_>, id: &Placed<Arc<str>>, known: &HashMap<Arc<str>, T>) -> bool {
    let new = !known.contains_key(&id.value);
    if !new {
        table.problems().twice(&id.value, &id.place);
    }
    new
}

/// Each ring of parents is reported once, at the parent that its first written member names.
fn report_cycles(root: &Table<'_, '_>, parents: &[(Arc<str>, Placed<String>)]) {
    let above: HashMap<&str, &str> = parents.iter().map(|(id, parent)| (&**id, &*parent.value)).collect();
    let mut judged: HashSet<&str> = HashSet::new();
    for (id, parent) in parents {
        let mut path: Vec<&str> = Vec::new();
        let mut at = Some(&**id);
        while let Some(here) = at.filter(|here| !judged.contains(here)) {
            judged.insert(here);
            path.push(here);
            at = above.get(here).copied();
        }
        if let Some(start) = at.and_then(|here| path.iter().position(|passed| *passed == here)) {
            let ring = path[start..].join(" → ");
            let message = Text::new(format!("上级关系成环：{ring}"), format!("parents form a ring: {ring}"));
            let place = parents.iter().find(|(id, _)| **id == *path[start]).map_or(&parent.place, |(_, parent)| &parent.place);
            root.problems().error(place, "parent_cycle", message, None);
        }
    }
}

fn roles(table: &Table<'_, '_>) -> BTreeSet<Arc<str>> {
    let mut roles = BTreeSet::new();
    for role in table.strings("roles") {
        if is_id(&role.value) {
            roles.insert(role.value.into());
        } else {
            let message = Text::new(format!("角色 `{}` 不是合法标识", role.value), format!("role `{}` is not an identifier", role.value));
            table.problems().error(&role.place, "wrong_id", message, None);
        }
    }
    roles
}

fn time_zone(name: &str) -> Result<TimeZone, Text> {
    TimeZone::get(name).map_err(|_| Text::new("应写 IANA 时区名，例如 `Asia/Shanghai`", "write an IANA time zone such as `Asia/Shanghai`"))
}

fn certificate_rule(text: &str) -> Result<CertificateRule, Text> {
    let right = || {
        Text::new(
            "应写 `sha256:` 加证书 DER 的 64 位十六进制指纹，或 `subject:CN=` 加通用名",
            "write `sha256:` and the 64 hex digits of the certificate's DER, or `subject:CN=` and its common name",
        )
    };
    if let Some(digits) = text.strip_prefix("sha256:") {
        let mut fingerprint = [0; 32];
        hex::decode_to_slice(digits, &mut fingerprint).map_err(|_| right())?;
        return Ok(CertificateRule::Fingerprint(fingerprint));
    }
    match text.strip_prefix("subject:CN=") {
        Some(name) if !name.trim().is_empty() => Ok(CertificateRule::CommonName(name.to_owned())),
        _ => Err(right()),
    }
}
