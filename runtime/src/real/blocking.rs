//! Threads for system calls that block. One pool for the process, unbound to CPUs, grown on demand.
//!
//! glommio's own pool is not used: a panic in it hangs the caller for ever, and a call still running when its
//! executor ends panics the pool's thread.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_channel::{Receiver, Sender};

use crate::channel;

type Job = Box<dyn FnOnce() + Send>;

const MAX_THREADS: usize = 4;
/// Calls that wait for a thread; a caller beyond that waits to hand its call in.
const MAX_WAITING: usize = 1024;

struct Pool {
    jobs: Sender<Job>,
    queue: Receiver<Job>,
    threads: AtomicUsize,
    idle: AtomicUsize,
}

static POOL: OnceLock<Pool> = OnceLock::new();

fn pool() -> &'static Pool {
    POOL.get_or_init(|| {
        let (jobs, queue) = async_channel::bounded(MAX_WAITING);
        Pool { jobs, queue, threads: AtomicUsize::new(0), idle: AtomicUsize::new(0) }
    })
}

impl Pool {
    fn work(&'static self) {
        loop {
            self.idle.fetch_add(1, Ordering::SeqCst);
            let job = self.queue.recv_blocking();
            self.idle.fetch_sub(1, Ordering::SeqCst);
            match job {
                Ok(job) => job(),
                Err(_closed) => return,
            }
        }
    }

    /// Starts a thread when a call would otherwise wait. One thread is needed; more are a convenience.
    fn grow(&'static self) {
        if self.idle.load(Ordering::SeqCst) > self.queue.len() {
            return;
        }
        let count = self.threads.fetch_add(1, Ordering::SeqCst);
        let spawned = count < MAX_THREADS
            && std::thread::Builder::new().name(format!("blocking-{count}")).spawn(|| self.work()).is_ok();
        if !spawned {
            let before = self.threads.fetch_sub(1, Ordering::SeqCst);
            assert!(
                before > 1,
                "no thread could be started for blocking calls: the limit on threads is too low"
            );
        }
    }
}

/// Runs `f` on a thread of the pool. A panic inside is raised again in the caller.
pub(crate) async fn run<R: Send + 'static>(f: impl FnOnce() -> R + Send + 'static) -> R {
    let (reply, result) = channel::oneshot();
    let job: Job = Box::new(move || {
        let result = catch_unwind(AssertUnwindSafe(f));
        // The caller may have been dropped meanwhile.
        let _gone = reply.send(result);
    });
    let pool = pool();
    pool.grow();
    pool.jobs.send(job).await.expect("the pool's queue is never closed");
    match result.recv().await.expect("a thread of the pool always replies") {
        Ok(value) => value,
        Err(panic) => resume_unwind(panic),
    }
}
