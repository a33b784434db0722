//! The file system and the disk of the data directory, by what they say of themselves. Measures nothing.

use super::mount::{self, Mount};
use super::queues::{Disk, disks_of};
use crate::finding::{Finding, Setting, Verdict, Who};
use crate::look::Look;
use crate::text;

/// The unit of the broker's direct I/O.
const BLOCK: u64 = 4096;
/// Requests that a few shards have under way together: flushes of several logs, writes, and reads of history.
const LEAST_REQUESTS: u64 = 32;

pub(super) fn points(look: &Look<'_>) -> Vec<Finding> {
    let mount = look.of_process("mountinfo").and_then(|text| mount::holding(&text, &look.data_dir));
    let Some(mount) = mount else { return vec![Finding::unknown("file system")] };
    let mut points = vec![file_system(&mount), mount_options(&mount)];
    match disks_of(look, &mount).as_slice() {
        [] => points.push(Finding::new("disk", Verdict::Unknown, format!("{} shows none", mount.source))),
        disks => points.extend([
            block_size(look, disks),
            write_cache(look, disks),
            scheduler(look, disks),
            requests(look, disks),
        ]),
    }
    points
}

fn file_system(mount: &Mount) -> Finding {
    let (verdict, note) = match mount.kind.as_str() {
        "ext4" | "xfs" => (Verdict::Good, ""),
        "tmpfs" | "ramfs" => (Verdict::Unsafe, ": memory, gone with the next boot"),
        "overlay" | "aufs" => (Verdict::Unsafe, ": the layer of a container, gone with it"),
        "btrfs" | "bcachefs" => (Verdict::Tune, ": each overwritten block gets a new place"),
        "ext2" | "ext3" => (Verdict::Tune, ": direct writes wait for each other"),
        _ => (Verdict::Unknown, ": not tried"),
    };
    Finding::new("file system", verdict, format!("{} at {}{note}", mount.kind, mount.point))
        .wanted("ext4 or xfs, on a disk that stays")
        .why("a log is written with direct I/O, over and over within space that is there already, and flushed by fdatasync")
        .cost("a file system of its own for the data")
        .by(Who::Operator, "put the data directory on an ext4 or xfs volume")
}

fn mount_options(mount: &Mount) -> Finding {
    let is_one_of = |options: &[&str]| options.iter().any(|option| mount.has(option));
    let keeps_access_times = !is_one_of(&["noatime", "relatime"]);
    let (verdict, found) = if mount.has("ro") {
        (Verdict::Stops, "ro: nothing can be written")
    } else if is_one_of(&["nobarrier", "barrier=0"]) {
        (Verdict::Unsafe, "nobarrier: a flush does not reach the disk")
    } else if mount.has("data=journal") {
        (Verdict::Tune, "data=journal: no direct I/O, and each byte is written twice")
    } else if is_one_of(&["sync", "dirsync"]) {
        (Verdict::Tune, "sync: every small file and every rename waits for the disk")
    } else if keeps_access_times {
        (Verdict::Tune, "strictatime: each read of history changes an inode")
    } else {
        (Verdict::Good, if mount.has("noatime") { "noatime" } else { "relatime" })
    };
    Finding::new("mount options", verdict, found)
        .wanted("rw, noatime or relatime, flushes that reach the disk")
        .why("what is acknowledged is on disk because fdatasync says so")
        .cost("times of last access are not exact")
        .by(Who::Operator, format!("change its line in /etc/fstab and mount -o remount {}", mount.point))
}

/// What is said of one disk, and of several that are alike.
fn each<T: PartialEq + Clone>(disks: &[Disk], of: impl Fn(&Disk) -> Option<T>) -> Vec<(String, T)> {
    disks.iter().filter_map(|disk| Some((disk.name.clone(), of(disk)?))).collect()
}

fn named<T: std::fmt::Display>(values: &[(String, T)]) -> String {
    values.iter().map(|(name, value)| format!("{value} ({name})")).collect::<Vec<_>>().join(", ")
}

fn block_size(look: &Look<'_>, disks: &[Disk]) -> Finding {
    let sizes = each(disks, |disk| text::number(look.host, &disk.file("logical_block_size")));
    let Some(largest) = sizes.iter().map(|(_, size)| *size).max() else {
        return Finding::unknown("block size");
    };
    let verdict = if largest > BLOCK { Verdict::Stops } else { Verdict::Good };
    Finding::new("block size", verdict, named(&sizes))
        .wanted("4096 or less")
        .why("the broker writes in blocks of 4096 bytes, and direct I/O takes no less than a block of the disk")
        .cost("formatting the disk anew")
        .by(Who::Operator, "use a disk, or a format of it, with smaller blocks")
}

/// Both are well: what matters is that the disk tells the truth, and no file says whether it does.
fn write_cache(look: &Look<'_>, disks: &[Disk]) -> Finding {
    let modes = each(disks, |disk| text::word(look.host, &disk.file("write_cache")));
    if modes.is_empty() {
        return Finding::unknown("write cache");
    }
    let note = match modes.iter().any(|(_, mode)| mode == "write back") {
        true => "each flush goes to the disk",
        false => "the disk says that what it took is safe, so flushes cost nothing",
    };
    Finding::new("write cache", Verdict::Good, format!("{}: {note}", named(&modes)))
}

fn scheduler(look: &Look<'_>, disks: &[Disk]) -> Finding {
    let current = each(disks, |disk| text::chosen(&look.host.read(&disk.file("scheduler"))?));
    if current.is_empty() {
        return Finding::unknown("scheduler");
    }
    let wrong: Vec<Setting> = disks.iter().filter_map(|disk| other_scheduler(look, disk)).collect();
    let verdict = if wrong.is_empty() { Verdict::Good } else { Verdict::Tune };
    Finding::new("scheduler", verdict, named(&current))
        .wanted("none; mq-deadline for disks with a moving head")
        .why(
            "the broker writes in order and in large pieces already; to sort and share out its requests again costs CPU and time for each",
        )
        .cost("other users of the disk get no share guaranteed")
        .settings(wrong)
}

/// `mq-deadline` does no harm where `none` is wanted: it sorts a queue that is short.
fn other_scheduler(look: &Look<'_>, disk: &Disk) -> Option<Setting> {
    let path = disk.file("scheduler");
    let text = look.host.read(&path)?;
    let (current, offered) = (text::chosen(&text)?, text::choices(&text));
    let good: &[&str] =
        if disk.is_rotational(look) { &["mq-deadline", "bfq"] } else { &["none", "mq-deadline"] };
    if good.contains(&current.as_str()) {
        return None;
    }
    let wanted = good.iter().find(|name| offered.iter().any(|word| word == *name))?;
    look.setting(&path, wanted)
}

fn requests(look: &Look<'_>, disks: &[Disk]) -> Finding {
    let depths = each(disks, |disk| text::number(look.host, &disk.file("nr_requests")));
    let Some(least) = depths.iter().map(|(_, depth)| *depth).min() else {
        return Finding::unknown("queue depth");
    };
    let verdict = if least < LEAST_REQUESTS { Verdict::Tune } else { Verdict::Good };
    let paths = disks.iter().map(|disk| disk.file("nr_requests"));
    let low = paths.filter(|path| text::number(look.host, path).is_some_and(|n| n < LEAST_REQUESTS));
    Finding::new("queue depth", verdict, named(&depths))
        .wanted("nr_requests of 32 or more")
        .why("writes, flushes and reads of several logs are under way together; what does not fit waits in the kernel, and holds a thread of the ring meanwhile")
        .cost("a few KiB of kernel memory")
        .settings(low.filter_map(|path| look.setting(&path, "64")).collect())
}
