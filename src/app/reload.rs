//! Reloading: the control folder, certificates and keys are read anew and put in place whole, or not at all.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::{Error, World};
use crate::config::Config;
use crate::gateway::Shared;
use crate::lang::Lang;

/// Loads everything that a reload may change; the new snapshot's digest, or how many errors stand in the way. Calls under
/// way keep the snapshot that they began with.
pub async fn reload(config_path: &Path, config: &mut Config, shared: &Arc<Shared>) -> Result<String, usize> {
    let (path, before) = (config_path.to_owned(), shared.snapshot());
    let loading = tokio::task::spawn_blocking(move || {
        let config = Config::read(&path).map_err(Error::Written)?;
        World::load(&config, Some(&before)).map(|world| (config, world))
    });
    let (written, mut world) = match loading.await {
        Ok(Ok(loaded)) => loaded,
        Ok(Err(error)) => return Err(refused(&error)),
        Err(panic) => {
            tracing::error!(%panic, "the reload broke off; nothing changed");
            return Err(1);
        }
    };
    for key in written.changed_since(config) {
        tracing::warn!(key, "this key changed and needs a restart; the value in force stays");
    }
    if let Err(error) = shared.authenticator.reload_files() {
        return Err(refused(&error.text().into()));
    }
    let digest = world.snapshot.digest.clone();
    let previous = shared.snapshot().digest.clone();
    let files = std::mem::take(&mut world.snapshot.files);
    let kept = shared.ledger.store_snapshot(world.snapshot.hex(), &files).map_err(|error| error.to_string());
    drop(files);
    let recorded = match kept {
        Ok(()) => shared.recorder.activated(&digest, Some(&previous)).await.map_err(|error| error.to_string()),
        Err(error) => Err(error),
    };
    if let Err(error) = recorded {
        tracing::error!(%error, "the new snapshot cannot be recorded, so it is not activated");
        return Err(1);
    }
    let origin_files = world.snapshot.catalogue.resources.values().any(|resource| resource.origin.has_files());
    shared.snapshot.store(Arc::new(world.snapshot));
    if origin_files {
        shared.origin_files.fetch_add(1, Ordering::Relaxed);
    }
    // Whether there is TLS at all was decided when the listeners were bound; only its certificates change.
    if written.tls.is_some() == config.tls.is_some() {
        shared.tls.store(world.tls);
        config.tls = written.tls;
    }
    config.control = written.control;
    tracing::info!(%digest, "the control folder and certificates are loaded anew");
    Ok(digest)
}

fn refused(error: &Error) -> usize {
    match error {
        Error::Written(problems) => {
            for problem in problems {
                tracing::error!("{}", problem.line(Lang::En));
            }
            problems.len()
        }
        Error::Trouble(text) => {
            tracing::error!("{text}");
            1
        }
    }
}
