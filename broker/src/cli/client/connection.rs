//! One connection to one broker: which versions it speaks, and one request at a time. Never asks again by itself.

use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use kring_runtime::net::{self, ReadHalf, Stream, WriteHalf};
use kring_runtime::timeout;
use kring_wire::messages::api_versions_request::ApiVersionsRequest;
use kring_wire::messages::api_versions_response::ApiVersionsResponse;
use kring_wire::{
    ApiKey, ApiMessage, ErrorCode, FramePart, Message, Reader, Request, Str, decode_response_header,
    encode_request,
};

use super::ANSWER_TIME;
use super::error::{ClientError, Result};
use super::server::Address;

pub const CLIENT_ID: &str = "kring-cli";
const CONNECT_TIME: Duration = Duration::from_secs(10);
/// Larger answers than this are not Kafka's: what is asked for is far below.
const MAX_ANSWER_BYTES: usize = 256 << 20;
const API_VERSIONS_NEWEST: i16 = 4;

pub struct Connection {
    address: String,
    read: ReadHalf,
    write: WriteHalf,
    received: BytesMut,
    versions: BTreeMap<i16, (i16, i16)>,
    next_id: i32,
    /// A request was sent whose answer has not been read: its future was dropped.
    busy: bool,
}

impl Connection {
    /// Connects, and learns what the broker speaks.
    pub async fn open(address: &Address) -> Result<Self> {
        let name = address.to_string();
        let stream = connect(address).await.map_err(|error| lost(&name, &error))?;
        let (read, write) = stream.into_split();
        let mut connection = Self {
            address: name,
            read,
            write,
            received: BytesMut::new(),
            versions: BTreeMap::new(),
            next_id: 0,
            busy: false,
        };
        connection.learn_versions().await?;
        Ok(connection)
    }

    /// Sends what `body` makes for the highest common version up to `highest`, and waits for the answer.
    pub async fn ask<R: Request>(
        &mut self,
        patience: Duration,
        highest: i16,
        body: impl Fn(i16) -> R,
    ) -> Result<R::Response> {
        let version = self.common_version(R::API_KEY, highest)?;
        let frame = self.exchange(patience, version, &body(version)).await?;
        self.decode::<R::Response>(frame, version)
    }

    async fn learn_versions(&mut self) -> Result<()> {
        let request = ApiVersionsRequest {
            client_software_name: Str::from_static("kring-cli"),
            client_software_version: Str::from_static(env!("CARGO_PKG_VERSION")),
        };
        let frame = self.exchange(ANSWER_TIME, API_VERSIONS_NEWEST, &request).await?;
        let mut answer = self.decode_versions(frame, API_VERSIONS_NEWEST)?;
        if ErrorCode(answer.error_code) == ErrorCode::UNSUPPORTED_VERSION {
            let frame = self.exchange(ANSWER_TIME, 0, &ApiVersionsRequest::default()).await?;
            answer = self.decode_versions(frame, 0)?;
        }
        ClientError::check(answer.error_code, None, || format!("{} refuses to talk", self.address))?;
        self.versions =
            answer.api_keys.iter().map(|api| (api.api_key, (api.min_version, api.max_version))).collect();
        Ok(())
    }

    /// A broker that does not know the version asked for answers in version 0.
    fn decode_versions(&self, frame: Bytes, version: i16) -> Result<ApiVersionsResponse> {
        let code = frame.get(4..).and_then(|rest| rest.first_chunk()).copied().map(i16::from_be_bytes);
        let unsupported = code == Some(ErrorCode::UNSUPPORTED_VERSION.0);
        self.decode(frame, if unsupported { 0 } else { version })
    }

    fn common_version(&self, api: ApiKey, highest: i16) -> Result<i16> {
        let unsupported = || ClientError::Unsupported { address: self.address.clone(), api };
        let (lowest, broker_highest) = *self.versions.get(&api.as_i16()).ok_or_else(unsupported)?;
        let version = broker_highest.min(api.max_stable_version()).min(highest);
        if version < lowest.max(api.min_version()) { Err(unsupported()) } else { Ok(version) }
    }

    async fn exchange<M: ApiMessage>(&mut self, patience: Duration, version: i16, body: &M) -> Result<Bytes> {
        if self.busy {
            return Err(lost(&self.address, "an answer was not waited for"));
        }
        let mut parts = self.encode(version, body)?;
        self.busy = true;
        let answered = timeout(patience, async {
            self.write.write_parts(&mut parts).await?;
            read_frame(&mut self.read, &mut self.received).await
        });
        let silent = ClientError::Silent { address: self.address.clone(), api: M::API_KEY };
        let frame = answered.await.map_err(|_| silent)?.map_err(|error| self.reading_failed(&error))?;
        self.busy = false;
        Ok(frame)
    }

    fn encode<M: ApiMessage>(&mut self, version: i16, body: &M) -> Result<VecDeque<Bytes>> {
        self.next_id = self.next_id.wrapping_add(1);
        let frame = encode_request(version, self.next_id, Some(Str::from_static(CLIENT_ID)), body)
            .map_err(|error| ClientError::Plain(format!("{} cannot be sent: {error}", M::API_KEY)))?;
        Ok(frame.parts.into_iter().filter_map(in_memory).collect())
    }

    fn decode<M: ApiMessage>(&self, frame: Bytes, version: i16) -> Result<M> {
        let mut reader = Reader::with_default_budget(frame);
        let malformed = |reason: String| ClientError::Malformed { address: self.address.clone(), reason };
        let id = decode_response_header(&mut reader, M::API_KEY, version)
            .map_err(|error| malformed(error.to_string()))?;
        if id != self.next_id {
            return Err(malformed("an answer to another request".to_string()));
        }
        <M as Message>::decode(&mut reader, version).map_err(|error| malformed(error.to_string()))
    }

    fn reading_failed(&self, error: &io::Error) -> ClientError {
        match error.kind() {
            io::ErrorKind::InvalidData => {
                ClientError::Malformed { address: self.address.clone(), reason: error.to_string() }
            }
            _ => lost(&self.address, error),
        }
    }
}

fn in_memory(part: FramePart) -> Option<Bytes> {
    match part {
        FramePart::Bytes(bytes) => Some(bytes),
        FramePart::File { .. } => None,
    }
}

fn lost(address: &str, reason: impl ToString) -> ClientError {
    ClientError::Lost { address: address.to_string(), reason: reason.to_string() }
}

async fn connect(address: &Address) -> io::Result<Stream> {
    let mut failure = io::Error::other("the name has no address");
    for resolved in net::resolve(&address.host, address.port).await? {
        match timeout(CONNECT_TIME, net::connect(resolved)).await {
            Ok(Ok(stream)) => return Ok(stream),
            Ok(Err(error)) => failure = error,
            Err(late) => failure = io::Error::new(io::ErrorKind::TimedOut, late.to_string()),
        }
    }
    Err(failure)
}

/// The next frame without its size.
async fn read_frame(read: &mut ReadHalf, received: &mut BytesMut) -> io::Result<Bytes> {
    let size = frame_size(read, received).await?;
    received.reserve(size.saturating_sub(received.len()).min(1 << 20));
    while received.len() < size {
        fill(read, received).await?;
    }
    Ok(received.split_to(size).freeze())
}

async fn frame_size(read: &mut ReadHalf, received: &mut BytesMut) -> io::Result<usize> {
    loop {
        if let Some(size) = received.first_chunk::<4>() {
            let size = usize::try_from(i32::from_be_bytes(*size)).unwrap_or(usize::MAX);
            if size > MAX_ANSWER_BYTES {
                return Err(io::Error::new(io::ErrorKind::InvalidData, "an impossible length"));
            }
            let _size = received.split_to(4);
            return Ok(size);
        }
        fill(read, received).await?;
    }
}

async fn fill(read: &mut ReadHalf, received: &mut BytesMut) -> io::Result<()> {
    match read.read(received).await? {
        0 => Err(io::Error::new(io::ErrorKind::UnexpectedEof, "closed by the broker")),
        _ => Ok(()),
    }
}
