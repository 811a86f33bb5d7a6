//! A restart that no caller notices: a gateway that starts takes the listening sockets from the one that runs, which then
//! finishes its calls, lets the ledger go and ends. What connects meanwhile waits in the kernel's queue for the next one.
//!
//! The sockets go over a Unix socket of an abstract name (unix(7)), so that nothing lies in the ledger's folder that a copy
//! of it would stumble over; each side makes sure that the other is of its own user. The running gateway sends [`GREETING`]
//! with both sockets, the next one answers [`TAKE`] once it finds them to be what it is configured for. Until then the
//! running one goes on as if nobody had asked.

use std::fs;
use std::io::{self, IoSlice, IoSliceMut, Read, Write};
use std::mem::MaybeUninit;
use std::net::{SocketAddr, TcpListener};
use std::os::fd::{AsFd, OwnedFd};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::fs::MetadataExt;
use std::os::unix::net::{SocketAddr as UnixAddress, UnixListener, UnixStream};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage, SendFlags};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use super::Error;
use crate::config::Config;
use crate::lang::Text;

const GREETING: &[u8] = b"kanhe take-over 1\n";
const TAKE: &[u8; 5] = b"take\n";
/// How long either side waits for the other's word.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long callers with kept HTTP/1.1 connections have to hear that they end, at least.
pub(super) const NOTICE: Duration = Duration::from_secs(2);

/// The running gateway's side: its sockets, for whoever asks.
pub(super) struct Offer {
    takers: mpsc::Receiver<()>,
    task: JoinHandle<()>,
}

impl Offer {
    /// Offers both sockets. To be called by the one process that has the ledger open.
    pub(super) fn open(folder: &Path, gateway: impl AsFd, admin: impl AsFd) -> io::Result<Self> {
        let sockets = [gateway.as_fd().try_clone_to_owned()?, admin.as_fd().try_clone_to_owned()?];
        let listener = UnixListener::bind_addr(&address(folder)?)?;
        listener.set_nonblocking(true)?;
        let listener = tokio::net::UnixListener::from_std(listener)?;
        let (taken, takers) = mpsc::channel(1);
        let task = tokio::spawn(offer(listener, Arc::new(sockets), taken));
        Ok(Self { takers, task })
    }

    /// Waits until another gateway has taken the sockets.
    pub(super) async fn taken(offer: &mut Option<Self>) {
        let taken = match offer {
            Some(offer) => offer.takers.recv().await,
            None => None,
        };
        if taken.is_none() {
            std::future::pending().await
        }
    }
}

impl Drop for Offer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Where the gateway that has this ledger open is asked: however its path is spelt, one folder has one name.
fn address(folder: &Path) -> io::Result<UnixAddress> {
    let folder = fs::metadata(folder)?;
    UnixAddress::from_abstract_name(format!("kanhe/take-over/{:x}/{:x}", folder.dev(), folder.ino()))
}

/// Anybody can connect to an abstract name, or take it first.
fn of_this_user(peer: &UnixStream) -> io::Result<()> {
    if rustix::net::sockopt::socket_peercred(peer)?.uid == rustix::process::geteuid() {
        return Ok(());
    }
    Err(io::Error::new(io::ErrorKind::PermissionDenied, "the other side runs as another user"))
}

async fn offer(listener: tokio::net::UnixListener, sockets: Arc<[OwnedFd; 2]>, taken: mpsc::Sender<()>) {
    loop {
        let stream = match listener.accept().await.and_then(|(stream, _)| stream.into_std()) {
            Ok(stream) => stream,
            Err(error) => {
                tracing::warn!(%error, "a gateway that asks for the sockets could not be heard");
                tokio::time::sleep(Duration::from_secs(1)).await;
                continue;
            }
        };
        let sockets = sockets.clone();
        let given = tokio::task::spawn_blocking(move || give(stream, &sockets)).await;
        match given.unwrap_or_else(|panic| Err(io::Error::other(panic))) {
            // An error is the end of the gateway.
            Ok(()) => return taken.send(()).await.unwrap_or(()),
            Err(error) => tracing::warn!(%error, "another gateway asked for the sockets and did not take them; this one goes on"),
        }
    }
}

fn give(mut stream: UnixStream, sockets: &[OwnedFd; 2]) -> io::Result<()> {
    of_this_user(&stream)?;
    stream.set_nonblocking(false)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    let sockets = sockets.each_ref().map(AsFd::as_fd);
    let mut room = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(2))];
    let mut control = SendAncillaryBuffer::new(&mut room);
    if !control.push(SendAncillaryMessage::ScmRights(&sockets)) {
        return Err(io::Error::other("no room for two sockets"));
    }
    rustix::net::sendmsg(&stream, &[IoSlice::new(GREETING)], &mut control, SendFlags::NOSIGNAL)?;
    let mut word = [0; TAKE.len()];
    stream.read_exact(&mut word)?;
    if word == *TAKE { Ok(()) } else { Err(io::ErrorKind::InvalidData.into()) }
}

/// The next gateway's side: the sockets of the running one, which goes on until they are taken.
pub(super) struct Given {
    running: UnixStream,
    gateway: TcpListener,
    admin: TcpListener,
}

/// Asks the gateway that has the ledger open for its sockets; none: nobody runs there.
pub(super) fn ask(config: &Config) -> Result<Option<Given>, Error> {
    let folder = &config.ledger.folder;
    let running = match address(folder).and_then(|address| UnixStream::connect_addr(&address)) {
        Ok(running) => running,
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused) => {
            tracing::info!("no gateway runs on this ledger that the sockets could be taken from; this is an ordinary start");
            return Ok(None);
        }
        Err(error) => return Err(unheard(folder, error)),
    };
    let given = of_this_user(&running).and_then(|()| receive(&running));
    let [gateway, admin] = given.map_err(|error| unheard(folder, error))?;
    let (gateway, admin) = (TcpListener::from(gateway), TcpListener::from(admin));
    fits("[gateway]", config.listen, &gateway)?;
    fits("[admin]", config.admin.listen, &admin)?;
    Ok(Some(Given { running, gateway, admin }))
}

fn unheard(folder: &Path, error: io::Error) -> Error {
    let folder = folder.display();
    Error::trouble(
        &format!("无法接管台账 `{folder}` 的网关的监听套接字；运行中的网关不受影响"),
        &format!("the sockets of the gateway on the ledger `{folder}` cannot be taken over; that gateway goes on"),
        error,
    )
}

fn receive(running: &UnixStream) -> io::Result<[OwnedFd; 2]> {
    running.set_read_timeout(Some(PATIENCE))?;
    let mut room = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(2))];
    let mut control = RecvAncillaryBuffer::new(&mut room);
    let mut greeting = [0; GREETING.len()];
    let received = rustix::net::recvmsg(running, &mut [IoSliceMut::new(&mut greeting)], &mut control, RecvFlags::CMSG_CLOEXEC)?;
    let sockets = control.drain().flat_map(|message| match message {
        RecvAncillaryMessage::ScmRights(sockets) => sockets.collect(),
        _ => Vec::new(),
    });
    let sockets: Result<[OwnedFd; 2], _> = sockets.collect::<Vec<_>>().try_into();
    match sockets {
        Ok(sockets) if received.bytes == GREETING.len() && greeting == *GREETING => Ok(sockets),
        _ => Err(io::ErrorKind::InvalidData.into()),
    }
}

/// A socket that is taken over cannot be moved to another address.
fn fits(table: &str, written: SocketAddr, given: &TcpListener) -> Result<(), Error> {
    let given = given.local_addr().map_err(|error| Error::trouble("无法得知监听地址", "a listener's address is unknown", error))?;
    if given.ip() == written.ip() && (written.port() == 0 || given.port() == written.port()) {
        return Ok(());
    }
    Err(Error::Trouble(Text::new(
        format!("{table} listen 为 `{written}`，而运行中的网关监听 `{given}`：更换地址须停止后重新启动"),
        format!("{table} listen is `{written}`, but the running gateway listens on `{given}`: another address needs a stop and a start"),
    )))
}

impl Given {
    /// Tells the running gateway to finish its calls and end.
    pub(super) fn take(mut self) -> Result<(tokio::net::TcpListener, tokio::net::TcpListener), Error> {
        let taken = self.running.write_all(TAKE).and_then(|()| Ok((listener(self.gateway)?, listener(self.admin)?)));
        taken.map_err(|error| Error::trouble("无法接管监听套接字", "the sockets cannot be taken over", error))
    }
}

fn listener(socket: TcpListener) -> io::Result<tokio::net::TcpListener> {
    socket.set_nonblocking(true)?;
    tokio::net::TcpListener::from_std(socket)
}
