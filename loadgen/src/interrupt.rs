//! The wish of the operator to end a run early. What was measured until then is a result.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::task::Poll;

use kring_runtime::signal;

use crate::client::ClientError;

/// `future`, unless `other` ends before it.
pub async fn unless<F: Future>(future: F, other: impl Future) -> Option<F::Output> {
    let (mut future, mut other) = (pin!(future), pin!(other));
    poll_fn(|cx| {
        if let Poll::Ready(output) = future.as_mut().poll(cx) {
            return Poll::Ready(Some(output));
        }
        other.as_mut().poll(cx).map(|_| None)
    })
    .await
}

/// What comes before a run has no result when it is interrupted.
pub async fn unless_interrupted<T>(
    preparing: impl Future<Output = Result<T, ClientError>>,
) -> Result<T, ClientError> {
    unless(preparing, signal::shutdown()).await.unwrap_or(Err(ClientError::Interrupted))
}
