//! The policy enforcement point: takes requests from departments and lets pass exactly what was decided and recorded.

pub mod admission;
pub mod api_catalog;
pub mod content;
mod field;
pub mod limits;
pub mod listener;
pub mod network;
mod outliving;
mod patience;
pub mod pipeline;
mod reading;
pub mod refusal;
mod rewriting;
mod rows;
mod standing;
mod verifying;
mod well_known;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};

use arc_swap::{ArcSwap, ArcSwapOption};
use tokio::sync::watch;

use crate::disclosure::pseudonym::PseudonymKey;
use crate::identity::Authenticator;
use crate::ledger::Ledger;
use crate::origin::Origins;
use crate::purpose::probes::Probes;
use crate::purpose::quota::Quotas;
use crate::shadow::Shadow;
use crate::share::Recorder;
use crate::snapshot::Snapshot;
use crate::telemetry::Metrics;

use limits::Limits;
use network::Networks;

/// What every worker shares.
pub struct Shared {
    /// The control snapshot in force; read once a call.
    pub snapshot: Arc<ArcSwap<Snapshot>>,
    /// Told whenever another snapshot is in force.
    pub activations: watch::Sender<()>,
    /// What would be decided under another control folder.
    pub shadow: Arc<Shadow>,
    /// TLS of new connections.
    pub tls: Arc<ArcSwapOption<rustls::ServerConfig>>,
    /// Who asks.
    pub authenticator: Arc<Authenticator>,
    /// What grants have been used for.
    pub quotas: Arc<Quotas>,
    /// Whose turn it is to be told what it could ask for.
    pub catalogues: api_catalog::Turns,
    /// How often claims about one person were verified.
    pub probes: Probes,
    /// The only bridge between decisions and the ledger.
    pub recorder: Recorder,
    /// The ledger.
    pub ledger: Arc<Ledger>,
    /// Key of pseudonyms.
    pub pseudonyms: PseudonymKey,
    /// The largest JSON answer that is rewritten.
    pub disclosure_buffer: usize,
    /// Sizes and times.
    pub limits: Limits,
    /// Names for `context.network`.
    pub networks: Networks,
    /// What is counted.
    pub metrics: Arc<Metrics>,
    /// Grows when certificates and keys towards origins are to be read anew.
    pub origin_files: Arc<AtomicU64>,
    /// Calls being answered, those included whose caller went away.
    pub in_flight: Arc<AtomicI64>,
    /// Whether answers say that their connection ends with them, since the gateway is about to stop.
    pub leaving: AtomicBool,
}

/// One call being answered; counted until dropped.
pub struct Counted(Arc<Shared>);

impl Shared {
    /// The snapshot in force.
    pub fn snapshot(&self) -> Arc<Snapshot> {
        self.snapshot.load_full()
    }

    /// Puts another snapshot in force: for new calls, and for running answers where it suspends what they stand on.
    pub fn activate(&self, snapshot: Arc<Snapshot>) {
        self.snapshot.store(snapshot);
        self.activations.send_replace(());
    }

    /// TLS of a new connection; none: plain.
    pub fn tls(&self) -> Option<Arc<rustls::ServerConfig>> {
        self.tls.load_full()
    }

    /// Counts one call until the value is dropped; none: as many as the limit allows are under way.
    pub fn count(self: &Arc<Self>) -> Option<Counted> {
        let counted = Counted(self.clone());
        let before = self.in_flight.fetch_add(1, Ordering::Relaxed);
        (before < self.limits.in_flight).then_some(counted)
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.in_flight.fetch_sub(1, Ordering::Relaxed);
    }
}

/// What one worker's calls run on: all that is shared, and the worker's own connections to origins.
pub struct Line {
    /// Shared by all workers.
    pub shared: Arc<Shared>,
    /// This worker's clients.
    pub origins: Arc<Origins>,
}
