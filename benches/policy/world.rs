//! Control folders of any size: the starting policies and as many further ones as asked for, and as many grants. Whatever
//! the size, a call finds one grant, and few policies that its scope can match, as in a province's own registers.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

/// Calling systems.
pub const REQUESTERS: usize = 1000;
/// Scenarios, resources and demanding departments.
pub const TENS: usize = 10;
/// Items of every resource but the last.
const ITEMS: usize = 10;
/// Items of the last resource.
pub const MANY_ITEMS: usize = 50;
/// Grants in one file.
const PER_FILE: usize = 1000;

/// Writes a control folder with so many policies and grants.
pub fn write(control: &Path, policies: usize, grants: usize) {
    for below in ["catalogue", "scenarios", "grants"] {
        fs::create_dir_all(control.join(below)).expect("a folder");
    }
    let shipped = Path::new(env!("CARGO_MANIFEST_DIR")).join("policies");
    for file in ["schema.cedarschema", "base.cedar"] {
        fs::copy(shipped.join(file), control.join(file)).expect("the starting policies");
    }
    write_parties(control);
    for n in 0..TENS {
        fs::write(control.join(format!("catalogue/provider.r{n}.toml")), resource(n)).expect("a resource");
        fs::write(control.join(format!("scenarios/s{n}.toml")), scenario(n)).expect("a scenario");
    }
    let base = fs::read_to_string(control.join("base.cedar")).expect("the starting policies").matches("@id(").count();
    fs::write(control.join("more.cedar"), (base..policies).map(policy).collect::<String>()).expect("further policies");
    for first in (0..grants).step_by(PER_FILE) {
        let text: String = (first..grants.min(first + PER_FILE)).map(grant).collect();
        fs::write(control.join(format!("grants/{first:06}.toml")), text).expect("grants");
    }
}

fn write_parties(control: &Path) {
    let department = |id: &str| {
        format!(
            "[[departments]]\nid = \"{id}\"\nname = {{ zh = \"{id}\", en = \"{id}\" }}\ntier = \"province\"\nregion = \"990000\"\ncode = \"{id}\"\nparent = \"\"\nauthority = false\n"
        )
    };
    let departments: String = (0..TENS).map(|n| department(&format!("d{n}"))).collect();
    fs::write(control.join("departments.toml"), department("provider") + &departments).expect("departments");
    let mut requesters = String::new();
    for n in 0..REQUESTERS {
        let department = n % TENS;
        let _ = write!(
            requesters,
            "[[requesters]]\nid = \"app{n}\"\ndepartment = \"d{department}\"\nserves = []\nname = {{ zh = \"系统{n}\", en = \"system {n}\" }}\nclearance = 3\nroles = []\nstatus = \"active\"\n"
        );
    }
    fs::write(control.join("requesters.toml"), requesters).expect("requesters");
}

fn scenario(n: usize) -> String {
    let participants: Vec<String> = (0..TENS).map(|n| format!("\"d{n}\"")).collect();
    format!(
        "id = \"s{n}\"\nname = {{ zh = \"场景{n}\", en = \"scenario {n}\" }}\npurpose = \"bench\"\nlead = \"d0\"\nparticipants = [{}]\nresources = [\"provider.*\"]\nkinds = [\"query\"]\nlegal_basis = \"bench\"\nmatter_codes = []\ncase = \"optional\"\nmax_grade = 4\nvalid_from = \"2026-01-01\"\nvalid_until = \"2099-12-31\"\nstatus = \"approved\"\n",
        participants.join(", ")
    )
}

fn items_of(resource: usize) -> usize {
    if resource == TENS - 1 { MANY_ITEMS } else { ITEMS }
}

fn resource(n: usize) -> String {
    let mut text = format!(
        "id = \"provider.r{n}\"\ncode = \"1/{n}\"\nname = {{ zh = \"数据{n}\", en = \"data {n}\" }}\nprovider = \"provider\"\nsharing = \"conditional\"\nconditions = [\"bench\"]\nlegal_basis = \"\"\nmode = \"service_interface\"\nformat = \"json\"\nupdate_cycle = \"daily\"\nlevel = \"general\"\ngrade = 2\nclasses = []\nversion = \"1\"\nregion_item = \"\"\n[origin]\nurl = \"http://127.0.0.1:9\"\n[[operations]]\nkind = \"query\"\nmethod = \"GET\"\npath = \"/r{n}\"\ncontent = \"json\"\nrecords = \"$.data[*]\"\nmax_records = 100\n"
    );
    for item in 0..items_of(n) {
        let _ = write!(
            text,
            "[[items]]\nname = \"item{item}\"\ntitle = {{ zh = \"项\", en = \"item\" }}\npath = \"$.data[*].item{item}\"\nmask = \"name\"\n"
        );
    }
    text
}

/// One policy: most speak of one system, some of a scenario or department, all of one resource or item.
fn policy(n: usize) -> String {
    let (resource, item) = (n / REQUESTERS % TENS, n % ITEMS);
    let scope = match n % 20 {
        0 => format!(
            "principal in Scenario::\"s{}\", action == Action::\"mask\", resource == Item::\"provider.r{resource}#item{item}\"",
            n / 20 % TENS
        ),
        1 => format!(
            "principal in Department::\"d{}\", action in Action::\"share\", resource == Resource::\"provider.r{resource}\"",
            n / 20 % TENS
        ),
        _ => format!(
            "principal == Requester::\"app{}\", action == Action::\"reveal\", resource == Item::\"provider.r{resource}#item{item}\"",
            n % REQUESTERS
        ),
    };
    format!("@id(\"more-{n}\")\nforbid ({scope}) when {{ resource.grade > 3 && !context.has_case }};\n")
}

/// The first twenty are held by departments, further ones by one system each, for one scenario and resource.
fn grant(n: usize) -> String {
    let (holder, scenario, resource) = match n {
        0..20 => (format!("department = \"d{}\"", n % TENS), n / TENS % TENS, if n < TENS { 0 } else { TENS - 1 }),
        _ => (format!("requester = \"app{}\"", n % REQUESTERS), n / REQUESTERS % TENS, n / (REQUESTERS * TENS) % TENS),
    };
    let form = |item: usize| if item.is_multiple_of(2) { "[\"reveal\"]" } else { "[\"mask\", \"reveal\"]" };
    let items: Vec<String> = (0..items_of(resource)).map(|item| format!("item{item} = {}", form(item))).collect();
    let approval = |side: &str| {
        format!(
            "[[grants.approvals]]\nside = \"{side}\"\nname = \"名{n}\"\npost = \"负责人\"\ndate = \"2026-01-04\"\ndocument = \"示例〔2026〕{n}号\"\n"
        )
    };
    format!(
        "[[grants]]\nid = \"g-{n}\"\n{holder}\nresource = \"provider.r{resource}\"\nscenario = \"s{scenario}\"\nkinds = [\"query\"]\nitems = {{ {} }}\nregions = []\nquota = {{ rate = \"10/s\", calls_per_day = 2000, records_per_call = 20 }}\napplication = \"申请{n}\"\nlegal_basis = \"示例依据\"\nmode = \"service_interface\"\nvalid_from = \"2026-01-01\"\nvalid_until = \"2099-12-31\"\nstatus = \"active\"\n{}{}",
        items.join(", "),
        approval("demander"),
        approval("provider")
    )
}
