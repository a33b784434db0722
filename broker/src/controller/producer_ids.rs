//! Blocks of producer ids, none twice. Never takes one back.

use kring_wire::ErrorCode;
use kring_wire::messages::producer_ids_record::ProducerIdsRecord;

use super::types::{ControllerReply, Outcome, Refused};
use crate::metadata::Image;

/// Ids in a block, as in Kafka.
const BLOCK_SIZE: i64 = 1000;

pub fn allocate(image: &Image, broker_id: i32) -> Outcome {
    let first = image.next_producer_id();
    let Some(next_producer_id) = first.checked_add(BLOCK_SIZE) else {
        let exhausted = Refused::plain(ErrorCode::UNKNOWN_SERVER_ERROR);
        return Outcome { records: Vec::new(), reply: ControllerReply::ProducerIds(Err(exhausted)) };
    };
    let broker_epoch = image.broker(broker_id).map_or(-1, |broker| broker.epoch);
    let record = ProducerIdsRecord { broker_id, broker_epoch, next_producer_id };
    Outcome { records: vec![record.into()], reply: ControllerReply::ProducerIds(Ok(first..next_producer_id)) }
}
