//! InitProducerId for idempotent producers. Transactions are not offered yet: a transactional id is refused.
//! Never gives the same id twice: ids come in blocks that the controller has made durable.

use std::rc::Rc;

use kring_wire::ErrorCode;
use kring_wire::messages::init_producer_id_request::InitProducerIdRequest;
use kring_wire::messages::init_producer_id_response::InitProducerIdResponse;

use super::Client;

pub async fn handle(client: &Rc<Client>, request: InitProducerIdRequest) -> InitProducerIdResponse {
    match request.transactional_id {
        Some(_) => refused(ErrorCode::UNSUPPORTED_VERSION),
        None => match client.shard.next_producer_id().await {
            Ok(producer_id) => {
                InitProducerIdResponse { producer_id, producer_epoch: 0, ..Default::default() }
            }
            Err(refusal) => refused(refusal.code),
        },
    }
}

fn refused(error: ErrorCode) -> InitProducerIdResponse {
    InitProducerIdResponse {
        error_code: error.into(),
        producer_id: -1,
        producer_epoch: -1,
        ..InitProducerIdResponse::default()
    }
}
