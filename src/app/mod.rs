//! The composition root: binds, builds, runs, reloads and drains. Everything is bound and opened before the first call
//! is taken; a start that cannot be whole does not happen.

mod handover;
pub mod publish;
mod quotas;
mod reload;
pub mod witness;
mod witnessing;
mod workers;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use arc_swap::{ArcSwap, ArcSwapOption};
use tokio::net::TcpListener;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;

use crate::admin;
use crate::config::Config;
use crate::disclosure::pseudonym::{KeyError, PseudonymKey};
use crate::gateway::Shared;
use crate::gateway::api_catalog::Turns;
use crate::identity::{self, Authenticator, IssuerConfig, JwksSource, mtls};
use crate::lang::Text;
use crate::ledger::Ledger;
use crate::origin::Origins;
use crate::purpose::probes::Probes;
use crate::shadow::Shadow;
use crate::share::Recorder;
use crate::snapshot::{Listing, Snapshot};
use crate::telemetry::{self, Metrics};
use crate::written::{Place, Problem};

/// Why the gateway did not start, or did not reload.
#[derive(Debug)]
pub enum Error {
    /// What was written is wrong.
    Written(Vec<Problem>),
    /// Something else stands in the way.
    Trouble(Text),
}

impl Error {
    fn trouble(zh: &str, en: &str, why: impl std::fmt::Display) -> Self {
        Self::Trouble(Text::new(format!("{zh}：{why}"), format!("{en}: {why}")))
    }
}

impl From<KeyError> for Error {
    fn from(error: KeyError) -> Self {
        Self::trouble("假名化密钥不可用", "the key of pseudonyms cannot be used", error)
    }
}

impl From<Text> for Error {
    fn from(text: Text) -> Self {
        Self::Trouble(text)
    }
}

/// How long, beyond its last call, a gateway may take to let the ledger go.
const LETTING_GO: Duration = Duration::from_secs(60);

/// How the gateway tells what it listens on and which snapshot is in force.
pub type Announce = Box<dyn Fn(&str) + Send>;

/// How a gateway starts.
#[derive(Clone, Copy, Debug, Default)]
pub struct How {
    /// Makes a ledger in an absent or empty folder.
    pub create_ledger: bool,
    /// Takes the sockets from the gateway that runs, if one does.
    pub take_over: bool,
}

/// Runs the gateway until it is told to stop.
pub fn serve(config_path: &Path, how: How, announce: &Announce) -> Result<(), Error> {
    let config = Config::read(config_path).map_err(Error::Written)?;
    telemetry::start(&config.telemetry);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Error::trouble("无法启动运行时", "the runtime cannot start", error))?;
    let ran = runtime.block_on(async { Gateway::start(config_path, config, how, announce).await?.run(announce).await });
    // A reload that is still being read changes nothing any more, and the next gateway may be waiting.
    runtime.shutdown_background();
    ran
}

/// Loads all that [`serve`] would, and binds nothing: warnings, or errors and warnings.
pub fn check(config: &Config) -> Result<Vec<Problem>, (Vec<Problem>, Vec<Problem>)> {
    let trouble = |text: Text, file: &Path| {
        let place = Place { file: file.display().to_string().into(), line: 1, column: 1 };
        Problem { place, code: "unusable", message: text, help: None }
    };
    let (loaded, mut errors) = match Snapshot::load(&config.control) {
        Ok((snapshot, warnings)) => (Ok((snapshot, warnings)), Vec::new()),
        Err(refused) => (Err(refused.warnings), refused.errors),
    };
    if let Some(Err(error)) = config.tls.as_ref().map(mtls::server_config) {
        errors.push(trouble(error.text, &config.base));
    }
    if let Err(error) = PseudonymKey::load(&config.pseudonym_key) {
        errors.push(trouble(Text::new(format!("假名化密钥不可用：{error}"), error.to_string()), &config.pseudonym_key));
    }
    if let Err(error) = Ledger::check_keys(&config.ledger) {
        errors.push(trouble(error.text(), &config.ledger.key));
    }
    if let Err(error) = check_issuers(config) {
        errors.push(trouble(error, &config.base));
    }
    let warnings = match loaded {
        Ok((snapshot, warnings)) => {
            let origins = Origins::new(&config.base, Arc::default());
            let wrong =
                snapshot.catalogue.resources.values().filter_map(|resource| Some((resource, origins.prepare(&resource.origin).err()?)));
            errors.extend(wrong.map(|(resource, error)| Problem {
                place: resource.place.clone(),
                code: "unusable",
                message: Text::new(
                    format!("{}：{}", error.path.display(), error.error),
                    format!("{}: {}", error.path.display(), error.error),
                ),
                help: None,
            }));
            warnings
        }
        Err(warnings) => warnings,
    };
    if errors.is_empty() { Ok(warnings) } else { Err((errors, warnings)) }
}

/// Key sets in files are read; those that are fetched need the network that a check may not have.
fn check_issuers(config: &Config) -> Result<(), Text> {
    let in_files = |issuer: &&IssuerConfig| matches!(issuer.jwks, JwksSource::File(_));
    let issuers = identity::Config { issuers: config.identity.issuers.iter().filter(in_files).cloned().collect() };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| Text::new(format!("无法启动运行时：{error}"), format!("the runtime cannot start: {error}")))?;
    runtime.block_on(Authenticator::start(&issuers)).map(drop).map_err(|error| error.text())
}

/// What a running gateway consists of.
struct Gateway {
    config_path: PathBuf,
    config: Config,
    shared: Arc<Shared>,
    admin: Arc<admin::State>,
    listeners: (TcpListener, TcpListener),
    workers: workers::Workers,
    clerk: Option<quotas::Clerk>,
    stopping: watch::Sender<bool>,
    signals: Signals,
    seen: Vec<Listing>,
    offer: Option<handover::Offer>,
}

/// Received from before the gateway says that it listens: a signal sent right then must not end the process.
struct Signals {
    hangup: Signal,
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    fn receive() -> Result<Self, Error> {
        let receive = |kind| signal(kind).map_err(|error| Error::trouble("无法接收信号", "signals cannot be received", error));
        Ok(Self {
            hangup: receive(SignalKind::hangup())?,
            terminate: receive(SignalKind::terminate())?,
            interrupt: receive(SignalKind::interrupt())?,
        })
    }
}

/// What a reload reads anew, built whole before any of it is put in place.
struct World {
    snapshot: Snapshot,
    passed: publish::Passed,
    shadow: Option<Snapshot>,
    tls: Option<Arc<rustls::ServerConfig>>,
}

impl World {
    /// Loads the control folder and the gateway's certificates, and holds the folder to what is required. A start whose
    /// snapshot the ledger keeps already has passed before.
    fn load(config: &Config, before: Option<&Snapshot>) -> Result<Self, Error> {
        let loaded = Snapshot::load_after(&config.control, before);
        let (snapshot, warnings) = loaded.map_err(|refused| Error::Written(refused.errors))?;
        for warning in &warnings {
            tracing::warn!("{}", warning.line(crate::lang::Lang::En));
        }
        let known = before.is_none().then(|| publish::again(&config.ledger.folder, &snapshot)).flatten();
        let passed = known.map_or_else(|| publish::pass(config, &snapshot, &warnings), Ok).map_err(Error::Written)?;
        let shadow = publish::shadow(config, &snapshot);
        let tls = config.tls.as_ref().map(mtls::server_config).transpose().map_err(|error| error.text)?;
        let origins = Origins::new(&config.base, Arc::default());
        for resource in snapshot.catalogue.resources.values() {
            origins.prepare(&resource.origin).map_err(|error| {
                let (id, path) = (&resource.id, error.path.display());
                Error::trouble(&format!("资源 `{id}` 的 {path}"), &format!("`{path}` of resource `{id}`"), error.error)
            })?;
        }
        Ok(Self { snapshot, passed, shadow, tls })
    }
}

/// What a gateway begins with: read, opened and bound.
struct Begun {
    world: World,
    /// The folders as they stood before they were read.
    seen: Vec<Listing>,
    /// What was wrong with them where they changed while the sockets were taken over.
    refused: Vec<Problem>,
    authenticator: Authenticator,
    ledger: Arc<Ledger>,
    listeners: (TcpListener, TcpListener),
}

impl Begun {
    /// All that can fail comes before the running gateway is told to end.
    async fn begin(config: &Config, how: How) -> Result<Self, Error> {
        let read = || reload::listings(&config.control, &config.publishing);
        let (mut seen, mut world, mut refused) = (read(), World::load(config, None)?, Vec::new());
        let authenticator = Authenticator::start(&config.identity).await.map_err(|error| error.text())?;
        let given = if how.take_over { handover::ask(config)? } else { None };
        let open = |patience| Ledger::open_after(&config.ledger, how.create_ledger, patience).map_err(|error| error.text());
        let (ledger, listeners) = match given {
            None => (open(Duration::ZERO)?, (bind("gateway", config.listen).await?, bind("admin", config.admin.listen).await?)),
            Some(given) => {
                let listeners = given.take()?;
                tracing::info!("the sockets are taken over; waiting for the running gateway to finish its calls");
                let ledger = open(config.limits.notice.max(handover::NOTICE) + config.limits.drain + LETTING_GO)?;
                // Whatever was published meanwhile is in force there, and has to be here.
                let now = read();
                if now != seen {
                    seen = now;
                    match World::load(config, None) {
                        Ok(newer) => world = newer,
                        Err(error) => refused = reload::problems_of(error),
                    }
                }
                (ledger, listeners)
            }
        };
        Ok(Self { world, seen, refused, authenticator, ledger: Arc::new(ledger), listeners })
    }
}

impl Gateway {
    async fn start(config_path: &Path, config: Config, how: How, announce: &Announce) -> Result<Self, Error> {
        let pseudonyms = PseudonymKey::load(&config.pseudonym_key)?;
        let Begun { mut world, seen, refused, authenticator, ledger, listeners } = Begun::begin(&config, how).await?;
        let recorder = Recorder::new(ledger.clone());
        let shadow = Shadow::start().map_err(|error| Error::trouble("无法启动影子比对线程", "the shadow's thread cannot start", error))?;
        shadow.set(world.shadow.map(Arc::new));
        let (quotas, desk) = quotas::open(&config.ledger, &ledger, &world.snapshot)?;
        let files = std::mem::take(&mut world.snapshot.files);
        ledger
            .store_snapshot(world.snapshot.hex(), &files, None)
            .map_err(|error| Error::trouble("无法保存控制快照", "the control snapshot cannot be kept", error))?;
        drop(files);
        recorder
            .started(&world.passed.activation(&world.snapshot.digest, None))
            .await
            .map_err(|error| Error::trouble("共享台账不可用", "the ledger is unavailable", error))?;
        ledger.in_force(&world.snapshot.digest);
        let control = admin::Control::new(world.passed.approved(), world.passed.required());
        if !refused.is_empty() {
            control.refused(refused);
        }
        let shared = Arc::new(Shared {
            snapshot: Arc::new(ArcSwap::from_pointee(world.snapshot)),
            activations: watch::Sender::new(()),
            shadow: Arc::new(shadow),
            tls: Arc::new(ArcSwapOption::from(world.tls)),
            authenticator: Arc::new(authenticator),
            quotas,
            catalogues: Turns::default(),
            probes: Probes::new(config.verify_rate),
            recorder,
            ledger,
            pseudonyms,
            disclosure_buffer: usize::try_from(config.disclosure_buffer).unwrap_or(usize::MAX),
            limits: config.limits.clone(),
            networks: config.networks.clone(),
            metrics: Arc::new(Metrics::new()),
            origin_files: Arc::default(),
            in_flight: Arc::default(),
            leaving: AtomicBool::new(false),
        });
        let clerk = desk.map(|desk| desk.staff(shared.snapshot.clone())).transpose();
        let clerk = clerk.map_err(|error| Error::trouble("无法启动额度线程", "the thread of quotas cannot start", error))?;
        let signals = Signals::receive()?;
        let offer = handover::Offer::open(shared.ledger.folder(), &listeners.0, &listeners.1);
        let unoffered = |error| tracing::warn!(%error, "the next gateway cannot take the sockets over; it needs a stop and a start");
        let offer = offer.map_err(unoffered).ok();
        announce_listeners(&listeners, &config, announce)?;
        announce(&format!("snapshot {}", shared.snapshot().digest));
        let (stopping, stop) = watch::channel(false);
        let workers = workers::Workers::start(&shared, &config.base, &stop)
            .map_err(|error| Error::trouble("无法启动工作线程", "a worker cannot start", error))?;
        let admin = Arc::new(admin::State {
            ledger: shared.ledger.clone(),
            authenticator: shared.authenticator.clone(),
            metrics: shared.metrics.clone(),
            snapshot: shared.snapshot.clone(),
            in_flight: shared.in_flight.clone(),
            tls: shared.tls.clone(),
            shadow: shared.shadow.clone(),
            control: Arc::new(control),
            draining: AtomicBool::new(false),
        });
        Ok(Self { config_path: config_path.to_owned(), config, shared, admin, listeners, workers, clerk, stopping, signals, seen, offer })
    }

    /// Takes calls until SIGTERM or SIGINT, or until another gateway has taken the sockets; reloads on SIGHUP, and when a
    /// watched folder changed.
    async fn run(mut self, announce: &Announce) -> Result<(), Error> {
        let (gateway, admin_listener) = self.listeners;
        let accepting = tokio::spawn(self.workers.accept(gateway, self.shared.limits.connections));
        let witnessing = witnessing::start(&self.config.ledger.witnesses, &self.shared.ledger)?;
        let administering = tokio::spawn(admin::serve(admin_listener, self.admin.clone()));
        let mut second = tokio::time::interval(Duration::from_secs(1));
        let control = self.admin.control.clone();
        let mut reloads = reload::Reloads::new(&self.config_path, self.config, self.seen, self.shared.clone(), control);
        let mut leaving = None;
        loop {
            let told = tokio::select! {
                _ = self.signals.terminate.recv() => Some(Told::ToStop),
                _ = self.signals.interrupt.recv() => Some(Told::ToStop),
                () = handover::Offer::taken(&mut self.offer) => Some(Told::Taken),
                () = over(&mut leaving) => break,
                _ = self.signals.hangup.recv() => { reloads.ask(); None }
                step = reloads.step() => {
                    if let Some(line) = reloads.take(step).await {
                        announce(&line);
                    }
                    None
                }
                _ = second.tick() => { self.shared.recorder.flush_folded(); None }
            };
            match told {
                // Whoever says it again does not want to wait.
                Some(_) if leaving.is_some() => break,
                Some(told) => leaving = Some(Box::pin(tokio::time::sleep(told.leave(&self.shared, &self.admin)))),
                None => {}
            }
        }
        tracing::info!("stopping: calls in flight finish, no new one begins");
        accepting.abort();
        // Where nobody has taken the sockets they close with this.
        drop(self.offer.take());
        self.stopping.send_replace(true);
        let drained = tokio::time::timeout(self.shared.limits.drain, self.workers.drained(&self.shared)).await;
        if drained.is_err() {
            tracing::warn!(calls = self.shared.in_flight.load(Ordering::Relaxed), "the drain took too long; what is left is cut");
        }
        self.workers.stop();
        drop(self.clerk.take());
        self.shared.recorder.stopped().await;
        if let Some(witnessing) = witnessing {
            witnessing.abort();
        }
        self.shared.ledger.close();
        administering.abort();
        Ok(())
    }
}

/// Why a gateway leaves.
#[derive(Clone, Copy)]
enum Told {
    /// A signal.
    ToStop,
    /// Another gateway has the sockets.
    Taken,
}

impl Told {
    /// Answers say from now on that their connection ends; how long calls are still taken.
    fn leave(self, shared: &Shared, admin: &admin::State) -> Duration {
        shared.leaving.store(true, Ordering::Relaxed);
        match self {
            Self::ToStop => {
                tracing::info!(notice = ?shared.limits.notice, "told to stop");
                admin.draining.store(true, Ordering::Relaxed);
                shared.limits.notice
            }
            // The address goes on to be served: no balancer has to hear of it.
            Self::Taken => {
                tracing::info!("another gateway has taken the sockets");
                shared.limits.notice.max(handover::NOTICE)
            }
        }
    }
}

async fn over(leaving: &mut Option<Pin<Box<tokio::time::Sleep>>>) {
    match leaving {
        Some(notice) => notice.await,
        None => std::future::pending().await,
    }
}

async fn bind(name: &str, address: SocketAddr) -> Result<TcpListener, Error> {
    let failed =
        |error| Error::trouble(&format!("{name} 无法监听 {address}"), &format!("the {name} listener cannot listen on {address}"), error);
    TcpListener::bind(address).await.map_err(failed)
}

fn announce_listeners(listeners: &(TcpListener, TcpListener), config: &Config, announce: &Announce) -> Result<(), Error> {
    let address = |listener: &TcpListener| {
        listener.local_addr().map_err(|error| Error::trouble("无法得知监听地址", "a listener's address is unknown", error))
    };
    let (gateway, admin) = (address(&listeners.0)?, address(&listeners.1)?);
    let scheme = |tls| if tls { "https" } else { "http" };
    announce(&format!("listening gateway {}://{gateway}", scheme(config.tls.is_some())));
    announce(&format!("listening admin {}://{admin}", scheme(!admin.ip().is_loopback())));
    Ok(())
}
