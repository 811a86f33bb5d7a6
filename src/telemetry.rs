//! Logs and metrics. Labels are plain values, so that nothing here knows any other part; persons' numbers, tokens and
//! content never come here.

use std::time::Duration;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::{Registry, Unit};
use tracing_subscriber::EnvFilter;

use crate::lang::Text;
use crate::written::Table;

/// `[telemetry]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// Which events are logged, as tracing's directives: `info`, `kanhe=debug`.
    pub log: String,
    /// One JSON object a line instead of text.
    pub json: bool,
}

impl Default for Config {
    fn default() -> Self {
        Self { log: "info".to_owned(), json: false }
    }
}

impl Config {
    /// Reads `[telemetry]`; all of it may be left out.
    pub fn read(table: Option<Table<'_, '_>>) -> Option<Self> {
        let Some(table) = table else { return Some(Self::default()) };
        let directives = |text: &str| match EnvFilter::try_new(text) {
            Ok(_) => Ok(text.to_owned()),
            Err(_) => Err(Text::new("例如 `info` 或 `kanhe=debug`", "such as `info` or `kanhe=debug`")),
        };
        let log = table.opt_parsed("log", directives).map_or_else(|| "info".to_owned(), |log| log.value);
        let json = table.choice_or("format", &[("pretty", false), ("json", true)], false);
        table.finish();
        Some(Self { log, json: json? })
    }
}

/// Starts logging to standard error; a second start in one process changes nothing.
pub fn start(config: &Config) {
    let filter = EnvFilter::try_new(&config.log).unwrap_or_else(|_| EnvFilter::new("info"));
    // Where standard error cannot be written either, an event is lost; printing that would panic in whoever logged.
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).log_internal_errors(false);
    // An error means that a subscriber is there already; its events go on.
    let _ = if config.json { builder.json().try_init() } else { builder.with_ansi(false).try_init() };
}

/// Labels of a call.
#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct CallLabels {
    resource: String,
    decision: &'static str,
    code: &'static str,
}

/// Labels of a duration.
#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct DecisionLabel {
    decision: &'static str,
}

/// Labels of a difference.
#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct DifferenceLabel {
    kind: &'static str,
}

/// State of the ledger, as shown in metrics; all plain numbers.
#[derive(Clone, Copy, Debug, Default)]
pub struct LedgerGauges {
    /// Entries in the log.
    pub size: u64,
    /// Batches committed.
    pub batches: u64,
    /// Syncs done.
    pub syncs: u64,
    /// Entries that wait.
    pub queued: u64,
    /// Age of the oldest that waits.
    pub lag: Duration,
    /// How long the last sync took.
    pub last_sync: Duration,
    /// Whether shares can be recorded.
    pub healthy: bool,
    /// Entries that the register does not have yet; 0 without a register.
    pub register_lag: u64,
    /// Whether the register takes entries; without one there is nothing wrong with it.
    pub register_healthy: bool,
    /// Entries that the database of several gateways does not have yet; 0 without one.
    pub database_lag: u64,
    /// Whether that database takes entries; without one there is nothing wrong with it.
    pub database_healthy: bool,
    /// Entries under the newest witnessed checkpoint.
    pub witnessed: u64,
    /// Whether another gateway has a newer control snapshot.
    pub snapshot_lags: bool,
}

/// What is counted and measured.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    calls: Family<CallLabels, Counter>,
    durations: Family<DecisionLabel, Histogram, fn() -> Histogram>,
    in_flight: Gauge,
    shadow_compared: Counter,
    shadow_dropped: Counter,
    shadow_differences: Family<DifferenceLabel, Counter>,
    ledger: [Gauge<f64, std::sync::atomic::AtomicU64>; 13],
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

impl Metrics {
    /// Empty counters under their names.
    pub fn new() -> Self {
        let mut registry = Registry::with_prefix("kanhe");
        let calls = Family::default();
        registry.register("calls", "Calls by resource, decision and code", calls.clone());
        let buckets: fn() -> Histogram = || Histogram::new(exponential_buckets(0.0001, 2.0, 18));
        let durations = Family::new_with_constructor(buckets);
        registry.register_with_unit("call_duration", "Time from the request's head to the answer's head", Unit::Seconds, durations.clone());
        let in_flight = Gauge::default();
        registry.register("calls_in_flight", "Calls being answered", in_flight.clone());
        let (shadow_compared, shadow_dropped, shadow_differences) = (Counter::default(), Counter::default(), Family::default());
        registry.register("shadow_compared", "Calls decided under the shadow too", shadow_compared.clone());
        registry.register("shadow_dropped", "Calls that came too fast to be decided under the shadow", shadow_dropped.clone());
        registry.register("shadow_differences", "Calls that come out otherwise under the shadow", shadow_differences.clone());
        let names = [
            ("ledger_entries", "Entries in the ledger"),
            ("ledger_batches", "Batches committed since start"),
            ("ledger_syncs", "Syncs of the journal since start"),
            ("ledger_queued", "Entries that wait to be made durable"),
            ("ledger_lag_seconds", "Age of the oldest entry that waits"),
            ("ledger_last_sync_seconds", "How long the last sync of the journal took"),
            ("ledger_healthy", "1 while shares can be recorded"),
            ("register_lag_entries", "Entries of the ledger that the register does not have yet"),
            ("register_healthy", "1 unless the register is broken; shares are recorded all the same"),
            ("database_lag_entries", "Entries of the ledger that the database of several gateways does not have yet"),
            ("database_healthy", "1 unless the database of several gateways takes no entries"),
            ("ledger_witnessed_entries", "Entries under the newest checkpoint that enough witnesses cosigned"),
            ("snapshot_lags", "1 while another gateway of the same database has a newer control snapshot"),
        ];
        let ledger = names.map(|(name, help)| {
            let gauge = Gauge::default();
            registry.register(name, help, gauge.clone());
            gauge
        });
        Self { registry, calls, durations, in_flight, shadow_compared, shadow_dropped, shadow_differences, ledger }
    }

    /// Counts one call that has its answer's head.
    pub fn called(&self, resource: &str, decision: &'static str, code: &'static str, took: Duration) {
        self.calls.get_or_create(&CallLabels { resource: resource.to_owned(), decision, code }).inc();
        self.durations.get_or_create(&DecisionLabel { decision }).observe(took.as_secs_f64());
    }

    /// Calls being answered.
    pub fn in_flight(&self, calls: i64) {
        self.in_flight.set(calls);
    }

    /// What the shadow compared since start, and how often each kind of difference came up.
    pub fn shadow(&self, compared: u64, dropped: u64, differences: impl Iterator<Item = (&'static str, u64)>) {
        let set = |counter: &Counter, value| counter.inner().store(value, std::sync::atomic::Ordering::Relaxed);
        set(&self.shadow_compared, compared);
        set(&self.shadow_dropped, dropped);
        for (kind, count) in differences {
            set(&self.shadow_differences.get_or_create(&DifferenceLabel { kind }), count);
        }
    }

    /// The Prometheus text exposition (OpenMetrics 1.0).
    pub fn exposition(&self, ledger: LedgerGauges) -> String {
        #[expect(clippy::cast_precision_loss, reason = "gauges are read by eye and by ratio")]
        let values = [
            ledger.size as f64,
            ledger.batches as f64,
            ledger.syncs as f64,
            ledger.queued as f64,
            ledger.lag.as_secs_f64(),
            ledger.last_sync.as_secs_f64(),
            f64::from(u8::from(ledger.healthy)),
            ledger.register_lag as f64,
            f64::from(u8::from(ledger.register_healthy)),
            ledger.database_lag as f64,
            f64::from(u8::from(ledger.database_healthy)),
            ledger.witnessed as f64,
            f64::from(u8::from(ledger.snapshot_lags)),
        ];
        for (gauge, value) in self.ledger.iter().zip(values) {
            gauge.set(value);
        }
        let mut text = String::new();
        // Writing to a string does not fail; a label that cannot be encoded would leave a shorter text.
        let _ = prometheus_client::encoding::text::encode(&mut text, &self.registry);
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_counted_call_is_in_the_exposition() {
        let metrics = Metrics::new();
        metrics.called("mca.marriage", "granted", "", Duration::from_millis(3));
        let text = metrics.exposition(LedgerGauges { size: 7, healthy: true, ..LedgerGauges::default() });
        assert!(text.contains(r#"kanhe_calls_total{resource="mca.marriage",decision="granted",code=""} 1"#), "{text}");
        assert!(text.contains("kanhe_ledger_entries 7.0"), "{text}");
        assert!(text.contains("kanhe_call_duration_seconds_bucket"), "{text}");
    }
}
