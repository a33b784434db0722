//! The simulated disk: files, directories, locks, and what a power cut leaves of them.
//!
//! A write is in flight until it completes, then in the cache until a sync that began after it has completed. At a
//! crash each 512-byte sector that was not synced is kept or lost by itself, writes in flight included; a changed
//! length is kept or lost; and of the changes to names since the last sync of their directory a prefix is kept.
//! Nothing here waits by real time; delays are of the virtual clock.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;

use crate::context::{self, Backend};
use crate::disk::AlignedBuf;
use crate::fs::{DirEntry, DiskSpace, parent, temporary_name};
use crate::sim::image::{Image, PAGE, Page, Sectors, differing, touched};
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
}

#[derive(Default)]
struct FileState {
    path: PathBuf,
    live: Image,
    durable: Image,
    dirty: BTreeMap<u64, Sectors>,
    in_flight: BTreeMap<u64, (u64, Bytes)>,
    next_write: u64,
    syncs_begun: u64,
    /// The youngest sync that has ended, by when it began.
    synced: u64,
}

impl FileState {
    fn mark_dirty(&mut self, pos: u64, len: usize) {
        for (page, sectors) in touched(pos, len) {
            *self.dirty.entry(page).or_default() |= sectors;
        }
    }

    fn apply(&mut self, pos: u64, bytes: &[u8]) {
        self.live.write(pos, bytes);
        self.mark_dirty(pos, bytes.len());
    }

    fn begin_write(&mut self, pos: u64, bytes: Bytes) -> u64 {
        let id = self.next_write;
        self.next_write += 1;
        self.in_flight.insert(id, (pos, bytes));
        id
    }

    fn complete_write(&mut self, id: u64) {
        let (pos, bytes) = self.in_flight.remove(&id).expect("a write completes once");
        self.apply(pos, &bytes);
    }

    fn set_len(&mut self, len: u64) {
        self.live.set_len(len);
        self.dirty.retain(|page, _| page * (PAGE as u64) < len);
        let last = PAGE - usize::try_from(len % PAGE as u64).expect("less than a page");
        if last < PAGE {
            self.mark_dirty(len, last);
        }
    }

    /// What a sync that begins now makes durable: the cache as it is, without the writes in flight.
    fn sync_begins(&mut self) -> Synced {
        self.syncs_begun += 1;
        let pages =
            self.dirty.iter().map(|(page, sectors)| (*page, *sectors, self.live.page(*page))).collect();
        Synced { number: self.syncs_begun, len: self.live.len(), pages }
    }

    fn sync_ends(&mut self, synced: Synced) {
        if synced.number < self.synced {
            // One that began later has ended before: it covered all this one covers, and newer bytes.
            return;
        }
        self.synced = synced.number;
        self.durable.set_len(synced.len);
        for (page, sectors, bytes) in synced.pages {
            self.durable.put(page, sectors, &bytes);
            let changed = differing(&self.live.page(page), &bytes, sectors);
            if let Some(dirty) = self.dirty.get_mut(&page) {
                *dirty = (*dirty & !sectors) | changed;
            }
        }
        self.dirty.retain(|_, sectors| *sectors != 0);
    }

    fn crash(&mut self, rng: &mut Rng) {
        let keep_percent = [0, 10, 50, 90, 100][usize::try_from(rng.below(5)).expect("small")];
        for (pos, bytes) in std::mem::take(&mut self.in_flight).into_values() {
            self.apply(pos, &bytes);
        }
        let (old_len, new_len) = (self.durable.len(), self.live.len());
        self.durable.set_len(old_len.max(new_len));
        for (page, sectors) in std::mem::take(&mut self.dirty) {
            let kept =
                (0..8).filter(|_| rng.chance(keep_percent)).fold(0, |kept: Sectors, bit| kept | 1 << bit);
            self.durable.put(page, kept & sectors, &self.live.page(page));
        }
        self.durable.set_len(if rng.chance(50) { new_len } else { old_len });
        self.live = self.durable.clone();
    }
}

struct Synced {
    number: u64,
    len: u64,
    pages: Vec<(u64, Sectors, Page)>,
}

struct DiskState {
    names: Names,
    locks: BTreeSet<PathBuf>,
    faults: Vec<Fault>,
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

    /// Takes back all injected failures.
    pub fn heal(&self) {
        lock(&self.0).faults.clear();
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
        Some(state.live.read(0, usize::try_from(state.live.len()).unwrap_or(usize::MAX)))
    }

    /// Overwrites bytes of a file behind everybody's back, durably: bit rot. Panics when there is no such file.
    pub fn poke(&self, path: impl AsRef<Path>, pos: u64, bytes: &[u8]) {
        let file = lock(&self.0).names.file(path.as_ref()).expect("the file to change exists");
        let mut state = lock(&file.state);
        state.live.write(pos, bytes);
        state.durable.write(pos, bytes);
    }

    /// All current file paths, sorted.
    pub fn paths(&self) -> Vec<PathBuf> {
        lock(&self.0).names.file_paths()
    }

    fn check(&self, op: DiskOp, path: &Path) -> io::Result<()> {
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
        files.iter().map(|file| lock(&file.state).live.allocated_bytes()).sum()
    }

    fn check_room(&self, bytes: u64) -> io::Result<()> {
        let capacity = lock(&self.0).capacity;
        if capacity != u64::MAX && self.used_bytes().saturating_add(bytes) > capacity {
            return Err(errno(libc::ENOSPC));
        }
        Ok(())
    }

    fn open(&self, path: &Path, create: Create) -> io::Result<Arc<SimFile>> {
        self.check(DiskOp::Open, path)?;
        let mut state = lock(&self.0);
        match (state.names.file(path), create) {
            (Ok(_), Create::New) => Err(errno(libc::EEXIST)),
            (Ok(file), _) => Ok(file),
            (Err(e), Create::New | Create::IfMissing) if e.raw_os_error() == Some(libc::ENOENT) => {
                let file = FileState { path: path.to_owned(), ..FileState::default() };
                let file = Arc::new(SimFile { state: Mutex::new(file) });
                state.names.insert(path, Node::File(file.clone()))?;
                Ok(file)
            }
            (Err(e), _) => Err(e),
        }
    }

    /// What a power cut leaves. Every handle must be gone.
    pub(crate) fn crash(&self, rng: &mut Rng) {
        let mut state = lock(&self.0);
        state.locks.clear();
        let lost_at = rng.below(state.names.pending() as u64 + 1);
        state.names.crash(usize::try_from(lost_at).expect("below a length"));
        for file in state.names.files() {
            lock(&file.state).crash(rng);
        }
    }
}

impl fmt::Debug for Disk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.paths()).finish()
    }
}

#[derive(Clone, Copy)]
enum Create {
    No,
    New,
    IfMissing,
}

impl SimFile {
    pub(crate) fn renamed(&self, path: &Path) {
        lock(&self.state).path = path.to_owned();
    }

    fn path(&self) -> PathBuf {
        lock(&self.state).path.clone()
    }

    fn len(&self) -> u64 {
        lock(&self.state).live.len()
    }
}

/// Writes as a task of its own, as the real backend does: it goes on when the caller is dropped.
async fn write(disk: &Disk, file: &Arc<SimFile>, pos: u64, bytes: Bytes) -> io::Result<usize> {
    let (disk, file) = (disk.clone(), file.clone());
    spawn_essential(Queue::Append, async move {
        let len = bytes.len();
        let id = lock(&file.state).begin_write(pos, bytes);
        shard().delay(10_000, 300_000).await;
        let allowed = disk.check(DiskOp::Write, &file.path()).and_then(|()| disk.check_room(len as u64));
        if let Err(error) = allowed {
            lock(&file.state).in_flight.remove(&id);
            return Err(error);
        }
        lock(&file.state).complete_write(id);
        Ok(len)
    })
    .await
}

async fn sync(disk: &Disk, file: &Arc<SimFile>) -> io::Result<()> {
    let (disk, file) = (disk.clone(), file.clone());
    spawn_essential(Queue::Append, async move {
        let synced = lock(&file.state).sync_begins();
        shard().delay(30_000, 3_000_000).await;
        disk.check(DiskOp::Sync, &file.path())?;
        lock(&file.state).sync_ends(synced);
        *lock(&disk.0).counts.entry("sync").or_default() += 1;
        Ok(())
    })
    .await
}

async fn read(disk: &Disk, file: &Arc<SimFile>, pos: u64, len: usize) -> io::Result<Vec<u8>> {
    let shard = shard();
    if shard.world().random(|rng| rng.chance(50)) {
        shard.delay(5_000, 500_000).await;
    }
    disk.check(DiskOp::Read, &file.path())?;
    Ok(lock(&file.state).live.read(pos, len))
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
        let bytes = Bytes::copy_from_slice(memory.as_bytes());
        let result = write(&self.disk, &self.file, pos, bytes).await;
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
        lock(&self.file.state).set_len(len);
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
        Ok(Self { disk, file })
    }

    pub(crate) async fn read_at(&self, pos: u64, len: usize) -> io::Result<Bytes> {
        read(&self.disk, &self.file, pos, len).await.map(Bytes::from)
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
        shard().delay(1_000, 50_000).await;
        self.disk.check(DiskOp::Names, path)?;
        f(&mut lock(&self.disk.0).names)
    }

    pub(crate) async fn create_dir_all(&self, path: &Path) -> io::Result<()> {
        self.names(path, |names| names.create_dir_all(path)).await
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

    pub(crate) async fn write_atomic(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        let temporary = temporary_name(path);
        shard().delay(1_000, 50_000).await;
        let file = self.disk.open(&temporary, Create::IfMissing)?;
        lock(&file.state).set_len(0);
        if !bytes.is_empty() {
            write(&self.disk, &file, 0, Bytes::copy_from_slice(bytes)).await?;
        }
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

    pub(crate) async fn set_len(&self, path: &Path, len: u64) -> io::Result<()> {
        let file = self.disk.open(path, Create::No)?;
        lock(&file.state).set_len(len);
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
