//! Watches over the log directories while the broker runs: their room, and their failures.
//! Never touches a log. Runs on the first shard.

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use kring_runtime::{Interval, Queue, Task, spawn};
use kring_storage::LogDir;

use super::dirs::Dirs;
use super::stages::{Found, Stages};
use crate::shard::Shard;

/// How often the file systems are asked what is free. Between, storage counts what it appends.
const MEASURE_EVERY: Duration = Duration::from_secs(1);

/// Measures once, then goes on until the tasks are dropped.
pub(super) async fn begin(stages: &Arc<Stages>, found: &Found, shard: &Rc<Shard>) -> Vec<Task<()>> {
    let reserve_bytes = stages.plan.config.dirs.reserve_bytes;
    measure(&found.dirs, reserve_bytes).await;
    let online = (0..found.dirs.dirs.len()).filter(|place| found.dirs.dirs[*place].offline().is_none());
    let failures = online.map(|place| {
        let (stages, dirs, shard) = (stages.clone(), found.dirs.clone(), shard.clone());
        spawn(Queue::Net, async move { follow_failure(&stages, &dirs, &shard, place).await })
    });
    let mut tasks: Vec<Task<()>> = failures.collect();
    tasks.push(spawn(Queue::Background, keep_measuring(found.dirs.clone(), reserve_bytes)));
    tasks
}

async fn keep_measuring(dirs: Arc<Dirs>, reserve_bytes: u64) {
    let mut interval = Interval::new(MEASURE_EVERY);
    loop {
        interval.tick().await;
        measure(&dirs, reserve_bytes).await;
        keep_spare(&dirs.dirs[Dirs::METADATA]).await;
    }
}

async fn measure(dirs: &Dirs, reserve_bytes: u64) {
    for dir in dirs.dirs.iter().filter(|dir| dir.offline().is_none()) {
        if let Err(error) = dir.measure_space(reserve_bytes).await {
            // The last measurement and the count since go on to hold.
            tracing::warn!(%error, "the room on a disk is not known");
        }
    }
}

/// Where there is none, a disk that is full keeps topics and settings as they are, and nothing else.
async fn keep_spare(dir: &LogDir) {
    if dir.offline().is_none()
        && let Err(error) = dir.keep_spare().await
    {
        tracing::warn!(%error, "no spare room is kept for the metadata log");
    }
}

/// Waits for one directory to fail. The words are those of Apache Kafka's last line.
async fn follow_failure(stages: &Stages, dirs: &Dirs, shard: &Shard, place: usize) {
    let dir = &dirs.dirs[place];
    let cause = dir.went_offline().await;
    if dirs.dirs.iter().all(|dir| dir.offline().is_some()) {
        let all = dirs.dirs.iter().map(name).collect::<Vec<_>>().join(", ");
        stages.give_up(format!("Shutdown broker because all log dirs in {all} have failed: {cause}"));
    } else if place == Dirs::METADATA {
        let name = name(dir);
        stages.give_up(format!("Shutdown broker because the metadata log dir {name} has failed: {cause}"));
    } else {
        shard.directory_failed(place, dirs.online_ids()).await;
    }
}

fn name(dir: &LogDir) -> String {
    dir.path().display().to_string()
}
