//! Files of the host below `/proc` and `/sys`, and small files of an operator: synchronous, for commands that run no
//! shard. Never used by a running broker, and not part of any simulation.
#![allow(clippy::disallowed_methods, clippy::disallowed_types)]

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use crate::error::RuntimeError;
use crate::real::preflight;

/// No file of interest is longer: what is behind it is not read.
const LONGEST_BYTES: u64 = 4 << 20;

/// The text of a file, cut at 4 MiB; bytes that are not UTF-8 are replaced.
pub fn read_text(path: &Path) -> io::Result<String> {
    let mut bytes = Vec::new();
    File::open(path)?.take(LONGEST_BYTES).read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// The names in a directory, sorted; those that are not UTF-8 are left out.
pub fn list(dir: &Path) -> io::Result<Vec<String>> {
    let entries = fs::read_dir(dir)?;
    let mut names: Vec<String> =
        entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok()).collect();
    names.sort();
    Ok(names)
}

/// Where a symbolic link points.
pub fn read_link(path: &Path) -> io::Result<PathBuf> {
    fs::read_link(path)
}

/// The path without links, `.` and `..`; it must exist.
pub fn canonical(path: &Path) -> io::Result<PathBuf> {
    fs::canonicalize(path)
}

/// Writes to a file that exists, in one call as `/proc` and `/sys` want it. Makes none.
pub fn write_setting(path: &Path, text: &str) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).truncate(true).open(path)?;
    file.write_all(text.as_bytes())
}

/// Replaces a script that only its owner may read and run: after a crash it is the old one or the new one. Makes the
/// directory that it is in. Durable on return.
pub fn write_script(path: &Path, text: &str) -> io::Result<()> {
    let parent = crate::fs::parent(path);
    DirBuilder::new().recursive(true).mode(0o755).create(parent)?;
    let temporary = crate::fs::temporary_name(path);
    if let Err(error) = fs::remove_file(&temporary)
        && error.kind() != io::ErrorKind::NotFound
    {
        return Err(error);
    }
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o700).open(&temporary)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    fs::rename(&temporary, path)?;
    File::open(parent)?.sync_all()
}

/// Sets up an io_uring and closes it: whether this process may.
pub fn try_io_uring() -> Result<(), RuntimeError> {
    preflight::try_ring()
}
