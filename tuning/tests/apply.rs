//! Apply and its undo on a directory that looks like a host, with the script run by a shell.
#![allow(clippy::disallowed_methods, reason = "a test process is outside the simulation")]

mod common;

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use common::{FakeHost, bare_metal};
use kring_tuning::{ApplyError, Host, Look, Machine, Outcome, Plan, apply, check, plan};

/// A directory of its own, gone with the test.
struct Tree(PathBuf);

impl Tree {
    /// The files of a made-up host, neglected in four places.
    fn new(name: &str) -> Tree {
        let root = std::env::temp_dir().join(format!("kring-tune-{name}-{}", std::process::id()));
        let tree = Tree(root);
        // What an earlier run of the same process id may have left.
        let _absent = fs::remove_dir_all(&tree.0);
        tree.fill(&bare_metal().with(
            "/proc/swaps Filename\\n/dev/sda3 partition
             /proc/sys/net/core/somaxconn 128
             /proc/sys/net/ipv4/tcp_wmem 4096\\t16384\\t65536
             /proc/sys/net/ipv4/ip_local_port_range 1024\\t65535",
        ));
        tree
    }

    fn fill(&self, host: &FakeHost) {
        for (path, text) in host.files.borrow().iter() {
            let path = self.0.join("host").join(path.trim_start_matches('/'));
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
    }

    fn machine(&self) -> Machine {
        Machine::below(&self.0.join("host"))
    }

    fn undo(&self) -> PathBuf {
        self.0.join("state/undo.sh")
    }

    fn plan(&self) -> Plan {
        let machine = self.machine();
        let look = Look { host: &machine, process: "/proc/self".into(), data_dir: "/srv/kring".into() };
        plan(&check(&look), &[]).unwrap()
    }

    /// Every file and what is in it, as words.
    fn contents(&self) -> BTreeMap<PathBuf, String> {
        let mut found = BTreeMap::new();
        gather(&self.0.join("host"), &mut found);
        found
    }

    fn set(&self, path: &str, text: &str) {
        fs::write(self.machine().at(path), text).unwrap();
    }

    fn run_undo(&self) -> (i32, String) {
        let Output { status, stdout, stderr } = Command::new("sh").arg(self.undo()).output().unwrap();
        assert!(stderr.is_empty(), "{}", String::from_utf8_lossy(&stderr));
        (status.code().unwrap(), String::from_utf8(stdout).unwrap())
    }
}

impl Drop for Tree {
    fn drop(&mut self) {
        let _gone_already = fs::remove_dir_all(&self.0);
    }
}

fn gather(dir: &Path, found: &mut BTreeMap<PathBuf, String>) {
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            gather(&path, found);
        } else {
            let words = fs::read_to_string(&path).unwrap();
            found.insert(path, words.split_whitespace().collect::<Vec<_>>().join(" "));
        }
    }
}

#[test]
fn apply_sets_what_was_planned_and_the_undo_brings_back_all_of_it() {
    let tree = Tree::new("undo");
    let (before, wanted) = (tree.contents(), tree.plan());
    let names: Vec<&str> = wanted.changes.iter().map(|change| change.point).collect();
    assert_eq!(names, ["swappiness", "TCP buffers", "accept backlog", "port range"]);
    let applied = apply(&tree.machine(), &wanted, &tree.undo()).unwrap();
    assert!(applied.is_whole(), "{applied:?}");
    assert!(tree.plan().changes.is_empty(), "nothing is left to be done");
    let changed = tree.contents().into_iter().filter(|(path, text)| before[path] != *text).count();
    assert_eq!(changed, 4, "nothing else was touched");
    let (code, said) = tree.run_undo();
    assert_eq!((code, said.matches("put back:").count()), (0, 4), "{said}");
    assert_eq!(tree.contents(), before);
    let (code, said) = tree.run_undo();
    assert_eq!((code, said.matches("as it was:").count()), (0, 4), "{said}");
}

#[test]
fn a_second_apply_changes_nothing_and_keeps_what_the_first_one_found() {
    let tree = Tree::new("again");
    let before = tree.contents();
    apply(&tree.machine(), &tree.plan(), &tree.undo()).unwrap();
    let script = fs::read_to_string(tree.undo()).unwrap();
    let again = apply(&tree.machine(), &tree.plan(), &tree.undo()).unwrap();
    assert!(again.outcomes.is_empty() && again.undo.is_none());
    assert_eq!(fs::read_to_string(tree.undo()).unwrap(), script);
    // Later another point goes wrong, and one goes wrong again.
    tree.set("/proc/sys/net/core/busy_read", "50\n");
    tree.set("/proc/sys/vm/swappiness", "30\n");
    assert_eq!(apply(&tree.machine(), &tree.plan(), &tree.undo()).unwrap().outcomes.len(), 2);
    tree.run_undo();
    let mut wanted = before;
    wanted.insert(tree.machine().at("/proc/sys/net/core/busy_read"), "50".into());
    assert_eq!(tree.contents(), wanted, "what was there before any apply");
}

#[test]
fn what_was_found_before_an_earlier_boot_is_not_brought_back() {
    let tree = Tree::new("boot");
    apply(&tree.machine(), &tree.plan(), &tree.undo()).unwrap();
    tree.set("/proc/sys/kernel/random/boot_id", "another\n");
    tree.set("/proc/sys/vm/swappiness", "40\n");
    apply(&tree.machine(), &tree.plan(), &tree.undo()).unwrap();
    let (code, said) = tree.run_undo();
    assert_eq!((code, said.lines().count()), (0, 1), "{said}");
    assert!(said.ends_with("swappiness = 40\n"), "{said}");
}

#[test]
fn the_undo_leaves_alone_what_somebody_has_changed_since() {
    let tree = Tree::new("since");
    apply(&tree.machine(), &tree.plan(), &tree.undo()).unwrap();
    tree.set("/proc/sys/net/core/somaxconn", "8192\n");
    let (code, said) = tree.run_undo();
    assert_eq!(code, 1);
    assert!(said.contains("changed since, left alone:") && said.contains("somaxconn is 8192"), "{said}");
    assert_eq!(tree.machine().read("/proc/sys/net/core/somaxconn").as_deref(), Some("8192\n"));
    assert_eq!(tree.machine().read("/proc/sys/vm/swappiness").as_deref(), Some("60\n"));
}

#[test]
fn a_file_that_refuses_is_named_and_keeps_no_other_from_being_set() {
    let tree = Tree::new("partly");
    let mut wanted = tree.plan();
    wanted.changes[0].setting.path = "/proc/sys/vm/not_there".into();
    let applied = apply(&tree.machine(), &wanted, &tree.undo()).unwrap();
    let failed: Vec<_> = applied.outcomes.iter().filter(|(_, outcome)| *outcome != Outcome::Set).collect();
    assert_eq!(failed.len(), 1);
    assert!(
        applied.text(&wanted).contains("failed  vm.not_there: 60 -> 1: No such file"),
        "{}",
        applied.text(&wanted)
    );
    assert_eq!(tree.machine().read("/proc/sys/net/core/somaxconn").as_deref(), Some("4096\n"));
}

#[test]
fn without_its_script_nothing_is_changed() {
    let tree = Tree::new("noscript");
    let before = tree.contents();
    fs::create_dir_all(tree.undo().parent().unwrap()).unwrap();
    fs::write(tree.undo(), "#!/bin/sh\necho mine\n").unwrap();
    let refused = apply(&tree.machine(), &tree.plan(), &tree.undo());
    assert!(matches!(refused, Err(ApplyError::ForeignUndo(_))), "{refused:?}");
    let below_a_file = tree.undo().join("undo.sh");
    let refused = apply(&tree.machine(), &tree.plan(), &below_a_file);
    assert!(matches!(refused, Err(ApplyError::UndoNotWritten { .. })), "{refused:?}");
    assert_eq!(tree.contents(), before);
    assert_eq!(fs::read_to_string(tree.undo()).unwrap(), "#!/bin/sh\necho mine\n");
}

#[test]
fn only_its_owner_may_read_or_run_the_script() {
    let tree = Tree::new("mode");
    apply(&tree.machine(), &tree.plan(), &tree.undo()).unwrap();
    assert_eq!(fs::metadata(tree.undo()).unwrap().permissions().mode() & 0o777, 0o700);
}

#[test]
fn only_the_points_that_were_asked_for_are_planned() {
    let report =
        bare_metal().with("/proc/sys/net/core/somaxconn 128\n/proc/sys/net/core/busy_read 50").report();
    let one = plan(&report, &["busy poll".to_string()]).unwrap();
    assert_eq!(one.changes.iter().map(|change| change.point).collect::<Vec<_>>(), ["busy poll"]);
    assert!(matches!(plan(&report, &["nothing".to_string()]), Err(ApplyError::UnknownPoint { .. })));
}

#[test]
fn a_kernel_that_keeps_its_value_is_believed() {
    struct Stubborn(FakeHost);
    impl Host for Stubborn {
        fn read(&self, path: &str) -> Option<String> {
            self.0.read(path)
        }
        fn list(&self, dir: &str) -> Vec<String> {
            self.0.list(dir)
        }
        fn link(&self, path: &str) -> Option<String> {
            self.0.link(path)
        }
        fn write(&self, _: &str, _: &str) -> std::io::Result<()> {
            Ok(())
        }
        fn try_io_uring(&self) -> kring_tuning::Attempt {
            self.0.try_io_uring()
        }
    }
    let tree = Tree::new("stubborn");
    let host = bare_metal().with("/proc/sys/net/core/somaxconn 128");
    let wanted = plan(&host.report(), &[]).unwrap();
    let applied = apply(&Stubborn(host), &wanted, &tree.undo()).unwrap();
    assert_eq!(applied.outcomes[0].1, Outcome::Failed("the kernel keeps \"128\"".into()));
}
