//! Binding the listeners: the first shard picks the addresses, the others bind the same ones.

use std::net::SocketAddr;
use std::time::Duration;

use kring_runtime::net::{Listener, ListenerOptions, resolve};
use kring_runtime::retry;

use super::{BootError, dirs};
use crate::config::{self, Advertised, BrokerConfig, HostPort, SocketConfig};

/// How long an address may stay taken by what is left of a killed process: 7 to 15 ms were measured.
const FREED_WITHIN: Duration = Duration::from_secs(2);
const RETRY: Duration = Duration::from_millis(2);

/// A listener with its bound addresses and what clients are told.
#[derive(Debug, Clone)]
pub(super) struct Bound {
    pub name: String,
    pub protocol: i16,
    pub addresses: Vec<SocketAddr>,
    pub advertised: Option<HostPort>,
}

/// Sockets of this shard, by listener name.
pub(super) type Sockets = Vec<(String, Listener)>;

/// Binds everything on the first shard; port 0 becomes a real one.
pub(super) async fn bind_first(config: &BrokerConfig) -> Result<(Vec<Bound>, Sockets), BootError> {
    let (mut bound, mut sockets) = (Vec::new(), Vec::new());
    for listener in &config.listeners {
        let listeners = bind_one(&listener.bind, &config.sockets).await?;
        let addresses: Vec<SocketAddr> = listeners.iter().map(Listener::local_addr).collect();
        let advertised = advertised(listener, addresses[0].port()).await;
        bound.push(Bound {
            name: listener.name.clone(),
            protocol: listener.protocol.id(),
            addresses,
            advertised,
        });
        sockets.extend(listeners.into_iter().map(|socket| (listener.name.clone(), socket)));
    }
    Ok((bound, sockets))
}

/// Binds on another shard what the first has bound.
pub(super) fn bind_same(bound: &[Bound], sockets: &SocketConfig) -> Result<Sockets, BootError> {
    let pairs = bound.iter().flat_map(|b| b.addresses.iter().map(|address| (&b.name, *address)));
    pairs.map(|(name, address)| Ok((name.clone(), bind_at(address, sockets)?))).collect()
}

/// Binds every address that the host stands for. `localhost` often is two, of which one may not exist here.
async fn bind_one(at: &HostPort, config: &SocketConfig) -> Result<Vec<Listener>, BootError> {
    let mut port = at.port;
    let (mut sockets, mut failure) = (Vec::new(), None);
    for address in addresses(at).await? {
        match bind_when_free(SocketAddr::new(address.ip(), port), config).await {
            Ok(socket) => {
                port = socket.local_addr().port();
                sockets.push(socket);
            }
            Err(error) if is_absent(&error) => failure = Some(error),
            Err(error) => return Err(error),
        }
    }
    match (sockets.is_empty(), failure) {
        (true, Some(error)) => Err(error),
        (true, None) => Err(listen_error(at, std::io::ErrorKind::AddrNotAvailable.into())),
        (false, _) => Ok(sockets),
    }
}

/// The addresses of a host name; an empty one means every IPv4 interface.
async fn addresses(at: &HostPort) -> Result<Vec<SocketAddr>, BootError> {
    let host = if at.host.is_empty() { "0.0.0.0" } else { at.host.as_str() };
    let mut found = resolve(host, at.port).await.map_err(|error| listen_error(at, error))?;
    found.sort();
    found.dedup();
    Ok(found)
}

/// A process that was killed is gone before its sockets are: the kernel first ends what its rings were waiting for.
async fn bind_when_free(address: SocketAddr, config: &SocketConfig) -> Result<Listener, BootError> {
    retry(FREED_WITHIN, RETRY, is_taken, async || bind_at(address, config)).await
}

fn bind_at(address: SocketAddr, config: &SocketConfig) -> Result<Listener, BootError> {
    let options = ListenerOptions {
        backlog: config.listen_backlog,
        send_buffer_bytes: config.send_buffer_bytes,
        receive_buffer_bytes: config.receive_buffer_bytes,
    };
    Listener::bind_with(address, &options)
        .map_err(|error| BootError::Listen { address: address.to_string(), error })
}

fn is_taken(error: &BootError) -> bool {
    matches!(error, BootError::Listen { error, .. } if error.kind() == std::io::ErrorKind::AddrInUse)
}

fn is_absent(error: &BootError) -> bool {
    let BootError::Listen { error, .. } = error else { return false };
    error.kind() == std::io::ErrorKind::AddrNotAvailable
        || error.raw_os_error() == Some(ADDRESS_FAMILY_NOT_SUPPORTED)
}

/// Linux's EAFNOSUPPORT, which has no `ErrorKind`.
const ADDRESS_FAMILY_NOT_SUPPORTED: i32 = 97;

fn listen_error(at: &HostPort, error: std::io::Error) -> BootError {
    BootError::Listen { address: at.to_string(), error }
}

async fn advertised(listener: &config::Listener, port: u16) -> Option<HostPort> {
    match &listener.advertised {
        Advertised::Nowhere => None,
        Advertised::At(at) => {
            Some(HostPort { host: at.host.clone(), port: if at.port == 0 { port } else { at.port } })
        }
        Advertised::AsBound if listener.bind.is_every_interface() => {
            Some(HostPort { host: dirs::host_name().await, port })
        }
        Advertised::AsBound => Some(HostPort { host: listener.bind.host.clone(), port }),
    }
}
