//! What the simulation promises beyond the real backend: repeatability, crashes, failures, deadlocks that are named.

mod common;

use std::cell::{Cell, RefCell};
use std::io;
use std::path::Path;
use std::rc::Rc;
use std::time::Duration;

use kring_runtime::disk::{AlignedBuf, BLOCK, DirectFile, ReadHandle};
use kring_runtime::sim::{self, DiskFaults, DiskOp, Grain, RunEnd, Sim, SimConfig, SimError};
use kring_runtime::{Queue, channel, fs, now, random_u64, shard_id, signal, sleep, spawn, wall_ms};

const EIO: i32 = 5;
const ENOSPC: i32 = 28;

fn trace(seed: u64) -> Vec<(u16, u64, u64)> {
    let trace = Rc::new(RefCell::new(Vec::new()));
    let out = trace.clone();
    sim::run(SimConfig::new(seed, 3), move |_| {
        let trace = trace.clone();
        async move {
            for _ in 0..20 {
                let trace = trace.clone();
                spawn(Queue::Net, async move {
                    sleep(Duration::from_nanos(random_u64() % 10_000)).await;
                    trace.borrow_mut().push((shard_id().0, now().as_nanos(), random_u64()));
                })
                .await;
            }
        }
    })
    .unwrap();
    out.take()
}

#[test]
fn one_seed_gives_one_run_and_another_seed_another() {
    assert_eq!(trace(7), trace(7));
    assert_ne!(trace(7), trace(8));
}

#[test]
fn a_deadlock_is_an_error_that_names_who_waits() {
    let stuck = sim::run(SimConfig::new(1, 1), |_| async {
        let (sender, receiver) = channel::bounded::<()>(1);
        spawn(Queue::Background, async move { receiver.recv().await }).await.unwrap();
        drop(sender);
    });
    let Err(SimError::Deadlock { seed: 1, waiting }) = stuck else { panic!("it is stuck: {stuck:?}") };
    assert!(
        waiting.iter().any(|task| task.contains("Background") && task.contains("simulated.rs")),
        "{waiting:?}"
    );
}

#[test]
fn an_endless_run_is_cut_off() {
    let config = SimConfig { max_polls: 1_000, ..SimConfig::new(1, 1) };
    let endless = sim::run(config, |_| async {
        loop {
            kring_runtime::yield_now().await;
        }
    });
    assert!(matches!(endless, Err::<Vec<()>, _>(SimError::Endless { .. })));
}

#[test]
fn hours_of_sleep_cost_no_time_and_both_clocks_move() {
    sim::run(SimConfig::new(1, 1), |_| async {
        let (start, wall) = (now(), wall_ms());
        sleep(Duration::from_secs(5 * 3600)).await;
        assert!(start.elapsed() >= Duration::from_secs(5 * 3600));
        assert!(wall_ms() - wall >= 5 * 3_600_000);
    })
    .unwrap();
}

/// Appends blocks of increasing numbers, syncing after each, until the power goes. Returns how many were synced.
async fn append_until_crash(path: &Path, synced: Rc<Cell<u8>>) {
    fs::create_dir_all("/data").await.unwrap();
    let file = DirectFile::create(path).await.unwrap();
    fs::sync_dir("/data").await.unwrap();
    fs::sync_dir("/").await.unwrap();
    for number in 1..=200_u8 {
        let pos = u64::from(number - 1) * BLOCK as u64;
        file.write_at(AlignedBuf::from_slice(&[number; BLOCK]), pos).await.0.unwrap();
        file.fdatasync().await.unwrap();
        synced.set(number);
    }
}

#[test]
fn a_crash_keeps_all_that_was_synced_and_nothing_that_was_never_written() {
    let mut lost_something = false;
    for seed in 0..60 {
        let machine = Sim::new(SimConfig::new(seed, 1).with_seed_from_env());
        let synced = Rc::new(Cell::new(0));
        machine.crash_at(machine.now() + Duration::from_micros(20_000 + seed * 3_000));
        let counter = synced.clone();
        let end = machine.run(move |_| {
            let synced = counter.clone();
            async move { append_until_crash(Path::new("/data/a"), synced).await }
        });
        assert_eq!(end, Ok(RunEnd::Crashed));
        let synced = usize::from(synced.get());
        assert!(synced > 0 && synced < 200, "the crash is in the middle, after {synced}");
        let bytes =
            machine.run(|_| async { fs::read("/data/a").await.unwrap() }).unwrap().finished().remove(0);
        assert!(bytes.len() >= synced * BLOCK);
        for (at, sector) in bytes.chunks(512).enumerate() {
            let number = u8::try_from(at * 512 / BLOCK + 1).unwrap();
            let whole = sector.iter().all(|byte| *byte == number);
            let lost = sector.iter().all(|byte| *byte == 0);
            assert!(whole || (lost && usize::from(number) > synced), "sector {at} is torn or was lost");
            lost_something |= lost;
        }
        lost_something |= bytes.len() == synced * BLOCK;
    }
    assert!(lost_something, "some crash loses the write it interrupted");
}

#[test]
fn an_unsynced_write_survives_some_crashes_and_is_torn_by_others() {
    let (mut kept, mut gone, mut torn) = (0, 0, 0);
    for seed in 0..80 {
        let machine = Sim::new(SimConfig::new(seed, 1));
        let end = machine.run(|_| async {
            fs::create_dir_all("/data").await.unwrap();
            let file = DirectFile::create("/data/a").await.unwrap();
            file.allocate_zeroed(0, BLOCK as u64).await.unwrap();
            file.fdatasync().await.unwrap();
            fs::sync_dir("/data").await.unwrap();
            fs::sync_dir("/").await.unwrap();
            file.write_at(AlignedBuf::from_slice(&[1; BLOCK]), 0).await.0.unwrap();
            sim::crash().await
        });
        assert!(matches!(end, Ok(RunEnd::<()>::Crashed)));
        let bytes = machine.disk().peek("/data/a").unwrap();
        match bytes.iter().filter(|byte| **byte == 1).count() {
            0 => gone += 1,
            BLOCK => kept += 1,
            _ => torn += 1,
        }
    }
    assert!(kept > 0 && gone > 0 && torn > 0, "kept {kept}, gone {gone}, torn {torn}");
}

#[test]
fn a_name_is_durable_only_after_its_directory_was_synced() {
    let mut lost = 0;
    for seed in 0..40 {
        let machine = Sim::new(SimConfig::new(seed, 1));
        let end = machine.run(|_| async {
            fs::create_dir_all("/data").await.unwrap();
            fs::sync_dir("/").await.unwrap();
            for name in ["/data/synced", "/data/unsynced"] {
                DirectFile::create(name).await.unwrap();
                if name == "/data/synced" {
                    fs::sync_dir("/data").await.unwrap();
                }
            }
            sim::crash().await
        });
        assert!(matches!(end, Ok(RunEnd::<()>::Crashed)));
        assert!(machine.disk().peek("/data/synced").is_some());
        lost += u32::from(machine.disk().peek("/data/unsynced").is_none());
    }
    assert!(lost > 0 && lost < 40, "{lost} of 40 crashes lost the name");
}

#[test]
fn an_atomic_write_is_old_or_new_at_every_crash() {
    let (mut old, mut new) = (0, 0);
    for seed in 0..100 {
        let machine = Sim::new(SimConfig::new(seed, 1).with_seed_from_env());
        let first = machine.run(|_| async {
            fs::create_dir_all("/data").await.unwrap();
            fs::sync_dir("/").await.unwrap();
            fs::write_atomic("/data/state", &[1; 5_000]).await.unwrap();
        });
        first.unwrap();
        machine.crash_at(machine.now() + Duration::from_micros(seed * 60));
        machine
            .run(|_| async {
                fs::write_atomic("/data/state", &[2; 7_000]).await.unwrap();
                sim::crash().await
            })
            .map(|_: RunEnd<()>| ())
            .unwrap();
        match machine.disk().peek("/data/state").unwrap() {
            bytes if bytes == [1; 5_000] => old += 1,
            bytes if bytes == [2; 7_000] => new += 1,
            bytes => panic!("seed {seed}: {} bytes, neither old nor new", bytes.len()),
        }
    }
    assert!(old > 0 && new > 0, "old {old}, new {new}");
}

#[test]
fn injected_failures_reach_the_caller_once_or_until_healed() {
    sim::run(SimConfig::new(1, 1), |_| async {
        fs::create_dir_all("/data").await.unwrap();
        let file = DirectFile::create("/data/a.log").await.unwrap();
        sim::disk().fail(DiskOp::Write, "a.log", 1, EIO);
        file.write_at(AlignedBuf::from_slice(&[1]), 0).await.0.unwrap();
        let failed = file.write_at(AlignedBuf::from_slice(&[1]), 0).await.0.unwrap_err();
        assert_eq!(failed.raw_os_error(), Some(EIO));
        file.write_at(AlignedBuf::from_slice(&[1]), 0).await.0.unwrap();
        sim::disk().fail_from(DiskOp::Sync, ".log", 0, EIO);
        for _ in 0..3 {
            file.fdatasync().await.unwrap_err();
        }
        sim::disk().heal();
        file.fdatasync().await.unwrap();
        sim::disk().poke("/data/a.log", 0, b"rot");
        let handle = ReadHandle::open("/data/a.log").await.unwrap();
        assert_eq!(handle.read_at(0, 3).await.unwrap(), &b"rot"[..]);
    })
    .unwrap();
}

#[test]
fn a_full_disk_refuses_writes_until_there_is_room() {
    let config = SimConfig { disk_bytes: 4 * BLOCK as u64, ..SimConfig::new(1, 1) };
    sim::run(config, |_| async {
        fs::create_dir_all("/data").await.unwrap();
        let file = DirectFile::create("/data/a").await.unwrap();
        let full = file.allocate_zeroed(0, 8 * BLOCK as u64).await.unwrap_err();
        assert_eq!(full.raw_os_error(), Some(ENOSPC));
        file.allocate_zeroed(0, 4 * BLOCK as u64).await.unwrap();
        assert_eq!(fs::disk_free("/data").await.unwrap().available_bytes, 0);
        assert!(file.write_at(AlignedBuf::from_slice(&[1]), 1 << 20).await.0.is_err());
        drop(file);
        fs::remove_file("/data/a").await.unwrap();
        let file = DirectFile::create("/data/b").await.unwrap();
        file.write_at(AlignedBuf::from_slice(&[1]), 0).await.0.unwrap();
    })
    .unwrap();
}

#[test]
fn a_short_write_is_finished_before_its_caller_hears_of_it() {
    for seed in 0..20 {
        sim::run(SimConfig::new(seed, 1).with_seed_from_env(), |_| async {
            sim::disk().set_faults(DiskFaults { short_writes: 700, ..DiskFaults::default() });
            fs::create_dir_all("/data").await.unwrap();
            let file = DirectFile::create("/data/a").await.unwrap();
            let bytes: Vec<u8> = (0..10 * BLOCK).map(|at| (at / 100) as u8).collect();
            let (written, _) = file.write_at(AlignedBuf::from_slice(&bytes), 0).await;
            assert_eq!(written.unwrap(), bytes.len());
            fs::write_atomic("/data/b", &bytes[..5_000]).await.unwrap();
            assert_eq!(sim::disk().peek("/data/a").unwrap(), bytes);
            assert_eq!(sim::disk().peek("/data/b").unwrap(), &bytes[..5_000]);
        })
        .unwrap();
    }
}

#[test]
fn what_goes_wrong_by_chance_goes_wrong_again_by_the_same_seed() {
    let faults =
        DiskFaults { paths: ".log".into(), write_errors: 300, no_space: 100, ..DiskFaults::default() };
    let errors = |seed| {
        let faults = faults.clone();
        let run = sim::run(SimConfig::new(seed, 1), move |_| {
            let faults = faults.clone();
            async move {
                fs::create_dir_all("/data").await.unwrap();
                sim::disk().set_faults(faults);
                let file = DirectFile::create("/data/a.log").await.unwrap();
                let mut errors = Vec::new();
                for _ in 0..50 {
                    let (written, _) = file.write_at(AlignedBuf::from_slice(&[1; 100]), 0).await;
                    errors.push(written.err().and_then(|error| error.raw_os_error()));
                }
                fs::write_atomic("/data/other", b"is never refused").await.unwrap();
                (errors, sim::disk().failures())
            }
        });
        run.unwrap().remove(0)
    };
    let (first, failures) = errors(1);
    assert!(
        first.contains(&None) && first.contains(&Some(EIO)) && first.contains(&Some(ENOSPC)),
        "{first:?}"
    );
    assert_eq!(first.iter().flatten().count() as u64, failures);
    assert_eq!((first, failures), errors(1));
    assert_ne!(errors(1), errors(2));
}

#[test]
fn a_slow_disk_takes_its_time_and_nothing_else() {
    sim::run(SimConfig::new(1, 1), |_| async {
        let slow_by = Duration::from_secs(10);
        sim::disk().set_faults(DiskFaults { slow: 1000, slow_by, ..DiskFaults::default() });
        fs::create_dir_all("/data").await.unwrap();
        let file = DirectFile::create("/data/a").await.unwrap();
        let before = now();
        for _ in 0..20 {
            file.write_at(AlignedBuf::from_slice(&[1]), 0).await.0.unwrap();
            file.fdatasync().await.unwrap();
        }
        assert!(before.elapsed() > Duration::from_secs(60), "{:?}", before.elapsed());
    })
    .unwrap();
}

#[test]
fn rot_changes_one_bit_of_one_file_and_is_there_after_a_crash() {
    let machine = Sim::new(SimConfig::new(1, 1));
    let end = machine.run(|_| async {
        fs::create_dir_all("/data").await.unwrap();
        fs::sync_dir("/").await.unwrap();
        fs::write_atomic("/data/a.log", &[0; 3_000]).await.unwrap();
        fs::write_atomic("/data/b.log", &[0; 2_000]).await.unwrap();
        fs::write_atomic("/data/c.index", &[0; 2_000]).await.unwrap();
        sim::crash().await
    });
    assert!(matches!(end, Ok(RunEnd::<()>::Crashed)));
    let disk = machine.disk();
    for dice in [0, 3_000 * 8 + 5, u64::MAX] {
        let (path, pos) = disk.rot(".log", dice).unwrap();
        let bytes = disk.peek(&path).unwrap();
        assert_eq!(bytes.iter().map(|byte| byte.count_ones()).sum::<u32>(), 1, "{path:?} at {pos}");
        assert_eq!(bytes[pos as usize].count_ones(), 1);
        disk.poke(&path, pos, &[0]);
    }
    assert_eq!(disk.rot("nowhere", 7), None);
}

#[test]
fn a_block_is_torn_only_where_the_grain_is_a_sector() {
    for (grain, torn_by_some) in [(Grain::Sector, true), (Grain::Block, false)] {
        let mut torn = 0;
        for seed in 0..60 {
            let machine = Sim::new(SimConfig::new(seed, 1));
            machine.disk().set_faults(DiskFaults { grain: Some(grain), ..DiskFaults::default() });
            let end = machine.run(|_| async {
                fs::create_dir_all("/data").await.unwrap();
                let file = DirectFile::create("/data/a").await.unwrap();
                fs::sync_dir("/data").await.unwrap();
                fs::sync_dir("/").await.unwrap();
                file.write_at(AlignedBuf::from_slice(&[1; BLOCK]), 0).await.0.unwrap();
                sim::crash().await
            });
            assert!(matches!(end, Ok(RunEnd::<()>::Crashed)));
            let bytes = machine.disk().peek("/data/a").unwrap();
            torn += usize::from(bytes.contains(&0) && bytes.contains(&1));
        }
        assert_eq!(torn > 0, torn_by_some, "{grain:?}: {torn} of 60");
    }
}

#[test]
fn locks_and_connections_do_not_outlive_a_crash() {
    let machine = Sim::new(SimConfig::new(1, 2));
    for _ in 0..3 {
        let end = machine.run(|shard| async move {
            fs::create_dir_all("/data").await.unwrap();
            if shard.index() == 1 {
                std::future::pending::<()>().await;
            }
            let lock = fs::lock_exclusive("/data/.lock").await.unwrap();
            assert_eq!(
                fs::lock_exclusive("/data/.lock").await.unwrap_err().kind(),
                io::ErrorKind::WouldBlock
            );
            spawn(Queue::Net, sim::crash()).detach();
            std::future::pending::<()>().await;
            drop(lock);
        });
        assert_eq!(end, Ok(RunEnd::Crashed));
    }
}

#[test]
fn a_simulated_operator_can_ask_for_the_end() {
    sim::run(SimConfig::new(1, 2), |shard| async move {
        if shard.index() == 0 {
            sleep(Duration::from_secs(1)).await;
            sim::request_shutdown();
        }
        signal::shutdown().await;
    })
    .unwrap();
}
