//! Routes: found in one walk, never two ways, and sent to the origin as they were matched.

use hyper::Method;

use super::route::{RouteError, Routes, Target};
use super::*;
use crate::identity::parties::Parties;
use crate::written::{Problem, Problems};

const DEPARTMENTS: &str = "[[departments]]\nid = \"mca\"\nname = { zh = \"民政\", en = \"Civil affairs\" }\ntier = \"province\"\n\
     region = \"990000\"\ncode = \"x\"\nparent = \"\"\nauthority = false\n";

fn resource(id: &str, operations: &[(&str, &str)]) -> (String, String) {
    let operation = |(method, path): &(&str, &str)| {
        let origin = path.replacen("/mca", "/api/v1", 1);
        format!("[[operations]]\nkind = \"query\"\nmethod = \"{method}\"\npath = \"{path}\"\norigin_path = \"{origin}\"\n")
    };
    let operations: String = operations.iter().map(operation).collect();
    let text = format!(
        "id = \"{id}\"\ncode = \"1/1\"\nname = {{ zh = \"一\", en = \"one\" }}\nprovider = \"mca\"\nsharing = \"unconditional\"\n\
         mode = \"service_interface\"\nformat = \"json\"\nupdate_cycle = \"daily\"\nlevel = \"general\"\ngrade = 1\nversion = \"1\"\n\
         [origin]\nurl = \"http://127.0.0.1:7001\"\n{operations}[[items]]\nname = \"a\"\ntitle = {{ zh = \"甲\", en = \"a\" }}\npath = \"$.a\"\n"
    );
    (format!("catalogue/{id}.toml"), text)
}

fn load(files: &[(String, String)]) -> (Catalogue, Vec<Problem>) {
    let problems = Problems::default();
    let parties = Parties::load(Some(("departments.toml", DEPARTMENTS)), Some(("requesters.toml", "")), None, &problems);
    let catalogue = Catalogue::load(files, None, None, &parties, &problems);
    (catalogue, problems.into_parts().0)
}

fn routes(operations: &[(&str, &str)]) -> Routes {
    let (catalogue, errors) = load(&[resource("mca.a", operations)]);
    assert!(errors.is_empty(), "{errors:?}");
    catalogue.routes
}

fn find(routes: &Routes, path: &str) -> Result<Target, RouteError> {
    routes.find(&Method::GET, path)
}

#[test]
fn a_path_finds_its_operation_and_values() {
    let routes = routes(&[("GET", "/mca/{area}/people/{id}"), ("GET", "/mca/areas"), ("POST", "/mca/areas"), ("GET", "/mca/x/y/z")]);
    let target = find(&routes, "/mca/990100/people/%E7%94%B2%20%2B").unwrap();
    let values: Vec<_> = target.parameters.iter().map(|(name, value)| (&**name, value.as_str())).collect();
    assert_eq!(values, [("area", "990100"), ("id", "甲 +")]);
    assert_eq!(target.template(), "GET /mca/{area}/people/{id}");
    assert_eq!(target.origin_target(), "/api/v1/990100/people/%E7%94%B2%20%2B");
    assert_eq!(find(&routes, "/mca/areas").unwrap().origin_target(), "/api/v1/areas");
    // The literal's branch is left again where it leads nowhere.
    assert_eq!(find(&routes, "/mca/x/people/1").unwrap().template(), "GET /mca/{area}/people/{id}");
}

#[test]
fn an_unknown_path_and_a_wrong_method_are_told_apart() {
    let routes = routes(&[("GET", "/mca/areas"), ("POST", "/mca/areas"), ("GET", "/mca/slash/")]);
    for path in ["/", "/mca", "/mca/areas/", "/mca/Areas", "mca/areas", "/mca/areas/1", "/mca/slash", ""] {
        assert_eq!(find(&routes, path).unwrap_err(), RouteError::Unknown, "{path}");
    }
    assert!(find(&routes, "/mca/slash/").is_ok());
    assert_eq!(routes.find(&Method::HEAD, "/mca/areas").unwrap_err(), RouteError::Method(vec![Method::GET, Method::POST]));
}

#[test]
fn a_value_with_two_readings_finds_nothing() {
    let routes = routes(&[("GET", "/mca/{id}")]);
    for value in ["", ".", "..", "%2e%2e", "a%2fb", "a%5Cb", "a;b", "a%3Bb", "%00", "%0a", "%ff", "%2", "%zz", "%252e", "%25%32%65"] {
        assert_eq!(find(&routes, &format!("/mca/{value}")).unwrap_err(), RouteError::Unknown, "{value}");
    }
    assert_eq!(find(&routes, "/mca/100%25").unwrap().parameters[0].1, "100%");
}

#[test]
fn two_templates_that_one_path_could_match_are_refused() {
    for (a, b) in [
        ("/mca/a", "/mca/a"),
        ("/mca/{x}", "/mca/{y}"),
        ("/mca/{x}", "/mca/a"),
        ("/mca/a", "/mca/{x}"),
        ("/mca/{x}/b", "/mca/a/{y}"),
        ("/mca/a/{y}/c", "/mca/{x}/b/c"),
    ] {
        let (_, errors) = load(&[resource("mca.a", &[("GET", a)]), resource("mca.b", &[("GET", b)])]);
        assert_eq!(
            errors.iter().map(|error| (error.code, &*error.place.file)).collect::<Vec<_>>(),
            [("ambiguous_route", "catalogue/mca.b.toml")]
        );
    }
    routes(&[("GET", "/mca/{x}/b"), ("GET", "/mca/a/c"), ("POST", "/mca/a/b"), ("GET", "/mca/a"), ("GET", "/mca/{x}/")]);
}

#[test]
fn a_template_is_written_in_normal_form() {
    let wrong = [
        "mca/a",
        "",
        "/mca//a",
        "/mca/../a",
        "/mca/.",
        "/mca/a;b",
        "/mca/a?b",
        "/mca/a b",
        "/mca/甲",
        "/mca/%e7",
        "/mca/%41",
        "/mca/%2F",
        "/mca/%",
        "/mca/{}",
        "/mca/{a",
        "/mca/x{a}",
        "/mca/{a}/{a}",
        "/.well-known/x",
        "/mca/%00",
    ];
    for path in wrong {
        let (_, errors) = load(&[resource("mca.a", &[("GET", path)])]);
        assert!(errors.iter().any(|error| error.code == "wrong_value"), "{path}: {errors:?}");
    }
    routes(&[("GET", "/mca/%E7%94%B2/a-b_c~d.e"), ("GET", "/mca/a:b@c")]);
}

#[test]
fn opaque_content_is_one_item_as_strict_as_the_strictest() {
    let (file, text) = resource("mca.a", &[("GET", "/mca/a")]);
    let text = text
        .replace("method = \"GET\"", "method = \"GET\"\ncontent = \"opaque\"")
        .replace("path = \"$.a\"", "path = \"$.a\"\ngrade = 3\npersonal = true");
    let (catalogue, errors) = load(&[(file, text)]);
    assert!(errors.is_empty(), "{errors:?}");
    let whole = catalogue.resources["mca.a"].items.last().unwrap();
    assert_eq!((&*whole.name, whole.grade, whole.personal, whole.paths[0].is_root()), ("*", 3, true, true));
    assert!(catalogue.resources["mca.a"].personal);
}
