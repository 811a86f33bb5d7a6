//! Where one issuer's keys come from and how they are kept fresh. Readers take the current set without waiting; a set
//! that could not be renewed counts for a while longer and then not at all.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use tokio::sync::Mutex;
use tokio::task::AbortHandle;
use tokio_rustls::TlsConnector;

use super::{KeySet, fetch};
use crate::identity::issuer::{IssuerConfig, JwksSource, RemoteJwks};
use crate::identity::mtls::client_connector;
use crate::lang::Text;
use crate::sys;

/// One issuer's keys, current for every caller.
pub(in crate::identity) struct Source {
    issuer: IssuerConfig,
    connector: Option<TlsConnector>,
    current: ArcSwap<Loaded>,
    /// Held during a fetch, so that there is one at a time; when the last one for an unknown key id began.
    fetching: Mutex<Option<Instant>>,
}

struct Loaded {
    set: Arc<KeySet>,
    /// What the set was read from: bytes that did not change keep the set, and with it the verified tokens.
    bytes: Vec<u8>,
    at: Instant,
}

impl Source {
    /// Reads or fetches the keys for the first time; without them there is no start.
    pub(in crate::identity) async fn start(issuer: &IssuerConfig) -> Result<Self, Text> {
        let (connector, bytes) = match &issuer.jwks {
            JwksSource::File(path) => (None, read(path)?),
            JwksSource::Https(remote) => {
                let connector = client_connector(&remote.ca)?;
                let bytes = fetch::fetch(remote, &connector).await?;
                (Some(connector), bytes.to_vec())
            }
        };
        let set = Arc::new(KeySet::parse(&bytes, &issuer.algorithms)?);
        let current = ArcSwap::from_pointee(Loaded { set, bytes, at: sys::instant() });
        Ok(Self { issuer: issuer.clone(), connector, current, fetching: Mutex::new(None) })
    }

    /// What the configuration says of this issuer.
    pub(in crate::identity) fn issuer(&self) -> &IssuerConfig {
        &self.issuer
    }

    /// The current set; none when it could not be renewed for too long.
    pub(in crate::identity) fn current(&self) -> Option<Arc<KeySet>> {
        let loaded = self.current.load();
        self.counts(&loaded).then(|| loaded.set.clone())
    }

    /// Whether `set` is still the current one: what was verified with it then needs no second look.
    pub(in crate::identity) fn is_current(&self, set: &Arc<KeySet>) -> bool {
        let loaded = self.current.load();
        Arc::ptr_eq(&loaded.set, set) && self.counts(&loaded)
    }

    fn counts(&self, loaded: &Loaded) -> bool {
        match &self.issuer.jwks {
            JwksSource::File(_) => true,
            JwksSource::Https(remote) => sys::instant().duration_since(loaded.at) <= remote.max_stale,
        }
    }

    /// Reads a file's keys anew, without taking them yet; nothing for keys that are fetched.
    pub(in crate::identity) fn reread(&self) -> Result<Option<Renewed>, Text> {
        match &self.issuer.jwks {
            JwksSource::File(path) => self.renewed(read(path)?).map(Some),
            JwksSource::Https(_) => Ok(None),
        }
    }

    /// Makes what was read the current set.
    pub(in crate::identity) fn take(&self, renewed: Renewed) {
        self.current.store(Arc::new(renewed.0));
    }

    fn renewed(&self, bytes: Vec<u8>) -> Result<Renewed, Text> {
        let loaded = self.current.load();
        let set = if loaded.bytes == bytes { loaded.set.clone() } else { Arc::new(KeySet::parse(&bytes, &self.issuer.algorithms)?) };
        Ok(Renewed(Loaded { set, bytes, at: sys::instant() }))
    }

    /// Fetches the keys because a token names one that `seen` does not hold; gives the set that is current then.
    /// Callers that come while one fetch runs share it, and after it the cooldown keeps strangers from causing more.
    pub(in crate::identity) async fn look_again(self: &Arc<Self>, seen: &Arc<KeySet>) -> Option<Arc<KeySet>> {
        let source = self.clone();
        let seen = seen.clone();
        // Its own task: a caller that goes away must not cancel the fetch that others wait for.
        let task = tokio::spawn(async move {
            let JwksSource::Https(remote) = &source.issuer.jwks else { return };
            let mut last = source.fetching.lock().await;
            let waiting = last.is_some_and(|last| sys::instant().duration_since(last) < remote.cooldown);
            if waiting || !Arc::ptr_eq(&source.current.load().set, &seen) {
                return;
            }
            *last = Some(sys::instant());
            source.fetch(remote).await;
        });
        task.await.ok()?;
        self.current()
    }

    /// Renews the keys by their age for as long as the handle is not aborted.
    pub(in crate::identity) fn keep_fresh(self: &Arc<Self>) -> Option<AbortHandle> {
        let JwksSource::Https(remote) = &self.issuer.jwks else { return None };
        let (refresh, retry) = (remote.refresh, remote.cooldown);
        let source = self.clone();
        let task = tokio::spawn(async move {
            loop {
                let age = sys::instant().duration_since(source.current.load().at);
                let wait = if age < refresh { refresh - age } else { retry };
                tokio::time::sleep(wait.max(Duration::from_millis(10))).await;
                if let JwksSource::Https(remote) = &source.issuer.jwks {
                    let _one_at_a_time = source.fetching.lock().await;
                    source.fetch(remote).await;
                }
            }
        });
        Some(task.abort_handle())
    }

    async fn fetch(&self, remote: &RemoteJwks) {
        let Some(connector) = &self.connector else { return };
        let renewed = fetch::fetch(remote, connector).await.and_then(|bytes| self.renewed(bytes.to_vec()));
        match renewed {
            Ok(renewed) => self.take(renewed),
            Err(reason) => tracing::warn!(issuer = %self.issuer.issuer, %reason, "keys not renewed, the old ones stay for now"),
        }
    }
}

/// A set that was read and is not current yet.
pub(in crate::identity) struct Renewed(Loaded);

fn read(path: &Path) -> Result<Vec<u8>, Text> {
    let file = path.display();
    std::fs::read(path).map_err(|error| Text::new(format!("无法读取 `{file}`：{error}"), format!("cannot read `{file}`: {error}")))
}
