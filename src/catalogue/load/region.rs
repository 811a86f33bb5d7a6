//! Reads `region_item`: the item that carries a record's region, and that every answer can be filtered by it.

use super::super::{Item, Region};
use super::operation::Read;
use crate::disclosure::ContentKind;
use crate::lang::Text;
use crate::written::{Placed, Table, did_you_mean};

/// The region item of a resource, where it names one.
pub(super) fn read(root: &Table<'_, '_>, written: &Placed<String>, items: &[Item], operations: &[Read]) -> Option<Region> {
    let name = &written.value;
    let report = |code, zh: String, en: String, help| root.problems().error(&written.place, code, Text::new(zh, en), help);
    let Some(item) = items.iter().find(|item| *item.name == **name && &*item.name != "*") else {
        let help = did_you_mean(name, items.iter().map(|item| &*item.name));
        report("unknown_item", format!("没有数据项 `{name}`"), format!("there is no item `{name}`"), help);
        return None;
    };
    for operation in operations.iter().map(|read| &read.operation) {
        let path = &operation.path;
        // An item without paths is reported where it stands; a column of CSV stands in its row.
        let within = item.paths.is_empty()
            || operation.content == ContentKind::Csv
            || item.paths.iter().any(|path| path.within(&operation.records).is_some());
        let (zh, en) = match operation.content {
            ContentKind::Opaque => (
                format!("`{path}` 的 opaque 内容无法按行政区划筛选"),
                format!("the opaque content of `{path}` cannot be filtered by region"),
            ),
            _ if !within => {
                let records = &operation.records;
                (
                    format!("数据项 `{name}` 不在 `{path}` 的记录 {records} 之内，所有记录都会被去掉"),
                    format!("item `{name}` does not stand in a record, {records}, of `{path}`: every record would be dropped"),
                )
            }
            _ => continue,
        };
        let help = Text::new(
            "按区划筛选是逐条进行的：每个操作都要登记 `records`，数据项在记录之内",
            "records are filtered one by one: each operation says what its `records` are, with the item in them",
        );
        report("wrong_value", zh, en, Some(help));
    }
    Some(Region { item: item.name.clone(), paths: item.paths.clone().into() })
}
