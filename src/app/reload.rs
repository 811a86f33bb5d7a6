//! Reloading: the control folder, certificates and keys are read anew and put in place whole, or not at all. Loading, and
//! whatever the gate asks, runs beside the calls; one reload at a time, and one more for all that were asked for meanwhile.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::task::JoinHandle;
use tokio::time::{Interval, MissedTickBehavior, interval};

use super::{Error, World};
use crate::admin::Control;
use crate::config::Config;
use crate::gateway::Shared;
use crate::snapshot::{Listing, Publishing};
use crate::written::{Place, Problem};

/// What was loaded, or why it was not.
type Loaded = Result<(Config, World), Error>;

/// All reloads of a running gateway.
pub struct Reloads {
    path: PathBuf,
    config: Config,
    shared: Arc<Shared>,
    control: Arc<Control>,
    /// Every folder as it stood when it was last read.
    seen: Option<Vec<Listing>>,
    watch: Option<Interval>,
    loading: Option<Loading>,
    /// Asked for while another is under way.
    asked: bool,
}

struct Loading {
    task: JoinHandle<Loaded>,
    /// A signal asked for it: it is told of even where nothing changed.
    told: bool,
}

/// What happened next.
pub struct Step(Happened);

enum Happened {
    /// It is time to look at the folders.
    Look,
    /// A reload was loaded, and whether it is told of in any case.
    Loaded(Box<Loaded>, bool),
}

impl Reloads {
    /// None is under way. `seen`: the folders as they stood before they were read.
    pub fn new(path: &Path, config: Config, seen: Vec<Listing>, shared: Arc<Shared>, control: Arc<Control>) -> Self {
        let seen = config.publishing.watch.map(|_| seen);
        let watch = config.publishing.watch.map(every);
        Self { path: path.to_owned(), config, shared, control, seen, watch, loading: None, asked: false }
    }

    /// Asks for a reload.
    pub fn ask(&mut self) {
        if self.loading.is_some() {
            self.asked = true;
        } else {
            self.begin(true);
        }
    }

    fn begin(&mut self, told: bool) {
        // Listed before it is read: what changes from here on is seen as a change.
        self.seen = self.watch.is_some().then(|| listings(&self.config.control, &self.config.publishing));
        let (path, before) = (self.path.clone(), self.shared.snapshot());
        let task = tokio::task::spawn_blocking(move || {
            let config = Config::read(&path).map_err(Error::Written)?;
            World::load(&config, Some(&before)).map(|world| (config, world))
        });
        self.loading = Some(Loading { task, told });
    }

    /// Does what [`Reloads::step`] found; the line that tells how a reload went. Not to be dropped half-way.
    pub async fn take(&mut self, Step(happened): Step) -> Option<String> {
        match happened {
            Happened::Look => {
                let now = listings(&self.config.control, &self.config.publishing);
                if self.loading.is_none() && self.seen.as_ref() != Some(&now) {
                    self.begin(false);
                }
                None
            }
            Happened::Loaded(loaded, told) => {
                let line = self.end(*loaded, told).await;
                if std::mem::take(&mut self.asked) {
                    self.begin(true);
                }
                line
            }
        }
    }

    /// Waits for a reload to be loaded, or for the time to look at the folders. Dropped while it waits, it loses nothing.
    pub async fn step(&mut self) -> Step {
        let (loading, watch) = (&mut self.loading, &mut self.watch);
        let told = loading.as_ref().is_some_and(|loading| loading.told);
        let loaded = async {
            match loading {
                Some(loading) => (&mut loading.task).await,
                None => std::future::pending().await,
            }
        };
        let looked = async {
            match watch {
                Some(watch) => watch.tick().await,
                None => std::future::pending().await,
            }
        };
        let step = tokio::select! {
            loaded = loaded => Happened::Loaded(Box::new(loaded.unwrap_or_else(|panic| Err(broken_off(&panic)))), told),
            _ = looked => Happened::Look,
        };
        if matches!(step, Happened::Loaded(..)) {
            self.loading = None;
        }
        Step(step)
    }

    async fn end(&mut self, loaded: Loaded, told: bool) -> Option<String> {
        let outcome = match loaded {
            Ok((written, world)) if !told && self.is_in_force(&world) => {
                self.shared.shadow.set(world.shadow.map(Arc::new));
                self.config.publishing.shadow = written.publishing.shadow;
                return None;
            }
            Ok((written, world)) => self.activate(written, world).await,
            Err(error) => Err(error),
        };
        Some(match outcome {
            Ok(digest) => format!("snapshot {digest}"),
            Err(error) => {
                let problems = problems_of(error);
                let count = problems.len();
                self.control.refused(problems);
                format!("reload refused: {count} errors")
            }
        })
    }

    fn is_in_force(&self, world: &World) -> bool {
        world.snapshot.digest == self.shared.snapshot.load().digest
    }

    /// Puts what was loaded in place: recorded first, then for every new call at once. Calls under way keep the snapshot
    /// that they began with.
    async fn activate(&mut self, written: Config, mut world: World) -> Result<String, Error> {
        let shared = self.shared.clone();
        for key in written.changed_since(&self.config) {
            tracing::warn!(key, "this key changed and needs a restart; the value in force stays");
        }
        shared.authenticator.reload_files().map_err(|error| error.text())?;
        let digest = world.snapshot.digest.clone();
        let previous = shared.snapshot.load().digest.clone();
        let (files, ledger, hex) = (std::mem::take(&mut world.snapshot.files), shared.ledger.clone(), world.snapshot.hex().to_owned());
        let unkept = |error: &dyn std::fmt::Display| {
            Error::trouble("新的控制快照无法记录，未启用", "the new snapshot cannot be recorded, so it is not activated", error)
        };
        let earlier = previous.trim_start_matches("sha256:").to_owned();
        let kept = tokio::task::spawn_blocking(move || ledger.store_snapshot(&hex, &files, Some(&earlier))).await;
        kept.map_err(|error| unkept(&error))?.map_err(|error| unkept(&error))?;
        let recorded = shared.recorder.activated(&world.passed.activation(&digest, Some(&previous))).await;
        recorded.map_err(|error| unkept(&error))?;
        let origin_files = world.snapshot.catalogue.resources.values().any(|resource| resource.origin.has_files());
        shared.ledger.in_force(&digest);
        shared.activate(Arc::new(world.snapshot));
        shared.shadow.set(world.shadow.map(Arc::new));
        if origin_files {
            shared.origin_files.fetch_add(1, Ordering::Relaxed);
        }
        // Whether there is TLS at all was decided when the listeners were bound; only its certificates change.
        if written.tls.is_some() == self.config.tls.is_some() {
            shared.tls.store(world.tls);
            self.config.tls = written.tls;
        }
        if written.publishing.watch != self.config.publishing.watch {
            self.watch = written.publishing.watch.map(every);
        }
        (self.config.control, self.config.publishing) = (written.control, written.publishing);
        self.control.activated(world.passed.approved(), world.passed.required());
        tracing::info!(%digest, "the control folder and certificates are loaded anew");
        Ok(digest)
    }
}

fn every(period: Duration) -> Interval {
    let mut interval = interval(period);
    interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
    interval
}

/// The folders that a reload reads, as they stand.
pub fn listings(control: &Path, publishing: &Publishing) -> Vec<Listing> {
    let folders = std::iter::once(control).chain(publishing.shadow.as_deref());
    folders.map(Listing::of).chain(std::iter::once(Listing::of_any(&publishing.approval_folder))).collect()
}

fn broken_off(panic: &tokio::task::JoinError) -> Error {
    Error::trouble("重新加载异常中止，未作任何改动", "the reload broke off; nothing changed", panic)
}

/// Everything that stood in the way, logged.
pub fn problems_of(error: Error) -> Vec<Problem> {
    let problems = match error {
        Error::Written(problems) => problems,
        Error::Trouble(message) => vec![Problem { place: Place::default(), code: "trouble", message, help: None }],
    };
    for problem in &problems {
        match problem.place.line {
            0 => tracing::error!("{}", problem.message.en),
            _ => tracing::error!("{}", problem.line(crate::lang::Lang::En)),
        }
    }
    problems
}
