//! The APIs by number: which versions Kafka gives them, which headers go before them, and whole frames.
//! What a broker advertises is the broker's business.

use std::fmt;
use std::ops::RangeInclusive;

use crate::codec::{Frame, Message, Reader, Writer};
use crate::error::{DecodeError, EncodeError};
use crate::messages::request_header::RequestHeader;
use crate::messages::response_header::ResponseHeader;

include!(concat!(env!("OUT_DIR"), "/api_keys.rs"));

/// What the schema says about one API.
struct ApiEntry {
    key: ApiKey,
    name: &'static str,
    min_version: i16,
    max_version: i16,
    request_flexible_from: i16,
    response_flexible_from: i16,
    latest_version_unstable: bool,
    on_broker: bool,
    on_controller: bool,
}

/// A request or a response.
pub trait ApiMessage: Message {
    const API_KEY: ApiKey;
}

/// A request, with the type of its answer.
pub trait Request: ApiMessage {
    type Response: ApiMessage;
}

impl ApiKey {
    /// Every API that has a number, those without any version left included.
    pub fn all() -> impl Iterator<Item = Self> {
        APIS.iter().map(|entry| entry.key)
    }

    pub fn from_i16(key: i16) -> Option<Self> {
        let index = usize::try_from(key).ok()?;
        APIS.get(index).map(|entry| entry.key)
    }

    pub fn as_i16(self) -> i16 {
        self as i16
    }

    /// Kafka's name without `Request`.
    pub fn name(self) -> &'static str {
        self.entry().name
    }

    /// Versions of Kafka's schema; empty for the APIs that Kafka 4 removed.
    pub fn versions(self) -> RangeInclusive<i16> {
        self.min_version()..=self.max_version()
    }

    pub fn min_version(self) -> i16 {
        self.entry().min_version
    }

    /// Below `min_version` for the APIs that Kafka 4 removed.
    pub fn max_version(self) -> i16 {
        self.entry().max_version
    }

    /// Whether Kafka offers `max_version` only when unstable APIs are switched on.
    pub fn is_latest_version_unstable(self) -> bool {
        self.entry().latest_version_unstable
    }

    /// The highest version that Kafka offers as it ships.
    pub fn max_stable_version(self) -> i16 {
        self.max_version() - i16::from(self.is_latest_version_unstable())
    }

    /// Whether Kafka's broker listener takes it.
    pub fn is_on_broker(self) -> bool {
        self.entry().on_broker
    }

    /// Whether Kafka's controller listener takes it.
    pub fn is_on_controller(self) -> bool {
        self.entry().on_controller
    }

    /// 2 (with tagged fields) from the first flexible version on, 1 before.
    pub fn request_header_version(self, version: i16) -> i16 {
        if version >= self.entry().request_flexible_from { 2 } else { 1 }
    }

    /// 1 (with tagged fields) from the first flexible version on, 0 before. Always 0 for ApiVersions: a client
    /// must read that answer before it knows what the broker speaks (KIP-511).
    pub fn response_header_version(self, version: i16) -> i16 {
        let flexible = version >= self.entry().response_flexible_from && self != Self::ApiVersions;
        i16::from(flexible)
    }

    fn entry(self) -> &'static ApiEntry {
        &APIS[self as usize]
    }
}

impl fmt::Display for ApiKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// Reads the header of a request whose body follows in `r`. A version that the API does not have is not an
/// error here: ApiVersions answers it.
pub fn decode_request_header(r: &mut Reader) -> Result<(ApiKey, RequestHeader), DecodeError> {
    let number = r.peek_i16(0)?;
    let key = ApiKey::from_i16(number).ok_or(DecodeError::UnknownApiKey(number))?;
    let header = RequestHeader::decode(r, key.request_header_version(r.peek_i16(2)?))?;
    Ok((key, header))
}

/// Reads the header of a response to a request of this API and version; the body follows in `r`.
pub fn decode_response_header(r: &mut Reader, key: ApiKey, version: i16) -> Result<i32, DecodeError> {
    let header = ResponseHeader::decode(r, key.response_header_version(version))?;
    Ok(header.correlation_id)
}

/// A whole response: size, header, body. The size counts file ranges too.
pub fn encode_response<M: ApiMessage>(
    version: i16,
    correlation_id: i32,
    body: &M,
) -> Result<Frame, EncodeError> {
    let header = ResponseHeader { correlation_id };
    encode_frame(&header, M::API_KEY.response_header_version(version), body, version)
}

/// A whole request: size, header, body.
pub fn encode_request<M: ApiMessage>(
    version: i16,
    correlation_id: i32,
    client_id: Option<crate::Str>,
    body: &M,
) -> Result<Frame, EncodeError> {
    let header = RequestHeader {
        request_api_key: M::API_KEY.as_i16(),
        request_api_version: version,
        correlation_id,
        client_id,
    };
    encode_frame(&header, M::API_KEY.request_header_version(version), body, version)
}

fn encode_frame(
    header: &impl Message,
    header_version: i16,
    body: &impl Message,
    version: i16,
) -> Result<Frame, EncodeError> {
    let mut counter = Writer::counting();
    header.encode(&mut counter, header_version)?;
    body.encode(&mut counter, version)?;
    let size = i32::try_from(counter.len()).map_err(|_| EncodeError::TooLong(counter.len()))?;
    let mut w = Writer::with_capacity(size_of::<i32>() + counter.copied_len());
    w.put_i32(size);
    header.encode(&mut w, header_version)?;
    body.encode(&mut w, version)?;
    debug_assert_eq!(w.len(), size_of::<i32>() + counter.len());
    Ok(w.into_frame())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::messages::api_versions_response::ApiVersionsResponse;
    use crate::messages::fetch_request::FetchRequest;
    use crate::messages::fetch_response::{FetchResponse, FetchableTopicResponse, PartitionData};
    use crate::{FramePart, Records, RecordsPart, Str};

    #[test]
    fn numbers_and_keys_agree() {
        for (key, number) in ApiKey::all().zip(0i16..) {
            assert_eq!(key.as_i16(), number);
            assert_eq!(ApiKey::from_i16(number), Some(key));
        }
        assert_eq!(ApiKey::all().count(), 93);
        assert_eq!((ApiKey::from_i16(-1), ApiKey::from_i16(93)), (None, None));
    }

    #[test]
    fn versions_are_those_of_kafka_4_3() {
        assert_eq!(ApiKey::Produce.versions(), 3..=13);
        assert_eq!(ApiKey::Fetch.versions(), 4..=18);
        assert!(ApiKey::LeaderAndIsr.versions().is_empty());
        assert_eq!(
            (ApiKey::InitProducerId.max_version(), ApiKey::InitProducerId.max_stable_version()),
            (6, 5)
        );
        assert!(ApiKey::Vote.is_on_controller());
        assert!(!ApiKey::Vote.is_on_broker());
    }

    #[test]
    fn header_versions_follow_flexibility_except_for_api_versions() {
        assert_eq!(ApiKey::Fetch.request_header_version(11), 1);
        assert_eq!(ApiKey::Fetch.request_header_version(12), 2);
        assert_eq!(ApiKey::Fetch.response_header_version(12), 1);
        assert_eq!(ApiKey::ApiVersions.request_header_version(4), 2);
        assert_eq!(ApiKey::ApiVersions.response_header_version(4), 0);
        assert_eq!(ApiKey::SaslHandshake.request_header_version(1), 1);
    }

    #[test]
    fn a_request_frame_reads_back() {
        let request = FetchRequest { max_wait_ms: 7, ..FetchRequest::default() };
        let frame = encode_request(18, 42, Some(Str::from("me")), &request).unwrap();
        let mut r = Reader::with_default_budget(frame.into_bytes().unwrap());
        assert_eq!(r.get_i32().unwrap() as usize, r.remaining());
        let (key, header) = decode_request_header(&mut r).unwrap();
        assert_eq!((key, header.request_api_version, header.correlation_id), (ApiKey::Fetch, 18, 42));
        assert_eq!(header.client_id.as_deref(), Some("me"));
        assert_eq!(FetchRequest::decode(&mut r, 18), Ok(request));
        assert_eq!(r.finish(), Ok(()));
    }

    #[test]
    fn the_size_of_a_response_counts_its_file_ranges() {
        let records = Records::Parts(vec![RecordsPart::File { slot: 1, len: 5_000_000 }]);
        let partition = PartitionData { records: Some(records), ..PartitionData::default() };
        let topic = FetchableTopicResponse { partitions: vec![partition], ..Default::default() };
        let response = FetchResponse { responses: vec![topic], ..FetchResponse::default() };
        let frame = encode_response(16, 1, &response).unwrap();
        let FramePart::Bytes(head) = &frame.parts[0] else { panic!("bytes first") };
        let size = i32::from_be_bytes(*head.first_chunk().unwrap());
        assert_eq!(frame.len(), 4 + size as u64);
        assert_eq!(frame.parts[1], FramePart::File { slot: 1, len: 5_000_000 });
    }

    #[test]
    fn api_versions_answers_have_the_plain_header() {
        let frame = encode_response(3, 9, &ApiVersionsResponse::default()).unwrap();
        let mut r = Reader::with_default_budget(frame.into_bytes().unwrap());
        r.get_i32().unwrap();
        assert_eq!(decode_response_header(&mut r, ApiKey::ApiVersions, 3), Ok(9));
        assert!(ApiVersionsResponse::decode(&mut r, 3).is_ok());
        assert_eq!(r.finish(), Ok(()));
    }
}
