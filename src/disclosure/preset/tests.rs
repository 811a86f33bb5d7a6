//! The exact outputs of docs/masks.md, and that nothing passes as it is.

use proptest::prelude::*;

use super::*;

/// Preset, value, masked value; none: null.
const TABLE: &[(&str, &str, Option<&str>)] = &[
    ("id_number", "110101199001011234", Some("110101********1234")),
    ("id_number", "11010119900101123X", Some("110101********123X")),
    ("id_number", "11010119900101123x", Some("110101********123x")),
    ("id_number", "110101900101123", Some("110101*****1123")),
    ("id_number", " 110101199001011234 ", Some("110101********1234")),
    ("id_number", "1101011990010112", None),
    ("id_number", "11010119900101123Y", None),
    ("id_number", "１１０１０１１９９００１０１１２３４", None),
    ("id_number", "E12345678", None),
    ("id_number", "1234", None),
    ("id_number", "", None),
    ("mobile", "13812345678", Some("138****5678")),
    ("mobile", "19900000001", Some("199****0001")),
    ("mobile", "1381234567", None),
    ("mobile", "23812345678", None),
    ("mobile", "+8613812345678", None),
    ("mobile", "010-12345678", None),
    ("mobile", "110", None),
    ("name", "张三", Some("张*")),
    ("name", "欧阳娜娜", Some("欧***")),
    ("name", "𠮷田", Some("𠮷*")),
    ("name", "李𬭼", Some("李*")),
    ("name", "阿卜杜拉·买买提", Some("阿*******")),
    ("name", "John Smith", Some("J*********")),
    ("name", "张", Some("*")),
    ("name", "𠮷", Some("*")),
    ("name", " ", None),
    ("address", "北京市海淀区中关村大街1号", Some("北京市海淀区****")),
    ("address", "示例省甲市乙县丙镇丁村3组", Some("示例省甲市乙县****")),
    ("address", "内蒙古自治区锡林郭勒盟正蓝旗上都镇", Some("内蒙古自治区锡林郭勒盟正蓝旗****")),
    ("address", "新疆维吾尔自治区伊犁哈萨克自治州察布查尔锡伯自治县1号", Some("新疆维吾尔自治区伊犁哈萨克自治州察布查尔锡伯自治县****")),
    ("address", "海南省陵水黎族自治县椰林镇", Some("海南省陵水黎族自治县****")),
    ("address", "江苏省苏州市昆山市玉山镇", Some("江苏省苏州市昆山市****")),
    ("address", "湖北省仙桃市干河街道8号", Some("湖北省仙桃市****")),
    ("address", "北京市幸福小区5号楼", Some("北京市****")),
    ("address", "幸福小区5号楼", Some("****")),
    ("address", "海淀区学院路1号", Some("****")),
    ("address", "山东省同盟路5号", Some("山东省****")),
    ("address", "1号", Some("****")),
    ("address", "12 Example Road", Some("****")),
    ("address", "市", Some("****")),
    ("bank_card", "6222021234567890123", Some("622202*********0123")),
    ("bank_card", "6222 0212 3456 7890", Some("622202******7890")),
    ("bank_card", "622202123456", Some("622202**3456")),
    ("bank_card", "62220212345", None),
    ("bank_card", "1234", None),
    ("email", "zhangsan@mail.example", Some("z***@mail.example")),
    ("email", "李四@邮件.example", Some("李***@邮件.example")),
    ("email", "z@mail.example", Some("***@mail.example")),
    ("email", "zhangsan", None),
    ("email", "a@b@c.example", None),
    ("email", "@mail.example", None),
    ("email", "a@localhost", None),
    ("plate", "京A12345", Some("京A***45")),
    ("plate", "京AD12345", Some("京A****45")),
    ("plate", "京A·12345", Some("京A***45")),
    ("plate", "粤Z1234港", Some("粤Z***4港")),
    ("plate", "京A123", None),
    ("plate", "A12345", None),
    ("keep:3,4", "13812345678", Some("138****5678")),
    ("keep:1,1", "一二三", Some("一*三")),
    ("keep:1,1", "一二", Some("**")),
    ("keep:1,1", "一", Some("*")),
    ("keep:0,0", "𠮷abc", Some("****")),
    ("keep:3,4", "", None),
    ("fixed:***", "anything", Some("***")),
    ("fixed:已隐藏", "", Some("已隐藏")),
    ("year", "2019-05-20", Some("2019")),
    ("year", "2019-05-20T08:00:00+08:00", Some("2019")),
    ("year", "2019/5/20", Some("2019")),
    ("year", "2019.05", Some("2019")),
    ("year", "2019年5月20日", Some("2019")),
    ("year", "20190520", Some("2019")),
    ("year", "201905", Some("2019")),
    ("year", "20190520093000", Some("2019")),
    ("year", "2019", Some("2019")),
    ("year", "20191320", None),
    ("year", "20190500", None),
    ("year", "1558310400", None),
    ("year", "20/05/2019", None),
    ("year", "0000-00-00", None),
    ("year", "13812345678", None),
    ("district", "990102", Some("990102")),
    ("district", "990102001", Some("990102")),
    ("district", "990102001003", Some("990102")),
    ("district", "990102195001010014", Some("990102")),
    ("district", "9901", None),
    ("district", "甲市乙区", None),
    ("null", "anything", None),
    ("null", "", None),
];

#[test]
fn every_output_is_as_documented() {
    for (preset, value, expected) in TABLE {
        let preset = Preset::parse(preset).unwrap();
        assert_eq!(preset.apply(value).as_deref(), *expected, "{preset:?} {value:?}");
    }
}

#[test]
fn both_pages_show_every_row() {
    for (page, text) in
        [("docs/masks.md", include_str!("../../../docs/masks.md")), ("docs/masks.zh-CN.md", include_str!("../../../docs/masks.zh-CN.md"))]
    {
        for (preset, value, expected) in TABLE.iter().filter(|(_, value, _)| value.trim() == *value && !value.is_empty()) {
            let shown = expected.map_or("null".to_owned(), |masked| format!("`{masked}`"));
            let row = format!("| `{preset}` | `{value}` | {shown} |");
            assert!(text.contains(&row), "{page} lacks {row}");
        }
    }
}

#[test]
fn presets_are_named_as_written() {
    for text in [
        "id_number",
        "mobile",
        "name",
        "address",
        "bank_card",
        "email",
        "plate",
        "keep:3,4",
        "keep:0,0",
        "fixed:***",
        "fixed:a:b",
        "year",
        "district",
        "null",
    ] {
        assert_eq!(Preset::parse(text).unwrap().name(), text);
    }
}

#[test]
fn an_unknown_preset_is_told_what_there_is() {
    for text in [
        "",
        "idnumber",
        "ID_NUMBER",
        "keep",
        "keep:3",
        "keep:,",
        "keep:-1,2",
        "keep:+1,2",
        "keep:65,0",
        "keep:1,2,3",
        "fixed",
        "fixed:",
        "name:1",
    ] {
        let error = Preset::parse(text).unwrap_err();
        assert!(error.en.contains("keep:N,M") && error.zh.contains("keep:N,M"), "{text}");
    }
    assert!(Preset::parse(&format!("fixed:{}", "x".repeat(65))).is_err());
}

proptest! {
    /// Whatever comes, what is hidden by stars is never the value itself; generalisations of what is general already
    /// (`year` of a year, `district` of a county) are the documented exception.
    #[test]
    fn a_value_never_passes_unmasked(value in "\\PC{0,24}", number in "[0-9X]{1,20}", first in 0usize..5, last in 0usize..5) {
        let mut presets: Vec<_> = ["id_number", "mobile", "name", "address", "bank_card", "email", "plate"].iter().map(|p| Preset::parse(p).unwrap()).collect();
        presets.push(Preset::Keep(first, last));
        for preset in presets {
            for value in [&value, &number] {
                let masked = preset.apply(value);
                let hidden_already = value.trim().chars().all(|c| c == '*') || value.contains('*');
                prop_assert!(hidden_already || masked.as_deref() != Some(value.trim()), "{preset:?} {value}");
            }
        }
    }

    /// `keep` shows no more than it says, on characters.
    #[test]
    fn keep_keeps_no_more_than_it_says(value in "[一-龥𠮷a-z]{1,12}", first in 0usize..5, last in 0usize..5) {
        let masked = Preset::Keep(first, last).apply(&value).unwrap();
        prop_assert_eq!(masked.chars().count(), value.chars().count());
        prop_assert!(masked.chars().filter(|c| *c != '*').count() <= first + last);
        prop_assert!(masked.contains('*'));
    }
}
