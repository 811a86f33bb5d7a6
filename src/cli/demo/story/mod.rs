//! The story, in the order in which it is told. A step that fails is told with what was expected; only a gateway that
//! is gone ends the story early.

mod full;
mod housing;
mod less;
mod others;
mod record;
mod rewritten;
pub(super) mod step;

use std::ffi::OsStr;
use std::path::Path;

use serde_json::{Value, json};
use tokio::runtime::Runtime;

pub(super) use self::full::unmount;
use self::step::{Shown, Step};
use super::client::{Answer, Call, Client};
use super::folder::Folder;
use super::gateway::{Gateway, Printed, Reloaded, command};
use super::origins::Origins;
use super::people::applicant;
use super::print::Printer;
use super::witness::Witness;
use super::{Stop, Trouble, stopping};
use crate::lang::{Lang, Text};

/// Everything that the story plays with.
pub(super) struct Stage {
    /// Where servers and calls run.
    pub(super) runtime: Runtime,
    /// Makes the calls.
    pub(super) client: Client,
    /// The demo's folder.
    pub(super) folder: Folder,
    /// The gateway under demonstration.
    pub(super) gateway: Gateway,
    /// The sharing authority's witness.
    pub(super) witness: Witness,
    /// The departmental APIs.
    pub(super) origins: Origins,
    /// The language of the person who watches.
    pub(super) lang: Lang,
    /// Set when that person has seen enough.
    pub(super) stop: Stop,
}

/// One scene: its place, its title, what it shows, and how it is played.
type Scene = (&'static str, (&'static str, &'static str), (&'static str, &'static str), fn(&mut Stage, &mut Step) -> Result<(), Trouble>);

/// Tells the story; true if each step came out as told.
pub(super) fn tell(stage: &mut Stage, printer: &Printer) -> Result<bool, Trouble> {
    let mut all = true;
    let scenes = [
        housing::SCENES.as_slice(),
        less::SCENES.as_slice(),
        others::SCENES.as_slice(),
        full::SCENES.as_slice(),
        record::SCENES.as_slice(),
        rewritten::SCENES.as_slice(),
    ];
    for (number, title, says, play) in scenes.into_iter().flatten() {
        if stopping(&stage.stop) {
            return Ok(false);
        }
        let mut step = Step::new(number, *title, *says);
        if let Err(Trouble(why)) = play(stage, &mut step) {
            stage.gateway.alive()?;
            step.holds("步骤可以进行", "the step can be played", false, why.get(stage.lang));
        }
        all &= step.as_told();
        printer.step(&step);
    }
    Ok(all)
}

/// The applicant's number as the content of a query.
fn about_applicant() -> Value {
    json!({ "id_number": applicant().id_number() })
}

/// Housing's query about the applicant, the call that the story keeps coming back to.
fn population() -> Call {
    Call::post("/psb/population/query", about_applicant())
}

/// The same with everything that the full number takes.
fn population_in_full() -> Call {
    population().token("housing-operator").purpose(r#"housing;case="2026-000123""#).over_government_network()
}

impl Stage {
    /// Calls the gateway.
    fn call(&self, step: &mut Step, call: &Call) -> Result<Answer, Trouble> {
        self.call_at(&self.gateway.url, step, call)
    }

    /// Calls whatever listens at `base`.
    fn call_at(&self, base: &str, step: &mut Step, call: &Call) -> Result<Answer, Trouble> {
        let answer = self.runtime.block_on(self.client.send(base, call, self.lang))?;
        step.shown.push(Shown::Call { line: call.curl(base, &self.folder, self.lang), answer: answer.clone() });
        Ok(answer)
    }

    /// Runs another command of this binary and shows it.
    fn run(&self, step: &mut Step, arguments: &[&str], input: &str) -> Result<Printed, Trouble> {
        let printed = self.ask(arguments, input)?;
        let given = if input.is_empty() { String::new() } else { format!("printf %s {input} | ") };
        let (binary, config) = (binary_name(), self.config());
        let line = format!("{given}{} --config {} --lang {} {}", binary.display(), config.display(), self.lang.tag(), arguments.join(" "));
        step.shown.push(Shown::Command { line, output: format!("{}{}", printed.out, printed.err) });
        Ok(printed)
    }

    /// Runs another command of this binary unseen.
    fn ask(&self, arguments: &[&str], input: &str) -> Result<Printed, Trouble> {
        let config = self.config();
        let mut all: Vec<&OsStr> = vec![OsStr::new("--config"), config.as_os_str(), OsStr::new("--lang"), OsStr::new(self.lang.tag())];
        all.extend(arguments.iter().map(OsStr::new));
        command(&all, input)
    }

    fn config(&self) -> std::path::PathBuf {
        self.folder.path("kanhe.toml")
    }

    /// The ledger's entry at `index`.
    fn entry(&self, index: u64) -> Result<Value, Trouble> {
        let printed = self.ask(&["ledger", "show", &index.to_string(), "--format", "json"], "")?;
        let shown: Value = serde_json::from_str(&printed.out).map_err(|error| {
            let said = printed.err.trim();
            Trouble::new(
                format!("共享台账第 {index} 条无法读取：{error} {said}"),
                format!("ledger entry {index} cannot be read: {error} {said}"),
            )
        })?;
        Ok(shown["entry"].clone())
    }

    /// Has the gateway read its control folder again.
    fn reload(&mut self, step: &mut Step) -> Result<(), Trouble> {
        match self.gateway.reload()? {
            Reloaded::Snapshot => {
                let digest = &self.gateway.snapshot;
                step.did(format!("网关已重新加载（SIGHUP）：{digest}"), format!("the gateway has reloaded (SIGHUP): {digest}"));
                Ok(())
            }
            Reloaded::Refused(line) => {
                Err(Trouble::new(format!("网关未接受重新加载：{line}"), format!("the gateway did not reload: {line}")))
            }
        }
    }

    /// Lines that still work when the story is over.
    pub(super) fn to_try(&self) -> Vec<(Text, String)> {
        let calls = [
            ("住房保障：号码脱敏", "housing: the number masked", population().token("housing").purpose("housing")),
            (
                "住房保障：有业务编号、三级经办人、政务网络：号码全显",
                "housing with case, operator and network: the full number",
                population_in_full(),
            ),
            ("住房系统冒用巡查场景：未放行", "housing under patrol: refused", population().token("housing").purpose("patrol")),
            ("核验婚姻状态：只回答是否一致", "a claim verified: yes or no", less::claim("married")),
            ("甲市只见本市记录", "City A sees its own records", less::city()),
            ("统计：企业代码假名化", "statistics: pseudonyms", others::tax()),
            (
                "住房系统现在可以调用哪些接口",
                "what the housing system could ask for now",
                Call::get("/.well-known/api-catalog").token("housing"),
            ),
        ];
        let mut lines: Vec<(Text, String)> =
            calls.into_iter().map(|(zh, en, call)| (Text::new(zh, en), call.curl(&self.gateway.url, &self.folder, self.lang))).collect();
        let config = self.config();
        let number = applicant().id_number();
        lines.push((
            Text::new("谁查询过我？", "who asked about me?"),
            format!("printf %s {number} | {} ledger query --subject - --config {}", binary_name().display(), config.display()),
        ));
        lines
    }
}

fn binary_name() -> std::path::PathBuf {
    std::env::current_exe().unwrap_or_else(|_| Path::new("kanhe").to_path_buf())
}
