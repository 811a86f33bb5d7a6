//! `kanhe policy strict`: policies that show less than approved grants list, beside the catalogue's published conditions.

use clap::Args;
use serde_json::json;

use super::{Exit, Settings, load_configured, open_config};
use crate::catalogue::{Resource, Sharing};
use crate::cli::{Format, out};
use crate::lang::{Lang, Text};
use crate::policy::explain::{Alternatives, Ground, Stricter};
use crate::snapshot::Snapshot;
use crate::sys;

/// Arguments of `kanhe policy strict`.
#[derive(Args)]
pub(super) struct StrictArgs {
    /// 也列出与已公布条件相符的策略 · also list the policies that carry out a published condition
    #[arg(long)]
    all: bool,
}

/// Exit 0: nothing beyond the published conditions; 1: something; 2: the folder does not load.
pub(super) fn run(args: &StrictArgs, settings: &Settings) -> Exit {
    let (config, snapshot) = match open_config(settings).and_then(|config| Ok((config, load_configured(settings)?))) {
        Ok(loaded) => loaded,
        Err(exit) => return exit,
    };
    let alternatives = Alternatives { networks: config.networks.names() };
    let found = snapshot.policies.strict(snapshot.world(), sys::now(), &alternatives);
    let beyond = found.iter().any(|stricter| !stricter.is_published());
    let shown: Vec<&Stricter> = found.iter().filter(|stricter| args.all || !stricter.is_published()).collect();
    match settings.format {
        Format::Json => {
            let list: Vec<_> = shown.iter().filter_map(|stricter| as_json(stricter, &snapshot)).collect();
            out(&json!({"ok": !beyond, "stricter": list}).to_string());
        }
        Format::Human => {
            for stricter in &shown {
                if let Some(resource) = snapshot.catalogue.resources.get(&stricter.resource) {
                    out(&line(stricter, resource, settings.lang));
                }
            }
            let count = found.iter().filter(|stricter| !stricter.is_published()).count();
            let sum = Text::new(
                format!("{count} 处比公布的使用条件更严（条例第十五条）"),
                format!("{count} are stricter than the published conditions (order 809, art. 15)"),
            );
            out(sum.get(settings.lang));
        }
    }
    if beyond { Exit::No } else { Exit::Yes }
}

fn as_json(stricter: &Stricter, snapshot: &Snapshot) -> Option<serde_json::Value> {
    let resource = snapshot.catalogue.resources.get(&stricter.resource)?;
    let policy = match &stricter.ground {
        Ground::Policy(id) => Some(&**id),
        Ground::NoPermit => None,
    };
    Some(json!({
        "resource": &*stricter.resource,
        "sharing": resource.sharing.name(),
        "conditions": resource.conditions,
        "policy": policy,
        "refuses": stricter.refuses,
        "items": stricter.items.iter().map(|item| &**item).collect::<Vec<_>>(),
        "grant": &*stricter.grant,
        "published": stricter.published,
    }))
}

fn line(stricter: &Stricter, resource: &Resource, lang: Lang) -> String {
    let Stricter { ground, refuses, items, grant, published, .. } = stricter;
    let id = &resource.id;
    let by = match ground {
        Ground::Policy(id) => Text::new(format!("策略 `{id}`"), format!("policy `{id}`")),
        Ground::NoPermit => Text::new("没有策略准许", "no policy permits"),
    };
    let items: Vec<&str> = items.iter().map(|item| &**item).collect();
    let items = items.join(", ");
    let what = match (refuses, items.is_empty()) {
        (true, true) => Text::new("有时整次调用不放行", "refuses the whole call in some circumstances"),
        (true, false) => {
            Text::new(format!("有时整次调用不放行，并收窄 {items}"), format!("refuses the call in some circumstances and narrows {items}"))
        }
        (false, _) => Text::new(format!("有时收窄 {items}"), format!("narrows {items} in some circumstances")),
    };
    let against = match (resource.sharing, published) {
        (Sharing::Unconditional, _) => {
            Text::new("该资源无条件共享，不得另加条件", "the resource is shared unconditionally: no condition may be added")
        }
        (_, Some(condition)) => {
            Text::new(format!("执行已公布条件「{condition}」"), format!("carries out the published condition \"{condition}\""))
        }
        (_, None) => {
            let conditions = resource.conditions.join("; ");
            Text::new(format!("已公布条件：{conditions}"), format!("published: {conditions}"))
        }
    };
    Text::new(
        format!("{id}：{} {}（例如授权 {grant}）；{}", by.zh, what.zh, against.zh),
        format!("{id}: {} {} (for instance grant {grant}); {}", by.en, what.en, against.en),
    )
    .get(lang)
    .to_owned()
}
