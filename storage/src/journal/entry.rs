//! The bytes of a journal: blocks that begin with their number, and entries that lie back to back in them. All numbers
//! are little-endian. Bytes in, values out; never panics on what a file holds. Any core.

use bytes::Bytes;

use crate::TopicId;
use crate::batch::{BatchInfo, CRC_FROM, HEADER_BYTES};
use crate::checkpoint::LogName;
use crate::types::Offset;

/// "KRINGJ" and the version of the format.
const MAGIC: [u8; 8] = *b"KRINGJ01";
/// Magic, number, checksum of both, padding.
pub(super) const BLOCK_HEADER_BYTES: usize = 32;
/// What comes before the topic's name.
pub(super) const ENTRY_HEADER_BYTES: usize = 48;
/// Entries begin at multiples of it.
pub(super) const ALIGN: usize = 8;

const BATCH: u8 = 1;
const CUT: u8 = 2;

/// Whose entry it is: `LogName` and the id of its topic, zeros where there is none.
#[derive(Clone, Copy)]
pub(crate) struct Owner<'a> {
    pub name: &'a LogName,
    pub topic_id: Option<TopicId>,
}

/// An entry as it was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Entry {
    Batch(KeptBatch),
    /// The log was cut here: what it had from this offset on is gone on purpose.
    Cut(Offset),
}

/// A whole batch whose checksum holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct KeptBatch {
    pub topic_id: Option<TopicId>,
    pub info: BatchInfo,
    /// Header and body.
    pub bytes: Bytes,
}

pub(super) fn entry_bytes(topic: &str, batch_bytes: usize) -> usize {
    (ENTRY_HEADER_BYTES + topic.len() + batch_bytes).next_multiple_of(ALIGN)
}

pub(super) fn block_header(number: u64) -> [u8; BLOCK_HEADER_BYTES] {
    let mut header = [0; BLOCK_HEADER_BYTES];
    header[..8].copy_from_slice(&MAGIC);
    header[8..16].copy_from_slice(&number.to_le_bytes());
    let crc = crc32c::crc32c(&header[..16]);
    header[16..20].copy_from_slice(&crc.to_le_bytes());
    header
}

/// The number of the block, if one begins here.
pub(super) fn block_number(block: &[u8]) -> Option<u64> {
    let number = u64::from_le_bytes(block.get(8..16)?.try_into().ok()?);
    (block.get(..BLOCK_HEADER_BYTES)? == block_header(number)).then_some(number)
}

/// The header of an entry with a batch; `batch` is the batch's own header.
pub(super) fn batch_entry(
    block: u64,
    owner: Owner<'_>,
    info: &BatchInfo,
    batch: &[u8],
) -> [u8; ENTRY_HEADER_BYTES] {
    header(BATCH, block, owner, info.base_offset, (info.bytes, &batch[..HEADER_BYTES]))
}

pub(super) fn cut_entry(block: u64, owner: Owner<'_>, at: Offset) -> [u8; ENTRY_HEADER_BYTES] {
    header(CUT, block, owner, at, (0, &[]))
}

/// The checksum covers this header, the name, and the header of the batch. The batch has one for the rest of it.
fn header(
    kind: u8,
    block: u64,
    owner: Owner<'_>,
    offset: Offset,
    (batch_bytes, batch_header): (u32, &[u8]),
) -> [u8; ENTRY_HEADER_BYTES] {
    let mut out = [0; ENTRY_HEADER_BYTES];
    let topic = owner.name.topic.as_bytes();
    out[4] = kind;
    out[6..8].copy_from_slice(&(topic.len() as u16).to_le_bytes());
    out[8..16].copy_from_slice(&block.to_le_bytes());
    out[16..24].copy_from_slice(&offset.0.to_le_bytes());
    out[24..28].copy_from_slice(&batch_bytes.to_le_bytes());
    out[28..32].copy_from_slice(&owner.name.partition.to_le_bytes());
    out[32..48].copy_from_slice(&owner.topic_id.map_or([0; 16], |id| id.0));
    let crc = checksum(&out, topic, batch_header);
    out[..4].copy_from_slice(&crc.to_le_bytes());
    out
}

fn checksum(header: &[u8], topic: &[u8], batch_header: &[u8]) -> u32 {
    crc32c::crc32c_append(crc32c::crc32c_append(crc32c::crc32c(&header[4..]), topic), batch_header)
}

/// The entry that begins `rest`, which is what is left of block `number`, whose it is, and its length. `None` where
/// there is no whole and sound one: the block ends there.
pub(super) fn parse(number: u64, rest: &Bytes) -> Option<(LogName, Entry, usize)> {
    let header: &[u8; ENTRY_HEADER_BYTES] = rest.first_chunk()?;
    let field = |at: usize| i64::from_le_bytes(header[at..at + 8].try_into().expect("eight bytes"));
    let short = |at: usize| u32::from_le_bytes(header[at..at + 4].try_into().expect("four bytes"));
    if field(8) as u64 != number {
        return None;
    }
    let topic_len = usize::from(u16::from_le_bytes([header[6], header[7]]));
    let (batch_at, batch_bytes) = (ENTRY_HEADER_BYTES + topic_len, short(24) as usize);
    let topic = rest.get(ENTRY_HEADER_BYTES..batch_at)?;
    let end = batch_at.checked_add(batch_bytes).filter(|end| *end <= rest.len())?;
    let batch = rest.slice(batch_at..end);
    let batch_header = &batch[..batch_bytes.min(HEADER_BYTES)];
    if checksum(header, topic, batch_header) != short(0) {
        return None;
    }
    let name = LogName::new(std::str::from_utf8(topic).ok()?, short(28) as i32);
    let topic_id = Some(kring_wire::Uuid(header[32..48].try_into().expect("sixteen bytes")));
    let topic_id = topic_id.filter(|id| !id.is_zero());
    let entry = match header[4] {
        BATCH => Entry::Batch(kept(topic_id, batch)?),
        CUT => Entry::Cut(Offset(field(16))),
        _ => return None,
    };
    Some((name, entry, entry_bytes(std::str::from_utf8(topic).ok()?, batch_bytes)))
}

fn kept(topic_id: Option<TopicId>, bytes: Bytes) -> Option<KeptBatch> {
    let info = BatchInfo::parse(&bytes).ok().filter(|info| info.bytes as usize == bytes.len())?;
    (crc32c::crc32c(&bytes[CRC_FROM..]) == info.header.crc).then_some(KeptBatch { topic_id, info, bytes })
}
