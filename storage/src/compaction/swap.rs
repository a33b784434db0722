//! Puts a cleaned segment in the place of those it was made of, and completes that at the start if a crash came
//! between. Rules of Kafka's `LocalLog.replaceSegments` and `LogLoader`; in addition each step is made durable before
//! the next begins. Shard that owns the log.

use std::io::ErrorKind;
use std::path::Path;
use std::rc::Rc;

use kring_runtime::disk::ReadHandle;
use kring_runtime::fs::{self, DirEntry};

use super::target::{CLEANED, SUFFIXES, cleaned_name};
use crate::aborted::index_of;
use crate::deletion::DELETED;
use crate::error::LogError;
use crate::log::Log;
use crate::mutation::{self, Mutation};
use crate::scan::{self, Care, Extent};
use crate::segment::{Segment, file_name, parse_file_name};
use crate::types::Offset;

const SWAP: &str = "swap";
/// Written where segments began that are gone now.
const SNAPSHOT: &str = "snapshot";

impl Log {
    /// Replaces neighbouring segments, which are held, by the cleaned one, `bytes` long, that has the name of the
    /// first. Whoever reads the old ones goes on reading them.
    pub(crate) async fn swap_in(&self, old: &[Rc<Segment>], bytes: u32) -> Result<(), LogError> {
        let (dir, base) = (&*self.0.path, old[0].base);
        rename_all(dir, |suffix| cleaned_name(base, suffix), |suffix| swap_name(base, suffix)).await?;
        sync(dir).await?;
        let aside = self.put_aside_replaced(old).await?;
        sync(dir).await?;
        rename_all(dir, |suffix| swap_name(base, suffix), |suffix| file_name(base, suffix)).await?;
        sync(dir).await?;
        let aborted = index_of(&dir.join(file_name(base, "txnindex"))).await?;
        let new = Rc::new(Segment::at_rest(self.0.path.clone(), base, bytes, aborted));
        let end = self.state_mut().replace(old, new);
        self.0.shard.tails().forget_segments(&self.0.tail, end);
        for segment in old {
            segment.retire(self.0.shard.budget());
        }
        // Retired ones keep what their readers hold.
        self.remove_files_later(aside, Vec::new());
        Ok(())
    }

    /// The first segment's producer snapshot stays: a segment begins there still.
    async fn put_aside_replaced(&self, old: &[Rc<Segment>]) -> Result<Vec<std::path::PathBuf>, LogError> {
        let (first, merged) = old.split_at(1);
        let mut aside = self.put_aside(first, &SUFFIXES).await?;
        aside.extend(self.put_aside(merged, &SUFFIXES).await?);
        aside.extend(self.put_aside(merged, &[SNAPSHOT]).await?);
        Ok(aside)
    }
}

/// Whether a file belongs to an exchange of segments.
pub(crate) fn is_of_swap(name: &str) -> bool {
    name.ends_with(".swap") || name.ends_with(".cleaned")
}

/// Completes an exchange that a crash cut short, before anything else is read: either the old segments are all there
/// and the new one goes, or the new one is complete and takes their place.
pub(crate) async fn complete_swaps(dir: &Path, entries: &[DirEntry]) -> Result<(), LogError> {
    let cleaned = entries.iter().filter_map(|entry| base_of(&entry.name, CLEANED));
    // A file of the new segment that has not got its second name yet: the exchange had not begun.
    let first_unready = cleaned.min().unwrap_or(Offset::MAX);
    let is_ready = |entry: &&DirEntry| base_of(&entry.name, SWAP).is_some_and(|base| base < first_unready);
    let unready = entries.iter().filter(|entry| is_of_swap(&entry.name) && !is_ready(entry));
    // The log first: without it the rest means nothing, should a crash come here as well.
    let (logs, rest): (Vec<_>, Vec<_>) = unready.partition(|entry| entry.name.ends_with(".log.swap"));
    for part in [logs, rest] {
        for entry in part {
            remove(dir, &entry.name).await?;
        }
        sync(dir).await?;
    }
    let ready: Vec<&DirEntry> = entries.iter().filter(is_ready).collect();
    for entry in &ready {
        remove_replaced(dir, entries, entry).await?;
    }
    sync(dir).await?;
    for entry in ready {
        let target = entry.name.strip_suffix(".swap").expect("it is the file of an exchange");
        tracing::info!(dir = %dir.display(), file = target, "completing an exchange of segments");
        rename(&dir.join(&entry.name), &dir.join(target)).await?;
    }
    sync(dir).await
}

/// Puts the segments aside that lie in the range of a new one: the start does not wait for their removal.
async fn remove_replaced(dir: &Path, entries: &[DirEntry], swap: &DirEntry) -> Result<(), LogError> {
    let log = swap.name.strip_suffix(".swap").and_then(|name| parse_file_name(name, "log"));
    let Some(base) = log.filter(|_| !mutation::on(Mutation::KeepReplaced)) else { return Ok(()) };
    let end = end_offset(&dir.join(&swap.name), base, swap.len).await?;
    for entry in entries.iter().filter(|entry| !is_of_swap(&entry.name)) {
        let in_range = |base_of: Offset| base_of >= base && base_of < end;
        let is_segment = SUFFIXES.iter().any(|s| parse_file_name(&entry.name, s).is_some_and(in_range));
        let is_snapshot = parse_file_name(&entry.name, SNAPSHOT).is_some_and(|at| at > base && at < end);
        if is_segment || is_snapshot {
            rename(&dir.join(&entry.name), &dir.join(format!("{}.{DELETED}", entry.name))).await?;
        }
    }
    Ok(())
}

/// The offset after the last one of a segment file.
async fn end_offset(path: &Path, base: Offset, bytes: u64) -> Result<Offset, LogError> {
    let end = u32::try_from(bytes).map_err(|_| LogError::corrupt(path, bytes, "too long for a segment"))?;
    let file = ReadHandle::open(path).await.map_err(|e| LogError::io(path, "opening", &e))?;
    let extent = Extent { base, from: 0, end, care: Care::Checksums };
    let found = scan::scan(&file, path, extent, |_| {}).await?;
    match found.fault {
        Some(fault) => Err(LogError::corrupt(path, u64::from(found.end), fault.to_string())),
        // An empty segment still takes the place of the one whose name it has.
        None => Ok(found.end_offset.unwrap_or(base.next())),
    }
}

fn base_of(name: &str, ending: &str) -> Option<Offset> {
    let name = name.strip_suffix(ending)?.strip_suffix('.')?;
    SUFFIXES.iter().find_map(|suffix| parse_file_name(name, suffix))
}

fn swap_name(base: Offset, suffix: &str) -> String {
    format!("{}.{SWAP}", file_name(base, suffix))
}

/// Renames the files of a segment, as many as there are.
async fn rename_all(
    dir: &Path,
    from: impl Fn(&str) -> String,
    to: impl Fn(&str) -> String,
) -> Result<(), LogError> {
    for suffix in SUFFIXES {
        let from = dir.join(from(suffix));
        let exists = suffix != "txnindex" || exists(&from).await?;
        if exists {
            rename(&from, &dir.join(to(suffix))).await?;
        }
    }
    Ok(())
}

async fn exists(path: &Path) -> Result<bool, LogError> {
    fs::exists(path).await.map_err(|e| LogError::io(path, "looking for", &e))
}

async fn rename(from: &Path, to: &Path) -> Result<(), LogError> {
    fs::rename(from, to).await.map_err(|e| LogError::io(from, "renaming", &e))
}

async fn remove(dir: &Path, name: &str) -> Result<(), LogError> {
    let path = dir.join(name);
    match fs::remove_file(&path).await {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(LogError::io(&path, "removing", &error)),
        _ => Ok(()),
    }
}

async fn sync(dir: &Path) -> Result<(), LogError> {
    fs::sync_dir(dir).await.map_err(|e| LogError::flush(dir, "flushing directory", &e))
}
