//! JSONTestSuite, case by case: what must be accepted, what must be refused, and what we do where RFC 8259 leaves it open.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::*;

#[test]
fn jsontestsuite_is_accepted_and_refused_as_it_says() {
    let everything = plan(vec![item("all", &["$"], Some(Form::Reveal), "")]);
    let mut cases = [0; 3];
    for line in include_str!("suite.txt").lines().filter(|line| !line.starts_with('#')) {
        let [name, count, bytes] = line.split(' ').collect::<Vec<_>>()[..] else { panic!("{line}") };
        let bytes = STANDARD.decode(bytes.trim_matches('-')).unwrap().repeat(count.parse().unwrap());
        let accepted = match &name[..2] {
            // A name that stands twice is refused on purpose: readers differ in which of its values they take.
            "y_" => !name.starts_with("y_object_duplicated_key"),
            "n_" => false,
            // Left open by RFC 8259: numbers of any size keep their text; half a surrogate pair, what is not UTF-8, a byte
            // order mark and nesting beyond our depth are refused.
            _ => name.starts_with("i_number_"),
        };
        cases["yni".find(&name[..1]).unwrap()] += 1;
        let (read, shown) = (parse(&bytes), rewrite(&everything, &bytes));
        assert_eq!(read.is_ok(), accepted, "{name}: {read:?}");
        assert_eq!(shown.as_ref().is_ok(), accepted, "{name}: {shown:?}");
        if let (Ok(read), Ok(shown)) = (read, shown) {
            assert_eq!(serde_json::from_slice::<serde_json::Value>(&shown.bytes).unwrap(), read, "{name}");
        }
    }
    assert_eq!(cases, [95, 188, 35]);
}
