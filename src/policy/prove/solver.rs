//! The solver: cvc5 as a process of its own. Each question has its time; after it the process is killed and the next
//! question gets a new one. The program's own time limit is not used: it makes cvc5 abort in the middle of an answer.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use cedar_policy_symcc::CedarSymCompiler;
use cedar_policy_symcc::err::Error;
use cedar_policy_symcc::solver::LocalSolver;
use tokio::process::Command;
use tokio::runtime::Runtime;

use crate::lang::Text;

/// How long the program may take to say its version.
const GREETING: Duration = Duration::from_secs(10);

/// A solver that was found and said its version.
#[derive(Clone, Debug)]
pub(in crate::policy) struct Solver {
    program: PathBuf,
    /// Its name, version and path.
    pub(in crate::policy) version: String,
}

impl Solver {
    /// Looks for the program: `given`, else what the variable `CVC5` names, else `cvc5` on the `PATH`.
    pub(in crate::policy) fn find(given: Option<&Path>) -> Result<Self, Text> {
        let named = || std::env::var_os("CVC5").filter(|name| !name.is_empty()).map(PathBuf::from);
        let program = given.map(Path::to_owned).or_else(named).unwrap_or_else(|| "cvc5".into());
        let shown = program.display().to_string();
        let runtime = runtime()?;
        let asked = async { tokio::time::timeout(GREETING, command(&program).arg("--version").stdin(Stdio::null()).output()).await };
        let output = match runtime.block_on(asked) {
            Ok(Ok(output)) => output,
            Ok(Err(error)) => {
                return Err(Text::new(format!("无法运行求解器 `{shown}`：{error}"), format!("cannot run the solver `{shown}`: {error}")));
            }
            Err(_) => {
                return Err(Text::new(format!("求解器 `{shown}` 没有应答"), format!("the solver `{shown}` does not answer")));
            }
        };
        let said = String::from_utf8_lossy(&output.stdout);
        let words: Vec<&str> = said.lines().next().unwrap_or_default().split_whitespace().collect();
        match words.iter().position(|word| *word == "version").and_then(|at| words.get(at + 1)) {
            Some(version) if output.status.success() && words.contains(&"cvc5") => {
                Ok(Self { version: format!("cvc5 {version} ({shown})"), program })
            }
            _ => Err(Text::new(
                format!("`{shown}` 不是 cvc5：只支持 cvc5"),
                format!("`{shown}` is not cvc5, the only solver that is supported"),
            )),
        }
    }
}

/// Nothing of this process's environment but the path goes to the solver: it has no use for what may be secret there.
fn command(program: &Path) -> Command {
    let mut command = Command::new(program);
    command.env_clear().kill_on_drop(true);
    if let Some(path) = std::env::var_os("PATH") {
        command.env("PATH", path);
    }
    command
}

fn runtime() -> Result<Runtime, Text> {
    let built = tokio::runtime::Builder::new_current_thread().enable_all().build();
    built.map_err(|error| Text::new(format!("无法启动求解器：{error}"), format!("cannot start the solver: {error}")))
}

/// The questions of one worker, put to one process after the other.
pub(in crate::policy) struct Session {
    solver: Solver,
    timeout: Duration,
    running: Option<(Runtime, CedarSymCompiler<LocalSolver>)>,
}

impl Session {
    /// A session that has not started its solver yet.
    pub(in crate::policy) fn new(solver: &Solver, timeout: Duration) -> Self {
        Self { solver: solver.clone(), timeout, running: None }
    }

    fn start(&self) -> Result<(Runtime, CedarSymCompiler<LocalSolver>), Text> {
        let runtime = runtime()?;
        let started = runtime.block_on(async {
            let solver = LocalSolver::from_command(command(&self.solver.program).args(["--lang", "smt"]))?;
            CedarSymCompiler::new(solver)
        });
        Ok((runtime, started.map_err(|error| trouble(&error))?))
    }

    /// Asks, within the time that a question has. Whatever is no answer is told as a reason.
    pub(in crate::policy) fn ask<T>(
        &mut self,
        question: impl AsyncFnOnce(&mut CedarSymCompiler<LocalSolver>) -> Result<T, Error>,
    ) -> Result<T, Text> {
        let (runtime, mut compiler) = match self.running.take() {
            Some(running) => running,
            None => self.start()?,
        };
        let answer = runtime.block_on(async { tokio::time::timeout(self.timeout, question(&mut compiler)).await });
        match answer {
            Ok(Ok(answer)) => {
                self.running = Some((runtime, compiler));
                Ok(answer)
            }
            other => {
                // What it was about to say must not be read as the answer to the next question.
                let _ = runtime.block_on(compiler.solver_mut().clean_up());
                Err(match other {
                    Ok(Err(error)) => trouble(&error),
                    _ => {
                        let seconds = self.timeout.as_secs_f64();
                        Text::new(format!("求解超过 {seconds} 秒"), format!("the solver took longer than {seconds} s"))
                    }
                })
            }
        }
    }
}

fn trouble(error: &Error) -> Text {
    match error {
        Error::SolverUnknown => Text::new("求解器无法判定", "the solver answered `unknown`"),
        Error::SolverError(error) => Text::new(format!("求解器出错：{error}"), format!("trouble with the solver: {error}")),
        error => Text::new(format!("无法提问：{error}"), format!("the question cannot be put: {error}")),
    }
}
