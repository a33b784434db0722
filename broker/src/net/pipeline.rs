//! The requests of one connection that wait for the disk together, and their answers in request order. A request's
//! memory is given back when its answer is there.
//! Never reads or writes a socket. Lives on the core that accepted the connection.

use std::collections::VecDeque;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use futures_util::stream::{FuturesOrdered, StreamExt};

use super::memory::RequestPermit;
use crate::api::{PeerFault, Pending, Response};

/// Produce requests of one connection that may wait for the disk together.
const MAX_REQUESTS: usize = 64;
/// Nothing more is read while this many bytes of them wait: a slow disk slows its producers down.
const MAX_BYTES: usize = 16 << 20;

type Answer = Result<Response, PeerFault>;

#[derive(Default)]
pub(super) struct Pipeline {
    waiting: FuturesOrdered<Holding>,
    /// The size of each request.
    bytes: VecDeque<usize>,
}

/// A request that holds its memory until it is answered.
struct Holding {
    pending: Pending,
    permit: Option<RequestPermit>,
}

impl Pipeline {
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    pub fn has_room(&self) -> bool {
        self.bytes.len() < MAX_REQUESTS && self.bytes() < MAX_BYTES
    }

    /// What the requests took together.
    pub fn bytes(&self) -> usize {
        self.bytes.iter().sum()
    }

    pub fn push(&mut self, pending: Pending, permit: RequestPermit, bytes: usize) {
        self.waiting.push_back(Holding { pending, permit: Some(permit) });
        self.bytes.push_back(bytes);
    }

    /// The answer to the oldest request.
    ///
    /// # Panics
    /// When there is none.
    pub async fn next(&mut self) -> Answer {
        let answer = self.waiting.next().await.expect("called with requests in flight only");
        self.bytes.pop_front();
        answer
    }
}

impl Future for Holding {
    type Output = Answer;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Answer> {
        let answer = ready!(self.pending.as_mut().poll(cx));
        self.permit = None;
        Poll::Ready(answer)
    }
}
