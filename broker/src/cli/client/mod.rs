//! A small client of Kafka's protocol for the command line: it finds leaders, asks them, and asks again what may
//! succeed later. Uses nothing of the broker, works with Apache Kafka too. Runs on one shard of its own.

pub mod connection;
pub mod error;
pub mod metadata;
pub mod offsets;
pub mod patience;
pub mod server;

use std::collections::BTreeMap;
use std::time::Duration;

use kring_wire::Request;

pub use connection::Connection;
pub use error::{ClientError, Result};
pub use patience::Patience;
use server::Address;

/// Longest wait for an answer that the broker gives at once.
pub const ANSWER_TIME: Duration = Duration::from_secs(30);
/// How long a command keeps asking again before it gives up.
pub const RETRY_TIME: Duration = Duration::from_secs(30);

/// A cluster, as far as it is known, with a connection to each broker that was needed.
pub struct Client {
    servers: Vec<Address>,
    brokers: BTreeMap<i32, Address>,
    connections: BTreeMap<i32, Connection>,
    first: Option<Connection>,
}

impl Client {
    /// Connects to the first of `servers` (`HOST:PORT`, separated by commas) that answers.
    pub async fn connect(servers: &str) -> Result<Self> {
        Self::reconnect(servers).await.map_err(ClientError::at_start)
    }

    /// As [`Client::connect`], where a broker is known to have been: a failure may pass.
    pub async fn reconnect(servers: &str) -> Result<Self> {
        let servers = server::parse_list(servers)?;
        let first = Some(first_that_answers(&servers).await?);
        Ok(Self { servers, brokers: BTreeMap::new(), connections: BTreeMap::new(), first })
    }

    /// Asks any broker, in the highest version up to `highest` that it speaks; a lost connection is made again.
    pub async fn ask_any<R: Request>(
        &mut self,
        highest: i16,
        body: impl Fn(i16) -> R,
    ) -> Result<R::Response> {
        let mut patience = Patience::new(RETRY_TIME);
        loop {
            match self.ask_any_once(highest, &body).await {
                Ok(answer) => return Ok(answer),
                Err(error) => patience.again(error).await?,
            }
        }
    }

    async fn ask_any_once<R: Request>(
        &mut self,
        highest: i16,
        body: impl Fn(i16) -> R,
    ) -> Result<R::Response> {
        let mut connection = match self.first.take() {
            Some(connection) => connection,
            None => first_that_answers(&self.servers).await?,
        };
        let answer = connection.ask(ANSWER_TIME, highest, body).await?;
        self.first = Some(connection);
        Ok(answer)
    }

    /// Asks one broker once. Its connection is forgotten when it fails.
    pub async fn ask_node<R: Request>(
        &mut self,
        node: i32,
        highest: i16,
        body: impl Fn(i16) -> R,
    ) -> Result<R::Response> {
        let mut connection = self.take(node).await?;
        let answer = connection.ask(ANSWER_TIME, highest, body).await?;
        self.put_back(node, connection);
        Ok(answer)
    }

    /// The connection to a broker, for the caller alone until it is put back.
    pub async fn take(&mut self, node: i32) -> Result<Connection> {
        if let Some(connection) = self.connections.remove(&node) {
            return Ok(connection);
        }
        let address = self.brokers.get(&node).ok_or(ClientError::UnknownBroker { node })?;
        Connection::open(address).await
    }

    pub fn put_back(&mut self, node: i32, connection: Connection) {
        self.connections.insert(node, connection);
    }

    pub(in crate::cli) fn learn_broker(&mut self, node: i32, address: Address) {
        if self.brokers.get(&node) != Some(&address) {
            self.connections.remove(&node);
            self.brokers.insert(node, address);
        }
    }
}

async fn first_that_answers(servers: &[Address]) -> Result<Connection> {
    let mut first_error = None;
    for server in servers {
        match Connection::open(server).await {
            Ok(connection) => return Ok(connection),
            Err(error) => first_error = first_error.or(Some(error)),
        }
    }
    Err(first_error.unwrap_or(ClientError::NoServer))
}
