//! A call in words on the command line.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::Arc;

use clap::Args;
use jiff::Timestamp;

use crate::catalogue::{Operation, Resource};
use crate::gateway::network::Networks;
use crate::lang::Text;
use crate::policy::supposed::{Given, Supposed, state};
use crate::snapshot::Snapshot;
use crate::sys;
use crate::written::{nearest, units};

/// The call that is supposed. What is left out is as for a plain call.
#[derive(Args)]
pub(super) struct CallArgs {
    /// 需求系统 · the calling system
    #[arg(long)]
    pub(super) requester: Option<String>,
    /// 需求部门（默认其所属部门） · the department that it calls for (by default its own)
    #[arg(long)]
    pub(super) department: Option<String>,
    /// 数据资源 · the resource
    #[arg(long)]
    pub(super) resource: Option<String>,
    /// 操作类别（默认第一个） · query, verify or bulk (by default the first that the resource has)
    #[arg(long, alias = "operation", value_name = "query|verify|bulk")]
    kind: Option<String>,
    /// 操作路径（同类有几个时） · the operation's path, where there are several of a kind
    #[arg(long)]
    path: Option<String>,
    /// 使用场景 · the scenario that it states
    #[arg(long)]
    pub(super) scenario: Option<String>,
    /// 业务编号 · the case that it states
    #[arg(long, requires = "scenario")]
    case: Option<String>,
    /// 时间（默认现在） · when, such as 2026-11-23T10:00:00+08:00 (by default now)
    #[arg(long)]
    time: Option<String>,
    /// 网络名称 · name of the network that it comes from
    #[arg(long)]
    network: Option<String>,
    /// 来源地址 · the address that it comes from
    #[arg(long)]
    source: Option<IpAddr>,
    /// 系统在此次调用中的角色 · the system's roles in this call (by default all)
    #[arg(long = "role", value_name = "ROLE")]
    roles: Option<Vec<String>>,
    /// 经办人角色 · the operator's roles
    #[arg(long = "operator-role", value_name = "ROLE")]
    operator_roles: Vec<String>,
    /// 经办人访问级别 · the operator's access level
    #[arg(long, value_name = "N")]
    operator_clearance: Option<i64>,
    /// 应急令是否有效（默认按其期限） · whether the emergency order is in force (by default as its dates say)
    #[arg(long)]
    emergency: Option<bool>,
    /// 是否工作时间（默认按日历） · whether it is working time (by default as the calendar says)
    #[arg(long)]
    work_time: Option<bool>,
    /// 令牌是否绑定证书 · whether the token is bound to the connection's certificate
    #[arg(long)]
    bound: Option<bool>,
}

/// An entry that is no call.
pub(in super::super) fn not_a_call(index: u64) -> Text {
    Text::new(format!("第 {index} 条不是调用的记录"), format!("entry {index} is not that of a call"))
}

/// An id that is not registered, with the one that was probably meant.
pub(super) fn unknown<'k>(option: &str, written: &str, known: impl Iterator<Item = &'k Arc<str>> + Clone) -> Text {
    let near = nearest(written, known.map(|id| &**id));
    let (zh, en) = near.map_or_else(Default::default, |near| (format!("；是否应为 `{near}`？"), format!("; did you mean `{near}`?")));
    Text::new(format!("`--{option} {written}` 没有登记{zh}"), format!("`--{option} {written}` is not registered{en}"))
}

impl CallArgs {
    /// Whether it names a call; else it only narrows a question.
    pub(super) fn is_whole(&self) -> bool {
        self.requester.is_some() && self.resource.is_some()
    }

    /// The time that is asked about.
    pub(super) fn time(&self) -> Result<Timestamp, Text> {
        let Some(time) = &self.time else { return Ok(sys::now()) };
        units::moment(time).map_err(|right| {
            Text::new(format!("`--time {time}` 无法识别：{}", right.zh), format!("`--time {time}` cannot be read: {}", right.en))
        })
    }

    /// The call, as the control folder registers what it names.
    pub(super) fn suppose(&self, snapshot: &Snapshot, networks: &Networks) -> Result<Supposed, Text> {
        let (name, resource) = (self.requester.as_deref().unwrap_or_default(), self.resource.as_deref().unwrap_or_default());
        let requesters = &snapshot.parties.requesters;
        let requester = &requesters.get(name).ok_or_else(|| unknown("requester", name, requesters.keys()))?.value;
        let department = match &self.department {
            None => requester.department.clone(),
            Some(id) => requester.calls_for(id).cloned().ok_or_else(|| {
                Text::new(
                    format!("`{name}` 不属于也不服务于部门 `{id}`"),
                    format!("`{name}` neither belongs to department `{id}` nor serves it"),
                )
            })?,
        };
        let resources = &snapshot.catalogue.resources;
        let resource = resources.get(resource).ok_or_else(|| unknown("resource", resource, resources.keys()))?;
        let known = &snapshot.parties.roles;
        let roles = |option: &str, names: &[String]| {
            let found = names.iter().map(|role| known.get(role.as_str()).cloned().ok_or_else(|| unknown(option, role, known.iter())));
            found.collect::<Result<BTreeSet<_>, _>>()
        };
        let network = self.network.as_deref().map(Arc::from);
        Ok(Supposed {
            requester: requester.clone(),
            department,
            roles: self.roles.as_deref().map(|names| roles("role", names)).transpose()?,
            scope: None,
            resource: resource.clone(),
            operation: self.operation(resource)?,
            stated: state(self.scenario.as_deref(), self.case.as_deref()),
            time: self.time()?,
            given: Given {
                network: network.or_else(|| self.source.map(|source| networks.name(source).clone())),
                emergency: self.emergency,
                work_time: self.work_time,
                bound: self.bound,
                operator_roles: roles("operator-role", &self.operator_roles)?,
                operator_clearance: self.operator_clearance,
                source: self.source,
            },
        })
    }

    fn operation(&self, resource: &Resource) -> Result<Arc<Operation>, Text> {
        let fits = |operation: &&Arc<Operation>| {
            self.kind.as_deref().is_none_or(|kind| kind == operation.kind.name())
                && self.path.as_deref().is_none_or(|path| path == operation.path)
        };
        resource.operations.iter().find(fits).cloned().ok_or_else(|| {
            let known: Vec<String> = resource.operations.iter().map(|known| format!("{} {}", known.kind.name(), known.path)).collect();
            let (id, known) = (&resource.id, known.join(", "));
            Text::new(format!("资源 `{id}` 没有这一操作；可用：{known}"), format!("resource `{id}` has no such operation; it has {known}"))
        })
    }
}
