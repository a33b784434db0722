//! The first bytes of every record's value: who sent it, its number, and when it was meant to be sent. Pure.
//!
//! | bytes | field |
//! |---|---|
//! | 0–7 | run id, plus the number of the topic |
//! | 8–11 | producer |
//! | 12–19 | number of the record among those of its producer and partition |
//! | 20–27 | intended send time, monotonic ns of this machine since it started |
//!
//! Integers are big-endian.

use kring_runtime::Monotonic;

/// Bytes of a stamp: the smallest record.
pub const STAMP_BYTES: usize = 28;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stamp {
    pub run: u64,
    pub producer: u32,
    pub number: u64,
    pub intended: Monotonic,
}

impl Stamp {
    /// Writes the stamp over the front of `value`.
    pub fn write(&self, value: &mut [u8]) {
        value[0..8].copy_from_slice(&self.run.to_be_bytes());
        value[8..12].copy_from_slice(&self.producer.to_be_bytes());
        value[12..20].copy_from_slice(&self.number.to_be_bytes());
        value[20..28].copy_from_slice(&self.intended.as_nanos().to_be_bytes());
    }

    /// `None` when `value` is too short for a stamp.
    pub fn read(value: &[u8]) -> Option<Stamp> {
        let (run, rest) = value.split_first_chunk()?;
        let (producer, rest) = rest.split_first_chunk()?;
        let (number, rest) = rest.split_first_chunk()?;
        let (intended, _) = rest.split_first_chunk()?;
        Some(Stamp {
            run: u64::from_be_bytes(*run),
            producer: u32::from_be_bytes(*producer),
            number: u64::from_be_bytes(*number),
            intended: Monotonic::from_nanos(u64::from_be_bytes(*intended)),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stamp_reads_back_and_a_short_value_has_none() {
        let stamp = Stamp { run: 7, producer: 9, number: u64::MAX, intended: Monotonic::from_nanos(5) };
        let mut value = [0xaa; 40];
        stamp.write(&mut value);
        assert_eq!(Stamp::read(&value), Some(stamp));
        assert_eq!(value[STAMP_BYTES..], [0xaa; 12]);
        assert_eq!(Stamp::read(&value[..STAMP_BYTES - 1]), None);
    }
}
