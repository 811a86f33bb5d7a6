//! Reading a part of a TOML file as JSON, for values that are sent on as JSON.

use serde_json::{Map, Number, Value};

use super::tree::{Members, Value as Written};
use super::{Placed, Table};
use crate::lang::Text;

impl Table<'_, '_> {
    /// A table that may be absent, as a JSON object. Dates, and numbers that JSON does not have, are errors.
    pub fn opt_json(&self, key: &str) -> Option<Placed<Value>> {
        let node = self.take(key)?;
        let Written::Table(table) = &node.value else {
            self.wrong_type(key, node, "表", "a table");
            return None;
        };
        match object(table) {
            Some(value) => Some(Placed { value, place: self.place_of(key) }),
            None => {
                let message = Text::new(
                    format!("`{key}` 中含有 JSON 无法表示的值（日期、inf、nan 或过大的整数）"),
                    format!("`{key}` holds what JSON cannot: a date, inf, nan or too large a whole number"),
                );
                self.error(key, "wrong_value", message, None);
                None
            }
        }
    }
}

fn object(table: &Members<'_>) -> Option<Value> {
    let members = table.iter().map(|member| Some((member.key.to_string(), json(&member.node.value)?)));
    members.collect::<Option<Map<_, _>>>().map(Value::Object)
}

fn json(value: &Written<'_>) -> Option<Value> {
    Some(match value {
        Written::Text(text) => Value::String(text.to_string()),
        Written::Integer(..) => value.whole()??.into(),
        Written::Float(digits) => Number::from_f64(digits.replace('_', "").parse().ok()?)?.into(),
        Written::Boolean(truth) => Value::Bool(*truth),
        Written::Datetime => return None,
        Written::Array(elements) => Value::Array(elements.iter().map(|element| json(&element.value)).collect::<Option<_>>()?),
        Written::Table(table) => object(table)?,
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::written::{Document, Problems};

    #[test]
    fn a_table_is_the_object_that_it_spells() {
        let problems = Problems::default();
        let text = "a = { b = \"x\", c = [1, 0x10, -1.5], d = { e = true } }\nf = { g = 2026-01-01 }\nh = { i = inf }\nj = 1\n";
        let document = Document::parse("a.toml", text, &problems);
        let root = document.root(&problems);
        assert_eq!(root.opt_json("a").unwrap().value, json!({"b": "x", "c": [1, 16, -1.5], "d": {"e": true}}));
        assert!(root.opt_json("k").is_none() && problems.is_ok());
        assert!(root.opt_json("f").is_none() && root.opt_json("h").is_none() && root.opt_json("j").is_none());
        let errors: Vec<_> = problems.into_parts().0.into_iter().map(|problem| (problem.code, problem.place.line)).collect();
        assert_eq!(errors, [("wrong_value", 2), ("wrong_value", 3), ("wrong_type", 4)]);
    }
}
