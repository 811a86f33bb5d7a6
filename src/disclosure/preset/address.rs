//! Masking an address: the administrative divisions at its beginning stay, down to the county at most.

/// Stands for everything beneath the county, whatever its length.
const REST: &str = "****";

/// What the name of a province ends with. Municipalities end like cities.
const PROVINCE: [&str; 3] = ["特别行政区", "自治区", "省"];
/// What the name of a prefecture ends with.
const PREFECTURE: [&str; 4] = ["自治州", "地区", "盟", "市"];
/// What the name of a county ends with.
const COUNTY: [&str; 6] = ["自治县", "自治旗", "县", "区", "旗", "市"];
/// Characters before 区 that make it an estate, a campus or a zone, not a county.
const NO_COUNTY: &str = "小社园校景厂院库营宅活墅属业舍寓住片街辖林牧矿作特发";
/// Characters after an ending that make it part of another word: 市场, 盟路, 区政府.
const NO_ENDING: &str = "路街道巷弄村场政民府";
/// Streets, villages and doors lie beneath the county: whatever follows them names none.
const BENEATH: &str = "路街道巷弄村号栋幢楼室镇乡";
/// The longest name of a division without its ending (自治县 bear the names of several peoples).
const LONGEST: usize = 15;

/// The divisions that the address begins with, and four stars. One that begins with none is hidden whole, and so is
/// one whose county cannot be told from the name of an estate.
pub(super) fn mask(address: &str, out: &mut Vec<u8>) -> bool {
    let province = division(address, &PROVINCE, &["市", "区", "县", "旗"]).unwrap_or(0);
    let prefecture = province + division(&address[province..], &PREFECTURE, &["区", "县", "旗"]).unwrap_or(0);
    let county = match prefecture {
        // Without anything above it, a county cannot be told from other words.
        0 => 0,
        _ => prefecture + division(&address[prefecture..], &COUNTY, &[]).unwrap_or(0),
    };
    out.extend_from_slice(&address.as_bytes()[..county]);
    out.extend_from_slice(REST.as_bytes());
    true
}

/// How many bytes at the beginning of a text are the name of a division with one of these endings. `others` end the
/// names of other divisions: what follows them is not looked at.
fn division(text: &str, endings: &[&str], others: &[&str]) -> Option<usize> {
    for (count, (at, character)) in text.char_indices().enumerate() {
        if count > LONGEST || !is_han(character) {
            return None;
        }
        // A name has one character before its ending at least.
        if count == 0 {
            continue;
        }
        let rest = &text[at..];
        if let Some(ending) = endings.iter().find(|ending| rest.starts_with(**ending)) {
            let estate = *ending == "区" && text[..at].ends_with(|before| NO_COUNTY.contains(before));
            let word = rest[ending.len()..].starts_with(|after| NO_ENDING.contains(after));
            return (!estate && !word).then_some(at + ending.len());
        }
        if others.iter().any(|other| rest.starts_with(other)) || BENEATH.contains(character) {
            return None;
        }
    }
    None
}

fn is_han(character: char) -> bool {
    matches!(character, '\u{3400}'..='\u{9fff}' | '\u{20000}'..='\u{3ffff}')
}
