//! CRC-32C of batches: one, a whole request, and a change carried over records that are not reread.
//!
//! Never looks at anything but bytes 21 to the end of each batch. `crc32c` uses the CPU's instruction where
//! there is one.

use bytes::Bytes;

use super::header::{ATTRIBUTES_AT, BatchHeader, HEADER_BYTES, LOG_OVERHEAD_BYTES};

/// Which batches of a request have the CRC they claim.
#[derive(Clone, Debug, Default)]
pub struct CrcSet {
    words: Vec<u64>,
    len: usize,
}

impl CrcSet {
    /// Whether batch `index` is intact. False beyond the end.
    pub fn is_good(&self, index: usize) -> bool {
        index < self.len && self.words[index / 64] >> (index % 64) & 1 == 1
    }

    /// Whether all are intact.
    pub fn all_good(&self) -> bool {
        self.words.iter().map(|word| word.count_ones() as usize).sum::<usize>() == self.len
    }

    fn push(&mut self, good: bool) {
        if self.len.is_multiple_of(64) {
            self.words.push(0);
        }
        self.words[self.len / 64] |= u64::from(good) << (self.len % 64);
        self.len += 1;
    }
}

/// Checks the first batch of each buffer in one pass, in order.
pub fn verify_crcs(batches: &[&Bytes]) -> CrcSet {
    let mut set = CrcSet { words: Vec::with_capacity(batches.len().div_ceil(64)), len: 0 };
    for records in batches {
        set.push(is_intact(records));
    }
    set
}

/// The CRC of a whole batch as its bytes give it (not as its header claims). `None` if it has no header.
pub fn batch_crc(batch: &[u8]) -> Option<u32> {
    (batch.len() >= HEADER_BYTES).then(|| crc32c::crc32c(&batch[ATTRIBUTES_AT..]))
}

fn is_intact(records: &[u8]) -> bool {
    let Some(header) = BatchHeader::parse(records) else { return false };
    let Ok(length) = usize::try_from(header.batch_length) else { return false };
    let whole = records.get(..length + LOG_OVERHEAD_BYTES);
    whole.and_then(batch_crc) == Some(header.crc)
}

/// CRC of the part of a header that the CRC covers.
pub(crate) fn of_header_tail(header: &[u8; HEADER_BYTES]) -> u32 {
    crc32c::crc32c(&header[ATTRIBUTES_AT..])
}

/// CRC of a header's covered part and the records after it.
pub(crate) fn of_parts(header: &[u8; HEADER_BYTES], body: &[u8]) -> u32 {
    crc32c::crc32c_append(of_header_tail(header), body)
}

/// The CRC after the covered header part went from CRC `before` to `after`, with `body_bytes` untouched behind.
pub(crate) fn carry_change(crc: u32, before: u32, after: u32, body_bytes: usize) -> u32 {
    crc ^ crc32c::crc32c_combine(before ^ after, 0, body_bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_carried_change_equals_a_recomputation() {
        for body_bytes in [0usize, 1, 3, 64, 1000, 70_000] {
            let body = vec![0x5a; body_bytes];
            let mut header = [7u8; HEADER_BYTES];
            let before = of_header_tail(&header);
            let crc = of_parts(&header, &body);
            header[40] = 99;
            let carried = carry_change(crc, before, of_header_tail(&header), body_bytes);
            assert_eq!(carried, of_parts(&header, &body), "{body_bytes}");
        }
    }

    #[test]
    fn a_set_remembers_each_place() {
        let mut set = CrcSet::default();
        for index in 0..130 {
            set.push(index % 3 == 0);
        }
        assert!((0..130).all(|index| set.is_good(index) == (index % 3 == 0)));
        assert!(!set.is_good(130));
        assert!(!set.all_good());
    }
}
