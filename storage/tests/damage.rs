//! Files damaged behind a log's back, on the real disk: what the log does about it, test by test.

mod common;

use std::path::{Path, PathBuf};
use std::rc::Rc;

use common::*;
use kring_runtime::fs;
use kring_storage::inspect::{Inspection, PartitionReport};
use kring_storage::{LeaderEpoch, Log, LogConfig, LogDir, LogError, LogName, Offset};

const BATCHES: i64 = 40;
/// Bytes of each batch below: one record of 1000 bytes.
const BATCH: u64 = 61 + 1009;
const LOG: &str = "00000000000000000000.log";

fn config() -> LogConfig {
    LogConfig { index_interval_bytes: 2000, ..LogConfig::default() }
}

/// How the directory was left.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Left {
    Closed,
    /// With a checkpoint that covers all, or none.
    Crashed {
        covered: bool,
    },
}

/// A log of forty batches of a kibibyte, and what they are.
async fn make(path: &Path, left: Left) -> Vec<u8> {
    let dir = open_dir(path).await;
    let log = open(&shard(), &dir, config()).await;
    let mut expected = Vec::new();
    for _ in 0..BATCHES {
        expected.extend(append(&log, 1, 1000));
    }
    assert_eq!(expected.len() as u64, BATCHES as u64 * BATCH);
    log.flush().await.unwrap();
    match left {
        Left::Closed => {
            log.close().await.unwrap();
            assert!(dir.mark_clean(1).await.unwrap());
        }
        Left::Crashed { covered: true } => dir.write_checkpoints().await.unwrap(),
        Left::Crashed { covered: false } => {}
    }
    expected
}

async fn reopen(path: &Path) -> Result<Log, LogError> {
    let dir = reopen_dir(path).await;
    let name = LogName::new("orders", 0);
    Log::open(&shard_without_cache(), &dir, name, Rc::new(config()), None).await.map(|(log, _)| log)
}

fn file(path: &Path, name: &str) -> PathBuf {
    path.join("orders-0").join(name)
}

/// Flips one bit of a byte.
async fn flip(path: &Path, at: u64) {
    let mut bytes = fs::read(path).await.unwrap();
    bytes[at as usize] ^= 4;
    fs::write_atomic(path, &bytes).await.unwrap();
}

fn corrupt_at(refused: Result<Log, LogError>) -> (PathBuf, u64) {
    match refused.map(|_| ()) {
        Err(LogError::Corrupt { path, position, .. }) => (path, position),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_tail_cut_short_by_a_crash_ends_at_the_last_whole_batch_and_is_written_on() {
    on_shard(|| async {
        let temp = TempDir::new("short");
        let expected = make(temp.path(), Left::Crashed { covered: false }).await;
        fs::set_len(file(temp.path(), LOG), 30 * BATCH + 500).await.unwrap();
        let log = reopen(temp.path()).await.unwrap();
        assert_eq!(log.offsets().end(), Offset(30));
        assert_eq!(read_all(&log, 0).await, expected[..30 * BATCH as usize]);
        append(&log, 1, 1000);
        log.flush().await.unwrap();
        assert_eq!(read_all(&log, 0).await.len() as u64, 31 * BATCH);
    });
}

#[test]
fn a_flipped_bit_above_the_recovery_point_ends_the_log_before_its_batch() {
    on_shard(|| async {
        let temp = TempDir::new("above");
        let expected = make(temp.path(), Left::Crashed { covered: false }).await;
        flip(&file(temp.path(), LOG), 25 * BATCH + 700).await;
        let log = reopen(temp.path()).await.unwrap();
        assert_eq!(log.offsets().end(), Offset(25));
        assert_eq!(read_all(&log, 0).await, expected[..25 * BATCH as usize]);
    });
}

#[test]
fn a_log_that_is_shorter_than_what_was_durable_is_refused_and_left_as_it_is() {
    on_shard(|| async {
        for left in [Left::Closed, Left::Crashed { covered: true }] {
            let temp = TempDir::new("durable");
            make(temp.path(), left).await;
            fs::set_len(file(temp.path(), LOG), 30 * BATCH + 500).await.unwrap();
            let named = corrupt_at(reopen(temp.path()).await);
            assert_eq!(named, (file(temp.path(), LOG), 30 * BATCH));
            assert_eq!(fs::len(file(temp.path(), LOG)).await.unwrap(), 30 * BATCH + 500);
        }
    });
}

#[test]
fn after_an_orderly_end_nothing_is_scanned_and_a_flipped_bit_is_for_the_consumers_checksum() {
    on_shard(|| async {
        let temp = TempDir::new("clean");
        let mut expected = make(temp.path(), Left::Closed).await;
        flip(&file(temp.path(), LOG), 10 * BATCH + 700).await;
        let log = reopen(temp.path()).await.unwrap();
        expected[10 * BATCH as usize + 700] ^= 4;
        assert_eq!(read_all(&log, 0).await, expected, "every byte is served as it is on disk");
    });
}

#[test]
fn a_batch_header_damaged_after_an_orderly_end_is_an_error_that_names_file_and_position() {
    on_shard(|| async {
        let temp = TempDir::new("header");
        make(temp.path(), Left::Closed).await;
        // The magic of a batch in the middle.
        flip(&file(temp.path(), LOG), 10 * BATCH + 16).await;
        let log = reopen(temp.path()).await.unwrap();
        let request = kring_storage::ReadRequest {
            offset: Offset(10),
            upto: Offset(40),
            max_bytes: 1000,
            min_one_batch: true,
        };
        match log.read(request).await {
            Err(LogError::Corrupt { path, position, .. }) => {
                assert_eq!((path, position), (file(temp.path(), LOG), 10 * BATCH));
            }
            other => panic!("{other:?}"),
        }
        assert_eq!(read(&log, 39, 1 << 20).await.len() as u64, BATCH, "what lies elsewhere is read");
    });
}

#[test]
fn any_flipped_bit_of_an_index_leaves_every_record_readable_or_is_an_error_never_a_gap() {
    on_shard(|| async {
        let temp = TempDir::new("index");
        let expected = make(temp.path(), Left::Closed).await;
        let index = file(temp.path(), "00000000000000000000.index");
        let good = fs::read(&index).await.unwrap();
        let marker = fs::read(temp.path().join(".kafka_cleanshutdown")).await.unwrap();
        assert!(good.len() >= 10 * 8, "{} bytes", good.len());
        for bit in (0..good.len() * 8).step_by(3) {
            let mut bad = good.clone();
            bad[bit / 8] ^= 1 << (bit % 8);
            fs::write_atomic(&index, &bad).await.unwrap();
            fs::write_atomic(temp.path().join(".kafka_cleanshutdown"), &marker).await.unwrap();
            let log = reopen(temp.path()).await.unwrap();
            for offset in 0..BATCHES {
                let request = kring_storage::ReadRequest {
                    offset: Offset(offset),
                    upto: Offset(BATCHES),
                    max_bytes: 1,
                    min_one_batch: true,
                };
                let at = offset as usize * BATCH as usize;
                match log.read(request).await {
                    Ok(chunk) => {
                        let bytes = chunk.into_bytes().await.unwrap();
                        assert_eq!(
                            bytes[..],
                            expected[at..at + BATCH as usize],
                            "bit {bit}, offset {offset}"
                        );
                    }
                    Err(error) => assert!(matches!(error, LogError::Corrupt { .. }), "{error}"),
                }
            }
        }
    });
}

#[test]
fn a_damaged_producer_snapshot_is_not_believed() {
    on_shard(|| async {
        let temp = TempDir::new("snapshot");
        make(temp.path(), Left::Closed).await;
        flip(&file(temp.path(), "00000000000000000040.snapshot"), 7).await;
        let log = reopen(temp.path()).await.unwrap();
        assert_eq!(log.producers(|states| states.len()), 0);
        assert_eq!(log.offsets().end(), Offset(BATCHES));
    });
}

#[test]
fn a_damaged_partition_metadata_refuses_its_partition() {
    on_shard(|| async {
        let temp = TempDir::new("whose");
        make(temp.path(), Left::Closed).await;
        fs::write_atomic(file(temp.path(), "partition.metadata"), b"x").await.unwrap();
        assert_eq!(corrupt_at(reopen(temp.path()).await).0, file(temp.path(), "partition.metadata"));
    });
}

#[test]
fn a_log_that_lost_whole_batches_after_an_orderly_end_is_refused_and_left_as_it_is() {
    on_shard(|| async {
        for kept in [39, 38, 20, 0] {
            let temp = TempDir::new("whole");
            make(temp.path(), Left::Closed).await;
            fs::set_len(file(temp.path(), LOG), kept * BATCH).await.unwrap();
            assert_eq!(corrupt_at(reopen(temp.path()).await), (file(temp.path(), LOG), kept * BATCH));
            assert_eq!(fs::len(file(temp.path(), LOG)).await.unwrap(), kept * BATCH);
        }
    });
}

/// Four sealed segments of eight batches, and one that was written to.
async fn make_segments(path: &Path, epochs: [i32; 5], left: Left) -> Vec<u8> {
    let dir = open_dir(path).await;
    let log = open(&shard(), &dir, segmented()).await;
    let mut expected = Vec::new();
    for offset in 0..BATCHES {
        let batch = batch(Spec { leader_epoch: epochs[offset as usize / 8], ..spec(offset, 1, 1000) });
        expected.extend(whole(&batch));
        log.append(batch).unwrap();
    }
    log.flush().await.unwrap();
    if left == Left::Closed {
        log.close().await.unwrap();
        assert!(dir.mark_clean(1).await.unwrap());
        return expected;
    }
    drop((log, dir));
    // What has begun of writing checkpoints has ended, too.
    drop(reopen_dir(path).await);
    let points: &[u8] =
        if let Left::Crashed { covered: true } = left { b"0\n1\norders 0 40\n" } else { b"0\n0\n" };
    fs::write_atomic(path.join("recovery-point-offset-checkpoint"), points).await.unwrap();
    expected
}

fn segmented() -> LogConfig {
    LogConfig { segment_bytes: 8 * BATCH as u32, ..config() }
}

const SECOND: &str = "00000000000000000008.log";
const EVERY_END: [Left; 3] =
    [Left::Closed, Left::Crashed { covered: true }, Left::Crashed { covered: false }];

#[test]
fn a_sealed_segment_that_is_shorter_than_it_was_is_refused_wherever_it_was_cut() {
    on_shard(|| async {
        for left in EVERY_END {
            for bytes in [0, 1, 61, BATCH, 3 * BATCH, 7 * BATCH, 8 * BATCH - 1] {
                let temp = TempDir::new("sealed");
                make_segments(temp.path(), [0; 5], left).await;
                fs::set_len(file(temp.path(), SECOND), bytes).await.unwrap();
                let (path, position) = corrupt_at(reopen(temp.path()).await);
                assert_eq!((path, position), (file(temp.path(), SECOND), bytes / BATCH * BATCH), "{bytes}");
                assert_eq!(fs::len(file(temp.path(), SECOND)).await.unwrap(), bytes);
            }
        }
    });
}

#[test]
fn a_flipped_bit_in_a_sealed_segment_above_the_recovery_point_is_no_torn_tail() {
    on_shard(|| async {
        let temp = TempDir::new("rot");
        make_segments(temp.path(), [0; 5], Left::Crashed { covered: false }).await;
        flip(&file(temp.path(), SECOND), 5 * BATCH + 700).await;
        assert_eq!(corrupt_at(reopen(temp.path()).await), (file(temp.path(), SECOND), 5 * BATCH));
        assert_eq!(fs::len(file(temp.path(), SECOND)).await.unwrap(), 8 * BATCH);
    });
}

#[test]
fn an_index_of_a_sealed_segment_that_leads_nowhere_is_made_anew() {
    on_shard(|| async {
        for bad in [&b""[..], b"abc", &[0, 0, 0, 5, 0, 0, 0x11, 0x11], &[0xff; 8], &[0; 64]] {
            let temp = TempDir::new("nowhere");
            let expected = make_segments(temp.path(), [0; 5], Left::Closed).await;
            fs::write_atomic(file(temp.path(), "00000000000000000008.index"), bad).await.unwrap();
            assert_eq!(read_all(&reopen(temp.path()).await.unwrap(), 0).await, expected, "{bad:?}");
        }
    });
}

#[test]
fn leader_epochs_are_learnt_from_the_batches_when_their_file_is_damaged_or_gone() {
    on_shard(|| async {
        for left in EVERY_END {
            for damage in [Some(&b"x"[..]), Some(b"0\n9\n0 0\n"), Some(b"\xff\xfe"), None] {
                let temp = TempDir::new("epochs");
                make_segments(temp.path(), [0, 0, 3, 3, 7], left).await;
                let path = file(temp.path(), "leader-epoch-checkpoint");
                match damage {
                    Some(bytes) => fs::write_atomic(&path, bytes).await.unwrap(),
                    None => fs::remove_file(&path).await.unwrap(),
                }
                let log = reopen(temp.path()).await.unwrap();
                let ends = [0, 3, 7].map(|epoch| log.end_offset_for_epoch(LeaderEpoch(epoch)).unwrap());
                let ends = ends.map(|end| (end.epoch.0, end.end_offset.0));
                assert_eq!(ends, [(0, 16), (3, 32), (7, 40)]);
                let text = fs::read(&path).await.unwrap();
                assert_eq!(String::from_utf8_lossy(&text), "0\n3\n0 0\n3 16\n7 32\n");
            }
        }
    });
}

#[test]
fn a_damaged_checkpoint_costs_a_longer_recovery_and_no_record() {
    on_shard(|| async {
        let names = [
            "recovery-point-offset-checkpoint",
            "log-start-offset-checkpoint",
            "cleaner-offset-checkpoint",
            "replication-offset-checkpoint",
        ];
        for left in EVERY_END {
            for (name, damage) in
                names.iter().flat_map(|name| [(name, &b"0\n1\norders"[..]), (name, &[0xff; 40])])
            {
                let temp = TempDir::new("checkpoint");
                let expected = make_segments(temp.path(), [0; 5], left).await;
                fs::write_atomic(temp.path().join(name), damage).await.unwrap();
                let log = reopen(temp.path()).await.unwrap();
                assert_eq!(read_all(&log, 0).await, expected, "{name}");
            }
        }
    });
}

#[test]
fn without_its_recovery_point_a_crashed_log_is_checked_whole() {
    on_shard(|| async {
        let temp = TempDir::new("whole-check");
        make_segments(temp.path(), [0; 5], Left::Crashed { covered: true }).await;
        fs::write_atomic(temp.path().join("recovery-point-offset-checkpoint"), b"?").await.unwrap();
        flip(&file(temp.path(), SECOND), 5 * BATCH + 700).await;
        assert_eq!(corrupt_at(reopen(temp.path()).await), (file(temp.path(), SECOND), 5 * BATCH));
    });
}

#[test]
fn a_clean_shutdown_marker_of_any_content_says_clean() {
    on_shard(|| async {
        for content in [&b""[..], b"garbage", b"\xff\xfe"] {
            let temp = TempDir::new("marker");
            make(temp.path(), Left::Closed).await;
            fs::write_atomic(temp.path().join(".kafka_cleanshutdown"), content).await.unwrap();
            let opened = LogDir::open(temp.path()).await.unwrap();
            assert_eq!(opened.clean_shutdown, Some(-1));
            let name = LogName::new("orders", 0);
            let log = Log::open(&shard(), &opened.dir, name, Rc::new(config()), None).await.unwrap();
            assert!(log.1.clean && log.1.segments_scanned == 0, "{:?}", log.1);
        }
    });
}

/// Damage to one file, and the offsets that it takes.
struct Hurt {
    what: &'static str,
    file: &'static str,
    lost: std::ops::Range<i64>,
    how: How,
}

enum How {
    Flip(u64),
    Cut(u64),
    Zero(std::ops::Range<u64>),
    Remove,
}

const NEWEST: &str = "00000000000000000032.log";

const HURTS: [Hurt; 10] = [
    Hurt { what: "a record", file: SECOND, lost: 13..14, how: How::Flip(5 * BATCH + 700) },
    Hurt { what: "a magic", file: SECOND, lost: 12..13, how: How::Flip(4 * BATCH + 16) },
    Hurt { what: "a length", file: SECOND, lost: 11..12, how: How::Flip(3 * BATCH + 9) },
    Hurt { what: "a base offset", file: SECOND, lost: 8..9, how: How::Flip(0) },
    Hurt { what: "a page", file: SECOND, lost: 11..16, how: How::Zero(4096..8192) },
    Hurt { what: "an end", file: SECOND, lost: 11..16, how: How::Cut(3 * BATCH + 10) },
    Hurt { what: "a segment's bytes", file: SECOND, lost: 8..16, how: How::Cut(0) },
    Hurt {
        what: "a record of the newest segment",
        file: NEWEST,
        lost: 35..36,
        how: How::Flip(3 * BATCH + 70),
    },
    Hurt { what: "the log's end", file: NEWEST, lost: 34..40, how: How::Cut(2 * BATCH) },
    Hurt { what: "the newest segment", file: NEWEST, lost: 32..40, how: How::Remove },
];

async fn hurt(path: &Path, hurt: &Hurt) {
    let file = file(path, hurt.file);
    match &hurt.how {
        How::Flip(at) => flip(&file, *at).await,
        How::Cut(bytes) => fs::set_len(&file, *bytes).await.unwrap(),
        How::Remove => fs::remove_file(&file).await.unwrap(),
        How::Zero(range) => {
            let mut bytes = fs::read(&file).await.unwrap();
            bytes[range.start as usize..range.end as usize].fill(0);
            fs::write_atomic(&file, &bytes).await.unwrap();
        }
    }
}

async fn verified(path: &Path) -> PartitionReport {
    let inspection = Inspection::open(path).await.unwrap();
    inspection.verify(&inspection.partitions()[0]).await.unwrap()
}

async fn repair(path: &Path) -> Vec<String> {
    let inspection = Inspection::open(path).await.unwrap();
    inspection.plan_for_checkpoints().carry_out().await.unwrap();
    let report = inspection.verify(&inspection.partitions()[0]).await.unwrap();
    let plan = inspection.plan(&report);
    assert_eq!(plan.unmended, []);
    plan.carry_out().await.unwrap();
    plan.lines().collect()
}

/// Every batch with records, by its offset.
fn by_offset(bytes: &[u8]) -> Vec<(i64, &[u8])> {
    let (mut found, mut at) = (Vec::new(), 0);
    while let Some(header) = kring_wire::record::BatchHeader::parse(&bytes[at..]) {
        let end = at + header.size_bytes() as usize;
        if header.record_count > 0 {
            found.push((header.base_offset, &bytes[at..end]));
        }
        at = end;
    }
    found
}

#[test]
fn after_a_repair_a_log_opens_with_every_record_that_was_sound_at_its_offset() {
    on_shard(|| async {
        for left in [Left::Closed, Left::Crashed { covered: true }] {
            for damage in &HURTS {
                let temp = TempDir::new("repair");
                let expected = make_segments(temp.path(), [0; 5], left).await;
                hurt(temp.path(), damage).await;
                let report = verified(temp.path()).await;
                assert!(!report.findings.is_empty(), "{}", damage.what);
                let lost = &damage.lost;
                assert_eq!(report.findings[0].offset, Some(Offset(lost.start)), "{}", damage.what);
                let done = repair(temp.path()).await;
                let sentence = match lost.end - lost.start {
                    1 => format!("offset {} is lost", lost.start),
                    _ => format!("offsets {} to {} are lost", lost.start, lost.end - 1),
                };
                assert!(done.iter().any(|line| line.ends_with(&sentence)), "{}: {done:?}", damage.what);
                assert_eq!(verified(temp.path()).await.findings, [], "{}", damage.what);
                let log = reopen(temp.path()).await.unwrap();
                assert_eq!((log.offsets().start(), log.offsets().end()), (Offset(0), Offset(BATCHES)));
                let sound = by_offset(&expected).into_iter().filter(|(offset, _)| !lost.contains(offset));
                let found = read_all(&log, 0).await;
                assert_eq!(by_offset(&found), sound.collect::<Vec<_>>(), "{}", damage.what);
                append(&log, 1, 1000);
                log.flush().await.unwrap();
                drop(log);
                assert_eq!(reopen(temp.path()).await.unwrap().offsets().end(), Offset(BATCHES + 1));
            }
        }
    });
}

#[test]
fn what_a_repair_takes_out_is_kept_beside() {
    on_shard(|| async {
        let temp = TempDir::new("kept");
        make_segments(temp.path(), [0; 5], Left::Closed).await;
        flip(&file(temp.path(), SECOND), 5 * BATCH + 700).await;
        let damaged = fs::read(file(temp.path(), SECOND)).await.unwrap();
        repair(temp.path()).await;
        let kept = file(temp.path(), &format!("{SECOND}.removed-{}", 5 * BATCH));
        assert_eq!(fs::read(&kept).await.unwrap(), damaged[5 * BATCH as usize..6 * BATCH as usize]);
    });
}

#[test]
fn a_second_repair_at_the_same_byte_keeps_what_the_first_has_taken_out() {
    on_shard(|| async {
        let temp = TempDir::new("twice");
        make_segments(temp.path(), [0; 5], Left::Closed).await;
        let (path, from) = (file(temp.path(), SECOND), 5 * BATCH);
        flip(&path, from + 700).await;
        let first = fs::read(&path).await.unwrap()[from as usize..(from + BATCH) as usize].to_vec();
        repair(temp.path()).await;
        // Of the batch that holds the place now, 61 bytes.
        flip(&path, from + 30).await;
        let second = fs::read(&path).await.unwrap()[from as usize..from as usize + 61].to_vec();
        repair(temp.path()).await;
        let kept = |ending: &str| fs::read(file(temp.path(), &format!("{SECOND}.removed-{from}{ending}")));
        assert_eq!(kept("").await.unwrap(), first);
        assert_eq!(kept(".1").await.unwrap(), second);
    });
}

#[test]
fn small_files_that_are_damaged_are_named_and_mended() {
    on_shard(|| async {
        let beside = ["recovery-point-offset-checkpoint", "log-start-offset-checkpoint"]
            .map(|name| format!("../{name}"));
        let inside = [
            "00000000000000000008.index",
            "00000000000000000008.timeindex",
            "00000000000000000008.txnindex",
            "00000000000000000040.snapshot",
            "leader-epoch-checkpoint",
            "partition.metadata",
        ];
        for name in inside.iter().map(|name| name.to_string()).chain(beside) {
            let temp = TempDir::new("small");
            let expected = make_segments(temp.path(), [0, 1, 2, 3, 4], Left::Closed).await;
            let path = file(temp.path(), &name);
            fs::write_atomic(&path, b"garbage").await.unwrap();
            let mut found = verified(temp.path()).await.findings;
            found.extend(Inspection::open(temp.path()).await.unwrap().findings);
            let is_named = |path: &Path| path.file_name() == Path::new(&name).file_name();
            assert!(found.len() == 1 && is_named(&found[0].path), "{name}: {found:?}");
            repair(temp.path()).await;
            assert_eq!(verified(temp.path()).await.findings, [], "{name}");
            assert_eq!(Inspection::open(temp.path()).await.unwrap().findings, [], "{name}");
            let log = reopen(temp.path()).await.unwrap();
            assert_eq!(read_all(&log, 0).await, expected, "{name}");
            assert_eq!(log.latest_epoch(), Some(LeaderEpoch(4)), "{name}");
        }
    });
}

#[test]
fn a_changed_entry_of_an_index_is_named() {
    on_shard(|| async {
        for (suffix, at) in [("index", 7), ("timeindex", 11), ("timeindex", 6)] {
            let temp = TempDir::new("entry");
            make_segments(temp.path(), [0; 5], Left::Closed).await;
            let path = file(temp.path(), &format!("00000000000000000008.{suffix}"));
            flip(&path, at).await;
            let found = verified(temp.path()).await.findings;
            assert!(found.len() == 1 && found[0].path == path, "{suffix} {at}: {found:?}");
        }
    });
}

#[test]
fn a_sound_log_has_no_findings_and_a_torn_tail_is_none() {
    on_shard(|| async {
        for left in EVERY_END {
            let temp = TempDir::new("sound");
            make_segments(temp.path(), [0, 0, 1, 1, 2], left).await;
            let report = verified(temp.path()).await;
            assert_eq!((report.findings, report.batches, report.records), (vec![], 40, 40));
            assert_eq!((report.start, report.end, report.segments), (Offset(0), Offset(40), 5));
        }
        let temp = TempDir::new("torn");
        make_segments(temp.path(), [0; 5], Left::Crashed { covered: false }).await;
        fs::set_len(file(temp.path(), NEWEST), 5 * BATCH + 100).await.unwrap();
        let report = verified(temp.path()).await;
        assert_eq!(report.findings, []);
        assert_eq!((report.remarks.len(), report.remarks[0].position), (1, 5 * BATCH));
    });
}

#[test]
fn a_directory_that_somebody_uses_is_not_looked_into() {
    on_shard(|| async {
        let temp = TempDir::new("used");
        make(temp.path(), Left::Closed).await;
        let used = open_dir(temp.path()).await;
        for path in [temp.path().to_path_buf(), temp.path().join("orders-0")] {
            let refused = Inspection::open(&path).await.map(|_| ());
            assert!(matches!(refused, Err(LogError::Locked { .. })), "{refused:?}");
        }
        drop(used);
        assert!(Inspection::open(temp.path()).await.is_ok());
    });
}
