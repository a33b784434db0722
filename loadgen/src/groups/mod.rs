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
            *scene = Scene { wanted: vec![true; members], rebalances: Rebalances::new(members, now) };
        }
    }

    fn wants(&self, slot: usize) -> bool {
        self.scene().wanted[slot]
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

    fn close(&self) {
        self.scene().wanted.fill(false);
        self.changed.notify_all();
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
        let desk = Desk { plan: plan.clone(), stage: stage.clone(), local: local.clone(), slot };
        tasks.push(spawn(Queue::Net, play(desk)));
    }
    for task in tasks {
        task.await;
    }
}

/// Makes the last member leave and come back in turn.
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
    stage.close();
}

/// What a slot works with.
pub struct Desk {
    plan: Arc<Plan>,
    stage: Arc<Stage>,
    local: Rc<Local>,
    slot: usize,
}

impl Desk {
    fn is_over(&self) -> bool {
        now() >= self.local.window().end
    }

    fn wants(&self) -> bool {
        !self.is_over() && self.stage.wants(self.slot)
    }

    fn took(&self, name: &str, from: Monotonic) {
        self.local.lasted(&Measure::from_key(name), from, now());
    }

    fn begins(&self, trigger: Trigger) {
        self.stage.scene().rebalances.begin(trigger, self.slot, now());
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
    while !desk.is_over() {
        let changed = desk.stage.changed.listen();
        if desk.wants() {
            if !first {
                desk.begins(Trigger::Joined);
            }
            first = false;
            Member::new(&desk).run().await;
        } else {
            let _end_or_change = desk.local.before_end(Duration::ZERO, changed).await;
        }
    }
}
