//! What the brokers of these tests share: frames in, frames out, and the versions that they offer.

use bytes::{Bytes, BytesMut};
use kring_wire::messages::api_versions_response::{ApiVersion, ApiVersionsResponse};
use kring_wire::{ApiKey, ApiMessage, Reader, encode_response};

/// The first request, once it is there as a whole.
pub fn cut(buffer: &mut BytesMut) -> Option<Reader> {
    let length = i32::from_be_bytes(*buffer.first_chunk()?) as usize;
    (buffer.len() >= 4 + length).then(|| {
        let frame = buffer.split_to(4 + length).freeze();
        Reader::with_default_budget(frame.slice(4..))
    })
}

pub fn frame<M: ApiMessage>(version: i16, correlation: i32, body: &M) -> Bytes {
    encode_response(version, correlation, body).unwrap().into_bytes().unwrap()
}

/// All versions of these.
pub fn versions(keys: &[ApiKey]) -> ApiVersionsResponse {
    let offered = |key: &ApiKey| ApiVersion {
        api_key: key.as_i16(),
        min_version: key.min_version(),
        max_version: key.max_version(),
    };
    ApiVersionsResponse { api_keys: keys.iter().map(offered).collect(), ..Default::default() }
}
