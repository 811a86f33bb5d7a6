//! Synthetic people and enterprises of a province that does not exist (region 990000, unallocated). 合成数据.

use serde_json::{Value, json};

/// A synthetic resident.
pub(super) struct Person {
    /// The first seventeen digits of the number: region, birth, sequence.
    number: &'static str,
    /// The name; it belongs to nobody.
    pub(super) name: &'static str,
    /// On a prefix that no operator was given.
    pub(super) telephone: &'static str,
    /// An address that leads nowhere.
    pub(super) address: &'static str,
    /// Marital status and the day it was registered.
    marriage: (&'static str, Option<&'static str>),
    /// Is old and lives alone.
    alone: bool,
}

impl Person {
    /// The eighteen digits, with the check digit of GB 11643.
    pub(super) fn id_number(&self) -> String {
        format!("{}{}", self.number, check_digit(self.number))
    }

    /// Where the person is registered.
    pub(super) fn region(&self) -> &'static str {
        self.number.get(..6).unwrap_or_default()
    }

    /// As the population register answers: more than its catalogue entry lists.
    pub(super) fn population(&self) -> Value {
        let birth = self.number.get(6..14).unwrap_or_default();
        json!({
            "id_number": self.id_number(), "name": self.name, "telephone": self.telephone, "region_code": self.region(),
            "birth": birth, "address": self.address, "household_no": format!("HH-{birth}"), "remark": "合成数据",
        })
    }

    /// As the marriage register answers.
    pub(super) fn marriage(&self) -> Value {
        json!({
            "id_number": self.id_number(), "status": self.marriage.0, "registered_on": self.marriage.1,
            "name": self.name, "certificate_no": "SYN-990102-2015-000042", "remark": "合成数据",
        })
    }

    /// As the list of elderly people living alone shows them.
    pub(super) fn elderly(&self) -> Option<Value> {
        self.alone.then(|| {
            json!({
                "name": self.name, "telephone": self.telephone, "address": self.address, "region_code": self.region(),
                "health": "行动不便", "guardian": "合成数据",
            })
        })
    }
}

/// The person whom the story asks about.
pub(super) fn applicant() -> &'static Person {
    &PEOPLE[0]
}

/// Everyone in the province.
pub(super) static PEOPLE: [Person; 6] = [
    Person {
        number: "99010219900307123",
        name: "易明远",
        telephone: "12000000001",
        address: "示例省甲市东区合成路1号",
        marriage: ("married", Some("2015-05-20")),
        alone: false,
    },
    Person {
        number: "99010219881105246",
        name: "文若兰",
        telephone: "12000000002",
        address: "示例省甲市东区合成路1号",
        marriage: ("married", Some("2015-05-20")),
        alone: false,
    },
    Person {
        number: "99020219470618001",
        name: "安平",
        telephone: "12000000003",
        address: "示例省乙市西区样例街7号",
        marriage: ("widowed", Some("2011-02-14")),
        alone: true,
    },
    Person {
        number: "99010219430902002",
        name: "苏·样例",
        telephone: "12000000004",
        address: "示例省甲市东区堤岸巷3号",
        marriage: ("single", None),
        alone: true,
    },
    Person {
        number: "99020219390121004",
        name: "欧阳合成",
        telephone: "12000000005",
        address: "示例省乙市西区河口路12号",
        marriage: ("widowed", Some("1999-09-09")),
        alone: true,
    },
    Person {
        number: "99010020010811357",
        name: "𠮷小样",
        telephone: "12000000006",
        address: "示例省甲市合成大道88号",
        marriage: ("single", None),
        alone: false,
    },
];

/// Enterprises' tax by month: credit code, industry and what was paid. Codes begin with 91990…, which no office gives out.
pub(super) fn tax() -> Vec<Value> {
    let enterprises =
        [("91990100MA00000011", "C39", 1_250_000), ("91990100MA00000029", "F51", 88_300), ("91990200MA00000037", "I65", 402_750)];
    let months = ["2026-09", "2026-10"];
    months
        .iter()
        .flat_map(|period| enterprises.iter().map(move |enterprise| (period, enterprise)))
        .map(|(period, (code, industry, paid))| {
            json!({
                "credit_code": code, "period": period, "industry": industry, "tax_paid": paid,
                "name": "示例企业（合成数据）", "bank_account": "6200000000000000", "contact": "12000000099",
            })
        })
        .collect()
}

/// The check digit over the first seventeen (ISO 7064 MOD 11-2).
fn check_digit(seventeen: &str) -> char {
    const WEIGHTS: [u32; 17] = [7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2];
    let sum: u32 = seventeen.chars().zip(WEIGHTS).map(|(digit, weight)| digit.to_digit(10).unwrap_or(0) * weight).sum();
    char::from(b"10X98765432"[(sum % 11) as usize])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn check_digits_follow_the_standard() {
        // The example of GB 11643-1999 itself.
        assert_eq!(check_digit("11010519491231002"), 'X');
    }

    #[test]
    fn everyone_lives_in_the_province_that_does_not_exist() {
        for person in &PEOPLE {
            assert!(person.number.starts_with("990"));
            assert_eq!(person.id_number().len(), 18);
            assert!(person.telephone.starts_with("120"), "an operator could have given out {}", person.telephone);
        }
    }
}
