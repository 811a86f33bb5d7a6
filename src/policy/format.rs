//! Policies laid out alike, comments kept: Cedar's own formatter.

use std::str::FromStr;

use cedar_policy::PolicySet;
use cedar_policy_formatter::{Config, policies_str_to_pretty};

use super::load::{help_of, place_of};
use crate::lang::Text;
use crate::written::{Place, Problem};

/// Lines are kept within this many columns where Cedar can break them.
const WIDTH: usize = 100;

/// The text of one Cedar file as the formatter lays it out, or everything that keeps it from being Cedar.
pub fn format(file: &str, text: &str) -> Result<String, Vec<Problem>> {
    if let Err(errors) = PolicySet::from_str(text) {
        let problem = |error: &cedar_policy::ParseError| Problem {
            place: place_of(error, file, text),
            code: "cedar_syntax",
            message: Text::new(format!("Cedar 语法错误：{error}"), format!("not valid Cedar: {error}")),
            help: help_of(error),
        };
        return Err(errors.iter().map(problem).collect());
    }
    policies_str_to_pretty(text, &Config { line_width: WIDTH, indent_width: 2 }).map_err(|error| {
        let message = Text::new(format!("无法排版：{error}"), format!("cannot be formatted: {error}"));
        vec![Problem { place: Place { file: file.into(), line: 1, column: 1 }, code: "cedar_format", message, help: None }]
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_layout_is_stable_and_comments_stay() {
        let text = "// 说明 / note\n@id(\"a\") permit(principal,action,resource) // end\nwhen{context has grant};\n";
        let once = format("a.cedar", text).unwrap();
        assert!(once.contains("// 说明 / note") && once.contains("// end") && once.ends_with('\n'), "{once}");
        assert_eq!(format("a.cedar", &once).unwrap(), once);
        assert_eq!(PolicySet::from_str(&once).unwrap().num_of_policies(), 1);
    }

    #[test]
    fn what_is_no_cedar_is_told_with_its_place() {
        let problems = format("a.cedar", "permit (principal, action, resource)\nwhen { context. };\n").unwrap_err();
        assert_eq!((&*problems[0].place.file, problems[0].place.line), ("a.cedar", 2));
    }
}
