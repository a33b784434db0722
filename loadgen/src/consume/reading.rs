//! What a fetch answer brought: batches are counted, records of this run are measured and verified. Does no I/O.

use bytes::Bytes;
use kring_runtime::Monotonic;
use kring_wire::ErrorCode;
use kring_wire::messages::fetch_response::PartitionData;
use kring_wire::record::{RecordsIter, split_batches};

use super::role::{Cursor, Role};
use super::{Consumer, REFUSED_PAUSE};
use crate::client::ClientError;
use crate::measure::Measure;
use crate::settings::Acks;
use crate::stamp::Stamp;
use crate::stats::Amount;
use crate::verify::Stream;

const MAX_BATCH_BYTES: u64 = 256 << 20;

impl Consumer {
    pub(super) fn partition(
        &mut self,
        topic: &str,
        data: PartitionData,
        at: Monotonic,
    ) -> Result<Amount, ClientError> {
        let slot = self.slot(topic, data.partition_index)?;
        let code = ErrorCode(data.error_code);
        if code.is_err() {
            let title = self.plan.topics.layout.title(self.cursors[slot].partition);
            self.cursors[slot].not_before = at + REFUSED_PAUSE;
            return Err(ClientError::refused(title, code));
        }
        let records = data.records.as_ref().and_then(|records| records.as_bytes()).cloned();
        self.cursors[slot].high_watermark = data.high_watermark;
        self.batches(slot, records.unwrap_or_default(), at)
    }

    /// The cursor of what an answer names.
    fn slot(&self, topic: &str, index: i32) -> Result<usize, ClientError> {
        let found = self.plan.topics.layout.find(topic, index);
        let slot = self.cursors.iter().position(|cursor| found == Some(cursor.partition));
        slot.ok_or_else(|| ClientError::Missing(format!("what was asked, but of {index} of {topic}")))
    }

    fn batches(&mut self, slot: usize, records: Bytes, at: Monotonic) -> Result<Amount, ClientError> {
        let mut amount = Amount::default();
        for batch in split_batches(&records) {
            let batch = batch?;
            let Cursor { partition, position, .. } = self.cursors[slot];
            if batch.header.last_offset() < position {
                continue;
            }
            amount.batch_bytes += batch.bytes.len() as u64;
            amount.records += u64::from(batch.header.record_count.max(0).unsigned_abs());
            if self.role == Role::Tail && !batch.header.is_control() {
                if self.counters.verify {
                    batch.check_crc()?;
                }
                amount.content_bytes +=
                    self.records(partition, position, batch.records(MAX_BATCH_BYTES)?, at)?;
            }
            self.cursors[slot].position = batch.header.last_offset() + 1;
        }
        Ok(amount)
    }

    /// Returns how many bytes of keys and values there were.
    fn records(
        &self,
        partition: i32,
        position: i64,
        mut records: RecordsIter,
        at: Monotonic,
    ) -> Result<u64, ClientError> {
        let mut content_bytes = 0;
        while let Some(record) = records.next_ref() {
            let record = record?;
            let value = record.value.unwrap_or_default();
            content_bytes += (record.key.map_or(0, <[u8]>::len) + value.len()) as u64;
            if let Some(stamp) = Stamp::read(value).filter(|_| record.offset >= position) {
                self.arrived(partition, &stamp, value, at);
            }
        }
        Ok(content_bytes)
    }

    /// Records of other runs are nobody's business here; one that was sent to another topic is not what was sent to
    /// this one.
    fn arrived(&self, partition: i32, stamp: &Stamp, value: &[u8], at: Monotonic) {
        let here = self.plan.topics.layout.place(partition).topic;
        match self.plan.sent_to(stamp.run) {
            Some(topic) if topic == here => self.received(partition, stamp, value, at),
            Some(_) if self.counters.verify => self.counters.local.arrivals.borrow_mut().changed(),
            Some(_) | None => {}
        }
    }

    fn received(&self, partition: i32, stamp: &Stamp, value: &[u8], at: Monotonic) {
        let local = &self.counters.local;
        local.lasted(&Measure::Received, stamp.intended, at);
        if self.plan.settings.acks == Acks::None {
            self.counters.shared.returned(1);
        }
        if self.counters.verify {
            let mut arrivals = local.arrivals.borrow_mut();
            arrivals.arrived(Stream { producer: stamp.producer, partition }, stamp.number);
            if !self.payload.is_unchanged(partition, stamp, value) {
                arrivals.changed();
            }
        }
    }
}
