//! The control folder, mistake by mistake: each loader error has a line here that makes it, in a copy of the starting
//! folder that is right but for that. One mistake is one error wherever it can be.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use kanhe::snapshot::Snapshot;

use super::support::folder::Folder;

/// A copy of the starting folder.
fn copy() -> Folder {
    let folder = Folder::new();
    let mut open = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join("policies")];
    let root = open[0].clone();
    while let Some(from) = open.pop() {
        for entry in fs::read_dir(from).unwrap().flatten() {
            let path = entry.path();
            if path.is_dir() {
                open.push(path);
            } else {
                folder.write(path.strip_prefix(&root).unwrap().to_str().unwrap(), fs::read(&path).unwrap());
            }
        }
    }
    folder
}

/// `FILE:LINE code` of everything wrong, and the codes of what should be looked at.
fn load(folder: &Path) -> (Vec<String>, Vec<&'static str>) {
    let (errors, warnings) = match Snapshot::load(folder) {
        Ok((_, warnings)) => (Vec::new(), warnings),
        Err(refused) => (refused.errors, refused.warnings),
    };
    let told = |problem: &kanhe::written::Problem| {
        assert!(!problem.message.zh.is_empty() && problem.message.zh != problem.message.en, "{problem:?}");
        format!("{}:{} {}", problem.place.file, problem.place.line, problem.code)
    };
    (errors.iter().map(told).collect(), warnings.iter().map(|problem| problem.code).collect())
}

/// A file, what is replaced there, by what, and the code of the one error at that place.
type Mistake = (&'static str, &'static str, &'static str, &'static str);

fn each_is_told(mistakes: &[Mistake]) {
    let folder = copy();
    for (file, right, wrong, code) in mistakes {
        let path = folder.path().join(file);
        let before = fs::read_to_string(&path).unwrap();
        assert!(before.contains(right), "{file}: {right}");
        fs::write(&path, before.replacen(right, wrong, 1)).unwrap();
        let (errors, _) = load(folder.path());
        fs::write(&path, before).unwrap();
        let told = errors.len() == 1 && errors[0].starts_with(&format!("{file}:")) && errors[0].ends_with(&format!(" {code}"));
        assert!(told, "{file}: `{wrong}` should be {code}: {errors:?}");
    }
}

const MARRIAGE: &str = "catalogue/mca.marriage.toml";

#[test]
fn a_resource_is_registered_whole() {
    each_is_told(&[
        (MARRIAGE, "code = \"307012/000001\"\n", "", "missing_key"),
        (MARRIAGE, "name = { zh = \"婚姻登记信息\", en = \"Marriage register\" }\n", "", "missing_key"),
        (MARRIAGE, "provider = \"mca\"\n", "", "missing_key"),
        (MARRIAGE, "sharing = \"conditional\"\n", "", "missing_key"),
        (MARRIAGE, "mode = \"service_interface\"\n", "", "missing_key"),
        (MARRIAGE, "format = \"json\"\n", "", "missing_key"),
        (MARRIAGE, "update_cycle = \"real time\"\n", "", "missing_key"),
        (MARRIAGE, "level = \"general\"\n", "", "missing_key"),
        (MARRIAGE, "grade = 3\n", "", "missing_key"),
        (MARRIAGE, "version = \"1\"\n", "", "missing_key"),
        (MARRIAGE, "url = \"http://127.0.0.1:7001\"\n", "", "missing_key"),
        (MARRIAGE, "grade = 3\n", "grade = 0\n", "wrong_value"),
        (MARRIAGE, "grade = 3\n", "grade = 5\n", "wrong_value"),
        (MARRIAGE, "grade = 3\n", "grade = \"3\"\n", "wrong_type"),
        (MARRIAGE, "grade = 3\n", "grade = 3\ngrades = 3\n", "unknown_key"),
        (MARRIAGE, "grade = 4\n", "grade = 9\n", "wrong_value"),
        (MARRIAGE, "level = \"general\"", "level = \"secret\"", "wrong_value"),
        (MARRIAGE, "sharing = \"conditional\"", "sharing = \"open\"", "wrong_value"),
        (MARRIAGE, "mode = \"service_interface\"", "mode = \"mail\"", "wrong_value"),
        (MARRIAGE, "provider = \"mca\"", "provider = \"psb\"", "foreign_id"),
        (MARRIAGE, "provider = \"mca\"", "provider = \"mcaa\"", "dangling_reference"),
        (MARRIAGE, "conditions = [\"housing security\", \"benefit eligibility\"]\n", "", "missing_conditions"),
        (MARRIAGE, "classes = [\"civil\"]", "classes = [\"1st\"]", "wrong_id"),
        (MARRIAGE, "region_item = \"\"", "region_item = \"statis\"", "unknown_item"),
        ("catalogue/stats.survey.toml", "《中华人民共和国统计法》关于统计调查对象资料保密的规定", " ", "missing_legal_basis"),
        ("catalogue/mca.divisions.toml", "id = \"mca.divisions\"", "id = \"mca.divisions\"\nid = \"mca.x\"", "toml_syntax"),
    ]);
}

#[test]
fn a_claim_says_what_is_asked_and_what_is_compared() {
    let ask = "ask = { method = \"POST\", path = \"/mca/marriage/query\", content = { id_number = \"{id_number}\" } }\n";
    let with_ask = |ask: &'static str, code| (MARRIAGE, "ask = { method = \"POST\", path = \"/mca/marriage/query\", ", ask, code);
    let compare = "compare = [\"status\"]";
    let verify = "method = \"POST\"\npath = \"/mca/marriage/verify\"\nsubject = \"content.$.id_number\"\n";
    each_is_told(&[
        (MARRIAGE, ask, "", "missing_key"),
        (MARRIAGE, "compare = [\"status\"]\n", "", "missing_key"),
        (MARRIAGE, compare, "compare = []", "wrong_value"),
        (MARRIAGE, compare, "compare = [\"statis\"]", "unknown_item"),
        (MARRIAGE, compare, "compare = [\"status\", \"status\"]", "duplicate_item"),
        (MARRIAGE, compare, "compare = [\"*\"]", "unknown_item"),
        with_ask("ask = { path = \"/mca/marriage/query\", ", "missing_key"),
        with_ask("ask = { method = \"DELETE\", path = \"/mca/marriage/query\", ", "wrong_value"),
        with_ask("ask = { method = \"GET\", path = \"/mca/marriage/query\", ", "wrong_value"),
        with_ask("ask = { method = \"POST\", path = \"/mca/marriage/query?x=1\", ", "wrong_value"),
        with_ask("ask = { method = \"POST\", path = \"/mca/marriage/query\", query = \"x\", ", "unknown_key"),
        (
            MARRIAGE,
            "content = { id_number = \"{id_number}\" }",
            "content = { id_number = \"{id_number}\", on = 2026-01-01 }",
            "wrong_value",
        ),
        (MARRIAGE, "content = { id_number = \"{id_number}\" }", "content = { id_number = \"{id_number}\", a = \"{\" }", "wrong_value"),
        (MARRIAGE, "content = { id_number = \"{id_number}\" }", "content = \"{id_number}\"", "wrong_type"),
        (MARRIAGE, "content = { id_number = \"{id_number}\" }", "content = { id_number = \"{number}\" }", "wrong_value"),
        (MARRIAGE, verify, "method = \"GET\"\npath = \"/mca/marriage/verify\"\n", "wrong_value"),
        (MARRIAGE, "path = \"/mca/marriage/verify\"", "path = \"/mca/marriage/verify/{id}\"", "wrong_value"),
        (MARRIAGE, verify, "method = \"POST\"\npath = \"/mca/marriage/verify\"\nsubject = \"content.$.data.id_number\"\n", "wrong_value"),
        (MARRIAGE, verify, "method = \"POST\"\npath = \"/mca/marriage/verify\"\nsubject = \"query.id\"\n", "wrong_value"),
        (MARRIAGE, verify, "method = \"POST\"\npath = \"/mca/marriage/verify\"\nparameters = [\"id\"]\n", "wrong_value"),
        (MARRIAGE, verify, "method = \"POST\"\npath = \"/mca/marriage/verify\"\norigin_path = \"/x\"\n", "wrong_value"),
        (MARRIAGE, "kind = \"query\"\n", "kind = \"query\"\ncompare = [\"status\"]\n", "wrong_value"),
        (MARRIAGE, "kind = \"query\"\n", "kind = \"query\"\nask = { method = \"GET\", path = \"/x\" }\n", "wrong_value"),
        (MARRIAGE, "records = \"$.data[*]\"\nmax_records = 20", "records = \"$.rows[*]\"\nmax_records = 20", "wrong_value"),
    ]);
}

#[test]
fn an_uplift_is_a_number_of_records_and_of_grades() {
    let file = "grades.toml";
    each_is_told(&[
        (file, "records = 1000", "records = 0", "wrong_value"),
        (file, "records = 1000", "", "missing_key"),
        (file, "by = 1", "by = 4", "wrong_value"),
        (file, "by = 1", "by = 1\ngrade = 4", "unknown_key"),
        (file, "[[uplift]]", "[[uplifts]]", "unknown_key"),
    ]);
}

#[test]
fn a_mask_over_what_the_caller_sends_is_told() {
    let folder = copy();
    let (errors, warnings) = load(folder.path());
    assert_eq!((errors, warnings), (Vec::new(), vec!["mask_of_what_was_sent"]));
    let path = folder.path().join("grants/2026.toml");
    let text = fs::read_to_string(&path).unwrap();
    fs::write(&path, text.replacen("id_number = [\"mask\"]", "id_number = [\"reveal\", \"mask\"]", 1)).unwrap();
    assert_eq!(load(folder.path()).1, Vec::<&str>::new());
}

#[test]
fn an_operation_says_where_and_for_whom() {
    let method = "method = \"POST\"\n";
    each_is_told(&[
        (MARRIAGE, "content = \"json\"", "content = \"csv\"", "wrong_value"),
        (MARRIAGE, "content = \"json\"", "content = \"xml\"", "wrong_value"),
        (MARRIAGE, method, "method = \"CONNECT\"\n", "wrong_value"),
        (MARRIAGE, "subject = \"content.$.id_number\"", "subject = \"id_number\"", "wrong_value"),
        (MARRIAGE, "subject = \"content.$.id_number\"", "subject = \"content.id_number\"", "wrong_value"),
        (MARRIAGE, "subject = \"content.$.id_number\"", "subject = \"path.id\"", "unknown_parameter"),
        ("catalogue/mca.elderly.toml", "parameters = [\"limit\"]", "subject = \"content.$.id\"", "wrong_value"),
        (MARRIAGE, method, "method = \"POST\"\norigin_path = \"/x/{y}\"\n", "wrong_value"),
        (MARRIAGE, "parameters = []", "parameters = [\"a&b\"]", "wrong_value"),
        (MARRIAGE, "records = \"$.data[*]\"", "records = \"data\"", "wrong_value"),
        (MARRIAGE, "max_records = 100", "max_records = 0", "wrong_value"),
        (MARRIAGE, "url = \"http://127.0.0.1:7001\"", "url = \"http://127.0.0.1:7001/api\"", "wrong_value"),
        (MARRIAGE, "url = \"http://127.0.0.1:7001\"", "url = \"ftp://127.0.0.1\"", "wrong_value"),
        (MARRIAGE, "url = \"http://127.0.0.1:7001\"", "url = \"http://127.0.0.1:70011\"", "wrong_value"),
        (MARRIAGE, "url = \"http://127.0.0.1:7001\"", "url = \"http://user@127.0.0.1\"", "wrong_value"),
        (MARRIAGE, "url = \"http://127.0.0.1:7001\"", "url = \"http://127.0.0.1:7001\"\nca = \"ca.pem\"", "wrong_value"),
        (MARRIAGE, "url = \"http://127.0.0.1:7001\"", "url = \"https://127.0.0.1\"\nkey = \"a.key\"", "missing_key"),
        (MARRIAGE, "url = \"http://127.0.0.1:7001\"", "url = \"http://127.0.0.1:7001\"\nidle_timeout = \"5\"", "wrong_value"),
        (
            "catalogue/psb.population.toml",
            "[[items]]\n",
            "[[operations]]\nkind = \"query\"\nmethod = \"POST\"\npath = \"/psb/{a}/query\"\n[[items]]\n",
            "ambiguous_route",
        ),
    ]);
}

#[test]
fn an_item_is_judged_once() {
    let status = "path = \"$.data[*].status\"";
    each_is_told(&[
        (MARRIAGE, "mask = \"year\"", "mask = \"yearly\"", "wrong_value"),
        (MARRIAGE, status, "path = \"$.data[*].id_number\"", "nested_items"),
        (MARRIAGE, status, "path = \"$.data[*].id_number.x\"", "nested_items"),
        (MARRIAGE, status, "path = [\"$.data[*].status\", \"$.data[*].status.x\"]", "nested_items"),
        (MARRIAGE, status, "path = \"$.data[?@.a]\"", "wrong_value"),
        (MARRIAGE, status, "path = []", "wrong_value"),
        (MARRIAGE, &format!("{status}\n").leak()[..], "", "missing_key"),
        (MARRIAGE, "title = { zh = \"婚姻状态\", en = \"Marital status\" }", "title = { zh = \"婚姻状态\" }", "missing_key"),
        (
            MARRIAGE,
            "[[items]]\nname = \"registered_on\"",
            "[[items]]\nname = \"status\"\ntitle = { zh = \"又\", en = \"again\" }\npath = \"$.x\"\n[[items]]\nname = \"registered_on\"",
            "duplicate_item",
        ),
        (
            MARRIAGE,
            "[[items]]\nname = \"registered_on\"",
            "[[items]]\nname = \"*\"\ntitle = { zh = \"又\", en = \"again\" }\npath = \"$.x\"\n[[items]]\nname = \"registered_on\"",
            "wrong_value",
        ),
        (
            MARRIAGE,
            "[[items]]\nname = \"registered_on\"",
            "[[items]]\nname = \"n234567890123456789012345678901234567890123456789012345678901234x\"\ntitle = { zh = \"又\", en = \"again\" }\npath = \"$.x\"\n[[items]]\nname = \"registered_on\"",
            "wrong_value",
        ),
        (MARRIAGE, "personal = true\nmask = \"year\"", "personal = true\nauthoritative = true\nmask = \"year\"", "missing_key"),
    ]);
}

#[test]
fn one_element_has_one_source() {
    let folder = copy();
    for file in [MARRIAGE, "catalogue/psb.population.toml"] {
        let path = folder.path().join(file);
        let text = fs::read_to_string(&path).unwrap();
        fs::write(&path, text.replacen("mask = \"id_number\"", "mask = \"id_number\"\nelement = \"DE00012\"\nauthoritative = true", 1))
            .unwrap();
    }
    let (errors, _) = load(folder.path());
    assert!(
        matches!(errors.as_slice(), [one] if one.starts_with("catalogue/psb.population.toml:") && one.ends_with("two_claimants")),
        "{errors:?}"
    );
}

#[test]
fn a_resource_has_at_most_500_items_and_one_id() {
    let folder = copy();
    let text = fs::read_to_string(folder.path().join("catalogue/tax.enterprise.toml")).unwrap();
    let item = |n: usize| format!("[[items]]\nname = \"i{n}\"\ntitle = {{ zh = \"项\", en = \"item\" }}\npath = \"$.i{n}\"\n");
    let at = |count: usize| format!("{text}{}", (0..count).map(item).collect::<String>());
    folder.write("catalogue/tax.enterprise.toml", at(496));
    assert_eq!(load(folder.path()).0, [""; 0]);
    folder.write("catalogue/tax.enterprise.toml", at(497));
    assert!(load(folder.path()).0[0].ends_with("too_many_items"));
    folder.write("catalogue/tax.enterprise.toml", &text);
    folder.write("catalogue/sub/again.toml", text.replace("path = \"/tax/enterprise\"", "path = \"/tax/again\""));
    assert_eq!(load(folder.path()).0, ["catalogue/tax.enterprise.toml:1 duplicate_id"]);
}

#[test]
fn classes_are_registered_where_there_is_a_file_of_them() {
    let folder = copy();
    let class =
        |id: &str, parent: &str| format!("[[classes]]\nid = \"{id}\"\nname = {{ zh = \"类\", en = \"class\" }}\nparent = \"{parent}\"\n");
    let all = ["civil", "contact", "economy", "population"].map(|id| class(id, "")).concat();
    folder.write("classes.toml", &all);
    assert_eq!(load(folder.path()).0, [""; 0]);
    folder.write("classes.toml", format!("{all}{}{}", class("a", "b"), class("b", "a")));
    assert!(matches!(load(folder.path()).0.as_slice(), [one] if one.ends_with("parent_cycle")));
    folder.write("classes.toml", format!("{all}{}", class("a", "nowhere")));
    assert!(matches!(load(folder.path()).0.as_slice(), [one] if one.ends_with("dangling_reference")));
    folder.write("classes.toml", format!("{all}{}", class("civil", "")));
    assert!(matches!(load(folder.path()).0.as_slice(), [one] if one.ends_with("duplicate_id")));
    folder.write("classes.toml", all.replace("\"contact\"", "\"contacts\""));
    let errors = load(folder.path()).0;
    assert!(!errors.is_empty() && errors.iter().all(|error| error.ends_with("dangling_reference")), "{errors:?}");
}

#[test]
fn a_scenario_names_what_is_registered() {
    let file = "scenarios/housing.toml";
    each_is_told(&[
        (file, "purpose = \"公租房申请家庭的婚姻和户籍核验\"\n", "", "missing_key"),
        (file, "legal_basis = \"《公共租赁住房管理办法》\"", "legal_basis = \"\"", "wrong_value"),
        (file, "lead = \"housing\"", "lead = \"hosing\"", "dangling_reference"),
        (file, "\"housing-jia\", \"mca\"", "\"housing-yi\", \"mca\"", "dangling_reference"),
        (file, "\"mca.divisions\"]", "\"mca.divisions\", \"mca.nothing\"]", "dangling_reference"),
        (file, "\"mca.divisions\"]", "\"mca.divisions\", \"nobody.*\"]", "dangling_reference"),
        (file, "kinds = [\"query\", \"verify\"]", "kinds = [\"query\", \"verify\", \"ask\"]", "wrong_value"),
        (file, "case = \"optional\"", "case = \"never\"", "wrong_value"),
        (file, "max_grade = 4", "max_grade = 5", "wrong_value"),
        (file, "valid_until = \"2028-12-31\"", "valid_until = \"2028-13-31\"", "wrong_value"),
        (file, "valid_until = \"2028-12-31\"", "valid_until = \"2025-12-31\"", "wrong_value"),
        (file, "status = \"approved\"", "status = \"fine\"", "wrong_value"),
        (file, "max_grade = 4", "max_grade = 4\nmax_grades = 4", "unknown_key"),
        (
            "scenarios/flood.toml",
            "# [emergency]\n# order",
            "[emergency]\nfrom = \"2026-11-23T00:00:00+08:00\"\nuntil = \"2026-11-22T00:00:00+08:00\"\norder",
            "wrong_value",
        ),
        (
            "scenarios/flood.toml",
            "# [emergency]\n# order",
            "[emergency]\nfrom = \"2026-11-23\"\nuntil = \"2026-11-24T00:00:00+08:00\"\norder",
            "wrong_value",
        ),
    ]);
}

#[test]
fn a_grant_says_who_approved_what() {
    let file = "grants/2026.toml";
    each_is_told(&[
        (file, "requester = \"housing-app\"\n", "", "missing_holder"),
        (file, "requester = \"housing-app\"", "requester = \"housing-ap\"", "dangling_reference"),
        (file, "department = \"stats\"", "department = \"stat\"", "dangling_reference"),
        (file, "requester = \"housing-app\"", "requester = \"housing-app\"\ndepartment = \"tax\"", "not_served"),
        (file, "resource = \"mca.marriage\"", "resource = \"mca.mariage\"", "dangling_reference"),
        (file, "scenario = \"housing\"", "scenario = \"hosing\"", "dangling_reference"),
        (file, "kinds = [\"query\", \"verify\"]", "kinds = []", "wrong_value"),
        (file, "status = [\"reveal\", \"compare\"]", "state = [\"reveal\"]", "unknown_item"),
        (file, "status = [\"reveal\", \"compare\"]", "\"*\" = [\"reveal\"]", "unknown_item"),
        (file, "status = [\"reveal\", \"compare\"]", "status = [\"show\"]", "wrong_value"),
        (file, "status = [\"reveal\", \"compare\"]", "status = []", "wrong_value"),
        (file, "regions = []", "regions = [\"990100\"]", "no_region_item"),
        (file, "regions = [\"990100\"]", "regions = [\"99010\"]", "wrong_value"),
        (file, "regions = [\"990100\"]", "regions = [\"990199\"]", "dangling_reference"),
        (file, "regions = [\"990100\"]", "regions = \"990100\"", "wrong_type"),
        (file, "rate = \"10/s\"", "rate = \"10\"", "wrong_value"),
        (file, "calls_per_day = 2000", "calls_per_day = 0", "wrong_value"),
        (file, "records_per_call = 20", "records_per_cal = 20", "unknown_key"),
        (file, "records_per_call = 20", "records_per_day = 19, records_per_call = 20", "wrong_value"),
        (file, "application = \"示例共享申请〔2026〕0001号\"\n", "", "missing_key"),
        (file, "legal_basis = \"示例省政务数据共享办法\"\n", "", "missing_key"),
        (file, "mode = \"service_interface\"\n", "", "missing_key"),
        (file, "valid_until = \"2028-12-31\"", "valid_until = \"2025-12-31\"", "wrong_value"),
        (file, "status = \"active\"", "status = \"live\"", "wrong_value"),
        (file, "side = \"provider\"", "side = \"demander\"", "missing_approval"),
        (file, "document = \"示例复〔2026〕1号\"\n", "", "missing_key"),
        (file, "id = \"g-2026-0002\"", "id = \"g-2026-0001\"", "duplicate_id"),
    ]);
    let folder = copy();
    let path = folder.path().join(file);
    let text = fs::read_to_string(&path).unwrap();
    fs::write(folder.path().join("grants/more.toml"), text.replace("g-2026", "h-2026")).unwrap();
    let errors = load(folder.path()).0;
    assert_eq!(errors.len(), 7, "{errors:?}");
    assert!(errors.iter().all(|error| error.starts_with("grants/more.toml:") && error.ends_with("overlapping_grants")), "{errors:?}");
}

#[test]
fn a_calendar_is_made_of_real_hours_and_days() {
    each_is_told(&[
        ("calendar.toml", "\"09:00-12:00\"", "\"12:00-09:00\"", "wrong_value"),
        ("calendar.toml", "\"09:00-12:00\"", "\"morning\"", "wrong_value"),
        ("calendar.toml", "weekdays = [1, 2, 3, 4, 5]", "weekdays = [0]", "wrong_value"),
        ("calendar.toml", "\"2026-10-01\"", "\"2026-02-30\"", "wrong_value"),
        ("calendar.toml", "make_up_days", "makeup_days", "unknown_key"),
        ("calendar.toml", "hours = [\"09:00-12:00\", \"13:30-17:30\"]\n", "", "missing_key"),
    ]);
}

#[test]
fn files_that_cannot_be_read_or_stand_astray() {
    let folder = copy();
    folder.write("grants/bad.toml", b"id = \"\xff\"");
    folder.write("more/forbid.cedar", "");
    folder.write("scenarios/sub/x.toml", "");
    folder.write("notes.txt", "");
    folder.write(".git/config", "");
    symlink("/nowhere", folder.path().join("tests/gone.toml")).unwrap();
    let (errors, warnings) = load(folder.path());
    assert_eq!(
        errors,
        [
            "grants/bad.toml:1 not_utf8",
            "more/forbid.cedar:1 misplaced_file",
            "scenarios/sub/x.toml:1 misplaced_file",
            "tests/gone.toml:1 unreadable"
        ]
    );
    assert_eq!(warnings, ["mask_of_what_was_sent", "unknown_file"]);
    let large = fs::File::create(folder.path().join("grants/bad.toml")).unwrap();
    large.set_len((64 << 20) + 1).unwrap();
    assert!(load(folder.path()).0.contains(&"grants/bad.toml:1 file_too_large".to_owned()));
}

#[test]
fn all_mistakes_come_in_one_run() {
    let folder = copy();
    for (file, right, wrong) in [
        ("departments.toml", "tier = \"province\"", "tiers = \"province\""),
        (MARRIAGE, "grade = 3", "grade = 7"),
        ("scenarios/patrol.toml", "max_grade = 3", "max_grade = 30"),
        ("grants/2026.toml", "rate = \"10/s\"", "rate = \"often\""),
        ("calendar.toml", "weekdays", "week_days"),
        ("base.cedar", "principal.clearance", "principal.clearence"),
    ] {
        let path = folder.path().join(file);
        let text = fs::read_to_string(&path).unwrap();
        fs::write(&path, text.replacen(right, wrong, 1)).unwrap();
    }
    let (errors, _) = load(folder.path());
    for file in ["base.cedar", "calendar.toml", MARRIAGE, "departments.toml", "grants/2026.toml", "scenarios/patrol.toml"] {
        assert!(errors.iter().any(|error| error.starts_with(file)), "{file}: {errors:?}");
    }
    assert!(errors.is_sorted_by_key(|error| error.split(':').next()), "{errors:?}");
}

#[test]
fn a_swapped_link_is_another_folder() {
    let (one, other) = (copy(), copy());
    other.write("tests/none.toml", "");
    let links = Folder::new();
    let link = links.path().join("control");
    symlink(one.path(), &link).unwrap();
    let digest = |path: &Path| Snapshot::load(path).unwrap().0.digest;
    assert_eq!(digest(&link), digest(one.path()));
    fs::remove_file(&link).unwrap();
    symlink(other.path(), &link).unwrap();
    assert_eq!(digest(&link), digest(other.path()));
    assert_ne!(digest(one.path()), digest(other.path()));
}
