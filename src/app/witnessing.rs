//! Asking the witnesses: each new checkpoint goes to all of them (C2SP tlog-witness), and what they cosign is kept. Where
//! too few do for longer than the grace period, shares stop until they are back.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::header::HOST;
use hyper::{Request, StatusCode, Uri};
use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use tokio::net::TcpStream;
use tokio::task::{JoinHandle, JoinSet};
use tokio_rustls::TlsConnector;

use super::Error;
use crate::identity::mtls;
use crate::lang::Text;
use crate::ledger::Ledger;
use crate::ledger::witness::{self, CosignerKey, Unwitnessed, Witnesses};
use crate::sys;

/// How often the newest checkpoint is looked at, and a missing witness asked again.
const TICK: Duration = Duration::from_millis(200);
/// How long a witness may take.
const PATIENCE: Duration = Duration::from_secs(5);
/// The largest answer of a witness that is read.
const LARGEST_ANSWER: usize = 16 << 10;

/// Begins asking, where there is anybody to ask.
pub(super) fn start(witnesses: &Witnesses, ledger: &Arc<Ledger>) -> Result<Option<JoinHandle<()>>, Error> {
    if witnesses.peers.is_empty() {
        return Ok(None);
    }
    let peers = witnesses.peers.iter().map(Peer::of).collect::<Result<Vec<_>, Text>>()?;
    let (required, grace) = (witnesses.required, witnesses.grace);
    Ok(Some(tokio::spawn(Witnessing { peers, required, grace, missing_since: None }.run(ledger.clone()))))
}

/// One witness, as this log knows it.
#[derive(Clone)]
struct Peer {
    key: CosignerKey,
    url: Uri,
    connector: Option<TlsConnector>,
    /// How much of the log it cosigned, as far as is known.
    old: u64,
}

struct Witnessing {
    peers: Vec<Peer>,
    required: usize,
    grace: Option<Duration>,
    /// Since when a checkpoint has waited for its witnesses.
    missing_since: Option<Instant>,
}

impl Witnessing {
    async fn run(mut self, ledger: Arc<Ledger>) {
        let mut ticks = tokio::time::interval(TICK);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut done = Vec::new();
        loop {
            ticks.tick().await;
            let note = ledger.checkpoint();
            if note == done {
                continue;
            }
            let Some(checkpoint) = Unwitnessed::of(note).map(Arc::new) else { continue };
            self.missing_since.get_or_insert_with(sys::instant);
            let lines = self.ask(&ledger, &checkpoint).await;
            if lines.len() >= self.required {
                match ledger.witnessed(&checkpoint, &lines) {
                    Ok(()) => self.missing_since = None,
                    Err(error) => tracing::error!(%error, "the cosigned checkpoint cannot be kept"),
                }
                // With its cosignatures, or a newer one already.
                done = if self.missing_since.is_none() { checkpoint_in_force(&ledger, &checkpoint) } else { Vec::new() };
            }
            let waited = self.missing_since.map_or(Duration::ZERO, |since| since.elapsed());
            ledger.hold_for_witnesses(self.grace.is_some_and(|grace| waited > grace));
        }
    }

    /// Asks all at once; the cosignature lines that hold, one of each witness.
    async fn ask(&mut self, ledger: &Arc<Ledger>, checkpoint: &Arc<Unwitnessed>) -> Vec<Vec<u8>> {
        let mut asking = JoinSet::new();
        for (at, peer) in self.peers.iter().cloned().enumerate() {
            let (ledger, checkpoint) = (ledger.clone(), checkpoint.clone());
            asking.spawn(async move { (at, peer.cosigned(&ledger, &checkpoint).await) });
        }
        let mut lines = Vec::new();
        while let Some(joined) = asking.join_next().await {
            let Ok((at, (old, line))) = joined else { continue };
            self.peers[at].old = old;
            lines.extend(line);
        }
        lines
    }
}

/// The published note where it is still that checkpoint: nothing to ask again until the log grows.
fn checkpoint_in_force(ledger: &Ledger, checkpoint: &Unwitnessed) -> Vec<u8> {
    let note = ledger.checkpoint();
    if Unwitnessed::of(note.clone()).is_some_and(|newest| newest.size() == checkpoint.size()) { note } else { Vec::new() }
}

impl Peer {
    fn of(peer: &witness::Peer) -> Result<Self, Text> {
        let connector = peer.ca.as_deref().filter(|_| peer.url.scheme_str() == Some("https")).map(mtls::client_connector).transpose()?;
        Ok(Self { key: peer.key.clone(), url: peer.url.clone(), connector, old: 0 })
    }

    /// Its cosignature, and how much it has cosigned now.
    async fn cosigned(mut self, ledger: &Arc<Ledger>, checkpoint: &Arc<Unwitnessed>) -> (u64, Option<Vec<u8>>) {
        // A second time where it knew another size than we thought.
        for _ in 0..2 {
            match tokio::time::timeout(PATIENCE, self.ask(ledger, checkpoint)).await {
                Ok(Ok(Told::Cosigned(line))) => return (checkpoint.size(), Some(line)),
                Ok(Ok(Told::Knows(size))) if size <= checkpoint.size() && size != self.old => self.old = size,
                Ok(Ok(Told::Knows(size))) => {
                    let witness = self.key.name();
                    tracing::error!(
                        witness,
                        size,
                        ours = checkpoint.size(),
                        "a witness has cosigned another history of this log: it was cut, restored from an old copy or rewritten"
                    );
                    break;
                }
                Ok(Err(why)) => {
                    tracing::warn!(witness = self.key.name(), %why, "a witness did not cosign");
                    break;
                }
                Err(_) => {
                    tracing::warn!(witness = self.key.name(), "a witness took too long");
                    break;
                }
            }
        }
        (self.old, None)
    }

    async fn ask(&self, ledger: &Arc<Ledger>, checkpoint: &Arc<Unwitnessed>) -> Result<Told, String> {
        let (reading, of, old) = (ledger.clone(), checkpoint.clone(), self.old);
        let content = tokio::task::spawn_blocking(move || reading.submission(&of, old)).await;
        let content = content.map_err(|error| error.to_string())?.map_err(|error| format!("no proof could be read: {error}"))?;
        let (status, answer) = self.post(content.into()).await?;
        match status {
            StatusCode::OK => match checkpoint.cosignatures(&self.key, &answer).first() {
                Some(line) => Ok(Told::Cosigned(line.to_vec())),
                None => Err("its answer holds no cosignature under the configured key".to_owned()),
            },
            StatusCode::CONFLICT => {
                let size = std::str::from_utf8(&answer).ok().and_then(|text| text.trim_end().parse().ok());
                size.map(Told::Knows).ok_or_else(|| "409 without the size that it knows".to_owned())
            }
            status => Err(format!("status {}: {}", status.as_u16(), String::from_utf8_lossy(&answer).trim().escape_debug())),
        }
    }

    /// One exchange on a connection of its own: checkpoints are seconds apart.
    async fn post(&self, content: Bytes) -> Result<(StatusCode, Bytes), String> {
        let failed = |error: &dyn std::fmt::Display| error.to_string();
        let host = self.url.host().unwrap_or_default().trim_matches(['[', ']']).to_owned();
        let port = self.url.port_u16().unwrap_or(if self.connector.is_some() { 443 } else { 80 });
        let stream = TcpStream::connect((&*host, port)).await.map_err(|error| failed(&error))?;
        match &self.connector {
            None => self.speak(TokioIo::new(stream), content).await,
            Some(connector) => {
                let name = ServerName::try_from(host).map_err(|error| failed(&error))?;
                let stream = connector.connect(name, stream).await.map_err(|error| failed(&error))?;
                self.speak(TokioIo::new(stream), content).await
            }
        }
    }

    async fn speak<I>(&self, io: I, content: Bytes) -> Result<(StatusCode, Bytes), String>
    where
        I: hyper::rt::Read + hyper::rt::Write + Unpin + Send + 'static,
    {
        let failed = |error: &dyn std::fmt::Display| error.to_string();
        let (mut sender, connection) = hyper::client::conn::http1::handshake(io).await.map_err(|error| failed(&error))?;
        // Ends when `sender` is dropped, whatever the outcome here.
        tokio::spawn(connection);
        let authority = self.url.authority().map_or("", |authority| authority.as_str());
        let target = format!("{}/add-checkpoint", self.url.path().trim_end_matches('/'));
        let request = Request::post(target).header(HOST, authority).body(Full::new(content)).map_err(|error| failed(&error))?;
        let response = sender.send_request(request).await.map_err(|error| failed(&error))?;
        let status = response.status();
        let answer = Limited::new(response.into_body(), LARGEST_ANSWER).collect().await.map_err(|error| failed(&error))?;
        Ok((status, answer.to_bytes()))
    }
}

/// What a witness answered.
enum Told {
    Cosigned(Vec<u8>),
    /// It cosigned so much before.
    Knows(u64),
}
