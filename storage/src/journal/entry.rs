//! The bytes of a journal: blocks that begin with their number, and entries that lie back to back in them. All numbers
//! are little-endian. Bytes in, values out; never panics on what a file holds. Any core.

use bytes::Bytes;

use crate::TopicId;
use crate::batch::{BatchInfo, CRC_FROM, HEADER_BYTES};
use crate::checkpoint::LogName;

/// "KRINGJ" and the version of the format.
const MAGIC: [u8; 8] = *b"KRINGJ01";
/// Magic, number, checksum of both, padding.
pub(super) const BLOCK_HEADER_BYTES: usize = 32;
/// What comes before the topic's name.
pub(super) const ENTRY_HEADER_BYTES: usize = 56;
/// Entries begin at multiples of it.
pub(super) const ALIGN: usize = 8;

/// The only kind of entry.
const BATCH: u8 = 1;

/// Whose entry it is: `LogName` and the id of its topic, zeros where there is none.
#[derive(Clone, Copy)]
pub(crate) struct Owner<'a> {
    pub name: &'a LogName,
    pub topic_id: Option<TopicId>,
}

/// A whole batch whose checksum holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct KeptBatch {
    pub topic_id: Option<TopicId>,
    /// Checksum of the batch before it in its log; 0 where that was not known.
    pub previous_crc: u32,
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

/// The header of an entry; `batch` begins with the batch's own header. The checksum covers this header, the name, and
/// the header of the batch. The batch has one for the rest of it.
pub(super) fn header(
    block: u64,
    owner: Owner<'_>,
    previous_crc: u32,
    info: &BatchInfo,
    batch: &[u8],
) -> [u8; ENTRY_HEADER_BYTES] {
    let mut out = [0; ENTRY_HEADER_BYTES];
    let topic = owner.name.topic.as_bytes();
    out[4] = BATCH;
    out[6..8].copy_from_slice(&(topic.len() as u16).to_le_bytes());
    out[8..16].copy_from_slice(&block.to_le_bytes());
    out[16..24].copy_from_slice(&info.base_offset.0.to_le_bytes());
    out[24..28].copy_from_slice(&info.bytes.to_le_bytes());
    out[28..32].copy_from_slice(&owner.name.partition.to_le_bytes());
    out[32..48].copy_from_slice(&owner.topic_id.map_or([0; 16], |id| id.0));
    out[48..52].copy_from_slice(&previous_crc.to_le_bytes());
    let crc = checksum(&out, topic, &batch[..HEADER_BYTES]);
    out[..4].copy_from_slice(&crc.to_le_bytes());
    out
}

/// An entry that a client makes of what it knows, for a block with this number.
#[cfg(test)]
pub(crate) fn forged(number: u64, name: &LogName, batch: &crate::batch::LogBatch) -> Vec<u8> {
    let info = BatchInfo::parse(&batch.header).expect("a sound header");
    let header = header(number, Owner { name, topic_id: None }, 0, &info, &batch.header);
    [&header[..], name.topic.as_bytes(), &batch.header, &batch.body].concat()
}

fn checksum(header: &[u8], topic: &[u8], batch_header: &[u8]) -> u32 {
    crc32c::crc32c_append(crc32c::crc32c_append(crc32c::crc32c(&header[4..]), topic), batch_header)
}

/// The entry that begins `rest`, which is what is left of block `number`: whose it is, the batch, and the entry's length.
/// `None` where there is no whole and sound one: the block ends there.
pub(super) fn parse(number: u64, rest: &Bytes) -> Option<(LogName, KeptBatch, usize)> {
    let header: &[u8; ENTRY_HEADER_BYTES] = rest.first_chunk()?;
    let short = |at: usize| u32::from_le_bytes(header[at..at + 4].try_into().expect("four bytes"));
    let block = u64::from_le_bytes(header[8..16].try_into().expect("eight bytes"));
    if (header[4], block) != (BATCH, number) {
        return None;
    }
    let batch_at = ENTRY_HEADER_BYTES + usize::from(u16::from_le_bytes([header[6], header[7]]));
    let topic = rest.get(ENTRY_HEADER_BYTES..batch_at)?;
    let end = batch_at.checked_add(short(24) as usize).filter(|end| *end <= rest.len())?;
    let batch = rest.slice(batch_at..end);
    if checksum(header, topic, batch.get(..HEADER_BYTES)?) != short(0) {
        return None;
    }
    let topic = std::str::from_utf8(topic).ok()?;
    let topic_id = kring_wire::Uuid(header[32..48].try_into().expect("sixteen bytes"));
    let topic_id = Some(topic_id).filter(|id| !id.is_zero());
    let bytes = entry_bytes(topic, batch.len());
    Some((LogName::new(topic, short(28) as i32), kept(topic_id, short(48), batch)?, bytes))
}

fn kept(topic_id: Option<TopicId>, previous_crc: u32, bytes: Bytes) -> Option<KeptBatch> {
    let info = BatchInfo::parse(&bytes).ok().filter(|info| info.bytes as usize == bytes.len())?;
    let is_sound = crc32c::crc32c(&bytes[CRC_FROM..]) == info.header.crc;
    is_sound.then_some(KeptBatch { topic_id, previous_crc, info, bytes })
}
