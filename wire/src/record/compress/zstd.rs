//! zstd, through the reference library. Its decoding context is reused from batch to batch.

use zstd_safe::{CCtx, CParameter, DCtx, DParameter, InBuffer, OutBuffer, ResetDirective};

use super::CompressError;
use crate::record::error::RecordError;

pub(super) const DEFAULT_LEVEL: i32 = 3;
const LEVELS: std::ops::RangeInclusive<i32> = -131_072..=22;
/// The format's own default limits of a decoder's window.
const WINDOW_LOGS: std::ops::RangeInclusive<u32> = 10..=27;

/// A context that grew beyond this for one frame's window is not kept.
const MAX_KEPT_BYTES: usize = 9 << 20;

/// A decoding context, made on first use.
#[derive(Default)]
pub(super) struct Context {
    inner: Option<DCtx<'static>>,
}

impl Context {
    pub(super) fn trim(&mut self) {
        if self.inner.as_ref().is_some_and(|context| context.sizeof() > MAX_KEPT_BYTES) {
            self.inner = None;
        }
    }
}

pub(crate) struct Decoder<'a> {
    context: &'a mut DCtx<'static>,
    body: &'a [u8],
    read: usize,
    /// Whether the frame being read has ended (or none has begun).
    at_frame_end: bool,
}

fn undecodable(what: &'static str) -> RecordError {
    RecordError::Undecodable { codec: "zstd", what }
}

impl<'a> Decoder<'a> {
    /// The window is bounded by the limit on decoded bytes, so that a header cannot make us allocate more.
    pub(super) fn new(
        body: &'a [u8],
        max_decoded: u64,
        context: &'a mut Context,
    ) -> Result<Self, RecordError> {
        if context.inner.is_none() {
            context.inner = DCtx::try_create();
        }
        let context = context.inner.as_mut().ok_or(undecodable("out of memory"))?;
        let window_log = (64 - max_decoded.leading_zeros()).clamp(*WINDOW_LOGS.start(), *WINDOW_LOGS.end());
        let reset = context.reset(ResetDirective::SessionOnly);
        reset
            .and_then(|_| context.set_parameter(DParameter::WindowLogMax(window_log)))
            .map_err(|_| undecodable("context"))?;
        Ok(Decoder { context, body, read: 0, at_frame_end: true })
    }

    pub(super) fn read(&mut self, out: &mut [u8]) -> Result<usize, RecordError> {
        let mut output = OutBuffer::around(out);
        let mut input = InBuffer { src: self.body, pos: self.read };
        while output.pos() == 0 {
            if self.at_frame_end && input.pos == self.body.len() {
                return Ok(0);
            }
            let before = input.pos;
            let hint = self.context.decompress_stream(&mut output, &mut input);
            self.at_frame_end = hint.map_err(|_| undecodable("bad frame"))? == 0;
            if output.pos() == 0 && input.pos == before && !self.at_frame_end {
                return Err(undecodable("cut off"));
            }
        }
        self.read = input.pos;
        Ok(output.pos())
    }
}

pub(super) fn compress(plain: &[u8], level: i32) -> Result<Vec<u8>, CompressError> {
    let failed = |_| CompressError { codec: "zstd" };
    let mut context = CCtx::try_create().ok_or(CompressError { codec: "zstd" })?;
    let level = level.clamp(*LEVELS.start(), *LEVELS.end());
    context.set_parameter(CParameter::CompressionLevel(level)).map_err(failed)?;
    let mut out = Vec::with_capacity(zstd_safe::compress_bound(plain.len()));
    context.compress2(&mut out, plain).map_err(failed)?;
    out.shrink_to_fit();
    Ok(out)
}
