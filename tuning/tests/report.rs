//! What a report and a plan look like on a terminal.

mod common;

use std::path::Path;

use common::bare_metal;
use kring_tuning::{plan, render};

fn neglected() -> kring_tuning::Report {
    bare_metal()
        .with(
            "/proc/self/limits Max open files            1024       4096       files\\nMax locked memory         65536      unlimited  bytes
             /proc/swaps Filename\\n/dev/sda3 partition
             /proc/self/mountinfo 27 1 0:40 / / rw,relatime - tmpfs tmpfs rw",
        )
        .report()
}

#[test]
fn the_worst_group_comes_first_and_what_is_well_takes_one_line() {
    let shown = render(&neglected());
    assert_eq!(shown, include_str!("report.txt"));
    assert!(shown.lines().all(|line| line.chars().count() <= 100 && line.trim_end() == line));
}

#[test]
fn a_plan_says_what_it_would_set_and_what_is_for_others() {
    let plan = plan(&neglected(), &[]).unwrap();
    assert_eq!(
        plan.text(Path::new("/var/lib/kring-tune/undo.sh")),
        "would be set, until the next boot, after /var/lib/kring-tune/undo.sh is written:\n  \
           vm.swappiness: 60 -> 1\n\
         \n\
         not for this command:\n  \
           open files       LimitNOFILE= of the unit, or ulimit -H -n 65536 (service)\n  \
           file system      put the data directory on an ext4 or xfs volume (operator)\n"
    );
}
