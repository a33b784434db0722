//! Starts one executor per shard, runs the shards' mains, and brings all of them down together.

use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, mpsc};
use std::task::{Context, Poll};
use std::thread;

use glommio::{LocalExecutor, LocalExecutorBuilder, Placement, PoolPlacement};

use crate::config::{RuntimeConfig, ShardPlacement};
use crate::context::{self, Backend, ShardId};
use crate::error::RuntimeError;
use crate::real::hub::{Guarded, Hub};
use crate::real::shard::RealShard;
use crate::real::watchdog::Watchdog;
use crate::real::{allocator, limits, preflight};

/// Set when one shard has died, so that the others stop instead of waiting for it.
struct Abort {
    flag: AtomicBool,
    event: event_listener::Event,
}

impl Abort {
    fn raise(&self) {
        self.flag.store(true, Ordering::SeqCst);
        self.event.notify(usize::MAX);
    }

    async fn raised(&self) {
        let listener = self.event.listen();
        if !self.flag.load(Ordering::SeqCst) {
            listener.await;
        }
    }
}

/// What a shard's thread needs to know.
#[derive(Clone)]
struct Seat {
    id: ShardId,
    count: usize,
    cpu: Option<usize>,
    io_memory: usize,
    hub: Arc<Hub>,
    abort: Arc<Abort>,
    config: RuntimeConfig,
}

pub(crate) fn run<F, Fut, T>(config: &RuntimeConfig, f: F) -> Result<Vec<T>, RuntimeError>
where
    F: Fn(ShardId) -> Fut + Clone + Send + 'static,
    Fut: Future<Output = T> + 'static,
    T: Send + 'static,
{
    preflight::check(config.shard_count())?;
    allocator::keep_freed_memory();
    glommio::PARK_WHEN_PREEMPTED.store(config.park_when_preempted, Ordering::Relaxed);
    let seats = seats(config)?;
    let watchdog = Watchdog::start(&config.watchdog, seats.iter().map(|seat| seat.hub.clone()).collect());
    let result = run_seats(seats, f);
    watchdog.stop();
    result
}

fn seats(config: &RuntimeConfig) -> Result<Vec<Seat>, RuntimeError> {
    let count = config.shard_count();
    if count == 0 || count > usize::from(u16::MAX) {
        return Err(RuntimeError::NoShards);
    }
    let cpus = cpus(config)?;
    let abort = Arc::new(Abort { flag: AtomicBool::new(false), event: event_listener::Event::new() });
    let io_memory = limits::io_memory_per_shard(config.io_memory, count);
    let seat = |index: usize| Seat {
        id: ShardId(u16::try_from(index).expect("checked above")),
        count,
        cpu: (!cpus.is_empty()).then(|| cpus[index % cpus.len()]),
        io_memory,
        hub: Hub::new(),
        abort: abort.clone(),
        config: config.clone(),
    };
    Ok((0..count).map(seat).collect())
}

/// The CPUs to pin to, in the order of the shards; none for unpinned shards.
fn cpus(config: &RuntimeConfig) -> Result<Vec<usize>, RuntimeError> {
    let allowed = crate::process::cpus();
    match &config.placement {
        ShardPlacement::Unpinned => Ok(Vec::new()),
        ShardPlacement::AllowedCpus if allowed.is_empty() => Err(RuntimeError::NoShards),
        ShardPlacement::AllowedCpus => Ok(allowed),
        ShardPlacement::Cpus(wanted) => match wanted.iter().find(|cpu| !allowed.contains(cpu)) {
            Some(cpu) => Err(RuntimeError::CpuNotAllowed { cpu: *cpu }),
            None => Ok(wanted.clone()),
        },
    }
}

fn run_seats<F, Fut, T>(seats: Vec<Seat>, f: F) -> Result<Vec<T>, RuntimeError>
where
    F: Fn(ShardId) -> Fut + Clone + Send + 'static,
    Fut: Future<Output = T> + 'static,
    T: Send + 'static,
{
    let (ready_tx, ready_rx) = mpsc::channel();
    let mut threads = Vec::with_capacity(seats.len());
    let mut started = Ok(());
    for seat in seats {
        let (go_tx, go_rx) = mpsc::channel();
        let (ready, f) = (ready_tx.clone(), f.clone());
        let name = format!("shard-{}", seat.id);
        let id = seat.id;
        match thread::Builder::new().name(name).spawn(move || run_seat(seat, &ready, &go_rx, f)) {
            Ok(thread) => threads.push((id, go_tx, thread)),
            Err(e) => started = Err(RuntimeError::ShardStart { shard: id.0, reason: e.to_string() }),
        }
    }
    drop(ready_tx);
    for outcome in ready_rx.iter().take(threads.len()) {
        started = started.and(outcome);
    }
    let goes: Vec<_> = threads.iter().map(|(_, go, _)| go.clone()).collect();
    for go in goes {
        // A shard that could not start has gone; the others wait for this word.
        let _gone = go.send(started.is_ok());
    }
    join(threads, started)
}

type ShardThread<T> = (ShardId, mpsc::Sender<bool>, thread::JoinHandle<Option<Result<T, String>>>);

fn join<T>(threads: Vec<ShardThread<T>>, started: Result<(), RuntimeError>) -> Result<Vec<T>, RuntimeError> {
    let mut values = Vec::with_capacity(threads.len());
    let mut failure = started.err();
    for (id, _go, thread) in threads {
        match thread.join() {
            Ok(Some(Ok(value))) => values.push(value),
            Ok(Some(Err(message))) => {
                failure.get_or_insert(RuntimeError::ShardPanicked { shard: id.0, message });
            }
            Ok(None) => {}
            Err(panic) => {
                let message = panic_message(&*panic);
                failure.get_or_insert(RuntimeError::ShardPanicked { shard: id.0, message });
            }
        }
    }
    match failure {
        None => Ok(values),
        Some(failure) => Err(failure),
    }
}

pub(crate) fn panic_message(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(ToString::to_string);
    text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_else(|| "unknown".to_owned())
}

/// The body of a shard's thread. `None` when it never ran or was called off.
fn run_seat<F, Fut, T>(
    seat: Seat,
    ready: &mpsc::Sender<Result<(), RuntimeError>>,
    go: &mpsc::Receiver<bool>,
    f: F,
) -> Option<Result<T, String>>
where
    F: Fn(ShardId) -> Fut,
    Fut: Future<Output = T> + 'static,
    T: 'static,
{
    let built = build(&seat);
    let (executor, outcome) = match built {
        Ok(executor) => (Some(executor), Ok(())),
        Err(error) => (None, Err(error)),
    };
    let reported = ready.send(outcome).is_ok();
    let executor = executor?;
    if !reported || !matches!(go.recv(), Ok(true)) {
        return None;
    }
    let previous = seat.hub.own();
    let run = AssertUnwindSafe(|| executor.run(shard_main(&seat, &f)));
    let result = std::panic::catch_unwind(run);
    context::set(None);
    if result.is_err() {
        seat.hub.close();
        seat.abort.raise();
    }
    // Dropping the executor may still wake tasks; they must find their owner.
    let dropped = std::panic::catch_unwind(AssertUnwindSafe(|| drop(executor)));
    Hub::disown(previous);
    match (result, dropped) {
        (Ok(value), Ok(())) => value.map(Ok),
        (Err(panic), _) | (_, Err(panic)) => Some(Err(panic_message(&*panic))),
    }
}

fn build(seat: &Seat) -> Result<LocalExecutor, RuntimeError> {
    let placement = seat.cpu.map_or(Placement::Unbound, Placement::Fixed);
    let mut builder = LocalExecutorBuilder::new(placement)
        .name("shard")
        .ring_depth(seat.config.ring_depth)
        .io_memory(seat.io_memory)
        .preempt_timer(seat.config.preempt)
        .blocking_thread_pool_placement(PoolPlacement::Unbound(1));
    if !seat.config.spin.is_zero() {
        builder = builder.spin_before_park(seat.config.spin);
    }
    builder.make().map_err(|error| preflight::explain(seat.id, error))
}

/// Runs inside the executor: sets the shard up, runs its main, winds it down.
async fn shard_main<F, Fut, T>(seat: &Seat, f: &F) -> Option<T>
where
    F: Fn(ShardId) -> Fut,
    Fut: Future<Output = T>,
{
    let shard = RealShard::new(seat.id, seat.count, seat.hub.clone());
    shard.start_answering();
    context::set(Some(Backend::Real(shard.clone())));
    let value = run_main(seat, &shard, f).await;
    shard.wind_down().await;
    seat.hub.close();
    value
}

async fn run_main<F, Fut, T>(seat: &Seat, shard: &Rc<RealShard>, f: &F) -> Option<T>
where
    F: Fn(ShardId) -> Fut,
    Fut: Future<Output = T>,
{
    let abort = seat.abort.clone();
    let aborted = async move {
        abort.raised().await;
        None
    };
    let mut both = Box::pin(futures_lite::future::or(async { Some(f(seat.id).await) }, aborted));
    let mut value = None;
    let poll = |cx: &mut Context<'_>| match both.as_mut().poll(cx) {
        Poll::Ready(done) => {
            value = Some(done);
            Poll::Ready(())
        }
        Poll::Pending => Poll::Pending,
    };
    Guarded::new(&shard.hub, poll).await;
    drop(both);
    value.flatten()
}
