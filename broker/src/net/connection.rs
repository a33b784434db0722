//! One client connection: reads frames, lets `api` answer them, writes the responses in request order.
//! Never decodes a body, never lets one peer's fault touch another connection.
//! Lives on the core that accepted the connection.
//!
//! Consecutive produce requests are started one after another and waited for together, so that one client's
//! pipeline shares a flush. Every other request runs alone, as on Kafka's muted channel.

use std::collections::VecDeque;
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::rc::Rc;
use std::task::Poll;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures_util::{FutureExt, select_biased};
use kring_runtime::net::{ReadHalf, SendFileError, Stream, WriteHalf};
use kring_runtime::{Upcoming, now, timeout_at};

use super::frame::{BadLength, FrameReader};
use super::memory::{Intake, RequestMemory, RequestPermit};
use super::outbox::Outbox;
use super::pipeline::Pipeline;
use super::registry::Activity;
use super::unsent::Pieces;
use crate::api::{self, Client, Outgoing, PeerFault, Request, Response};

/// How long a peer may take to end its side, too.
const GOODBYE: Duration = Duration::from_millis(500);

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
pub(super) async fn serve(stream: Stream, client: Rc<Client>, place: Place) -> Ended {
    let Place { activity, memory, outbox } = place;
    let (reader, writer) = stream.into_split();
    let frames = FrameReader::new(client.max_request_bytes());
    let connection = Connection {
        requests: Requests { reader, frames, intake: Intake::new(memory), activity: activity.clone() },
        writer,
        outbox,
        client,
        activity,
        pipeline: Pipeline::default(),
        held: None,
    };
    connection.run().await
}

/// What a connection has of its shard.
pub(super) struct Place {
    pub activity: Rc<Activity>,
    pub memory: Rc<RequestMemory>,
    pub outbox: Outbox,
}

struct Connection {
    requests: Requests,
    writer: WriteHalf,
    outbox: Outbox,
    client: Rc<Client>,
    activity: Rc<Activity>,
    pipeline: Pipeline,
    /// What must not happen before those in `pipeline` have been answered.
    held: Option<Incoming>,
}

/// The side of a connection that requests come from.
struct Requests {
    reader: ReadHalf,
    frames: FrameReader,
    intake: Intake,
    activity: Rc<Activity>,
}

struct Arrived {
    request: Request,
    permit: RequestPermit,
}

/// A request, the end of the peer's bytes, or bytes that are no request.
type Incoming = Result<Option<Arrived>, Fault>;

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
        self.activity.owes(!self.pipeline.is_empty());
        if self.pipeline.is_empty() && self.activity.is_ending() {
            self.say_goodbye().await;
            return Ok(false);
        }
        if self.pipeline.is_empty() {
            return match self.next_request().await {
                Some(incoming) => self.begin(incoming?).await,
                // The end has come.
                None => Ok(true),
            };
        }
        match self.wait().await {
            Woken::Request(_) if self.activity.is_ending() => Ok(true),
            Woken::Request(Ok(Some(arrived))) if arrived.request.may_pipeline() => {
                let started = self.start(arrived).await;
                started.or_else(|fault| self.hold(Err(fault)))
            }
            Woken::Request(incoming) => self.hold(incoming),
            Woken::Answer(answer) => self.answer(answer?).await,
        }
    }

    /// Lets the peer read the last answers: where bytes of its are unread, the end of a connection would take them back.
    async fn say_goodbye(&mut self) {
        self.writer.shutdown();
        let deadline = now() + GOODBYE;
        let mut unread = BytesMut::new();
        while let Ok(Ok(1..)) = timeout_at(deadline, self.requests.reader.read(&mut unread)).await {
            unread.clear();
        }
    }

    /// What was asked before is answered first, even to a peer that has said all or talks nonsense by now.
    fn hold(&mut self, incoming: Incoming) -> Result<bool, Fault> {
        self.held = Some(incoming);
        Ok(true)
    }

    /// `None` where none is to begin any more.
    async fn next_request(&mut self) -> Option<Incoming> {
        if let Some(incoming) = self.held.take() {
            return Some(incoming);
        }
        let mut next = pin!(self.requests.next());
        let found = poll_fn(|cx| {
            if self.activity.is_ending() {
                return Poll::Ready(None);
            }
            let found = next.as_mut().poll(cx);
            if found.is_pending() {
                self.activity.waits(cx.waker());
            }
            found.map(Some)
        });
        let found = found.await;
        self.activity.waits_no_more();
        found
    }

    async fn begin(&mut self, incoming: Option<Arrived>) -> Result<bool, Fault> {
        match incoming {
            Some(arrived) => self.start(arrived).await,
            None => Ok(false),
        }
    }

    async fn wait(&mut self) -> Woken {
        if self.held.is_some() || !self.pipeline.has_room() || self.activity.is_ending() {
            self.activity.waits_for_peer(false);
            return Woken::Answer(self.pipeline.next().await);
        }
        let request = self.requests.next().fuse();
        let answer = self.pipeline.next().fuse();
        futures_util::pin_mut!(request, answer);
        select_biased! {
            answer = answer => Woken::Answer(answer),
            request = request => Woken::Request(request),
        }
    }

    /// Starts a request. One that may not be pipelined is also answered before this returns.
    async fn start(&mut self, Arrived { request, permit }: Arrived) -> Result<bool, Fault> {
        self.activity.waits_for_peer(false);
        let (alone, bytes) = (!request.may_pipeline(), request.bytes);
        self.activity.owes(!alone || !self.pipeline.is_empty());
        let pending = api::start(&self.client, request).await?;
        if alone {
            let response = pending.await?;
            drop(permit);
            return self.answer(response).await;
        }
        self.pipeline.push(pending, permit, bytes);
        Ok(true)
    }

    async fn answer(&mut self, response: Response) -> Result<bool, Fault> {
        let sent = match response {
            Response::Send(outgoing) => self.send(outgoing).await,
            Response::Nothing => true,
            Response::Close => false,
        };
        self.activity.touch();
        if self.pipeline.is_empty() {
            self.requests.frames.release_memory();
        }
        Ok(sent)
    }

    async fn send(&mut self, outgoing: Outgoing) -> bool {
        let pieces = Pieces::of(&outgoing);
        let sending = send(&mut self.writer, outgoing, &self.activity);
        futures_util::pin_mut!(sending);
        if let Poll::Ready(sent) = futures_util::poll!(&mut sending) {
            return sent.is_ok();
        }
        let _held = pieces.map(|pieces| self.outbox.hold(pieces));
        let keeps_memory = !self.pipeline.is_empty() || self.requests.intake.is_granted();
        self.activity.waits_for_peer(keeps_memory);
        sending.await.is_ok()
    }
}

impl Requests {
    /// Dropping this future loses neither bytes nor the place of a request that waits for its memory.
    async fn next(&mut self) -> Incoming {
        loop {
            if let Some(frame) = self.next_frame().await? {
                let request = Request::parse(frame)?;
                return Ok(Some(Arrived { request, permit: self.intake.take() }));
            }
            self.activity.waits_for_peer(self.intake.is_granted());
            let room = self.frames.room(self.intake.is_ample());
            match self.reader.read(room).await {
                Ok(0) | Err(_) => return Ok(None),
                // A large request may take longer than a connection may be idle.
                Ok(_) => self.activity.touch(),
            }
        }
    }

    /// A frame that is here whole and may be served.
    async fn next_frame(&mut self) -> Result<Option<Bytes>, Fault> {
        let Some(bytes) = self.frames.claimed().map_err(Fault::Length)? else { return Ok(None) };
        if !self.frames.is_in_earnest(bytes) {
            // A claim costs its peer nothing, so it gets nothing that others wait for.
            return Ok(None);
        }
        self.intake.admit(bytes).await;
        self.frames.next_frame().map_err(Fault::Length)
    }
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
    let mut upcoming = Upcoming::of(outgoing.parts.iter().filter_map(api::Part::file).cloned());
    let mut memory = VecDeque::new();
    for part in outgoing.parts {
        match part {
            api::Part::Memory(bytes) => memory.push_back(bytes),
            api::Part::File(_) => {
                writer.write_parts(&mut memory).await?;
                writer.send_next(&mut upcoming).await.map_err(file_error)?;
                activity.touch();
            }
        }
    }
    writer.write_parts(&mut memory).await
}
