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
use kring_runtime::net::{ReadHalf, Stream, WriteHalf};

use super::frame::{BadLength, FrameReader};
use super::registry::Activity;
use crate::api::{self, Client, Outgoing, PeerFault, Pending, Request, Response};

/// Produce requests of one connection that may wait for the disk together.
const MAX_PIPELINED: usize = 64;

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
    /// A request that must not start before those in `waiting` have been answered.
    held: Option<Request>,
}

/// What woke a connection that has requests in flight.
enum Woken {
    Request(Option<Request>),
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
        match self.wait().await? {
            Woken::Request(None) => Ok(false),
            Woken::Request(Some(request)) if request.may_pipeline() => self.start(request).await,
            Woken::Request(Some(request)) => {
                self.held = Some(request);
                Ok(true)
            }
            Woken::Answer(answer) => self.answer(answer?).await,
        }
    }

    async fn next_request(&mut self) -> Result<Option<Request>, Fault> {
        match self.held.take() {
            Some(request) => Ok(Some(request)),
            None => read_request(&mut self.reader, &mut self.frames, &self.activity).await,
        }
    }

    async fn wait(&mut self) -> Result<Woken, Fault> {
        let may_read = self.held.is_none() && self.waiting.len() < MAX_PIPELINED;
        if !may_read {
            return Ok(Woken::Answer(next_answer(&mut self.waiting).await));
        }
        let request = read_request(&mut self.reader, &mut self.frames, &self.activity).fuse();
        let answer = next_answer(&mut self.waiting).fuse();
        futures_util::pin_mut!(request, answer);
        select_biased! {
            answer = answer => Ok(Woken::Answer(answer)),
            request = request => request.map(Woken::Request),
        }
    }

    /// Starts a request. One that may not be pipelined is also answered before this returns.
    async fn start(&mut self, request: Request) -> Result<bool, Fault> {
        let alone = !request.may_pipeline();
        let pending = api::start(&self.client, request).await?;
        if alone {
            let response = pending.await?;
            return self.answer(response).await;
        }
        self.waiting.push_back(pending);
        Ok(true)
    }

    async fn answer(&mut self, response: Response) -> Result<bool, Fault> {
        let sent = match response {
            Response::Send(outgoing) => send(&mut self.writer, outgoing).await.is_ok(),
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
async fn read_request(
    reader: &mut ReadHalf,
    frames: &mut FrameReader,
    activity: &Activity,
) -> Result<Option<Request>, Fault> {
    loop {
        if let Some(frame) = frames.next_frame().map_err(Fault::Length)? {
            activity.touch();
            return Ok(Some(Request::parse(frame)?));
        }
        match reader.read(frames.room()).await {
            Ok(0) | Err(_) => return Ok(None),
            Ok(_) => {}
        }
    }
}

async fn next_answer(waiting: &mut FuturesOrdered<Pending>) -> Result<Response, PeerFault> {
    waiting.next().await.expect("called with requests in flight only")
}

async fn send(writer: &mut WriteHalf, outgoing: Outgoing) -> std::io::Result<()> {
    let mut memory = VecDeque::new();
    for part in outgoing.parts {
        match part {
            api::Part::Memory(bytes) => memory.push_back(bytes),
            api::Part::File(range) => {
                writer.write_parts(&mut memory).await?;
                writer.send_file(&range).await?;
            }
        }
    }
    writer.write_parts(&mut memory).await
}
