//! What a check may ask of a host, and the host that this process runs on. A test puts a made-up host behind the same
//! trait, or a directory behind the same paths. Never decides anything. Main thread.

use std::io;
use std::path::{Path, PathBuf};

use kring_runtime::{RuntimeError, host};

/// What became of setting up an io_uring.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Attempt {
    Works,
    /// The kernel has no io_uring.
    Missing,
    /// The kernel has it and refused.
    Forbidden,
    Failed(String),
    Untried,
}

/// A host, as far as its files tell. Paths are absolute, such as `/proc/sys/vm/swappiness`.
pub trait Host {
    /// The text of a file; `None` when there is none or it may not be read.
    fn read(&self, path: &str) -> Option<String>;
    /// The names in a directory, sorted; none when there is no directory.
    fn list(&self, dir: &str) -> Vec<String>;
    /// Where a symbolic link points.
    fn link(&self, path: &str) -> Option<String>;
    /// Writes to a file that exists.
    ///
    /// # Errors
    /// As the kernel gives them.
    fn write(&self, path: &str, text: &str) -> io::Result<()>;
    fn try_io_uring(&self) -> Attempt;
    /// Where a path of the host is found by a script.
    fn place(&self, path: &str) -> String {
        path.to_string()
    }
}

/// The host of this process, or what a directory has of one.
#[derive(Debug, Clone)]
pub struct Machine {
    root: PathBuf,
}

impl Machine {
    pub fn this() -> Machine {
        Machine { root: PathBuf::from("/") }
    }

    /// Paths below `root` stand for those of the host.
    pub fn below(root: &Path) -> Machine {
        Machine { root: root.to_path_buf() }
    }

    /// Where a path of the host is found.
    pub fn at(&self, path: &str) -> PathBuf {
        self.root.join(path.trim_start_matches('/'))
    }

    fn is_this(&self) -> bool {
        self.root == Path::new("/")
    }
}

impl Host for Machine {
    fn read(&self, path: &str) -> Option<String> {
        host::read_text(&self.at(path)).ok()
    }

    fn list(&self, dir: &str) -> Vec<String> {
        host::list(&self.at(dir)).unwrap_or_default()
    }

    fn link(&self, path: &str) -> Option<String> {
        Some(host::read_link(&self.at(path)).ok()?.to_str()?.to_owned())
    }

    fn write(&self, path: &str, text: &str) -> io::Result<()> {
        host::write_setting(&self.at(path), text)
    }

    fn try_io_uring(&self) -> Attempt {
        if !self.is_this() {
            return Attempt::Untried;
        }
        match host::try_io_uring() {
            Ok(()) => Attempt::Works,
            Err(RuntimeError::IoUringMissing) => Attempt::Missing,
            Err(RuntimeError::IoUringForbidden) => Attempt::Forbidden,
            Err(error) => Attempt::Failed(error.to_string()),
        }
    }

    fn place(&self, path: &str) -> String {
        self.at(path).display().to_string()
    }
}
