//! `kanhe catalogue`: what the control folder registers, and the page that both sharing offices sign.

mod card;
mod layout;
mod words;

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::{Exit, Format, Settings, open_config, out, print_problems, print_trouble};
use crate::catalogue::{Item, Operation, Resource, SubjectSource};
use crate::disclosure::Form;
use crate::lang::{Lang, Text};
use crate::snapshot::Snapshot;
use crate::written::nearest;

use layout::{Columns, Facts};

/// Arguments of `kanhe catalogue`.
#[derive(Args)]
pub struct CatalogueArgs {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// 列出全部数据资源 · list all resources
    List,
    /// 显示一个数据资源 · show one resource
    Show {
        /// 资源标识 · the resource's id
        resource: String,
    },
    /// 共享授权卡：供双方审批签字 · the card that both sides sign
    Card {
        /// 资源标识 · the resource's id
        resource: String,
        /// 只列这一份授权 · this grant only
        #[arg(long, value_name = "ID")]
        grant: Option<String>,
    },
}

/// Prints what was asked for. No: it is not registered. Trouble: the control folder does not load.
pub fn run(args: CatalogueArgs, settings: &Settings) -> Exit {
    let config = match open_config(settings) {
        Ok(config) => config,
        Err(exit) => return exit,
    };
    let snapshot = match Snapshot::load(&config.control) {
        Ok((snapshot, _)) => snapshot,
        Err(refused) => {
            print_problems(&refused.errors, settings);
            return Exit::Trouble;
        }
    };
    match args.command {
        Command::List => list(&snapshot, settings),
        Command::Show { resource } => with_resource(&snapshot, &resource, settings, |resource| {
            match settings.format {
                Format::Json => out(&as_json(resource).to_string()),
                Format::Human => show(&snapshot, resource, settings.lang).iter().for_each(|line| out(line)),
            }
            Exit::Yes
        }),
        Command::Card { resource, grant } => {
            with_resource(&snapshot, &resource, settings, |resource| card::run(&snapshot, resource, grant.as_deref(), settings))
        }
    }
}

fn with_resource(snapshot: &Snapshot, id: &str, settings: &Settings, act: impl FnOnce(&Resource) -> Exit) -> Exit {
    if let Some(resource) = snapshot.catalogue.resources.get(id) {
        return act(resource);
    }
    not_registered(("数据资源", "resource"), id, snapshot.catalogue.resources.keys().map(|id| &**id), settings);
    Exit::No
}

fn not_registered<'k>((zh, en): (&str, &str), id: &str, known: impl Iterator<Item = &'k str>, settings: &Settings) {
    let near = nearest(id, known);
    let (near_zh, near_en) =
        near.map_or_else(Default::default, |near| (format!("，是否应为 `{near}`？"), format!(", did you mean `{near}`?")));
    let text = Text::new(format!("{zh} `{id}` 未登记{near_zh}"), format!("{en} `{id}` is not registered{near_en}"));
    print_trouble(&text, settings);
}

fn list(snapshot: &Snapshot, settings: &Settings) -> Exit {
    let mut resources: Vec<_> = snapshot.catalogue.resources.values().collect();
    resources.sort_unstable_by(|a, b| a.id.cmp(&b.id));
    if settings.format == Format::Json {
        out(&Value::from_iter(resources.into_iter().map(|resource| as_json(resource))).to_string());
        return Exit::Yes;
    }
    let lang = settings.lang;
    let mut columns = Columns::default();
    columns.row(words::LIST_HEAD.map(|head| words::pick(head, lang).to_owned()));
    for resource in resources {
        columns.row([
            resource.id.to_string(),
            resource.name.get(lang).to_owned(),
            words::department(snapshot, &resource.provider, lang),
            words::sharing(resource.sharing, lang).to_owned(),
            words::level(resource.level, lang).to_owned(),
            resource.grade.to_string(),
            words::yes_no(resource.personal, lang).to_owned(),
        ]);
    }
    columns.lines().iter().for_each(|line| out(line));
    Exit::Yes
}

/// The facts that a catalogue entry must carry (order 809, article 13).
fn facts(snapshot: &Snapshot, resource: &Resource, lang: Lang) -> Facts {
    let mut facts = Facts::new(lang);
    facts.add(("数据资源", "resource"), &format!("{} {}", resource.name.get(lang), resource.id));
    facts.add(("资源代码", "code"), &resource.code);
    facts.add(("提供部门", "provider"), &words::department(snapshot, &resource.provider, lang));
    facts.add(("共享属性", "sharing"), words::sharing(resource.sharing, lang));
    facts.add_filled(("共享条件", "conditions"), &resource.conditions.join(words::pick(("；", "; "), lang)));
    facts.add_filled(("法定依据", "legal basis"), &resource.legal_basis);
    facts.add(("共享方式", "mode"), words::mode(resource.mode, lang));
    facts.add(("数据格式", "format"), &resource.format);
    facts.add(("更新周期", "update cycle"), &resource.update_cycle);
    facts.add(("数据级别", "level"), words::level(resource.level, lang));
    facts.add(("数据分级", "grade"), &resource.grade.to_string());
    facts.add_filled(("数据分类", "classes"), &resource.classes.join(" "));
    facts.add(("个人信息", "personal"), words::yes_no(resource.personal, lang));
    facts.add(("目录版本", "version"), &resource.version);
    for operation in &resource.operations {
        let mut line = format!("{} {} {}", words::kind(operation.kind, lang), operation.method, operation.path);
        if let Some(verify) = &operation.verify {
            let compared: Vec<&str> = verify.comparison.items.iter().map(|item| &*item.name).collect();
            line = format!("{line} ({} {})", words::form(Form::Compare, lang), compared.join(" "));
        }
        facts.add(("服务接口", "operation"), &line);
    }
    facts
}

fn show(snapshot: &Snapshot, resource: &Resource, lang: Lang) -> Vec<String> {
    let mut lines = facts(snapshot, resource, lang).lines();
    lines.push(String::new());
    let mut columns = Columns::default();
    columns.row(words::ITEM_HEAD.map(|head| words::pick(head, lang).to_owned()));
    for item in &resource.items {
        let paths: Vec<String> = item.paths.iter().map(ToString::to_string).collect();
        columns.row([
            item.name.to_string(),
            item.title.get(lang).to_owned(),
            words::sharing(item.sharing, lang).to_owned(),
            item.grade.to_string(),
            words::yes_no(item.personal, lang).to_owned(),
            words::yes_no(item.sensitive, lang).to_owned(),
            item.mask.as_ref().map_or_else(|| "–".to_owned(), |mask| mask.name().into_owned()),
            paths.join(" "),
        ]);
    }
    lines.extend(columns.lines());
    lines
}

/// The resource in the catalogue file's own words.
fn as_json(resource: &Resource) -> Value {
    json!({
        "id": &*resource.id,
        "code": resource.code,
        "name": text(&resource.name),
        "provider": &*resource.provider,
        "sharing": resource.sharing.name(),
        "conditions": resource.conditions,
        "legal_basis": resource.legal_basis,
        "mode": words::mode_name(resource.mode),
        "format": resource.format,
        "update_cycle": resource.update_cycle,
        "level": resource.level.name(),
        "grade": resource.grade,
        "personal": resource.personal,
        "classes": resource.classes.iter().map(|class| &**class).collect::<Vec<_>>(),
        "version": resource.version,
        "operations": resource.operations.iter().map(|operation| operation_json(operation)).collect::<Vec<_>>(),
        "items": resource.items.iter().map(item_json).collect::<Vec<_>>(),
    })
}

fn text(text: &Text) -> Value {
    json!({ "zh": text.zh, "en": text.en })
}

fn operation_json(operation: &Operation) -> Value {
    let subject = operation.subject.as_ref().map(|subject| match subject {
        SubjectSource::Content(path) => format!("content.{path}"),
        SubjectSource::Path(name) => format!("path.{name}"),
        SubjectSource::Query(name) => format!("query.{name}"),
    });
    let mut written = json!({
        "kind": operation.kind.name(),
        "method": operation.method.as_str(),
        "path": operation.path,
        "subject": subject,
        "parameters": operation.parameters,
        "content": words::content_name(operation.content),
        "records": if operation.records.is_root() { String::new() } else { operation.records.to_string() },
        "max_records": operation.max_records,
    });
    if let Some(verify) = &operation.verify {
        let ask = &verify.ask;
        written["ask"] = json!({ "method": ask.method.as_str(), "path": ask.path, "content": ask.content });
        written["compare"] = verify.comparison.items.iter().map(|item| &*item.name).collect();
        written["members"] = verify.members.iter().map(|name| &**name).collect();
    }
    written
}

fn item_json(item: &Item) -> Value {
    json!({
        "name": &*item.name,
        "title": text(&item.title),
        "path": item.paths.iter().map(ToString::to_string).collect::<Vec<_>>(),
        "element": item.element,
        "authoritative": item.authoritative,
        "sharing": item.sharing.name(),
        "level": item.level.name(),
        "grade": item.grade,
        "personal": item.personal,
        "sensitive": item.sensitive,
        "classes": item.classes.iter().map(|class| &**class).collect::<Vec<_>>(),
        "mask": item.mask.as_ref().map(crate::disclosure::Preset::name),
        "joinable": item.joinable,
        "pseudonym": item.likeness.map(crate::disclosure::Likeness::name),
    })
}
