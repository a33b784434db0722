//! Values and notifications between shards, and between shards and other threads.
//!
//! A shard never awaits a send to a shard that may be awaiting one to it: two full channels then wait for each other
//! for ever. The task that drains a channel uses `try_send` and keeps what does not fit.
//!
//! Waking a parked shard costs about as much as a system call; a busy shard sees a message when it next looks for
//! events, after its running queue is empty or its turn is over.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use event_listener::EventListener;

/// The other side is gone; the value comes back.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct SendError<T>(pub T);

/// The value was not taken; it comes back.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum TrySendError<T> {
    Full(T),
    Closed(T),
}

/// All senders are gone and nothing is left.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct RecvError;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum TryRecvError {
    Empty,
    Closed,
}

/// Also of values that have no `Debug`, so that these errors can be unwrapped.
impl<T> fmt::Debug for SendError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SendError(..)")
    }
}

impl<T> fmt::Debug for TrySendError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Full(_) => "Full(..)",
            Self::Closed(_) => "Closed(..)",
        })
    }
}

impl<T> fmt::Debug for Sender<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Sender({} waiting)", self.len())
    }
}

impl<T> fmt::Debug for Receiver<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Receiver({} waiting)", self.len())
    }
}

impl<T> fmt::Debug for ReplySender<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ReplySender")
    }
}

impl<T> fmt::Debug for ReplyReceiver<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ReplyReceiver")
    }
}

impl fmt::Debug for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Event")
    }
}

impl fmt::Display for RecvError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the other side is gone")
    }
}

impl std::error::Error for RecvError {}

/// The sending end of [`bounded`]. Clones send to the same receiver.
pub struct Sender<T>(async_channel::Sender<T>);

/// The receiving end of [`bounded`]. Clones share the values: each is received once.
pub struct Receiver<T>(async_channel::Receiver<T>);

/// A first-in first-out channel of at most `capacity` values. Works across threads.
pub fn bounded<T>(capacity: usize) -> (Sender<T>, Receiver<T>) {
    let (sender, receiver) = async_channel::bounded(capacity);
    (Sender(sender), Receiver(receiver))
}

impl<T> Clone for Sender<T> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<T> Clone for Receiver<T> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<T> Sender<T> {
    /// Waits for room. Never call this on the task that drains a channel the receiver sends to.
    pub async fn send(&self, value: T) -> Result<(), SendError<T>> {
        self.0.send(value).await.map_err(|error| SendError(error.0))
    }

    pub fn try_send(&self, value: T) -> Result<(), TrySendError<T>> {
        self.0.try_send(value).map_err(|error| match error {
            async_channel::TrySendError::Full(value) => TrySendError::Full(value),
            async_channel::TrySendError::Closed(value) => TrySendError::Closed(value),
        })
    }

    /// Values waiting to be received.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether nobody will receive.
    pub fn is_closed(&self) -> bool {
        self.0.is_closed()
    }

    /// Refuses further values; those inside are still received.
    pub fn close(&self) {
        self.0.close();
    }
}

impl<T> Receiver<T> {
    pub async fn recv(&self) -> Result<T, RecvError> {
        self.0.recv().await.map_err(|_closed| RecvError)
    }

    pub fn try_recv(&self) -> Result<T, TryRecvError> {
        self.0.try_recv().map_err(|error| match error {
            async_channel::TryRecvError::Empty => TryRecvError::Empty,
            async_channel::TryRecvError::Closed => TryRecvError::Closed,
        })
    }

    pub fn len(&self) -> usize {
        self.0.len()
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Refuses further values; those inside are still received.
    pub fn close(&self) {
        self.0.close();
    }
}

struct Slot<T> {
    state: Mutex<SlotState<T>>,
}

struct SlotState<T> {
    value: Option<T>,
    waiter: Option<Waker>,
    sender_gone: bool,
    receiver_gone: bool,
}

impl<T> Slot<T> {
    /// The state stays whole whatever panics around it: no code of others runs under the lock.
    fn lock(&self) -> MutexGuard<'_, SlotState<T>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The sending end of [`oneshot`].
pub struct ReplySender<T>(Arc<Slot<T>>);

/// The receiving end of [`oneshot`]: itself a future.
pub struct ReplyReceiver<T>(Arc<Slot<T>>);

/// A channel for one value: the way back of a command. Works across threads.
pub fn oneshot<T>() -> (ReplySender<T>, ReplyReceiver<T>) {
    let state = SlotState { value: None, waiter: None, sender_gone: false, receiver_gone: false };
    let slot = Arc::new(Slot { state: Mutex::new(state) });
    (ReplySender(slot.clone()), ReplyReceiver(slot))
}

impl<T> ReplySender<T> {
    /// Hands the value over; gives it back when the receiver is gone.
    pub fn send(self, value: T) -> Result<(), SendError<T>> {
        let waiter = {
            let mut state = self.0.lock();
            if state.receiver_gone {
                return Err(SendError(value));
            }
            state.value = Some(value);
            state.waiter.take()
        };
        if let Some(waiter) = waiter {
            waiter.wake();
        }
        Ok(())
    }

    /// Whether nobody waits any more.
    pub fn is_closed(&self) -> bool {
        self.0.lock().receiver_gone
    }
}

impl<T> Drop for ReplySender<T> {
    fn drop(&mut self) {
        let waiter = {
            let mut state = self.0.lock();
            state.sender_gone = true;
            state.waiter.take()
        };
        if let Some(waiter) = waiter {
            waiter.wake();
        }
    }
}

impl<T> ReplyReceiver<T> {
    /// The value, or an error when the sender was dropped without one.
    pub async fn recv(self) -> Result<T, RecvError> {
        self.await
    }

    /// The value if it is there.
    pub fn try_recv(&mut self) -> Result<T, TryRecvError> {
        let mut state = self.0.lock();
        match state.value.take() {
            Some(value) => Ok(value),
            None if state.sender_gone => Err(TryRecvError::Closed),
            None => Err(TryRecvError::Empty),
        }
    }
}

impl<T> Future for ReplyReceiver<T> {
    type Output = Result<T, RecvError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut state = self.0.lock();
        if let Some(value) = state.value.take() {
            return Poll::Ready(Ok(value));
        }
        if state.sender_gone {
            return Poll::Ready(Err(RecvError));
        }
        let old = state.waiter.replace(cx.waker().clone());
        drop(state);
        drop(old);
        Poll::Pending
    }
}

impl<T> Drop for ReplyReceiver<T> {
    fn drop(&mut self) {
        let mut state = self.0.lock();
        state.receiver_gone = true;
        let left = (state.value.take(), state.waiter.take());
        drop(state);
        drop(left);
    }
}

/// Notifies every waiter on every thread. Listen first, then look at the condition, then wait: a notification
/// between the look and the wait is not lost.
#[derive(Clone, Default)]
pub struct Event(Arc<event_listener::Event>);

impl Event {
    pub fn new() -> Self {
        Self::default()
    }

    /// Registers now; the returned future ends with the next [`Event::notify_all`].
    pub fn listen(&self) -> Listening {
        Listening(self.0.listen())
    }

    pub fn notify_all(&self) {
        self.0.notify(usize::MAX);
    }
}

/// Waits for the notification after its making.
#[derive(Debug)]
#[must_use = "a listener that is not awaited hears nothing"]
pub struct Listening(EventListener);

impl Future for Listening {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        Pin::new(&mut self.0).poll(cx)
    }
}
