//! Whole-file and directory operations, on the blocking pool: none of them is known to be fast.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use crate::fs::{DirEntry, DiskSpace};
use crate::real::{blocking, readers};

pub(crate) async fn create_dir_all(path: PathBuf) -> io::Result<()> {
    blocking::run(move || fs::create_dir_all(path)).await
}

pub(crate) async fn create_dir_with(path: PathBuf, name: String, bytes: Vec<u8>) -> io::Result<()> {
    blocking::run(move || {
        fs::create_dir_all(&path)?;
        fs::write(path.join(name), bytes)
    })
    .await
}

pub(crate) async fn read_dir(path: PathBuf) -> io::Result<Vec<DirEntry>> {
    blocking::run(move || list(&path)).await
}

fn list(path: &Path) -> io::Result<Vec<DirEntry>> {
    let mut entries = Vec::new();
    for entry in fs::read_dir(path)? {
        let entry = entry?;
        let meta = entry.metadata()?;
        let Ok(name) = entry.file_name().into_string() else {
            let name = entry.file_name();
            tracing::warn!(?path, ?name, "a file whose name is not UTF-8 is skipped");
            continue;
        };
        entries.push(DirEntry { name, is_dir: meta.is_dir(), len: meta.len() });
    }
    entries.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(entries)
}

pub(crate) async fn read(path: PathBuf) -> io::Result<Vec<u8>> {
    blocking::run(move || fs::read(path)).await
}

pub(crate) async fn read_at_most(path: PathBuf, most: u64) -> io::Result<Vec<u8>> {
    blocking::run(move || {
        let file = File::open(path)?;
        let len = file.metadata()?.len();
        let mut bytes = Vec::with_capacity(usize::try_from(len.min(most)).unwrap_or(0));
        // It may grow meanwhile, and the length of some files is not told.
        let read = if len > most { 0 } else { file.take(most.saturating_add(1)).read_to_end(&mut bytes)? };
        if len > most || read as u64 > most { Err(io::ErrorKind::FileTooLarge.into()) } else { Ok(bytes) }
    })
    .await
}

pub(crate) async fn write_atomic(path: PathBuf, bytes: Vec<u8>) -> io::Result<()> {
    blocking::run(move || replace(&path, &bytes)).await
}

fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let parent = crate::fs::parent(path);
    let temporary = crate::fs::temporary_name(path);
    let mut file = File::create(&temporary)?;
    let owned = give_to_owner(&file, path);
    let written = owned.and_then(|()| file.write_all(bytes)).and_then(|()| file.sync_all());
    drop(file);
    if let Err(error) = written.and_then(|()| fs::rename(&temporary, path)) {
        if let Err(left) = fs::remove_file(&temporary) {
            tracing::warn!(path = %temporary.display(), error = %left, "a temporary file is left behind");
        }
        return Err(error);
    }
    File::open(parent)?.sync_all()
}

/// A new file of root's among those of somebody else would be one that they cannot open: it is given to the owner of what it
/// replaces, with its mode, or to that of the directory. For anybody but root it is theirs already, or cannot be given away.
pub(crate) fn give_to_owner(file: &File, path: &Path) -> io::Result<()> {
    let before = fs::metadata(path);
    let model = before
        .as_ref()
        .map_or_else(|_| fs::metadata(crate::fs::parent(path)), |before| Ok(before.clone()))?;
    let own = file.metadata()?;
    if own.uid() != 0 || model.uid() == 0 {
        return Ok(());
    }
    std::os::unix::fs::fchown(file, Some(model.uid()), Some(model.gid()))?;
    before.map_or(Ok(()), |before| file.set_permissions(before.permissions()))
}

pub(crate) async fn write_out(path: PathBuf, bytes: Vec<u8>) -> io::Result<()> {
    blocking::run(move || match fs::canonicalize(&path) {
        Ok(target) if fs::metadata(&target)?.is_file() => replace(&target, &bytes),
        Ok(special) => OpenOptions::new().write(true).open(special)?.write_all(&bytes),
        Err(error) if error.kind() == io::ErrorKind::NotFound => replace(&path, &bytes),
        Err(error) => Err(error),
    })
    .await
}

pub(crate) async fn remove_file(path: PathBuf) -> io::Result<()> {
    blocking::run(move || fs::remove_file(path)).await
}

pub(crate) async fn remove_dir_all(path: PathBuf) -> io::Result<()> {
    blocking::run(move || fs::remove_dir_all(path)).await
}

pub(crate) async fn rename(from: PathBuf, to: PathBuf) -> io::Result<()> {
    blocking::run(move || fs::rename(from, to)).await
}

pub(crate) async fn sync_dir(path: PathBuf) -> io::Result<()> {
    blocking::run(move || File::open(path)?.sync_all()).await
}

pub(crate) async fn metadata(path: PathBuf) -> io::Result<DirEntry> {
    blocking::run(move || {
        let meta = fs::metadata(&path)?;
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        Ok(DirEntry { name, is_dir: meta.is_dir(), len: meta.len() })
    })
    .await
}

pub(crate) async fn modified_ms(path: PathBuf) -> io::Result<i64> {
    use std::os::unix::fs::MetadataExt;
    let meta = blocking::run(move || fs::metadata(path)).await?;
    Ok(meta.mtime().saturating_mul(1000).saturating_add(meta.mtime_nsec() / 1_000_000))
}

pub(crate) async fn may_be_read(path: PathBuf) -> io::Result<bool> {
    blocking::run(move || readers::may_be_open(&path)).await
}

pub(crate) async fn set_len(path: PathBuf, len: u64) -> io::Result<()> {
    blocking::run(move || {
        let file = OpenOptions::new().write(true).open(path)?;
        file.set_len(len)?;
        file.sync_all()
    })
    .await
}

pub(crate) async fn disk_space(path: PathBuf) -> io::Result<DiskSpace> {
    blocking::run(move || {
        let stat = rustix::fs::statvfs(path)?;
        Ok(DiskSpace {
            available_bytes: stat.f_bavail.saturating_mul(stat.f_frsize),
            total_bytes: stat.f_blocks.saturating_mul(stat.f_frsize),
        })
    })
    .await
}
