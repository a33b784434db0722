//! One client connection: reads frames, lets `api` answer them, writes the responses in request order.
//! Never decodes a body, never lets one peer's fault touch another connection.
//! Lives on the core that accepted the connection.
//!
//! Consecutive produce requests are started one after another and waited for together, so that one client's
//! pipeline shares a flush. Every other request runs alone, as on Kafka's muted channel.

use std::collections::VecDeque;
use std::rc::Rc;

use futures_util::stream::{FuturesOrdered, StreamExt};
use futures_util::{FutureExt, select_biased};
use kring_runtime::net::{ReadHalf, SendFileError, Stream, WriteHalf};

use super::frame::{BadLength, FrameReader};
use super::registry::Activity;
use crate::api::{self, Client, Outgoing, PeerFault, Pending, Request, Response};

/// Produce requests of one connection that may wait for the disk together.
const MAX_PIPELINED: usize = 64;
/// Nothing more is read while this many bytes of them wait: a slow disk slows its producers down.
const MAX_PIPELINED_BYTES: usize = 16 << 20;

/// Why a connection ended.
#[derive(Debug)]
pub enum Ended {
    /// The peer closed it, or the network did.
    ByPeer,
    /// We closed it: the peer broke the protocol.
    ByFault(Fault),
}

/// What the peer did wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    Length(BadLength),
    Request(PeerFault),
}

impl std::fmt::Display for Fault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Length(bad) => bad.fmt(f),
            Self::Request(fault) => fault.fmt(f),
        }
    }
}

impl From<PeerFault> for Fault {
    fn from(fault: PeerFault) -> Self {
        Self::Request(fault)
    }
}

/// Serves one connection until either side ends it.
pub async fn serve(stream: Stream, client: Rc<Client>, activity: Rc<Activity>) -> Ended {
    let (reader, writer) = stream.into_split();
    let max_request_bytes = client.max_request_bytes();
    let connection = Connection {
        reader,
        writer,
        frames: FrameReader::new(max_request_bytes),
        client,
        activity,
        waiting: FuturesOrdered::new(),
        waiting_bytes: VecDeque::new(),
        held: None,
    };
    connection.run().await
}

struct Connection {
    reader: ReadHalf,
    writer: WriteHalf,
    frames: FrameReader,
    client: Rc<Client>,
    activity: Rc<Activity>,
    waiting: FuturesOrdered<Pending>,
    /// The size of each request in `waiting`.
    waiting_bytes: VecDeque<usize>,
    /// What must not happen before those in `waiting` have been answered.
    held: Option<Incoming>,
}

/// A request, the end of the peer's bytes, or bytes that are no request.
type Incoming = Result<Option<Request>, Fault>;

/// What woke a connection that has requests in flight.
enum Woken {
    Request(Incoming),
    Answer(Result<Response, PeerFault>),
}

impl Connection {
    async fn run(mut self) -> Ended {
        loop {
            match self.step().await {
                Ok(true) => {}
                Ok(false) => return Ended::ByPeer,
                Err(fault) => return Ended::ByFault(fault),
            }
        }
    }

    /// One request or one answer; false when the peer is gone.
    async fn step(&mut self) -> Result<bool, Fault> {
        if self.waiting.is_empty() {
            return match self.next_request().await? {
                Some(request) => self.start(request).await,
                None => Ok(false),
            };
        }
        match self.wait().await {
            Woken::Request(Ok(Some(request))) if request.may_pipeline() => {
                let started = self.start(request).await;
                started.or_else(|fault| self.hold(Err(fault)))
            }
            Woken::Request(incoming) => self.hold(incoming),
            Woken::Answer(answer) => {
                self.waiting_bytes.pop_front();
                self.answer(answer?).await
            }
        }
    }

    /// What was asked before is answered first, even to a peer that has said all or talks nonsense by now.
    fn hold(&mut self, incoming: Incoming) -> Result<bool, Fault> {
        self.held = Some(incoming);
        Ok(true)
    }

    async fn next_request(&mut self) -> Incoming {
        match self.held.take() {
            Some(incoming) => incoming,
            None => read_request(&mut self.reader, &mut self.frames, &self.activity).await,
        }
    }

    fn may_read(&self) -> bool {
        self.held.is_none()
            && self.waiting.len() < MAX_PIPELINED
            && self.waiting_bytes.iter().sum::<usize>() < MAX_PIPELINED_BYTES
    }

    async fn wait(&mut self) -> Woken {
        if !self.may_read() {
            return Woken::Answer(next_answer(&mut self.waiting).await);
        }
        let request = read_request(&mut self.reader, &mut self.frames, &self.activity).fuse();
        let answer = next_answer(&mut self.waiting).fuse();
        futures_util::pin_mut!(request, answer);
        select_biased! {
            answer = answer => Woken::Answer(answer),
            request = request => Woken::Request(request),
        }
    }

    /// Starts a request. One that may not be pipelined is also answered before this returns.
    async fn start(&mut self, request: Request) -> Result<bool, Fault> {
        let (alone, bytes) = (!request.may_pipeline(), request.bytes);
        let pending = api::start(&self.client, request).await?;
        if alone {
            let response = pending.await?;
            return self.answer(response).await;
        }
        self.waiting.push_back(pending);
        self.waiting_bytes.push_back(bytes);
        Ok(true)
    }

    async fn answer(&mut self, response: Response) -> Result<bool, Fault> {
        let sent = match response {
            Response::Send(outgoing) => send(&mut self.writer, outgoing, &self.activity).await.is_ok(),
            Response::Nothing => true,
            Response::Close => false,
        };
        self.activity.touch();
        if self.waiting.is_empty() {
            self.frames.release_memory();
        }
        Ok(sent)
    }
}

/// Dropping this future loses no bytes: what was read stays in `frames`.
async fn read_request(reader: &mut ReadHalf, frames: &mut FrameReader, activity: &Activity) -> Incoming {
    loop {
        if let Some(frame) = frames.next_frame().map_err(Fault::Length)? {
            return Ok(Some(Request::parse(frame)?));
        }
        match reader.read(frames.room()).await {
            Ok(0) | Err(_) => return Ok(None),
            // A large request may take longer than a connection may be idle.
            Ok(_) => activity.touch(),
        }
    }
}

async fn next_answer(waiting: &mut FuturesOrdered<Pending>) -> Result<Response, PeerFault> {
    waiting.next().await.expect("called with requests in flight only")
}

/// The head of the response has left: only the end of the connection tells the peer. Storage reads this file first
/// from now on, so this happens once.
fn file_error(error: SendFileError) -> std::io::Error {
    match error {
        SendFileError::Socket(error) => error,
        SendFileError::File(error) => {
            tracing::error!(%error, "a fetch response ended early: its records could not be read");
            error
        }
    }
}

async fn send(writer: &mut WriteHalf, outgoing: Outgoing, activity: &Activity) -> std::io::Result<()> {
    let mut memory = VecDeque::new();
    for part in outgoing.parts {
        match part {
            api::Part::Memory(bytes) => memory.push_back(bytes),
            api::Part::File(range) => {
                writer.write_parts(&mut memory).await?;
                writer.send_file(&range).await.map_err(file_error)?;
                activity.touch();
            }
        }
    }
    writer.write_parts(&mut memory).await
}
