//! One connection: frames out, frames in. Answers come in the order of the requests; a connection that breaks this
//! is of no use any more. Lives on one shard.

use std::collections::VecDeque;
use std::time::Duration;

use bytes::{Buf, BufMut, Bytes, BytesMut};
use kring_runtime::net::{self, ReadHalf, WriteHalf};
use kring_runtime::timeout;
use kring_wire::{
    ApiMessage, Frame, FramePart, Message, Reader, Request, Str, decode_response_header, encode_request,
};

use super::cluster::Endpoint;
use super::error::ClientError;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
const MAX_FRAME_BYTES: i32 = 512 << 20;
const READ_BYTES: usize = 64 << 10;
pub const CLIENT_ID: Str = Str::from_static("kring-loadgen");

/// A connection that is used for one request at a time, until it is split.
pub struct Connection {
    requests: Requests,
    answers: Answers,
    request_timeout: Duration,
    /// A request failed on it: what comes next may be the answer to that one.
    is_lost: bool,
}

impl Connection {
    /// Tries the addresses of the endpoint in turn.
    pub async fn open(endpoint: &Endpoint) -> Result<Connection, ClientError> {
        let mut last = None;
        for addr in endpoint.addrs.iter() {
            match timeout(CONNECT_TIMEOUT, net::connect(*addr)).await {
                Ok(Ok(stream)) => return Ok(Connection::over(stream, endpoint.request_timeout)),
                Ok(Err(error)) => last = Some(error),
                Err(_) => last = Some(std::io::ErrorKind::TimedOut.into()),
            }
        }
        let error = last.unwrap_or_else(|| std::io::ErrorKind::NotFound.into());
        Err(ClientError::Connect { to: endpoint.name.clone(), error })
    }

    fn over(stream: net::Stream, request_timeout: Duration) -> Connection {
        let (read, write) = stream.into_split();
        Connection {
            requests: Requests { half: write, next: 0 },
            answers: Answers { half: read, buffer: BytesMut::new() },
            request_timeout,
            is_lost: false,
        }
    }

    /// How long a request may take.
    pub fn request_timeout(&self) -> Duration {
        self.request_timeout
    }

    /// Sends a request and waits for its answer.
    pub async fn call<R: Request>(&mut self, version: i16, request: &R) -> Result<R::Response, ClientError> {
        self.call_within(self.request_timeout, version, request).await
    }

    /// The same, for a request that the broker may rightly hold for longer. After one that failed, all fail.
    pub async fn call_within<R: Request>(
        &mut self,
        limit: Duration,
        version: i16,
        request: &R,
    ) -> Result<R::Response, ClientError> {
        if self.is_lost {
            return Err(ClientError::Closed);
        }
        let call = async {
            let correlation = self.requests.send(version, request).await?;
            decode_answer(self.answers.next().await?, correlation, version)
        };
        let answer = timeout(limit, call).await.unwrap_or(Err(ClientError::Timeout));
        self.is_lost = answer.is_err();
        answer
    }

    /// For many requests in flight.
    pub fn into_split(self) -> (Requests, Answers) {
        (self.requests, self.answers)
    }
}

/// The sending side.
pub struct Requests {
    half: WriteHalf,
    next: i32,
}

impl Requests {
    /// The correlation id of a request that is written next.
    pub fn take_correlation(&mut self) -> i32 {
        let correlation = self.next;
        self.next = self.next.wrapping_add(1) & i32::MAX;
        correlation
    }

    /// Returns the correlation id when all of the request is in the socket.
    pub async fn send<M: ApiMessage>(&mut self, version: i16, request: &M) -> Result<i32, ClientError> {
        let correlation = self.take_correlation();
        let frame = encode_request(version, correlation, Some(CLIENT_ID), request)?;
        self.send_parts(&mut parts_of(frame)).await?;
        Ok(correlation)
    }

    /// Sends whole requests that are written already.
    pub async fn send_parts(&mut self, parts: &mut VecDeque<Bytes>) -> Result<(), ClientError> {
        Ok(self.half.write_parts(parts).await?)
    }
}

fn parts_of(frame: Frame) -> VecDeque<Bytes> {
    let part = |part| match part {
        FramePart::Bytes(bytes) => bytes,
        FramePart::File { .. } => unreachable!("requests here are made of memory"),
    };
    frame.parts.into_iter().map(part).collect()
}

/// The receiving side.
pub struct Answers {
    half: ReadHalf,
    buffer: BytesMut,
}

impl Answers {
    /// The next frame, without its length. Dropping the future loses nothing.
    pub async fn next(&mut self) -> Result<Bytes, ClientError> {
        self.fill(4).await?;
        let head = self.buffer.first_chunk().expect("four bytes are there");
        let length = i32::from_be_bytes(*head);
        if !(4..=MAX_FRAME_BYTES).contains(&length) {
            return Err(ClientError::FrameLength(length));
        }
        let whole = 4 + length as usize;
        self.fill(whole).await?;
        Ok(self.buffer.split_to(whole).freeze().slice(4..))
    }

    /// Takes at most so many bytes of an answer off the socket and throws them away; `left` is what is still to come
    /// of it, 0 before its length is known and after its end. Returns how many were taken.
    pub async fn take_some(&mut self, left: &mut usize, most: usize) -> Result<usize, ClientError> {
        let known = *left > 0;
        let wanted = if known { most.clamp(1, *left) } else { 4 };
        // A read fills what room there is, but begins anew with a buffer that is empty: hence a byte in front.
        let mut piece = BytesMut::with_capacity(1 + wanted);
        piece.put_u8(0);
        while piece.len() == 1 || (!known && piece.len() < 1 + wanted) {
            if self.half.read(&mut piece).await? == 0 {
                return Err(ClientError::Closed);
            }
        }
        piece.advance(1);
        match piece.first_chunk().filter(|_| !known) {
            Some(length) => *left = u32::from_be_bytes(*length) as usize,
            None => *left = left.saturating_sub(piece.len()),
        }
        Ok(piece.len())
    }

    async fn fill(&mut self, bytes: usize) -> Result<(), ClientError> {
        while self.buffer.len() < bytes {
            let missing = bytes - self.buffer.len();
            self.buffer.reserve(missing.max(READ_BYTES));
            if self.half.read(&mut self.buffer).await? == 0 {
                return Err(ClientError::Closed);
            }
        }
        Ok(())
    }
}

/// Reads the answer to the request with this correlation id.
pub fn decode_answer<M: ApiMessage>(frame: Bytes, expected: i32, version: i16) -> Result<M, ClientError> {
    let mut reader = Reader::with_default_budget(frame);
    let found = decode_response_header(&mut reader, M::API_KEY, version)?;
    if found != expected {
        return Err(ClientError::Correlation { expected, found });
    }
    let answer = <M as Message>::decode(&mut reader, version)?;
    reader.finish()?;
    Ok(answer)
}
