//! A log directory: whose it is, that nobody else uses it, how it was left, and the checkpoints of all its logs.
//! Holds no log. Shared by every shard that has logs in it: clones are the same directory.

use std::collections::{BTreeMap, BTreeSet};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use kring_runtime::channel::{Event, oneshot};
use kring_runtime::fs::{self, LockGuard};
use kring_runtime::{Queue, random_u64, retry, spawn};

use crate::checkpoint::{self, BadCheckpoint, LogName, MetaProperties};
use crate::disk_settings::{DISK_SETTINGS, DiskSettings};
use crate::error::LogError;
use crate::journal::{self, Kept, KeptBatch, is_journal};
use crate::mutation::{self, Mutation};
use crate::removal::Removals;
use crate::segment::write_file;
use crate::space::Space;
use crate::spare::SPARE;
use crate::types::Offset;

pub(crate) const META: &str = "meta.properties";
pub(crate) const LOCK: &str = ".lock";
pub(crate) const CLEAN: &str = ".kafka_cleanshutdown";
pub(crate) const RECOVERY_POINTS: &str = "recovery-point-offset-checkpoint";
pub(crate) const START_OFFSETS: &str = "log-start-offset-checkpoint";
pub(crate) const CLEANER_POINTS: &str = "cleaner-offset-checkpoint";
pub(crate) const REPLICATION_POINTS: &str = "replication-offset-checkpoint";
const BOOTSTRAP: &str = "bootstrap.checkpoint";
const DELETED: &str = "-delete";
const STRAY: &str = "-stray";

/// More than `meta.properties`, `partition.metadata` or the marker of an orderly end ever has, comments included.
pub(crate) const FEW_LINES: u64 = 64 << 10;
/// A line of a checkpoint is at most 282 bytes, for the longest name of a topic: lines of 230,000 partitions at least.
pub(crate) const LONGEST_CHECKPOINT: u64 = 64 << 20;

/// The kernel needed 7 to 15 ms for the rings of a killed process; a write under way on a slow disk needs longer.
const LOCK_FREED_WITHIN: Duration = Duration::from_secs(2);
const LOCK_RETRY: Duration = Duration::from_millis(2);

/// What a directory may hold beside partitions and still be a log directory.
const KNOWN: [&str; 11] = [
    META,
    LOCK,
    CLEAN,
    RECOVERY_POINTS,
    START_OFFSETS,
    CLEANER_POINTS,
    REPLICATION_POINTS,
    BOOTSTRAP,
    DISK_SETTINGS,
    SPARE,
    "lost+found",
];

/// A log directory that this process owns.
#[derive(Clone)]
pub struct LogDir(Arc<Shared>);

struct Shared {
    path: PathBuf,
    /// None for a directory that could not be opened.
    _lock: Option<LockGuard>,
    /// Why nothing here is trusted any more.
    failure: OnceLock<Arc<str>>,
    left_clean: bool,
    /// Said once, before the first log.
    disk: OnceLock<DiskSettings>,
    /// A log could not be opened, or failed, or was not closed in order: the next start must look closely.
    needs_recovery: AtomicBool,
    /// Offsets read at the start and those that logs report since: both checkpoint files hold all partitions,
    /// opened or not.
    points: Mutex<BTreeMap<LogName, Arc<LogPoints>>>,
    checkpoint: CheckpointTurn,
    /// Logs that are gone and that the checkpoint files may still speak of, each with when it went, in its order.
    gone: Mutex<BTreeMap<LogName, u64>>,
    departures: AtomicU64,
    /// The cleaner's checkpoint no longer says what the logs do.
    cleaner_points_changed: AtomicBool,
    space: Space,
    /// As far as this process knows.
    spare_is_whole: AtomicBool,
    removals: Removals,
    journals: Mutex<Journals>,
    failed: Event,
}

/// Those of earlier processes, with what their logs have not taken over yet, and those of this one.
#[derive(Default)]
struct Journals {
    old: Kept,
    made: Vec<PathBuf>,
}

impl Shared {
    fn new(path: &Path, lock: Option<LockGuard>, points: Mutex<BTreeMap<LogName, Arc<LogPoints>>>) -> Shared {
        Shared {
            path: path.to_path_buf(),
            _lock: lock,
            failure: OnceLock::new(),
            left_clean: false,
            disk: OnceLock::new(),
            needs_recovery: AtomicBool::new(false),
            points,
            checkpoint: CheckpointTurn::default(),
            gone: Mutex::default(),
            departures: AtomicU64::new(0),
            cleaner_points_changed: AtomicBool::new(false),
            space: Space::default(),
            spare_is_whole: AtomicBool::new(false),
            removals: Removals::default(),
            journals: Mutex::default(),
            failed: Event::new(),
        }
    }
}

/// What one log has to say to the checkpoints. Its shard stores, the shard that writes a checkpoint loads.
#[derive(Debug)]
pub(crate) struct LogPoints {
    recovery: AtomicI64,
    start: AtomicI64,
    /// Where the dirty part begins; negative if the log was never cleaned.
    cleaner: AtomicI64,
}

impl LogPoints {
    pub fn recovery(&self) -> Offset {
        Offset(self.recovery.load(Ordering::Acquire))
    }

    pub fn start(&self) -> Offset {
        Offset(self.start.load(Ordering::Acquire))
    }

    /// Everything below is durable.
    pub fn set_recovery(&self, offset: Offset) {
        self.recovery.store(offset.0, Ordering::Release);
    }

    /// Where the dirty part begins, if the log was ever cleaned.
    pub fn cleaner(&self) -> Option<Offset> {
        Some(Offset(self.cleaner.load(Ordering::Acquire))).filter(|offset| offset.0 >= 0)
    }

    pub fn forget_cleaner(&self) {
        self.set_cleaner(Offset(-1));
    }

    pub fn set_cleaner(&self, offset: Offset) {
        self.cleaner.store(offset.0, Ordering::Release);
    }

    pub fn set_start(&self, offset: Offset) {
        self.start.store(offset.0, Ordering::Release);
    }
}

/// Whoever needs a checkpoint written waits for a write that began after it asked. One write at a time.
#[derive(Default)]
struct CheckpointTurn {
    asked: AtomicU64,
    done: AtomicU64,
    writing: AtomicBool,
    ended: Event,
    /// What both files hold since this process wrote them: a disk at rest stays at rest.
    written: Mutex<(String, String)>,
}

impl CheckpointTurn {
    fn written(&self) -> MutexGuard<'_, (String, String)> {
        // A panic elsewhere ends the process; the pair is never left half changed.
        self.written.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What opening found.
pub struct OpenedLogDir {
    pub dir: LogDir,
    /// `None` if the directory is new.
    pub meta: Option<MetaProperties>,
    /// The broker epoch in the clean-shutdown marker, if the directory was closed in order.
    pub clean_shutdown: Option<i64>,
    pub partitions: Vec<LogName>,
    /// Directories of deleted partitions, to be removed at leisure.
    pub deleted: Vec<PathBuf>,
}

impl OpenedLogDir {
    /// A directory that could not be opened: it is offline for good, so that the others can go on without it.
    pub fn offline(path: &Path, cause: &LogError) -> OpenedLogDir {
        let dir = LogDir(Arc::new(Shared::new(path, None, Mutex::default())));
        dir.fail(cause);
        OpenedLogDir { dir, meta: None, clean_shutdown: None, partitions: Vec::new(), deleted: Vec::new() }
    }
}

impl LogDir {
    /// Takes a directory, made if missing: locks it, refuses what is not a log directory, reads its checkpoints,
    /// and removes the clean-shutdown marker, so that from here on a crash is seen as one.
    pub async fn open(path: &Path) -> Result<OpenedLogDir, LogError> {
        make_dir(path).await?;
        let lock = lock(path).await?;
        let listing = Listing::read(path).await?;
        let meta = read_meta(path).await?;
        listing.refuse_foreign(path, meta.is_some())?;
        let mut points = read_points(path).await?;
        let gone = listing.gone();
        points.retain(|name, _| !gone.contains(name));
        let old = Kept::read(path, listing.journals.clone(), &listing.partitions).await?;
        let clean_shutdown = take_clean_marker(path, &listing).await?;
        // A process that was killed may have made partitions and not their names durable.
        fs::sync_dir(path).await.map_err(|e| LogError::flush(path, "flushing directory", &e))?;
        let shared = Shared {
            left_clean: clean_shutdown.is_some(),
            journals: Mutex::new(Journals { old, made: Vec::new() }),
            cleaner_points_changed: AtomicBool::new(!gone.is_empty()),
            gone: Mutex::new(gone.into_iter().map(|name| (name, 0)).collect()),
            ..Shared::new(path, Some(lock), Mutex::new(points))
        };
        let (dir, Listing { partitions, deleted, .. }) = (LogDir(Arc::new(shared)), listing);
        dir.remove_old_journals().await;
        Ok(OpenedLogDir { dir, meta, clean_shutdown, partitions, deleted })
    }

    pub fn path(&self) -> &Path {
        &self.0.path
    }

    /// Why the directory is offline, if it is.
    pub fn offline(&self) -> Option<&str> {
        self.0.failure.get().map(|cause| &**cause)
    }

    /// Until the directory is offline; tells why.
    pub async fn went_offline(&self) -> Arc<str> {
        loop {
            let failed = self.0.failed.listen();
            if let Some(cause) = self.0.failure.get() {
                return cause.clone();
            }
            failed.await;
        }
    }

    /// Declares whose directory this is.
    pub async fn write_meta(&self, meta: &MetaProperties) -> Result<(), LogError> {
        write_file(&self.0.path.join(META), meta.encode().as_bytes()).await
    }

    /// Writes both checkpoint files from what all logs have reported. Call it at intervals. What has begun ends, also
    /// when the caller is dropped: others wait for it.
    pub async fn write_checkpoints(&self) -> Result<(), LogError> {
        let (dir, (reply, result)) = (self.clone(), oneshot());
        spawn(Queue::Append, async move {
            if reply.send(dir.write_in_turn().await).is_err() {
                tracing::trace!("nobody waits for a checkpoint any more");
            }
        })
        .detach();
        // Without an answer the shard is at its end.
        result.recv().await.unwrap_or(Err(LogError::Closed))
    }

    async fn write_in_turn(&self) -> Result<(), LogError> {
        self.check_online()?;
        let turn = &self.0.checkpoint;
        let mine = turn.asked.fetch_add(1, Ordering::AcqRel) + 1;
        loop {
            let ended = turn.ended.listen();
            if turn.done.load(Ordering::Acquire) >= mine {
                return Ok(());
            }
            if !turn.writing.swap(true, Ordering::AcqRel) {
                let result = self.write_checkpoint_files().await;
                if let Err(error) = &result {
                    self.fail_on_io(error);
                }
                turn.writing.store(false, Ordering::Release);
                turn.ended.notify_all();
                return result;
            }
            ended.await;
        }
    }

    /// Marks the directory as closed in order, once every log in it has been closed. Returns false, and leaves it
    /// to recovery, if one of them failed.
    pub async fn mark_clean(&self, broker_epoch: i64) -> Result<bool, LogError> {
        self.write_checkpoints().await?;
        if self.0.needs_recovery.load(Ordering::Acquire) {
            return Ok(false);
        }
        // Their logs were closed, and have all of it.
        let made = std::mem::take(&mut self.journals().made);
        remove_journals(made).await;
        self.remove_old_journals().await;
        let marker = checkpoint::encode_clean_shutdown(broker_epoch);
        write_file(&self.0.path.join(CLEAN), marker.as_bytes()).await?;
        Ok(true)
    }

    /// The path of a journal that is about to be made.
    pub(crate) fn new_journal(&self) -> PathBuf {
        let generation = self.journals().old.generation + 1;
        self.path().join(journal::file_name(generation, random_u64()))
    }

    /// An orderly end removes it.
    pub(crate) fn journal_made(&self, path: PathBuf) {
        self.journals().made.push(path);
    }

    /// It has not been removed, by an orderly end for instance.
    pub(crate) fn has_journal(&self, path: &Path) -> bool {
        self.journals().made.iter().any(|made| made == path)
    }

    pub(crate) fn journal_removed(&self, path: &Path) {
        self.journals().made.retain(|made| made != path);
    }

    /// What the journals of earlier processes hold for this log.
    pub(crate) fn kept_for(&self, name: &LogName) -> Vec<KeptBatch> {
        self.journals().old.of(name)
    }

    /// Some log has not taken over yet what they hold.
    #[cfg(test)]
    pub(crate) fn has_old_journals(&self) -> bool {
        self.journals().old.has_files()
    }

    /// This log needs them no longer, or is gone. The last one of a file lets it go.
    pub(crate) async fn taken_over(&self, name: &LogName) {
        self.journals().old.forget(name);
        self.remove_old_journals().await;
    }

    /// Nothing that the journals of earlier processes hold for this log comes back, whatever happens. Those that other
    /// logs need are written anew without it.
    pub(crate) async fn drop_from_old_journals(&self, name: &LogName) -> Result<(), LogError> {
        self.taken_over(name).await;
        let (content, path) = {
            let journals = self.journals();
            if !journals.old.has_files() {
                return Ok(());
            }
            (
                journals.old.encode(),
                self.path().join(journal::file_name(journals.old.generation, random_u64())),
            )
        };
        write_file(&path, &content).await?;
        let replaced = self.journals().old.replace_files(path);
        remove_journals(replaced).await;
        fs::sync_dir(self.path()).await.map_err(|e| LogError::flush(self.path(), "flushing directory", &e))
    }

    async fn remove_old_journals(&self) {
        let unneeded = self.journals().old.take_unneeded();
        remove_journals(unneeded).await;
    }

    fn journals(&self) -> MutexGuard<'_, Journals> {
        // A panic elsewhere ends the process; the lists are never left half changed.
        self.0.journals.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn needs_recovery(&self) {
        self.0.needs_recovery.store(true, Ordering::Release);
    }

    pub(crate) fn space(&self) -> &Space {
        &self.0.space
    }

    pub(crate) fn spare_is_whole(&self) -> &AtomicBool {
        &self.0.spare_is_whole
    }

    pub(crate) fn removals(&self) -> &Removals {
        &self.0.removals
    }

    /// What the file of disk settings says, or the defaults.
    pub async fn measured_disk(&self) -> DiskSettings {
        DiskSettings::of(&self.0.path).await
    }

    /// How its disk is to be used; the defaults hold where nobody says.
    ///
    /// # Panics
    /// When it was said, or asked for by a log, before.
    pub fn use_disk(&self, settings: DiskSettings) {
        self.0.disk.set(settings).expect("a directory's disk is said once, and before its logs open");
    }

    pub(crate) fn disk(&self) -> &DiskSettings {
        self.0.disk.get_or_init(DiskSettings::default)
    }

    pub(crate) fn left_clean(&self) -> bool {
        self.0.left_clean
    }

    pub(crate) fn fail(&self, cause: &LogError) {
        self.needs_recovery();
        let cause: Arc<str> = cause.to_string().into();
        if self.0.failure.set(cause.clone()).is_ok() {
            tracing::error!(dir = %self.0.path.display(), %cause, "log directory goes offline");
            self.0.failed.notify_all();
        }
    }

    /// Takes the directory offline if its disk is why something failed, not if that passes or is another's doing.
    pub(crate) fn fail_on_io(&self, error: &LogError) {
        if matches!(error, LogError::Io { .. }) {
            self.fail(error);
        }
    }

    pub(crate) fn check_online(&self) -> Result<(), LogError> {
        match self.0.failure.get() {
            None => Ok(()),
            Some(cause) => Err(LogError::Offline { dir: self.0.path.clone(), cause: cause.clone() }),
        }
    }

    /// The points of a log, as the checkpoints had them or at zero.
    pub(crate) fn points_of(&self, name: &LogName) -> Arc<LogPoints> {
        self.points().entry(name.clone()).or_insert_with(|| Arc::new(new_points(0, 0))).clone()
    }

    pub(crate) fn forget(&self, name: &LogName) {
        let forgotten = self.points().remove(name);
        if !mutation::on(Mutation::LeaveTraces) {
            let order = self.0.departures.fetch_add(1, Ordering::AcqRel) + 1;
            self.gone().insert(name.clone(), order);
        }
        self.journals().old.forget(name);
        if forgotten.is_some_and(|points| points.cleaner().is_some()) {
            self.cleaner_points_changed();
        }
    }

    /// Before a directory of this name is made: what the checkpoints say of an earlier log of this name would be taken for
    /// what they say of the new one, after a crash.
    pub(crate) async fn clear_traces(&self, name: &LogName) -> Result<(), LogError> {
        let is_clear = !self.gone().contains_key(name);
        if is_clear { Ok(()) } else { self.write_checkpoints().await }
    }

    fn gone(&self) -> MutexGuard<'_, BTreeMap<LogName, u64>> {
        self.0.gone.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The next `write_checkpoints` writes the cleaner's as well.
    pub(crate) fn cleaner_points_changed(&self) {
        self.0.cleaner_points_changed.store(true, Ordering::Release);
    }

    fn points(&self) -> MutexGuard<'_, BTreeMap<LogName, Arc<LogPoints>>> {
        // A panic elsewhere ends the process; the map is never left half changed.
        self.0.points.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn write_checkpoint_files(&self) -> Result<(), LogError> {
        let covers = self.0.checkpoint.asked.load(Ordering::Acquire);
        let cleared = self.gone().clone();
        let points = self.encode_points();
        if *self.0.checkpoint.written() != points {
            write_file(&self.0.path.join(RECOVERY_POINTS), points.0.as_bytes()).await?;
            write_file(&self.0.path.join(START_OFFSETS), points.1.as_bytes()).await?;
            *self.0.checkpoint.written() = points;
        }
        self.write_cleaner_points().await?;
        self.gone().retain(|name, order| cleared.get(name) != Some(order));
        self.0.checkpoint.done.store(covers, Ordering::Release);
        Ok(())
    }

    /// Only when it changed: most directories are never cleaned.
    async fn write_cleaner_points(&self) -> Result<(), LogError> {
        if !self.0.cleaner_points_changed.swap(false, Ordering::AcqRel) {
            return Ok(());
        }
        let cleaned = {
            let points = self.points();
            points.iter().filter_map(|(name, points)| Some((name.clone(), points.cleaner()?))).collect()
        };
        let text = checkpoint::encode_offsets(&cleaned);
        let written = write_file(&self.0.path.join(CLEANER_POINTS), text.as_bytes()).await;
        written.inspect_err(|_| self.cleaner_points_changed())
    }

    fn encode_points(&self) -> (String, String) {
        let points = self.points();
        let recovery = points.iter().map(|(name, points)| (name.clone(), points.recovery())).collect();
        let start = points.iter().map(|(name, points)| (name.clone(), points.start()));
        // As Kafka does: a log that starts at zero needs no line.
        let start = start.filter(|(_, offset)| *offset > Offset::ZERO).collect();
        (checkpoint::encode_offsets(&recovery), checkpoint::encode_offsets(&start))
    }
}

fn new_points(recovery: i64, start: i64) -> LogPoints {
    LogPoints {
        recovery: AtomicI64::new(recovery),
        start: AtomicI64::new(start),
        cleaner: AtomicI64::new(-1),
    }
}

/// The directory that a deleted partition waits in for its removal, named as Kafka names it.
pub(crate) fn deleted_name(name: &LogName, unique: u128) -> String {
    renamed(name, unique, DELETED)
}

/// The directory of a partition whose topic is not known any more, named as Kafka names it.
pub(crate) fn stray_name(name: &LogName, unique: u128) -> String {
    renamed(name, unique, STRAY)
}

/// Of a directory that was deleted or put aside, the name of its log.
fn name_before(renamed: &str) -> Option<LogName> {
    let (name, suffix) = renamed.rsplit_once('.')?;
    LogName::parse(name).filter(|_| suffix.ends_with(DELETED) || suffix.ends_with(STRAY))
}

fn renamed(name: &LogName, unique: u128, why: &str) -> String {
    const LONGEST_NAME: usize = 255;
    let suffix = format!(".{unique:032x}{why}");
    let mut name = name.to_string();
    name.truncate(LONGEST_NAME - suffix.len());
    name + &suffix
}

/// One that stays is read again by the next start, and holds nothing that its logs do not.
async fn remove_journals(paths: Vec<PathBuf>) {
    for path in paths {
        match fs::remove_file(&path).await {
            Err(error) if error.kind() != ErrorKind::NotFound => {
                tracing::warn!(path = %path.display(), %error, "a journal that is not needed any more is left");
            }
            _ => {}
        }
    }
}

/// A directory's names, sorted by what they are.
struct Listing {
    journals: Vec<String>,
    partitions: Vec<LogName>,
    deleted: Vec<PathBuf>,
    /// Names that directories had before they were deleted or put aside.
    renamed: BTreeSet<LogName>,
    clean_marker: bool,
    unknown: Option<String>,
}

impl Listing {
    async fn read(path: &Path) -> Result<Listing, LogError> {
        let entries = fs::read_dir(path).await.map_err(|e| LogError::io(path, "listing", &e))?;
        let mut listing = Listing {
            journals: Vec::new(),
            partitions: Vec::new(),
            deleted: Vec::new(),
            renamed: BTreeSet::new(),
            clean_marker: false,
            unknown: None,
        };
        for entry in entries {
            listing.renamed.extend(name_before(&entry.name).filter(|_| entry.is_dir));
            if entry.is_dir && entry.name.ends_with(DELETED) {
                listing.deleted.push(path.join(&entry.name));
            } else if let Some(name) = LogName::parse(&entry.name).filter(|_| entry.is_dir) {
                listing.partitions.push(name);
            } else if is_journal(&entry.name) {
                listing.journals.push(entry.name);
            } else if entry.name == CLEAN {
                listing.clean_marker = true;
            } else if !is_known(&entry.name) {
                listing.unknown = Some(entry.name);
            }
        }
        Ok(listing)
    }

    /// Logs of which a crash may have left traces in the checkpoints. One that is missing and was not renamed is no such log:
    /// its traces tell that it was lost.
    fn gone(&self) -> BTreeSet<LogName> {
        let here: BTreeSet<&LogName> = self.partitions.iter().collect();
        self.renamed.iter().filter(|name| !here.contains(name)).cloned().collect()
    }

    /// A directory without `meta.properties` must look as if it was made for us.
    fn refuse_foreign(&self, path: &Path, has_meta: bool) -> Result<(), LogError> {
        match &self.unknown {
            Some(name) if !has_meta => Err(LogError::foreign(
                path,
                format!(
                    "it has no {META}, and {name:?} in it is not part of a log directory; choose an empty directory"
                ),
            )),
            _ => Ok(()),
        }
    }
}

fn is_known(name: &str) -> bool {
    // What a repair has put aside keeps its name before the last dot.
    KNOWN.contains(&name) || name.ends_with(".tmp") || name.ends_with(".removed")
}

async fn make_dir(path: &Path) -> Result<(), LogError> {
    let exists = fs::exists(path).await.map_err(|e| LogError::io(path, "looking for", &e))?;
    if exists {
        return Ok(());
    }
    fs::create_dir_all(path).await.map_err(|e| LogError::io(path, "creating", &e))?;
    match path.parent().filter(|parent| !parent.as_os_str().is_empty()) {
        Some(parent) => {
            fs::sync_dir(parent).await.map_err(|e| LogError::io(parent, "flushing directory", &e))
        }
        None => Ok(()),
    }
}

/// Waits a little for a process that was killed: until the kernel has ended what it had begun, it holds the lock.
pub(crate) async fn lock(path: &Path) -> Result<LockGuard, LogError> {
    let file = path.join(LOCK);
    let is_held = |error: &std::io::Error| error.kind() == ErrorKind::WouldBlock;
    let locked =
        retry(LOCK_FREED_WITHIN, LOCK_RETRY, is_held, async || fs::lock_exclusive(&file).await).await;
    locked.map_err(|error| match is_held(&error) {
        true => LogError::Locked { path: path.to_path_buf() },
        false => LogError::io(&file, "locking", &error),
    })
}

/// A text file of a few lines, `None` if it does not exist.
pub(crate) async fn read_text(path: &Path) -> Result<Option<String>, LogError> {
    let Some(bytes) = read_bytes(path, FEW_LINES).await? else { return Ok(None) };
    match String::from_utf8(bytes) {
        Ok(text) => Ok(Some(text)),
        Err(error) => Err(LogError::corrupt(path, error.utf8_error().valid_up_to() as u64, "not text")),
    }
}

/// A file, `None` if it does not exist. One of more than `most` bytes is damaged.
pub(crate) async fn read_bytes(path: &Path, most: u64) -> Result<Option<Vec<u8>>, LogError> {
    match fs::read_at_most(path, most).await {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) if error.kind() == ErrorKind::FileTooLarge => {
            Err(LogError::corrupt(path, most, format!("no file of its kind is longer than {most} bytes")))
        }
        Err(error) => Err(LogError::io(path, "reading", &error)),
    }
}

/// As [`read_bytes`], for a file that can be done without: of damage it tells the cause.
pub(crate) async fn read_undamaged(path: &Path, most: u64) -> Result<Result<Vec<u8>, String>, LogError> {
    match read_bytes(path, most).await {
        Err(LogError::Corrupt { cause, .. }) => Ok(Err(cause.to_string())),
        read => read.map(|bytes| Ok(bytes.unwrap_or_default())),
    }
}

pub(crate) fn bad_file(path: &Path) -> impl FnOnce(BadCheckpoint) -> LogError {
    let path = path.to_path_buf();
    move |bad| LogError::corrupt(&path, 0, bad.to_string())
}

pub(crate) async fn read_meta(path: &Path) -> Result<Option<MetaProperties>, LogError> {
    let path = path.join(META);
    match read_text(&path).await? {
        None => Ok(None),
        Some(text) => MetaProperties::decode(&text).map(Some).map_err(bad_file(&path)),
    }
}

async fn read_points(path: &Path) -> Result<BTreeMap<LogName, Arc<LogPoints>>, LogError> {
    let recovery =
        read_offsets(&path.join(RECOVERY_POINTS), "after a crash all logs are checked whole").await?;
    let start = read_offsets(&path.join(START_OFFSETS), "logs start with their first segments").await?;
    let mut points: BTreeMap<LogName, Arc<LogPoints>> =
        recovery.into_iter().map(|(name, offset)| (name, Arc::new(new_points(offset.0, 0)))).collect();
    let cleaner = read_offsets(&path.join(CLEANER_POINTS), "logs are compacted from their starts").await?;
    for (name, offset) in cleaner {
        points.entry(name).or_insert_with(|| Arc::new(new_points(0, 0))).set_cleaner(offset);
    }
    for (name, offset) in start {
        points.entry(name).or_insert_with(|| Arc::new(new_points(0, 0))).set_start(offset);
    }
    Ok(points)
}

/// The offsets of a checkpoint. One that cannot be read says nothing: the logs hold what it was made from, so what
/// follows is more work, and no directory is refused for it.
async fn read_offsets(path: &Path, instead: &str) -> Result<BTreeMap<LogName, Offset>, LogError> {
    let decoded = decode_checkpoint(path).await?;
    Ok(decoded.unwrap_or_else(|bad| {
        tracing::error!(path = %path.display(), %bad, "the checkpoint is damaged: {instead}");
        BTreeMap::new()
    }))
}

/// The offsets of a checkpoint, none if there is no such file, or what is wrong with it.
pub(crate) async fn decode_checkpoint(
    path: &Path,
) -> Result<Result<BTreeMap<LogName, Offset>, String>, LogError> {
    let decode = |bytes: Vec<u8>| {
        checkpoint::decode_offsets(&String::from_utf8_lossy(&bytes)).map_err(|bad| bad.to_string())
    };
    Ok(read_undamaged(path, LONGEST_CHECKPOINT).await?.and_then(decode))
}

/// Reads the marker and removes it durably before any log is written to.
async fn take_clean_marker(path: &Path, listing: &Listing) -> Result<Option<i64>, LogError> {
    if !listing.clean_marker {
        return Ok(None);
    }
    let marker = path.join(CLEAN);
    let bytes = read_undamaged(&marker, FEW_LINES).await?.unwrap_or_default();
    fs::remove_file(&marker).await.map_err(|e| LogError::io(&marker, "removing", &e))?;
    fs::sync_dir(path).await.map_err(|e| LogError::io(path, "flushing directory", &e))?;
    // A marker without a readable epoch is a marker: presence says clean.
    Ok(Some(checkpoint::decode_clean_shutdown(&String::from_utf8_lossy(&bytes)).unwrap_or(-1)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_is_shared_by_shards() {
        fn shared<T: Clone + Send + Sync>() {}
        shared::<LogDir>();
    }

    #[test]
    fn a_deleted_directory_is_named_as_kafka_names_it() {
        let name = deleted_name(&LogName::new("orders", 3), 0xab);
        assert_eq!(name, "orders-3.000000000000000000000000000000ab-delete");
        assert_eq!(deleted_name(&LogName::new("x".repeat(249), 10), 1).len(), 255);
    }
}
