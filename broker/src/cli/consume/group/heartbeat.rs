//! Keeps a member alive from a connection of its own, so that a slow reader of the output does not cost the
//! membership. Ends when the group must be joined again.

use std::time::Duration;

use kring_runtime::sleep;
use kring_wire::ErrorCode;
use kring_wire::messages::heartbeat_request::HeartbeatRequest;

use crate::cli::client::server::Address;
use crate::cli::client::{Connection, Result};

const BEAT: Duration = Duration::from_secs(3);
/// So many beats fit into the session.
const FAILURES_UNTIL_LOST: u32 = 3;

pub(super) async fn beat(coordinator: Address, request: HeartbeatRequest) {
    let mut connection = None;
    let mut failures = 0;
    while failures < FAILURES_UNTIL_LOST {
        sleep(BEAT).await;
        match beat_once(&mut connection, &coordinator, &request).await {
            Ok(ErrorCode::NONE) => failures = 0,
            Ok(_refused) => return,
            Err(_passing) => failures += 1,
        }
    }
}

async fn beat_once(
    connection: &mut Option<Connection>,
    coordinator: &Address,
    request: &HeartbeatRequest,
) -> Result<ErrorCode> {
    let mut open = match connection.take() {
        Some(open) => open,
        None => Connection::open(coordinator).await?,
    };
    let answer = open.ask(BEAT, i16::MAX, |_| request.clone()).await?;
    *connection = Some(open);
    Ok(ErrorCode(answer.error_code))
}
