//! gzip, through flate2 on zlib-rs: inflate and deflate without C.

use std::io::{Read, Write};

use flate2::bufread::MultiGzDecoder;
use flate2::write::GzEncoder;

use super::CompressError;
use crate::record::error::RecordError;

/// zlib's own default, 6.
pub(super) const DEFAULT_LEVEL: i32 = -1;

pub(crate) struct Decoder<'a> {
    inner: Box<MultiGzDecoder<&'a [u8]>>,
}

impl<'a> Decoder<'a> {
    pub(super) fn new(body: &'a [u8]) -> Self {
        Decoder { inner: Box::new(MultiGzDecoder::new(body)) }
    }

    pub(super) fn read(&mut self, out: &mut [u8]) -> Result<usize, RecordError> {
        self.inner.read(out).map_err(|_| RecordError::Undecodable { codec: "gzip", what: "bad stream" })
    }
}

pub(super) fn compress(plain: &[u8], level: i32) -> Result<Vec<u8>, CompressError> {
    let level = match level {
        DEFAULT_LEVEL => flate2::Compression::default(),
        level => flate2::Compression::new(level.clamp(1, 9) as u32),
    };
    let mut encoder = GzEncoder::new(Vec::with_capacity(plain.len() / 2), level);
    let written = encoder.write_all(plain).and_then(|()| encoder.finish());
    written.map_err(|_| CompressError { codec: "gzip" })
}
