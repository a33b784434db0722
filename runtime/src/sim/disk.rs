//! The simulated disk: files, directories, locks, what goes wrong with them, and what a power cut leaves of them.
//!
//! A write is in flight until it completes, then in the cache until a sync that began after it has completed. At a
//! crash each sector or block that was not synced is kept, lost, or has an older content, writes in flight included;
//! a length is any that the file had since; and of the changes to names since the last sync of their directory a
//! prefix is kept. Nothing here waits by real time; delays are of the virtual clock.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use glommio::io::DmaBuffer;

use crate::context::{self, Backend};
use crate::disk::AlignedBuf;
use crate::fs::{DirEntry, DiskSpace, parent, temporary_name};
use crate::resubmit;
use crate::sim::faults::{DiskFaults, Grain};
use crate::sim::file::{FileState, Synced};
use crate::sim::image::PAGE;
use crate::sim::names::{Names, Node};
use crate::sim::rng::Rng;
use crate::sim::world::SimShard;
use crate::task::{Queue, spawn_essential};

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn errno(code: i32) -> io::Error {
    io::Error::from_raw_os_error(code)
}

/// The shard that is running; every operation of the disk takes virtual time on it.
fn shard() -> Rc<SimShard> {
    match context::current() {
        Backend::Sim(shard) => shard,
        Backend::Real(_) => unreachable!("a real shard has no simulated disk"),
    }
}

/// What a failure can be injected into.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum DiskOp {
    Open,
    Read,
    Write,
    Sync,
    /// Names: making, renaming, removing, and syncing directories.
    Names,
}

struct Fault {
    op: DiskOp,
    path_contains: String,
    errno: i32,
    after: u64,
    lasting: bool,
}

/// One file, whatever names lead to it.
pub(crate) struct SimFile {
    state: Mutex<FileState>,
    readers: AtomicUsize,
}

struct DiskState {
    names: Names,
    locks: BTreeSet<PathBuf>,
    faults: Vec<Fault>,
    chances: DiskFaults,
    /// Failures injected so far.
    injected: u64,
    capacity: u64,
    counts: BTreeMap<&'static str, u64>,
}

/// A simulated disk. Clones are the same disk.
#[derive(Clone)]
pub struct Disk(Arc<Mutex<DiskState>>);

impl Disk {
    pub(crate) fn new(capacity: u64) -> Self {
        let names = Names::default();
        let state = DiskState {
            names,
            locks: BTreeSet::new(),
            faults: Vec::new(),
            chances: DiskFaults::default(),
            injected: 0,
            capacity,
            counts: BTreeMap::new(),
        };
        Self(Arc::new(Mutex::new(state)))
    }

    /// Lets the `after`-th operation from now on (zero is the next) of this kind on a path that contains
    /// `path_contains` fail with this error number, once.
    pub fn fail(&self, op: DiskOp, path_contains: &str, after: u64, errno: i32) {
        self.add_fault(op, path_contains, after, errno, false);
    }

    /// As [`Disk::fail`], and every later one too, until [`Disk::heal`].
    pub fn fail_from(&self, op: DiskOp, path_contains: &str, after: u64, errno: i32) {
        self.add_fault(op, path_contains, after, errno, true);
    }

    fn add_fault(&self, op: DiskOp, path_contains: &str, after: u64, errno: i32, lasting: bool) {
        let path_contains = path_contains.to_owned();
        lock(&self.0).faults.push(Fault { op, path_contains, errno, after, lasting });
    }

    /// Lets operations go wrong by chance from now on, as these say.
    pub fn set_faults(&self, faults: DiskFaults) {
        lock(&self.0).chances = faults;
    }

    /// Takes back all failures that [`Disk::fail`] and [`Disk::set_faults`] asked for; the grain of a power cut stays.
    pub fn heal(&self) {
        let mut state = lock(&self.0);
        state.faults.clear();
        state.chances = DiskFaults { grain: state.chances.grain, ..DiskFaults::default() };
    }

    /// How many operations have been made to fail.
    pub fn failures(&self) -> u64 {
        lock(&self.0).injected
    }

    /// Flips one bit of the files whose path contains `path_contains`, durably; `dice` chooses which. Returns where it
    /// is, or nothing when those files hold no byte.
    pub fn rot(&self, path_contains: &str, dice: u64) -> Option<(PathBuf, u64)> {
        let mut left = dice;
        let rotting = |path: &PathBuf| path.to_string_lossy().contains(path_contains);
        let paths: Vec<PathBuf> = self.paths().into_iter().filter(rotting).collect();
        let sizes: Vec<u64> = paths.iter().map(|path| self.len_of(path)).collect();
        left %= (sizes.iter().sum::<u64>() * 8).max(1);
        for (path, bits) in paths.into_iter().zip(sizes).map(|(path, len)| (path, len * 8)) {
            if left < bits {
                self.flip(&path, left);
                return Some((path, left / 8));
            }
            left -= bits;
        }
        None
    }

    fn len_of(&self, path: &Path) -> u64 {
        let file = lock(&self.0).names.file(path).expect("the path was just listed");
        file.len()
    }

    fn flip(&self, path: &Path, bit: u64) {
        let file = lock(&self.0).names.file(path).expect("the path was just listed");
        let mut state = lock(&file.state);
        let byte = state.read(bit / 8, 1)[0] ^ (1 << (bit % 8));
        state.rot(bit / 8, &[byte]);
    }

    /// Changes the size of the disk; what is on it stays.
    pub fn set_capacity(&self, bytes: u64) {
        lock(&self.0).capacity = bytes;
    }

    /// How many syncs of file data have completed.
    pub fn data_syncs(&self) -> u64 {
        lock(&self.0).counts.get("sync").copied().unwrap_or(0)
    }

    /// The current bytes of a file, synced or not; absent when there is no such file.
    pub fn peek(&self, path: impl AsRef<Path>) -> Option<Vec<u8>> {
        let file = lock(&self.0).names.file(path.as_ref()).ok()?;
        let state = lock(&file.state);
        Some(state.read(0, usize::try_from(state.len()).unwrap_or(usize::MAX)))
    }

    /// Overwrites bytes of a file behind everybody's back, durably: bit rot. Panics when there is no such file.
    pub fn poke(&self, path: impl AsRef<Path>, pos: u64, bytes: &[u8]) {
        let file = lock(&self.0).names.file(path.as_ref()).expect("the file to change exists");
        lock(&file.state).rot(pos, bytes);
    }

    /// All current file paths, sorted.
    pub fn paths(&self) -> Vec<PathBuf> {
        lock(&self.0).names.file_paths()
    }

    /// Fails if this operation was asked to, or by chance.
    fn check(&self, op: DiskOp, path: &Path) -> io::Result<()> {
        let checked = self.check_asked(op, path).and_then(|()| self.check_chance(op, path));
        lock(&self.0).injected += u64::from(checked.is_err());
        checked
    }

    fn check_chance(&self, op: DiskOp, path: &Path) -> io::Result<()> {
        let Some(chances) = self.chances_of(path) else { return Ok(()) };
        let (code, chance) = match op {
            DiskOp::Open => return Ok(()),
            DiskOp::Read => (libc::EIO, chances.read_errors),
            DiskOp::Sync => (libc::EIO, chances.sync_errors),
            DiskOp::Names => (libc::EIO, chances.name_errors),
            DiskOp::Write if happens(chances.no_space) => (libc::ENOSPC, 1000),
            DiskOp::Write => (libc::EIO, chances.write_errors),
        };
        if happens(chance) { Err(errno(code)) } else { Ok(()) }
    }

    /// The chances that hold for this path.
    fn chances_of(&self, path: &Path) -> Option<DiskFaults> {
        let state = lock(&self.0);
        let here = path.to_string_lossy().contains(&state.chances.paths);
        here.then(|| state.chances.clone())
    }

    /// Waits as long as the operation takes, and longer if the disk is slow.
    async fn delay(&self, path: &Path, low: u64, high: u64) {
        let slow = self.chances_of(path).filter(|chances| happens(chances.slow));
        let more = slow.map_or(0, |chances| u64::try_from(chances.slow_by.as_nanos()).unwrap_or(u64::MAX));
        shard().delay(low, high.saturating_add(more)).await;
    }

    /// How many bytes of a write the disk takes at once: fewer than all where it is full, or by chance.
    fn takes(&self, file: &SimFile, pos: u64, len: usize) -> io::Result<usize> {
        let short = self.chances_of(&file.path()).is_some_and(|chances| happens(chances.short_writes));
        let len = if short { below(len as u64) } else { len };
        let room = self.room();
        let fits = |part: &usize| lock(&file.state).new_bytes(pos, *part) <= room;
        // Whole pages from the front, as many as there is room for.
        let parts = (PAGE..len).step_by(PAGE).chain([len]);
        match parts.take_while(fits).last() {
            None if len > 0 => Err(errno(libc::ENOSPC)),
            fitting => Ok(fitting.unwrap_or(0)),
        }
    }

    fn room(&self) -> u64 {
        let capacity = lock(&self.0).capacity;
        if capacity == u64::MAX { u64::MAX } else { capacity.saturating_sub(self.used_bytes()) }
    }

    fn check_asked(&self, op: DiskOp, path: &Path) -> io::Result<()> {
        let mut state = lock(&self.0);
        let text = path.to_string_lossy().into_owned();
        let mut failure = None;
        state.faults.retain_mut(|fault| {
            if failure.is_some() || fault.op != op || !text.contains(&fault.path_contains) {
                return true;
            }
            if fault.after > 0 {
                fault.after -= 1;
                return true;
            }
            failure = Some(errno(fault.errno));
            fault.lasting
        });
        failure.map_or(Ok(()), Err)
    }

    fn used_bytes(&self) -> u64 {
        let files = lock(&self.0).names.files();
        files.iter().map(|file| lock(&file.state).allocated_bytes()).sum()
    }

    pub(crate) fn open(&self, path: &Path, create: Create) -> io::Result<Arc<SimFile>> {
        self.check(DiskOp::Open, path)?;
        let mut state = lock(&self.0);
        match (state.names.file(path), create) {
            (Ok(_), Create::New) => Err(errno(libc::EEXIST)),
            (Ok(file), _) => Ok(file),
            (Err(e), Create::New | Create::IfMissing) if e.raw_os_error() == Some(libc::ENOENT) => {
                let file = Arc::new(SimFile::at(path.to_owned()));
                state.names.insert(path, Node::File(file.clone()))?;
                Ok(file)
            }
            (Err(e), _) => Err(e),
        }
    }

    /// Takes a name away without a moment between.
    pub(crate) fn remove(&self, path: &Path) -> io::Result<()> {
        lock(&self.0).names.remove_file(path)
    }

    /// The process ends, and the machine does not: its locks are free, and the cache holds what it held.
    pub(crate) fn process_ends(&self) {
        let mut state = lock(&self.0);
        state.locks.clear();
        state.names.files().iter().for_each(|file| lock(&file.state).repaired());
    }

    /// What a power cut leaves. Every handle must be gone.
    pub(crate) fn crash(&self, rng: &mut Rng) {
        let mut state = lock(&self.0);
        state.locks.clear();
        let either = [Grain::Sector, Grain::Block][usize::try_from(rng.below(2)).expect("small")];
        let grain = state.chances.grain.unwrap_or(either);
        let lost_at = rng.below(state.names.pending() as u64 + 1);
        state.names.crash(usize::try_from(lost_at).expect("below a length"));
        for file in state.names.files() {
            lock(&file.state).crash(rng, grain);
        }
    }
}

impl fmt::Debug for Disk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.paths()).finish()
    }
}

#[derive(Clone, Copy)]
pub(crate) enum Create {
    No,
    New,
    IfMissing,
}

impl SimFile {
    fn at(path: PathBuf) -> SimFile {
        SimFile { state: Mutex::new(FileState::at(path)), readers: AtomicUsize::new(0) }
    }

    pub(crate) fn renamed(&self, path: &Path) {
        lock(&self.state).path = path.to_owned();
    }

    pub(crate) fn path(&self) -> PathBuf {
        lock(&self.state).path.clone()
    }

    fn len(&self) -> u64 {
        lock(&self.state).len()
    }

    /// A store into mapped memory: the cache has it at once, and it cannot fail.
    pub(crate) fn store(&self, pos: u64, bytes: Bytes) {
        let (mut state, len) = (lock(&self.state), bytes.len());
        let id = state.begin_write(pos, bytes);
        state.complete_write(id, len);
    }

    fn set_len(&self, len: u64) {
        let mut state = lock(&self.state);
        state.set_len(len);
        state.modified_ms = shard().wall_ms();
    }
}

/// True so many times in a thousand. Draws only when there is a chance, so that a faultless run stays as it was.
fn happens(chance: u64) -> bool {
    chance > 0 && shard().world().random(|rng| rng.below(1000)) < chance
}

fn below(bound: u64) -> usize {
    usize::try_from(shard().world().random(|rng| rng.below(bound))).expect("below a length")
}

/// One write, which may be short. When it fails, some of its bytes may be there nevertheless.
async fn write_once(disk: Disk, file: Arc<SimFile>, pos: u64, bytes: Bytes) -> io::Result<usize> {
    let len = bytes.len();
    let id = lock(&file.state).begin_write(pos, bytes);
    disk.delay(&file.path(), 10_000, 300_000).await;
    end_write(&disk, &file, id, pos, len)
}

fn end_write(disk: &Disk, file: &SimFile, id: u64, pos: u64, len: usize) -> io::Result<usize> {
    let taken = disk.check(DiskOp::Write, &file.path()).map_err(|error| (below(len as u64 + 1), error));
    let taken = taken.and_then(|()| disk.takes(file, pos, len).map_err(|error| (0, error)));
    let there = taken.as_ref().map_or_else(|(some, _)| *some, |all| *all);
    let mut state = lock(&file.state);
    state.complete_write(id, there);
    state.modified_ms = shard().wall_ms();
    drop(state);
    taken.map_err(|(_, error)| error)
}

/// Writes as a task of its own, as the real backend does: it goes on when the caller is dropped.
async fn write(disk: &Disk, file: &Arc<SimFile>, pos: u64, memory: Rc<DmaBuffer>) -> io::Result<usize> {
    let (disk, file) = (disk.clone(), file.clone());
    let once = move |memory: Rc<DmaBuffer>, pos| {
        let bytes = Bytes::copy_from_slice(memory.as_bytes());
        write_once(disk.clone(), file.clone(), pos, bytes)
    };
    spawn_essential(Queue::Append, async move { resubmit::write_whole(memory, pos, once).await }).await
}

/// Writes a small file's bytes, on and on until all are taken.
pub(crate) async fn write_small(disk: &Disk, file: &Arc<SimFile>, bytes: &[u8]) -> io::Result<()> {
    let (disk, file, bytes) = (disk.clone(), file.clone(), Bytes::copy_from_slice(bytes));
    spawn_essential(Queue::Append, async move {
        let mut done = 0;
        while done < bytes.len() {
            done += write_once(disk.clone(), file.clone(), done as u64, bytes.slice(done..)).await?;
        }
        Ok(())
    })
    .await
}

pub(crate) async fn sync(disk: &Disk, file: &Arc<SimFile>) -> io::Result<()> {
    let (disk, file) = (disk.clone(), file.clone());
    spawn_essential(Queue::Append, sync_what(disk, file, FileState::sync_begins)).await
}

/// As [`write`], and durable when it ends.
async fn write_through(
    disk: &Disk,
    file: &Arc<SimFile>,
    pos: u64,
    memory: Rc<DmaBuffer>,
) -> io::Result<usize> {
    let (disk, file) = (disk.clone(), file.clone());
    spawn_essential(Queue::Append, async move {
        let written = write(&disk, &file, pos, memory).await?;
        let begins = |state: &mut FileState| state.sync_of_begins(pos, written);
        sync_what(disk, file, begins).await.map(|()| written)
    })
    .await
}

async fn sync_what(
    disk: Disk,
    file: Arc<SimFile>,
    begins: impl FnOnce(&mut FileState) -> Synced,
) -> io::Result<()> {
    let synced = begins(&mut lock(&file.state));
    disk.delay(&file.path(), 30_000, 3_000_000).await;
    if let Err(error) = disk.check(DiskOp::Sync, &file.path()) {
        lock(&file.state).sync_fails(synced);
        return Err(error);
    }
    lock(&file.state).sync_ends(synced);
    *lock(&disk.0).counts.entry("sync").or_default() += 1;
    Ok(())
}

async fn read(disk: &Disk, file: &Arc<SimFile>, pos: u64, len: usize) -> io::Result<Vec<u8>> {
    if shard().world().random(|rng| rng.chance(50)) {
        disk.delay(&file.path(), 5_000, 500_000).await;
    }
    disk.check(DiskOp::Read, &file.path())?;
    Ok(lock(&file.state).read(pos, len))
}

/// The simulated `DirectFile`.
pub(crate) struct SimDirect {
    disk: Disk,
    file: Arc<SimFile>,
}

impl SimDirect {
    pub(crate) async fn open(shard: &Rc<SimShard>, path: &Path, create: bool) -> io::Result<(Self, u64)> {
        shard.clone().delay(1_000, 50_000).await;
        let disk = shard.world().disk();
        let file = disk.open(path, if create { Create::New } else { Create::No })?;
        let len = file.len();
        Ok((Self { disk, file }, len))
    }

    pub(crate) async fn write_at(&self, buf: AlignedBuf, pos: u64) -> (io::Result<usize>, AlignedBuf) {
        let (memory, len) = buf.into_blocks();
        let result = write(&self.disk, &self.file, pos, memory.clone()).await;
        (result, AlignedBuf::from_blocks(memory, len))
    }

    pub(crate) async fn write_through(&self, buf: AlignedBuf, pos: u64) -> (io::Result<usize>, AlignedBuf) {
        let (memory, len) = buf.into_blocks();
        let result = write_through(&self.disk, &self.file, pos, memory.clone()).await;
        (result, AlignedBuf::from_blocks(memory, len))
    }

    pub(crate) async fn read_at(&self, pos: u64, len: usize) -> io::Result<AlignedBuf> {
        let bytes = read(&self.disk, &self.file, pos, len).await?;
        Ok(AlignedBuf::from_slice(&bytes))
    }

    pub(crate) async fn fdatasync(&self) -> io::Result<()> {
        sync(&self.disk, &self.file).await
    }

    pub(crate) async fn truncate(&self, len: u64) -> io::Result<()> {
        shard().delay(1_000, 50_000).await;
        self.disk.check(DiskOp::Write, &self.file.path())?;
        self.file.set_len(len);
        Ok(())
    }
}

/// The simulated `ReadHandle`.
pub(crate) struct SimReadable {
    disk: Disk,
    file: Arc<SimFile>,
}

impl SimReadable {
    pub(crate) async fn open(shard: &Rc<SimShard>, path: &Path) -> io::Result<Self> {
        shard.clone().delay(1_000, 50_000).await;
        let disk = shard.world().disk();
        let file = disk.open(path, Create::No)?;
        file.readers.fetch_add(1, Ordering::Relaxed);
        Ok(Self { disk, file })
    }

    pub(crate) async fn read_at(&self, pos: u64, len: usize) -> io::Result<Bytes> {
        read(&self.disk, &self.file, pos, len).await.map(Bytes::from)
    }
}

impl Drop for SimReadable {
    fn drop(&mut self) {
        self.file.readers.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A held lock.
pub(crate) struct SimLock {
    disk: Disk,
    path: PathBuf,
}

impl Drop for SimLock {
    fn drop(&mut self) {
        lock(&self.disk.0).locks.remove(&self.path);
    }
}

impl fmt::Debug for SimLock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SimLock({})", self.path.display())
    }
}

/// The simulated `fs` functions.
pub(crate) struct SimFiles {
    disk: Disk,
}

impl SimFiles {
    pub(crate) fn new(disk: Disk) -> Self {
        Self { disk }
    }

    /// Lets a little time pass, fails if it is to fail, and then changes the names.
    async fn names<R>(&self, path: &Path, f: impl FnOnce(&mut Names) -> io::Result<R>) -> io::Result<R> {
        self.disk.delay(path, 1_000, 50_000).await;
        self.disk.check(DiskOp::Names, path)?;
        f(&mut lock(&self.disk.0).names)
    }

    pub(crate) async fn create_dir_all(&self, path: &Path) -> io::Result<()> {
        self.names(path, |names| names.create_dir_all(path)).await
    }

    pub(crate) async fn create_dir_with(&self, path: &Path, name: &str, bytes: &[u8]) -> io::Result<()> {
        self.create_dir_all(path).await?;
        let file = self.disk.open(&path.join(name), Create::IfMissing)?;
        write_small(&self.disk, &file, bytes).await
    }

    pub(crate) async fn read_dir(&self, path: &Path) -> io::Result<Vec<DirEntry>> {
        let children = self.names(path, |names| names.children(path)).await?;
        Ok(children.into_iter().map(|(name, node)| entry(name, &node)).collect())
    }

    pub(crate) async fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        let file = self.disk.open(path, Create::No)?;
        let len = usize::try_from(file.len()).unwrap_or(usize::MAX);
        read(&self.disk, &file, 0, len).await
    }

    pub(crate) async fn read_at_most(&self, path: &Path, most: u64) -> io::Result<Vec<u8>> {
        let file = self.disk.open(path, Create::No)?;
        if file.len() > most {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        read(&self.disk, &file, 0, usize::try_from(most).unwrap_or(usize::MAX)).await
    }

    pub(crate) async fn write_atomic(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        let temporary = temporary_name(path);
        shard().delay(1_000, 50_000).await;
        let file = self.disk.open(&temporary, Create::IfMissing)?;
        file.set_len(0);
        write_small(&self.disk, &file, bytes).await?;
        sync(&self.disk, &file).await?;
        self.rename(&temporary, path).await?;
        self.sync_dir(parent(path)).await
    }

    pub(crate) async fn remove_file(&self, path: &Path) -> io::Result<()> {
        self.names(path, |names| names.remove_file(path)).await
    }

    pub(crate) async fn remove_dir_all(&self, path: &Path) -> io::Result<()> {
        self.names(path, |names| names.remove_dir_all(path)).await
    }

    pub(crate) async fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.names(from, |names| names.rename(from, to)).await
    }

    pub(crate) async fn sync_dir(&self, path: &Path) -> io::Result<()> {
        self.names(path, |names| names.sync_dir(path)).await
    }

    pub(crate) async fn metadata(&self, path: &Path) -> io::Result<DirEntry> {
        let node = self.names(path, |names| names.get(path)).await?;
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        Ok(entry(name, &node))
    }

    pub(crate) async fn modified_ms(&self, path: &Path) -> io::Result<i64> {
        let file = self.names(path, |names| names.file(path)).await?;
        let state = lock(&file.state);
        Ok(state.modified_ms)
    }

    pub(crate) async fn may_be_read(&self, path: &Path) -> io::Result<bool> {
        match self.names(path, |names| names.file(path)).await {
            Ok(file) => Ok(file.readers.load(Ordering::Relaxed) > 0),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(error),
        }
    }

    pub(crate) async fn set_len(&self, path: &Path, len: u64) -> io::Result<()> {
        let file = self.disk.open(path, Create::No)?;
        file.set_len(len);
        sync(&self.disk, &file).await
    }

    pub(crate) async fn lock_exclusive(&self, path: &Path) -> io::Result<SimLock> {
        shard().delay(1_000, 50_000).await;
        self.disk.open(path, Create::IfMissing)?;
        if !lock(&self.disk.0).locks.insert(path.to_owned()) {
            return Err(errno(libc::EWOULDBLOCK));
        }
        Ok(SimLock { disk: self.disk.clone(), path: path.to_owned() })
    }

    pub(crate) fn disk_space(&self) -> io::Result<DiskSpace> {
        let total_bytes = lock(&self.disk.0).capacity;
        Ok(DiskSpace { available_bytes: total_bytes.saturating_sub(self.disk.used_bytes()), total_bytes })
    }
}

fn entry(name: String, node: &Node) -> DirEntry {
    match node {
        Node::Dir => DirEntry { name, is_dir: true, len: 0 },
        Node::File(file) => DirEntry { name, is_dir: false, len: file.len() },
    }
}
