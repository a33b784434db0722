//! One classic consumer group: members that stay, and changes on a schedule whose rebalances are measured.
//!
//! ```text
//!  conductor (shard 0): at each change the last member leaves, or comes back
//!       │ stage: who is to be a member
//!       ▼
//!  slots (each shard has some): idle ──► member: join · sync · fetch · heartbeats and commits ──► leave
//! ```

mod assign;
mod member;
mod rebalances;

use std::cell::Cell;
use std::rc::Rc;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use kring_runtime::channel::Event;
use kring_runtime::{Monotonic, Queue, Task, now, sleep_until, spawn};

use crate::client::ClientError;
use crate::measure::Measure;
use crate::shared::Local;
use crate::work::Plan;
use member::Member;
use rebalances::{Done, Rebalances, Trigger};

/// What the shards share of a group. The lock is held for moments, and never across an await.
#[derive(Default)]
pub struct Stage {
    scene: Mutex<Scene>,
    changed: Event,
}

#[derive(Default)]
struct Scene {
    /// By slot, whether it is to be a member.
    wanted: Vec<bool>,
    /// Nobody is any more.
    closed: bool,
    rebalances: Rebalances,
}

impl Stage {
    fn scene(&self) -> MutexGuard<'_, Scene> {
        // Nothing panics while it is held but by an assertion, which ends the run.
        self.scene.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn begin(&self, members: usize, now: Monotonic) {
        let mut scene = self.scene();
        // The first shard that comes sets the scene.
        if scene.wanted.is_empty() {
            let rebalances = Rebalances::new(members, now);
            *scene = Scene { wanted: vec![true; members], closed: false, rebalances };
        }
    }

    fn wants(&self, slot: usize) -> bool {
        let scene = self.scene();
        !scene.closed && scene.wanted[slot]
    }

    fn is_closed(&self) -> bool {
        self.scene().closed
    }

    /// Until no rebalance is under way that something here caused.
    async fn settled(&self) {
        loop {
            let changed = self.changed.listen();
            if !self.scene().rebalances.is_open() {
                return;
            }
            changed.await;
        }
    }

    /// False while the rebalance before is not over.
    fn turn(&self, slot: usize) -> bool {
        let mut scene = self.scene();
        if scene.rebalances.is_open() {
            return false;
        }
        scene.wanted[slot] = !scene.wanted[slot];
        drop(scene);
        self.changed.notify_all();
        true
    }

    /// Nobody is a member any more. Returns the rebalance that was under way, and when it began.
    fn close(&self) -> Option<(Trigger, Monotonic)> {
        let open = {
            let mut scene = self.scene();
            scene.closed = true;
            scene.rebalances.give_up()
        };
        self.changed.notify_all();
        open
    }
}

/// The slots of one shard; ends with the run.
pub async fn run(plan: Arc<Plan>, stage: Arc<Stage>, local: Rc<Local>, shard: usize, shards: usize) {
    let members = plan.settings.group.members as usize;
    sleep_until(local.window().start).await;
    stage.begin(members, local.window().start);
    let mut tasks: Vec<Task<()>> = Vec::new();
    if shard == 0 {
        let conductor = conduct(plan.clone(), stage.clone(), local.clone());
        tasks.push(spawn(Queue::Net, conductor));
    }
    for slot in (shard..members).step_by(shards) {
        let (plan, stage, local) = (plan.clone(), stage.clone(), local.clone());
        let desk = Desk { plan, stage, local, slot, asking: Cell::new(None) };
        tasks.push(spawn(Queue::Net, play(desk)));
    }
    for task in tasks {
        task.await;
    }
}

/// Makes the last member leave and come back in turn. At the end a rebalance that is under way is waited for; one that
/// is not over then has lasted until then at least, and has failed.
async fn conduct(plan: Arc<Plan>, stage: Arc<Stage>, local: Rc<Local>) {
    let every = plan.settings.group.change_every;
    let last = plan.settings.group.members as usize - 1;
    let mut at = local.window().start + every;
    while local.before_end(Duration::ZERO, sleep_until(at)).await.is_some() {
        let turned = stage.turn(last);
        if !turned {
            let name = "changes put off: the rebalance before was not over";
            local.stats.borrow_mut().count(name, 1);
        }
        at = at + every;
    }
    let drain = plan.settings.drain;
    local.before_end(drain, stage.settled()).await;
    if let Some((trigger, began)) = stage.close() {
        local.lasted(&Measure::from_key(trigger.name()), began, now());
        local.failed(&format!("rebalance not over {} s after the end", drain.as_secs()), 1);
    }
}

/// What a slot works with.
pub struct Desk {
    plan: Arc<Plan>,
    stage: Arc<Stage>,
    local: Rc<Local>,
    slot: usize,
    /// What is measured and not answered yet, and since when.
    asking: Cell<Option<(&'static str, Monotonic)>>,
}

impl Desk {
    /// Also for a member that is given up just before the stage is closed.
    fn is_over(&self) -> bool {
        self.stage.is_closed() || now() >= self.local.window().end + self.plan.settings.drain
    }

    fn wants(&self) -> bool {
        self.stage.wants(self.slot)
    }

    /// Asks something that is measured under this name when it is answered.
    async fn timed<T>(
        &self,
        name: &'static str,
        asking: impl Future<Output = Result<T, ClientError>>,
    ) -> Result<T, ClientError> {
        let began = now();
        self.asking.set(Some((name, began)));
        let answer = asking.await;
        self.asking.set(None);
        if answer.is_ok() {
            self.took(name, began);
        }
        answer
    }

    /// What is not answered by now has failed, and has lasted until now at least.
    fn abandon(&self) {
        if let Some((name, began)) = self.asking.take() {
            self.took(name, began);
        }
        self.local.failed(&ClientError::Timeout.to_string(), 1);
    }

    fn took(&self, name: &str, from: Monotonic) {
        self.local.lasted(&Measure::from_key(name), from, now());
    }

    fn begins(&self, trigger: Trigger) {
        self.stage.scene().rebalances.begin(trigger, self.slot, now());
        self.stage.changed.notify_all();
    }

    /// The member works in this generation.
    fn works(&self, generation: i32) {
        let at = now();
        let done = self.stage.scene().rebalances.working(self.slot, generation, at);
        let mut stats = self.local.stats.borrow_mut();
        match done {
            None => {}
            Some(Done::Unplanned) => stats.count("rebalances that nothing here caused", 1),
            Some(Done::Planned(trigger, from, _)) => {
                stats.count("rebalances", 1);
                drop(stats);
                self.stage.changed.notify_all();
                self.took(trigger.name(), from);
            }
        }
    }

    /// What passes is counted and tried again, everything else is an error.
    fn note(&self, error: &ClientError) {
        match error.is_passing() {
            true => self.local.stats.borrow_mut().count(&format!("tried again ({error})"), 1),
            false => self.local.failed(&error.to_string(), 1),
        }
    }
}

/// Is a member whenever it is wanted as one.
async fn play(desk: Desk) {
    let mut first = true;
    loop {
        let changed = desk.stage.changed.listen();
        if desk.is_over() {
            return;
        }
        if desk.wants() {
            if !first {
                desk.begins(Trigger::Joined);
            }
            first = false;
            Member::new(&desk).run().await;
        } else {
            changed.await;
        }
    }
}
