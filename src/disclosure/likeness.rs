//! Pseudonyms that keep the type of what they stand for (保型假名), for receivers that check a field's shape. Each is one
//! that no real value can be: nobody is called, charged or looked up by it. Exact outputs in docs/masks.md.

use crate::lang::Text;

/// What a pseudonym looks like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Likeness {
    /// A resident identity number: 18 digits, of which the first two are 00, where a province's code would stand.
    IdNumber,
    /// A mobile number: 11 digits, of which the first three are 000: abroad, to a country that cannot be.
    Mobile,
}

impl Likeness {
    /// Reads one as written in a catalogue file.
    pub fn parse(text: &str) -> Result<Self, Text> {
        match text {
            "id_number" => Ok(Self::IdNumber),
            "mobile" => Ok(Self::Mobile),
            _ => Err(Text::new(
                format!("未知的保型假名 `{text}`：可用 id_number、mobile"),
                format!("a pseudonym cannot be like `{text}`: there are id_number, mobile"),
            )),
        }
    }

    /// As it is written.
    pub const fn name(self) -> &'static str {
        match self {
            Self::IdNumber => "id_number",
            Self::Mobile => "mobile",
        }
    }

    /// What of a value is pseudonymised, so that its spellings have one pseudonym; none: it is no such value.
    pub(super) fn of(self, value: &str) -> Option<String> {
        let value = value.trim();
        let fits = match self {
            Self::IdNumber => super::preset::is_id_number(value),
            Self::Mobile => super::preset::is_mobile(value),
        };
        fits.then(|| value.to_ascii_uppercase())
    }

    /// Writes the pseudonym of a digest.
    pub(super) fn write(self, digest: [u8; 16], out: &mut Vec<u8>) {
        let (zeros, digits) = match self {
            Self::IdNumber => (2, 16),
            Self::Mobile => (3, 8),
        };
        let number = u128::from_be_bytes(digest) % 10_u128.pow(digits);
        let length = zeros + digits as usize;
        out.extend_from_slice(format!("{number:0length$}").as_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::super::{PseudonymKey, Pseudonyms};
    use super::*;

    fn of(pseudonyms: &Pseudonyms, likeness: Likeness, value: &str) -> Option<String> {
        let mut out = Vec::new();
        pseudonyms.write(value, false, Some(likeness), &mut out).then(|| String::from_utf8(out).unwrap())
    }

    #[test]
    fn an_identity_number_stays_18_digits_that_are_nobodys() {
        let scope = PseudonymKey::new(&[7; 32]).scope("macro-control", "stats");
        let pseudonym = of(&scope, Likeness::IdNumber, "11010119900101123X").unwrap();
        // Kept by hand: another value here would break every join across an upgrade.
        assert_eq!(pseudonym, "009623696987927411");
        assert!(pseudonym.len() == 18 && pseudonym.starts_with("00") && pseudonym.bytes().all(|byte| byte.is_ascii_digit()));
        for spelt in ["11010119900101123x", " 11010119900101123X "] {
            assert_eq!(of(&scope, Likeness::IdNumber, spelt).unwrap(), pseudonym);
        }
        assert_eq!(of(&scope, Likeness::IdNumber, "110101900101123").unwrap().len(), 18);
        for bad in ["", "1234", "张三", "11010119900101123Y", &pseudonym[1..]] {
            assert_eq!(of(&scope, Likeness::IdNumber, bad), None, "{bad}");
        }
    }

    #[test]
    fn a_mobile_number_stays_11_digits_that_reach_nobody() {
        let scope = PseudonymKey::new(&[7; 32]).scope("macro-control", "stats");
        let pseudonym = of(&scope, Likeness::Mobile, "13812345678").unwrap();
        assert_eq!(pseudonym, "00074617844");
        assert!(pseudonym.len() == 11 && pseudonym.starts_with("000") && pseudonym.bytes().all(|byte| byte.is_ascii_digit()));
        for bad in ["1381234567", "010-12345678", "+8613812345678", &pseudonym] {
            assert_eq!(of(&scope, Likeness::Mobile, bad), None, "{bad}");
        }
    }

    #[test]
    fn departments_and_scenarios_cannot_be_joined() {
        let key = PseudonymKey::new(&[7; 32]);
        let number = "110101199001011234";
        let of = |scenario, department| of(&key.scope(scenario, department), Likeness::IdNumber, number).unwrap();
        assert_eq!(of("a", "b"), of("a", "b"));
        let all = [of("a", "b"), of("a", "c"), of("b", "b"), of("ab", ""), of("", "ab")];
        for (at, one) in all.iter().enumerate() {
            assert!(!all[at + 1..].contains(one), "{at}");
        }
    }
}
