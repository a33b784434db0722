//! InitProducerId for idempotent producers. Transactions are not offered yet: a transactional id is refused.
//! Never gives the same id twice: ids come in blocks that the controller has made durable.

use std::rc::Rc;

use kring_wire::ErrorCode;
use kring_wire::messages::init_producer_id_request::InitProducerIdRequest;
use kring_wire::messages::init_producer_id_response::InitProducerIdResponse;

use super::Client;

pub async fn handle(client: &Rc<Client>, request: InitProducerIdRequest) -> InitProducerIdResponse {
    if is_malformed(&request) {
        return refused(ErrorCode::INVALID_REQUEST);
    }
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

/// An id without its epoch, or the reverse, and a transactional id without a letter.
fn is_malformed(request: &InitProducerIdRequest) -> bool {
    let has_half = (request.producer_id == -1) != (request.producer_epoch == -1);
    has_half || request.transactional_id.as_ref().is_some_and(|id| id.is_empty())
}

fn refused(error: ErrorCode) -> InitProducerIdResponse {
    InitProducerIdResponse {
        error_code: error.into(),
        producer_id: -1,
        producer_epoch: -1,
        ..InitProducerIdResponse::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn half_a_producer_and_an_empty_transactional_id_are_malformed() {
        let asked = |producer_id, producer_epoch, transactional_id: Option<&str>| InitProducerIdRequest {
            producer_id,
            producer_epoch,
            transactional_id: transactional_id.map(Into::into),
            ..Default::default()
        };
        for request in [asked(4, -1, None), asked(-1, 0, None), asked(-1, -1, Some(""))] {
            assert!(is_malformed(&request), "{request:?}");
        }
        for request in [asked(4, 0, None), asked(-1, -1, None), asked(-1, -1, Some("t"))] {
            assert!(!is_malformed(&request), "{request:?}");
        }
    }
}
