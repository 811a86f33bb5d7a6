//! The two languages of everything that people read. Every text is written in both where it is made, so that
//! none can be forgotten; which one is shown is decided once, at the edge.

use std::fmt;

/// A language that Kanhe speaks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Lang {
    /// Simplified Chinese.
    Zh,
    /// English.
    #[default]
    En,
}

impl Lang {
    /// Reads `zh` or `en`, and tags beneath them such as `zh-CN`.
    pub fn from_tag(tag: &str) -> Option<Self> {
        let primary = tag.split(['-', '_', '.']).next().unwrap_or(tag);
        if primary.eq_ignore_ascii_case("zh") {
            Some(Self::Zh)
        } else if primary.eq_ignore_ascii_case("en") {
            Some(Self::En)
        } else {
            None
        }
    }

    /// Chooses by `Accept-Language` (RFC 9110 section 12.5.4): the highest weight wins, the earlier of equals.
    pub fn from_accept_language(field: &str) -> Self {
        let mut best = (0.0_f32, Self::default());
        for part in field.split(',') {
            let (range, parameters) = part.split_once(';').unwrap_or((part, ""));
            let weight = match parameters.trim().strip_prefix("q=") {
                Some(number) => number.trim().parse::<f32>().unwrap_or(0.0),
                None => 1.0,
            };
            if let Some(lang) = Self::from_tag(range.trim())
                && weight > best.0
            {
                best = (weight, lang);
            }
        }
        best.1
    }

    /// The language tag, as written in `Content-Language`.
    pub const fn tag(self) -> &'static str {
        match self {
            Self::Zh => "zh",
            Self::En => "en",
        }
    }
}

impl std::str::FromStr for Lang {
    type Err = String;

    fn from_str(tag: &str) -> Result<Self, String> {
        Self::from_tag(tag).ok_or_else(|| format!("`{tag}` is not `zh` or `en`"))
    }
}

/// One text in both languages.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Text {
    /// The Chinese text.
    pub zh: String,
    /// The English text.
    pub en: String,
}

impl Text {
    /// Both languages side by side, Chinese first.
    pub fn new(zh: impl Into<String>, en: impl Into<String>) -> Self {
        Self { zh: zh.into(), en: en.into() }
    }

    /// The text in the language of the reader.
    pub fn get(&self, lang: Lang) -> &str {
        match lang {
            Lang::Zh => &self.zh,
            Lang::En => &self.en,
        }
    }
}

/// English, for logs: they are read beside those of other programs.
impl fmt::Display for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.en)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_heaviest_known_language_wins() {
        assert_eq!(Lang::from_accept_language("fr, zh-CN;q=0.9, en;q=0.8"), Lang::Zh);
        assert_eq!(Lang::from_accept_language("en-GB,zh;q=0.5"), Lang::En);
        assert_eq!(Lang::from_accept_language("zh;q=0"), Lang::En);
        assert_eq!(Lang::from_accept_language(""), Lang::En);
        assert_eq!(Lang::from_accept_language("zh"), Lang::Zh);
    }
}
