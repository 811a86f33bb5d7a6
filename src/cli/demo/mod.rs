//! `kanhe demo`: a fictional province on one machine. It makes throw-away keys and certificates, starts departmental
//! APIs and a token issuer, runs the gateway as a child of this same binary, and tells a story over real sockets in
//! which each call is printed as the `curl` that does it, with its answer and whether that came out as told.

mod client;
mod config;
mod folder;
mod forger;
mod gateway;
mod http;
mod issuer;
mod keys;
mod origins;
mod people;
mod print;
mod story;
mod tokens;
mod witness;
mod world;

use std::fmt;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use clap::Args;
use tokio::runtime::Runtime;

use self::folder::Folder;
use self::gateway::Gateway;
use self::print::Printer;
use self::story::Stage;
use super::{Exit, Settings};
use crate::lang::Text;
use crate::sys;

/// Arguments of `kanhe demo`.
#[derive(Args, Clone, Debug)]
pub struct DemoArgs {
    /// 演示文件夹，默认在系统临时目录下新建 · the demo's folder; by default a fresh one under the system's temporary folder
    #[arg(long)]
    pub dir: Option<PathBuf>,
    /// 网关端口，0 为自动选择 · the gateway's port; 0 takes a free one
    #[arg(long, default_value_t = 0)]
    pub port: u16,
    /// 管理端口，0 为自动选择 · the admin listener's port; 0 takes a free one
    #[arg(long, default_value_t = 0)]
    pub admin_port: u16,
    /// 演示完即停止，各步骤均与所述一致时退出码为 0 · stop after the story: exit code 0 only if each step came out as told
    #[arg(long)]
    pub exit: bool,
}

/// Why the demo could not go on.
#[derive(Debug)]
struct Trouble(Text);

impl Trouble {
    fn new(zh: impl Into<String>, en: impl Into<String>) -> Self {
        Self(Text::new(zh, en))
    }
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Set once the person asks the demo to stop; looked at between steps.
type Stop = Arc<AtomicBool>;

/// Runs the demo.
pub fn run(args: DemoArgs, settings: &Settings) -> Exit {
    let printer = Printer::new(settings.format, settings.lang);
    match demo(&args, settings, &printer) {
        Ok(exit) => exit,
        Err(trouble) => {
            printer.trouble(&trouble.0);
            Exit::Trouble
        }
    }
}

fn demo(args: &DemoArgs, settings: &Settings, printer: &Printer) -> Result<Exit, Trouble> {
    let begun = sys::instant();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .map_err(|error| Trouble::new(format!("无法启动运行时：{error}"), format!("cannot start the runtime: {error}")))?;
    let stop = watch_signals(&runtime)?;
    free(args.port)?;
    free(args.admin_port)?;
    let folder = Folder::prepare(args.dir.as_deref())?;
    let keys = keys::make(&folder)?;
    let origins = runtime.block_on(origins::start())?;
    let issuer = runtime.block_on(issuer::start(&keys))?;
    world::write(&folder, &origins)?;
    tokens::write(&folder, &keys, &issuer)?;
    let witness = witness::Witness::start(&folder)?;
    config::write(&folder, &issuer, &witness, args.port, args.admin_port)?;
    let gateway = Gateway::start(folder.path("kanhe.toml"), folder.path("gateway.log"), false)?;
    printer.ready(&folder, &gateway, begun.elapsed());
    let client = client::Client::new(&keys, &folder)?;
    let mut stage = Stage { runtime, client, folder, gateway, witness, origins, lang: settings.lang, stop };
    let all_as_told = story::tell(&mut stage, printer)?;
    if !args.exit && !stopping(&stage.stop) {
        printer.serving_on(&stage);
        serve_on(&mut stage)?;
    }
    let told = if all_as_told && !(args.exit && stopping(&stage.stop)) { Exit::Yes } else { Exit::No };
    stage.gateway.stop()?;
    printer.ended(&stage.folder, all_as_told);
    Ok(told)
}

/// Waits for the person or for the gateway's end, whichever comes first.
fn serve_on(stage: &mut Stage) -> Result<(), Trouble> {
    while !stopping(&stage.stop) {
        stage.gateway.alive()?;
        std::thread::sleep(Duration::from_millis(100));
    }
    Ok(())
}

fn stopping(stop: &Stop) -> bool {
    stop.load(Ordering::Relaxed)
}

/// The gateway runs in a process group of its own: an interrupt reaches the demo alone, which then drains the gateway.
fn watch_signals(runtime: &Runtime) -> Result<Stop, Trouble> {
    use tokio::signal::unix::{SignalKind, signal};
    let _context = runtime.enter();
    let failed = |error| Trouble::new(format!("无法接收信号：{error}"), format!("cannot listen for signals: {error}"));
    let mut interrupt = signal(SignalKind::interrupt()).map_err(failed)?;
    let mut terminate = signal(SignalKind::terminate()).map_err(failed)?;
    let stop = Stop::default();
    let told = Arc::clone(&stop);
    runtime.spawn(async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
        told.store(true, Ordering::Relaxed);
    });
    Ok(stop)
}

/// Says plainly that a port is taken, before anything is written.
fn free(port: u16) -> Result<(), Trouble> {
    if port == 0 {
        return Ok(());
    }
    TcpListener::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, port))).map(drop).map_err(|error| {
        Trouble::new(
            format!("端口 `{port}` 无法使用：{error}；请换一个端口，或不指定以自动选择"),
            format!("port `{port}` cannot be used: {error}; choose another, or none to take a free one"),
        )
    })
}
