//! The words of the catalogue for people, in both languages (DOMAIN section 3).

use crate::catalogue::{Kind, Level, Mode, Sharing};
use crate::disclosure::{ContentKind, Form};
use crate::lang::Lang;
use crate::purpose::{GrantStatus, Side};
use crate::snapshot::Snapshot;
use crate::written::units::Rate;

/// The heads of `catalogue list`.
pub(super) const LIST_HEAD: [(&str, &str); 7] = [
    ("标识", "id"),
    ("名称", "name"),
    ("提供部门", "provider"),
    ("共享属性", "sharing"),
    ("级别", "level"),
    ("分级", "grade"),
    ("个人信息", "personal"),
];

/// The heads of the items in `catalogue show`.
pub(super) const ITEM_HEAD: [(&str, &str); 8] = [
    ("数据项", "item"),
    ("名称", "title"),
    ("共享属性", "sharing"),
    ("分级", "grade"),
    ("个人信息", "personal"),
    ("敏感", "sensitive"),
    ("脱敏规则", "mask"),
    ("位置", "path"),
];

/// The word in the reader's language.
pub(super) const fn pick<'t>((zh, en): (&'t str, &'t str), lang: Lang) -> &'t str {
    match lang {
        Lang::Zh => zh,
        Lang::En => en,
    }
}

pub(super) const fn yes_no(yes: bool, lang: Lang) -> &'static str {
    pick(if yes { ("是", "yes") } else { ("否", "no") }, lang)
}

pub(super) const fn sharing(sharing: Sharing, lang: Lang) -> &'static str {
    let words = match sharing {
        Sharing::Unconditional => ("无条件共享", "unconditional"),
        Sharing::Conditional => ("有条件共享", "conditional"),
        Sharing::NotShared => ("不予共享", "not shared"),
    };
    pick(words, lang)
}

pub(super) const fn level(level: Level, lang: Lang) -> &'static str {
    let words = match level {
        Level::General => ("一般数据", "general"),
        Level::Important => ("重要数据", "important"),
        Level::Core => ("核心数据", "core"),
    };
    pick(words, lang)
}

pub(super) const fn mode(mode: Mode, lang: Lang) -> &'static str {
    let words = match mode {
        Mode::ServiceInterface => ("服务接口", "service interface"),
        Mode::BatchExchange => ("批量交换", "batch exchange"),
        Mode::FileDownload => ("文件下载", "file download"),
    };
    pick(words, lang)
}

/// As in files.
pub(super) const fn mode_name(mode: Mode) -> &'static str {
    match mode {
        Mode::ServiceInterface => "service_interface",
        Mode::BatchExchange => "batch_exchange",
        Mode::FileDownload => "file_download",
    }
}

/// As in files.
pub(super) const fn content_name(content: ContentKind) -> &'static str {
    match content {
        ContentKind::Json => "json",
        ContentKind::Ndjson => "ndjson",
        ContentKind::Csv => "csv",
        ContentKind::Opaque => "opaque",
    }
}

pub(super) const fn kind(kind: Kind, lang: Lang) -> &'static str {
    let words = match kind {
        Kind::Query => ("查询", "query"),
        Kind::Verify => ("核验", "verify"),
        Kind::Bulk => ("批量", "bulk"),
    };
    pick(words, lang)
}

pub(super) const fn form(form: Form, lang: Lang) -> &'static str {
    let words = match form {
        Form::Reveal => ("原值提供", "reveal"),
        Form::Mask => ("脱敏", "mask"),
        Form::Pseudonymise => ("假名化", "pseudonymise"),
        Form::Compare => ("仅比对", "compare"),
    };
    pick(words, lang)
}

pub(super) const fn grant_status(status: GrantStatus, lang: Lang) -> &'static str {
    let words = match status {
        GrantStatus::Active => ("有效", "active"),
        GrantStatus::Suspended => ("已暂停", "suspended"),
        GrantStatus::Terminated => ("已终止", "terminated"),
    };
    pick(words, lang)
}

/// As in files.
pub(super) const fn grant_status_name(status: GrantStatus) -> &'static str {
    grant_status(status, Lang::En)
}

pub(super) const fn side(side: Side, lang: Lang) -> &'static str {
    let words = match side {
        Side::Demander => ("需求部门", "demander"),
        Side::Provider => ("提供部门", "provider"),
    };
    pick(words, lang)
}

/// `10/s`, as in files.
pub(super) fn rate(rate: Rate) -> String {
    let unit = match rate.per.as_secs() {
        1 => "s",
        60 => "m",
        _ => "h",
    };
    format!("{}/{unit}", rate.count)
}

/// A department's name and id.
pub(super) fn department(snapshot: &Snapshot, id: &str, lang: Lang) -> String {
    match snapshot.parties.departments.get(id) {
        Some(department) => format!("{} {id}", department.name.get(lang)),
        None => id.to_owned(),
    }
}
