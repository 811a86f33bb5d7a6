//! NDJSON: each line is a JSON document, carried out by the plan as one. Blank lines are left out; a line that is
//! dropped as a record leaves nothing behind.

use super::json::Machine;
use super::stream::Reader;
use super::{Error, Outcome};

/// Lines on their way.
pub(super) struct Lines {
    machine: Machine,
}

impl Lines {
    pub(super) fn new(machine: Machine) -> Self {
        Self { machine: machine.leaving_nothing() }
    }

    /// Reads a line to its end.
    fn line(&mut self, rest: &str) -> Result<(), Error> {
        if self.machine.is_fresh() && rest.bytes().all(|byte| matches!(byte, b' ' | b'\t' | b'\r')) {
            return Ok(());
        }
        self.machine.end_document(rest)?;
        if !self.machine.is_dropped() {
            self.machine.out().push(b'\n');
        }
        self.machine.restart();
        Ok(())
    }
}

impl Reader for Lines {
    fn read(&mut self, window: &str, searched: usize) -> Result<usize, Error> {
        let mut start = 0;
        let mut from = searched;
        while let Some(length) = memchr::memchr(b'\n', &window.as_bytes()[from..]) {
            self.line(&window[start..from + length])?;
            start = from + length + 1;
            from = start;
        }
        Ok(start + self.machine.read_document(&window[start..])?)
    }

    /// The last line may have no end.
    fn end(&mut self, window: &str) -> Result<(), Error> {
        self.line(window)
    }

    fn out(&mut self) -> &mut Vec<u8> {
        self.machine.out()
    }

    fn certain(&self) -> usize {
        self.machine.certain()
    }

    fn rebase(&mut self, taken: usize) {
        self.machine.rebase(taken);
    }

    fn outcome(&self) -> Outcome {
        self.machine.outcome()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::super::{Compiled, ContentKind, Form, JsonPath, Outcome, Plan, PlannedItem, Preset, PseudonymKey, Regions};
    use super::*;

    struct One;

    impl Regions for One {
        fn include(&mut self, code: &str) -> Result<bool, Error> {
            Ok(code == "990101")
        }
    }

    fn plan(paths: &[&str]) -> Plan {
        let name = PlannedItem {
            name: "name".into(),
            paths: paths.iter().map(|path| JsonPath::parse(path).unwrap()).collect(),
            form: Some(Form::Mask),
            preset: Preset::parse("name").ok(),
            joinable: false,
            likeness: None,
            narrowed_by: None,
        };
        Plan { items: vec![name], content: ContentKind::Ndjson, records: JsonPath::root(), max_records: 3, region: None }
    }

    fn run(plan: &Plan, input: &str) -> Result<(String, Outcome), Error> {
        let of = |length: usize| {
            let regions = plan.region.is_some().then(|| Box::new(One) as Box<dyn Regions>);
            let pseudonyms = PseudonymKey::new(&[7; 32]).scope("s", "d");
            let (mut stream, mut out) = (Arc::new(Compiled::new(plan)).stream(&pseudonyms, regions, 1 << 16), Vec::new());
            for piece in input.as_bytes().chunks(length) {
                stream.push(piece, &mut out)?;
            }
            let outcome = stream.finish(&mut out)?;
            Ok((String::from_utf8(out).unwrap(), outcome))
        };
        let whole: Result<_, Error> = of(input.len().max(1));
        for length in [1, 2, 5] {
            match (&whole, of(length)) {
                (Ok(whole), Ok(pieces)) => assert_eq!(*whole, pieces, "{input:?} by {length}"),
                (Err(_), Err(_)) => {}
                (whole, pieces) => panic!("{whole:?} {pieces:?}: {input:?} by {length}"),
            }
        }
        whole
    }

    #[test]
    fn each_line_is_a_document_and_a_record() {
        for path in ["$.name", "$[*].name"] {
            let (text, outcome) = run(&plan(&[path]), "{\"name\":\"张三\",\"x\":1}\r\n\n{ \"y\":2 }\n  \n{\"name\":null}").unwrap();
            assert_eq!(text, "{\"name\":\"张*\"}\n{}\n{\"name\":null}\n");
            assert_eq!(outcome.records, 3);
        }
        assert_eq!(run(&plan(&["$.name"]), "").unwrap().0, "");
    }

    #[test]
    fn a_document_ends_with_its_line() {
        for input in
            ["{\"name\":\n\"张三\"}\n", "{\"name\":1}{\"name\":2}\n", "{\"name\":1", "7\n", "{\"a\":1,\"a\":2}\n", "{}\n{}\n{}\n{}\n"]
        {
            assert!(run(&plan(&["$.name"]), input).is_err(), "{input:?}");
        }
        // Names are compared within their own line.
        assert_eq!(run(&plan(&["$.name"]), "{\"a\":1}\n{\"a\":2}\n").unwrap().0, "{}\n{}\n");
    }

    #[test]
    fn lines_of_other_regions_leave_nothing() {
        let mut plan = plan(&["$.name"]);
        plan.region = Some(Arc::from([JsonPath::parse("$.region").unwrap()]));
        let lines =
            ["990102", "990101", "990103", "990101", "990101"].map(|region| format!("{{\"name\":\"张三\",\"region\":\"{region}\"}}"));
        let (text, outcome) = run(&plan, &lines.join("\n")).unwrap();
        assert_eq!(text, "{\"name\":\"张*\"}\n".repeat(3));
        assert_eq!((outcome.records, outcome.rows_dropped, outcome.items["name"]["mask"]), (3, 2, 3));
    }

    #[test]
    fn a_line_ends_whatever_became_of_the_records_in_it() {
        let mut plan = plan(&["$.data[*].name"]);
        plan.records = JsonPath::parse("$.data[*]").unwrap();
        plan.region = Some(Arc::from([JsonPath::parse("$.data[*].region").unwrap()]));
        let line = |region: &str| format!("{{\"data\":[{{\"name\":\"张三\",\"region\":\"{region}\"}}]}}\n");
        let (text, outcome) = run(&plan, &[line("990102"), line("990101"), line("990102")].concat()).unwrap();
        assert_eq!(text, "{\"data\":[]}\n{\"data\":[{\"name\":\"张*\"}]}\n{\"data\":[]}\n");
        assert_eq!((outcome.records, outcome.rows_dropped), (1, 2));
    }
}
