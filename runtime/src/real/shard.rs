//! One real shard: its queues, its live tasks, its hub. Lives on the thread of its executor and never leaves it.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Waker};
use std::time::Duration;

use glommio::{Latency, Shares, TaskQueueHandle};

use crate::context::ShardId;
use crate::real::hub::{Guarded, Hub};
use crate::task::{Queue, TaskCore};

/// How long the end of a shard waits for disk operations in flight before it gives up on them.
const LAST_WRITES: Duration = Duration::from_secs(30);

pub(crate) struct RealShard {
    pub(crate) id: ShardId,
    pub(crate) count: usize,
    pub(crate) hub: Arc<Hub>,
    queues: [TaskQueueHandle; Queue::ALL.len()],
    live: RefCell<BTreeMap<u64, (Rc<TaskCore>, Waker)>>,
    next_task: Cell<u64>,
}

/// Shares decide who runs when all want to; none asks for a latency, which would only shorten the preemption interval.
fn shares(queue: Queue) -> usize {
    match queue {
        Queue::Net => 1000,
        Queue::Append => 1000,
        Queue::Cold => 200,
        Queue::Background => 50,
    }
}

fn name(queue: Queue) -> &'static str {
    match queue {
        Queue::Net => "net",
        Queue::Append => "append",
        Queue::Cold => "cold",
        Queue::Background => "background",
    }
}

impl RealShard {
    /// Must run inside the executor.
    pub(crate) fn new(id: ShardId, count: usize, hub: Arc<Hub>) -> Rc<Self> {
        let queues = Queue::ALL.map(|queue| {
            let shares = Shares::Static(shares(queue));
            glommio::executor().create_task_queue(shares, Latency::NotImportant, name(queue))
        });
        Rc::new(Self { id, count, hub, queues, live: RefCell::default(), next_task: Cell::new(0) })
    }

    fn handle(&self, queue: Queue) -> TaskQueueHandle {
        self.queues[queue as usize]
    }

    /// Schedules a task and returns its waker.
    pub(crate) fn start(self: &Rc<Self>, core: Rc<TaskCore>) -> Waker {
        let id = self.next_task.get();
        self.next_task.set(id + 1);
        let entry = LiveEntry { shard: self.clone(), id };
        let body = core.clone();
        let poll = move |cx: &mut Context<'_>| {
            let polled = body.poll(cx);
            if polled.is_ready() {
                entry.shard.live.borrow_mut().remove(&entry.id);
            }
            polled
        };
        let task = Guarded::new(&self.hub, poll);
        let waker = task.waker();
        self.live.borrow_mut().insert(id, (core.clone(), waker.clone()));
        glommio::spawn_local_into(task, self.handle(core.queue))
            .expect("the queue was made with the shard")
            .detach();
        waker
    }

    pub(crate) fn start_answering(&self) {
        let answer = self.hub.clone().answer();
        glommio::spawn_local_into(answer, self.handle(Queue::Net))
            .expect("the queue was made with the shard")
            .detach();
    }

    /// Cancels what may be cancelled and waits for the rest. Runs outside every task, when the shard's main has ended.
    pub(crate) async fn wind_down(&self) {
        let deadline = crate::now() + LAST_WRITES;
        loop {
            self.hub.winds_down();
            self.cancel_all();
            glommio::executor().yield_now().await;
            let left = self.live.borrow().len();
            if left == 0 {
                return;
            }
            if crate::now() >= deadline {
                tracing::error!(shard = self.id.0, left, "disk operations did not end in time");
                return;
            }
            if self.live.borrow().values().any(|(core, _)| core.essential) {
                glommio::timer::sleep(Duration::from_millis(1)).await;
            }
        }
    }

    fn cancel_all(&self) {
        let tasks: Vec<_> =
            self.live.borrow().values().filter(|(core, _)| !core.essential).cloned().collect();
        for (core, waker) in tasks {
            core.cancel();
            waker.wake();
        }
    }
}

struct LiveEntry {
    shard: Rc<RealShard>,
    id: u64,
}
