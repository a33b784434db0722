//! What the settings of a disk change in the work of a shard, in the simulation. Tests only.

use std::path::Path;
use std::rc::Rc;
use std::time::Duration;

use futures_util::future::join_all;
use kring_runtime::sim::{Sim, SimConfig};
use kring_runtime::{fs, now};

use crate::checkpoint::LogName;
use crate::config::LogConfig;
use crate::dir::LogDir;
use crate::disk_settings::{DISK_SETTINGS, DiskSettings};
use crate::log::Log;
use crate::shard::{ShardConfig, ShardStorage};
use crate::testing::batch_of;

const LOGS: i32 = 16;

/// How long a disk takes to make one batch of each of several logs durable, all appended in one turn.
fn time_of(settings: &'static str) -> Duration {
    let took = Sim::new(SimConfig::new(7, 1)).run(move |_| async move {
        let path = Path::new("/data");
        fs::create_dir_all(path).await.unwrap();
        fs::write_atomic(path.join(DISK_SETTINGS), settings.as_bytes()).await.unwrap();
        let dir = LogDir::open(path).await.unwrap().dir;
        dir.use_disk(dir.measured_disk().await);
        let shard = ShardStorage::new(ShardConfig::default());
        let mut logs: Vec<Log> = Vec::new();
        for partition in 0..LOGS {
            let name = LogName::new("orders", partition);
            logs.push(Log::open(&shard, &dir, name, Rc::new(LogConfig::default()), None).await.unwrap().0);
        }
        // The second batch finds all files open.
        for number in 0..2 {
            let begun = now();
            for log in &logs {
                log.append(batch_of(number, 1, 100)).unwrap();
            }
            for done in join_all(logs.iter().map(|log| log.wait_durable(log.offsets().end()))).await {
                done.unwrap();
            }
            if number == 1 {
                return begun.elapsed();
            }
        }
        unreachable!("two rounds are made");
    });
    took.unwrap_or_else(|error| panic!("{error}")).finished()[0]
}

#[test]
fn writes_go_to_the_disk_together_unless_its_settings_bound_them() {
    let (all, one) = (time_of("writes.at.once=all"), time_of("writes.at.once=1"));
    assert!(one > 3 * all, "one at a time: {one:?}, together: {all:?}");
    let few = time_of("writes.at.once=4");
    assert!(all < few && few < one, "all {all:?}, four {few:?}, one {one:?}");
}

#[test]
fn what_is_said_of_a_disk_holds_and_not_what_lies_in_its_directory() {
    let sim = Sim::new(SimConfig::new(3, 1));
    let held = sim.run(|_| async {
        let path = Path::new("/data");
        fs::create_dir_all(path).await.unwrap();
        fs::write_atomic(path.join(DISK_SETTINGS), b"zeros.bytes=0\nwrite.bytes=131072\n").await.unwrap();
        let dir = LogDir::open(path).await.unwrap().dir;
        let mut settings = dir.measured_disk().await;
        settings.set("write.bytes", "262144").unwrap();
        dir.use_disk(settings);
        *dir.disk()
    });
    let held = held.unwrap_or_else(|error| panic!("{error}")).finished()[0];
    assert_eq!(held, DiskSettings { zeros_bytes: 0, write_bytes: 256 << 10, ..DiskSettings::default() });
}
