//! The purpose as a call states it: the field `Share-Purpose`, an RFC 9651 item such as `housing;case="2026-000123"`.

use std::borrow::Cow;
use std::fmt;

use sfv::visitor::{ItemVisitor, ParameterVisitor};
use sfv::{BareItemFromInput, KeyRef, Parser};

use crate::lang::Text;

/// A mobile number's digits: no number that may not stand in a case has fewer.
const SHORTEST_NUMBER: usize = 11;
/// The longest case, in bytes, decoded.
const LONGEST_CASE: usize = 128;

/// A stated purpose; whether it is registered is bind's question.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stated {
    /// The scenario's id.
    pub scenario: String,
    /// The case (业务编号).
    pub case: Option<String>,
}

/// Why the field cannot be read. Never holds what was written: operators type persons' numbers into it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Malformed {
    /// There are two fields.
    Several,
    /// It is not an item of RFC 9651.
    Syntax,
    /// The item is not a token.
    NotToken,
    /// A parameter that is not known, or stated twice.
    Parameter,
    /// The case is neither a String nor a Display String.
    CaseType,
    /// The case is empty, too long or holds controls.
    CaseText,
    /// The case is shaped like a person's identity or mobile number.
    CaseNumber,
}

impl Malformed {
    /// What the caller can do about it.
    pub fn detail(self) -> Text {
        match self {
            Self::Several => Text::new("`Share-Purpose` 只能有一个", "there must be one `Share-Purpose` field only"),
            Self::Syntax => Text::new(
                "`Share-Purpose` 应为 RFC 9651 单项，例如 `housing;case=\"2026-000123\"`",
                "`Share-Purpose` must be an RFC 9651 item, such as `housing;case=\"2026-000123\"`",
            ),
            Self::NotToken => {
                Text::new("`Share-Purpose` 的值应为场景标识，不加引号", "`Share-Purpose` must name the scenario as a token, without quotes")
            }
            Self::Parameter => Text::new("`Share-Purpose` 只接受一个参数 `case`", "`Share-Purpose` takes one parameter only, `case`"),
            Self::CaseType => {
                Text::new("业务编号应为字符串 `case=\"…\"` 或 `case=%\"…\"`", "the case must be a string, `case=\"…\"` or `case=%\"…\"`")
            }
            Self::CaseText => Text::new(
                format!("业务编号不得为空，不得含控制字符，最长 {LONGEST_CASE} 字节"),
                format!("the case must not be empty or hold control characters, and be at most {LONGEST_CASE} bytes"),
            ),
            Self::CaseNumber => Text::new(
                "业务编号中不得出现身份证号或手机号样式的数字，请填写办件编号",
                "the case must not hold anything shaped like an identity or mobile number; state the case number",
            ),
        }
    }
}

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.detail().fmt(f)
    }
}

impl std::error::Error for Malformed {}

impl From<sfv::Error> for Malformed {
    fn from(_: sfv::Error) -> Self {
        Self::Syntax
    }
}

impl Stated {
    /// Reads the field's values; none: nothing is stated.
    pub fn parse<'v>(mut values: impl Iterator<Item = &'v [u8]>) -> Result<Option<Self>, Malformed> {
        let Some(value) = values.next() else { return Ok(None) };
        if values.next().is_some() {
            return Err(Malformed::Several);
        }
        let mut read = Read::default();
        Parser::new(value).parse_item_with_visitor(&mut read).map_err(|_| Malformed::Syntax)?;
        if let Some(fault) = read.fault {
            return Err(fault);
        }
        let scenario = read.scenario.ok_or(Malformed::NotToken)?;
        if let Some(case) = &read.case {
            check_case(case)?;
        }
        Ok(Some(Self { scenario, case: read.case }))
    }
}

/// Whether a case can go into the ledger.
pub fn check_case(case: &str) -> Result<(), Malformed> {
    if case.trim().is_empty() || case.len() > LONGEST_CASE || case.chars().any(char::is_control) {
        return Err(Malformed::CaseText);
    }
    if holds_number(case) { Err(Malformed::CaseNumber) } else { Ok(()) }
}

/// Whether some run of digits has the shape of an identity number (15, 18, or 17 and X) or a mobile number (11 from
/// 13 on, or behind 86). White space does not break a run, and digits of full width count.
fn holds_number(case: &str) -> bool {
    let is_digit = |c: char| c.is_ascii_digit() || ('\u{ff10}'..='\u{ff19}').contains(&c);
    if case.chars().filter(|c| is_digit(*c)).count() < SHORTEST_NUMBER {
        return false;
    }
    let narrow = |c: char| match c {
        '\u{ff10}'..='\u{ff19}' => char::from_u32(u32::from(c) - 0xff10 + u32::from('0')).unwrap_or(c),
        'x' | 'Ｘ' | 'ｘ' => 'X',
        _ => c,
    };
    let text: String = case.chars().filter(|c| !c.is_whitespace()).map(narrow).collect();
    let runs = text.split(|c: char| !c.is_ascii_digit()).filter(|run| !run.is_empty());
    let mobile = |run: &str| run.len() == 11 && run.starts_with('1') && run.as_bytes().get(1).is_some_and(|second| *second >= b'3');
    let mut at = 0;
    for run in runs {
        at += text[at..].find(run).unwrap_or_default();
        let end = at + run.len();
        let checked = run.len() == 17 && text[end..].starts_with('X');
        if checked || matches!(run.len(), 15 | 18) || mobile(run) || run.strip_prefix("86").is_some_and(mobile) {
            return true;
        }
        at = end;
    }
    false
}

/// What was seen while parsing; judged once the whole field has been read.
#[derive(Default)]
struct Read {
    scenario: Option<String>,
    case: Option<String>,
    fault: Option<Malformed>,
}

impl<'de> ItemVisitor<'de> for &mut Read {
    type Out = ();
    type Error = Malformed;

    fn bare_item(self, item: BareItemFromInput<'de>) -> Result<impl ParameterVisitor<'de, Out = ()>, Malformed> {
        match item {
            BareItemFromInput::Token(token) => self.scenario = Some(token.as_str().to_owned()),
            _ => self.fault = Some(Malformed::NotToken),
        }
        Ok(self)
    }
}

impl<'de> ParameterVisitor<'de> for &mut Read {
    type Out = ();
    type Error = Malformed;

    fn parameter(&mut self, key: &'de KeyRef, value: BareItemFromInput<'de>) -> Result<(), Malformed> {
        let case: Option<Cow<'_, str>> = match &value {
            BareItemFromInput::String(text) => Some(Cow::Borrowed(text.as_str())),
            BareItemFromInput::DisplayString(text) => Some(Cow::Borrowed(text)),
            _ => None,
        };
        let fault = match (key.as_str(), &case, &self.case) {
            ("case", Some(_), None) => None,
            ("case", None, _) => Some(Malformed::CaseType),
            _ => Some(Malformed::Parameter),
        };
        self.fault = self.fault.or(fault);
        self.case = case.map(Cow::into_owned);
        Ok(())
    }

    fn finish(self) -> Result<(), Malformed> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(field: &str) -> Result<Option<Stated>, Malformed> {
        Stated::parse(std::iter::once(field.as_bytes()))
    }

    fn stated(scenario: &str, case: Option<&str>) -> Result<Option<Stated>, Malformed> {
        Ok(Some(Stated { scenario: scenario.to_owned(), case: case.map(str::to_owned) }))
    }

    #[test]
    fn a_purpose_is_a_token_with_a_case() {
        assert_eq!(Stated::parse(std::iter::empty()), Ok(None));
        assert_eq!(parse("housing"), stated("housing", None));
        assert_eq!(parse("housing;case=\"2026-000123\""), stated("housing", Some("2026-000123")));
        assert_eq!(parse("  housing; case=%\"%e6%a1%88-1\" "), stated("housing", Some("案-1")));
        assert_eq!(parse("macro-control;case=\"a;b=\\\"c\\\"\""), stated("macro-control", Some("a;b=\"c\"")));
    }

    #[test]
    fn whatever_else_is_written_is_malformed() {
        let two = [&b"housing"[..], b"housing"];
        assert_eq!(Stated::parse(two.into_iter()), Err(Malformed::Several));
        for (field, fault) in [
            ("", Malformed::Syntax),
            ("housing, patrol", Malformed::Syntax),
            ("housing;case=\"open", Malformed::Syntax),
            ("housing;case=\"案\"", Malformed::Syntax),
            ("housing;case=%\"%ff\"", Malformed::Syntax),
            ("\"housing\"", Malformed::NotToken),
            ("42", Malformed::NotToken),
            ("housing;matter=\"1\"", Malformed::Parameter),
            ("housing;case=\"1\";case=\"2\"", Malformed::Parameter),
            ("housing;case=1", Malformed::CaseType),
            ("housing;case", Malformed::CaseType),
            ("housing;case=\"\"", Malformed::CaseText),
            ("housing;case=%\"a%0ab\"", Malformed::CaseText),
        ] {
            assert_eq!(parse(field), Err(fault), "{field}");
        }
        assert_eq!(parse(&format!("a;case=\"{}\"", "x".repeat(129))), Err(Malformed::CaseText));
        assert!(parse(&format!("a;case=\"{}\"", "y".repeat(128))).is_ok());
    }

    #[test]
    fn a_case_never_holds_a_persons_number() {
        for case in [
            "990101199001011234",
            "99010119900101123X",
            "case 99010119900101123x.",
            "990101900101123",
            "13800138000",
            "tel:13800138000/1",
            "+8613800138000",
            "990101 19900101 1234",
        ] {
            assert_eq!(parse(&format!("a;case=\"{case}\"")), Err(Malformed::CaseNumber), "{case}");
        }
        assert_eq!(check_case("９９０１０１１９９００１０１１２３Ｘ"), Err(Malformed::CaseNumber));
        for case in ["2026-000123", "示例〔2026〕1号", "12345678901", "2026112300012", "1234567890123456789"] {
            assert_eq!(check_case(case), Ok(()), "{case}");
        }
    }
}
