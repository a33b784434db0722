//! The file of a journal: made when it is first wanted, used over and over, and removed when nothing in it may come back.
//! Says who still needs which part of it. Shard that owns the journal.

use std::cell::{Cell, RefCell};
use std::io;
use std::path::{Path, PathBuf};
use std::rc::{Rc, Weak};
use std::time::Duration;

use kring_runtime::disk::DirectFile;
use kring_runtime::mapped::MappedFile;
use kring_runtime::{Queue, fs, random_u64, sleep, spawn};

use super::BLOCK_BYTES;
use super::layout::{Layout, Spot};
use crate::dir::LogDir;
use crate::error::LogError;
use crate::mutation::{self, Mutation};
use crate::turn::Turn;

/// Until a journal that is to go is looked at again.
const RETIRE_PAUSE: Duration = Duration::from_millis(2);
/// After a file could not be made.
const MAKE_PAUSE: Duration = Duration::from_secs(10);

/// How the bytes of a journal get into its file.
pub(super) trait Medium: Sized + 'static {
    /// What is done without it, as the log tells.
    const OTHERWISE: &'static str;

    /// A file of `len` zero bytes, its blocks taken on the disk. An error leaves no file, as far as it could be removed.
    async fn create(path: &Path, len: usize) -> io::Result<Self>;
}

impl Medium for MappedFile {
    const OTHERWISE: &'static str = "each batch is written at once";

    async fn create(path: &Path, len: usize) -> io::Result<Self> {
        MappedFile::create(path, len).await
    }
}

impl Medium for DirectFile {
    const OTHERWISE: &'static str = "each log flushes its own writes";

    async fn create(path: &Path, len: usize) -> io::Result<Self> {
        let file = DirectFile::create(path).await?;
        let filled = async {
            file.allocate_zeroed(0, len as u64).await?;
            file.fdatasync().await?;
            fs::sync_dir(path.parent().expect("it lies in a log directory")).await
        };
        let filled = filled.await;
        if filled.is_err() {
            // What cannot be removed is found by the next start.
            let _left = fs::remove_file(path).await;
        }
        filled.map(|()| file)
    }
}

/// Which entries of a journal are still needed.
pub(super) struct Places {
    layout: RefCell<Layout>,
    /// Entries of logs that have failed: only the next start can write them.
    stranded: Cell<usize>,
}

/// An entry's place, given back when this is dropped.
pub(crate) struct Ticket {
    places: Rc<Places>,
    block: u64,
    /// What it keeps has to be flushed in its segment before a power cut may take this entry.
    pub until_flushed: bool,
}

impl Drop for Ticket {
    fn drop(&mut self) {
        self.places.layout.borrow_mut().release(self.block);
    }
}

impl Ticket {
    /// Its batch stays where it is for as long as this process lives: its log has failed, and the next start takes it over.
    pub fn strand(self) {
        let stranded = &self.places.stranded;
        stranded.set(stranded.get() + 1);
        std::mem::forget(self);
    }
}

pub(super) struct JournalFile<M> {
    pub dir: LogDir,
    blocks: usize,
    open: RefCell<Option<(Rc<M>, PathBuf)>>,
    /// It is being made, or cannot be.
    is_asked_for: Cell<bool>,
    /// It is to go: it takes nothing more.
    is_retiring: Cell<bool>,
    places: Rc<Places>,
    retiring: Turn,
}

impl<M: Medium> JournalFile<M> {
    /// One of about `bytes` bytes; less than two blocks are none.
    pub fn new(dir: &LogDir, bytes: usize) -> Rc<JournalFile<M>> {
        let blocks = bytes / BLOCK_BYTES;
        let layout = Layout::new(first_number(), blocks.max(2), BLOCK_BYTES);
        Rc::new(JournalFile {
            dir: dir.clone(),
            blocks,
            open: RefCell::new(None),
            is_asked_for: Cell::new(blocks < 2),
            is_retiring: Cell::new(false),
            places: Rc::new(Places { layout: RefCell::new(layout), stranded: Cell::new(0) }),
            retiring: Turn::default(),
        })
    }

    /// While there is one that takes entries.
    pub fn get(&self) -> Option<Rc<M>> {
        let open = self.open.borrow();
        let (file, _) = open.as_ref().filter(|_| !self.is_retiring.get())?;
        Some(file.clone())
    }

    /// For what has a place in it already, also while it is to go.
    pub fn get_open(&self) -> Option<Rc<M>> {
        self.open.borrow().as_ref().map(|(file, _)| file.clone())
    }

    pub fn failed(&self, what: &'static str, error: &io::Error) -> LogError {
        LogError::io(&self.path(), what, error)
    }

    pub fn failed_flush(&self, error: &io::Error) -> LogError {
        LogError::flush(&self.path(), "flushing", error)
    }

    fn path(&self) -> PathBuf {
        self.open.borrow().as_ref().map_or_else(|| self.dir.path().to_path_buf(), |(_, path)| path.clone())
    }

    /// Room for an entry of so many bytes; `None` while too much of what is old is still needed.
    pub fn place(&self, bytes: usize, until_flushed: bool) -> Option<(Spot, Ticket)> {
        let spot = self.places.layout.borrow_mut().place(bytes)?;
        Some((spot, Ticket { places: self.places.clone(), block: spot.block, until_flushed }))
    }

    /// The next entry begins at a multiple of `bytes`.
    pub fn align(&self, bytes: usize) {
        self.places.layout.borrow_mut().align(bytes);
    }

    /// More than half of it waits to be written.
    pub fn is_pressed(&self) -> bool {
        self.places.layout.borrow().is_pressed()
    }

    /// Has the file made, if it is not there and has not been asked for. A directory that is closed meanwhile is not held,
    /// and gets no file.
    pub fn ask(self: &Rc<Self>) {
        if self.is_asked_for.replace(true) {
            return;
        }
        let (path, bytes, journal) = (self.dir.new_journal(), self.blocks * BLOCK_BYTES, Rc::downgrade(self));
        self.dir.journal_made(path.clone());
        spawn(Queue::Background, async move {
            let made = M::create(&path, bytes).await;
            let wanted = journal.upgrade().filter(|journal| journal.dir.has_journal(&path));
            match (wanted, made) {
                (Some(journal), Ok(file)) => {
                    journal.open.replace(Some((Rc::new(file), path)));
                }
                (Some(found), Err(error)) => {
                    found.dir.journal_removed(&path);
                    drop(found);
                    try_later(journal, &path, &error).await;
                }
                // What cannot be removed is found by the next start.
                (None, Ok(_)) => drop(fs::remove_file(&path).await),
                (None, Err(_)) => {}
            }
        })
        .detach();
    }

    /// Nothing that was ever kept in here comes back, whatever happens: all of it is written, and the file goes,
    /// durably. For whoever takes records out of a log. The next batch makes a new file. `hurry` is to make entries
    /// unneeded; the file stays while `is_in_use`.
    pub async fn retire(&self, hurry: impl Fn(), is_in_use: impl Fn() -> bool) -> Result<(), LogError> {
        let _turn = self.retiring.take().await;
        let Some(path) = self.open.borrow().as_ref().map(|(_, path)| path.clone()) else { return Ok(()) };
        self.is_retiring.set(true);
        let gone = self.remove_when_unneeded(&path, hurry, is_in_use).await;
        // Without the file, or with it as it was: what is in it is in order either way.
        if gone.is_ok() {
            self.open.replace(None);
            self.places.layout.borrow_mut().begin_anew();
            self.is_asked_for.set(self.blocks < 2);
        }
        self.is_retiring.set(false);
        gone
    }

    async fn remove_when_unneeded(
        &self,
        path: &Path,
        hurry: impl Fn(),
        is_in_use: impl Fn() -> bool,
    ) -> Result<(), LogError> {
        while is_in_use() || self.places.layout.borrow().is_needed() {
            self.dir.check_online()?;
            if self.places.stranded.get() > 0 {
                let cause = "records of a log that failed are in the journal: start again".into();
                return Err(LogError::Stalled { cause });
            }
            hurry();
            sleep(RETIRE_PAUSE).await;
        }
        let dir = self.dir.path();
        let removed = fs::remove_file(path).await.map_err(|e| LogError::io(path, "removing", &e));
        removed.inspect_err(|error| self.dir.fail_on_io(error))?;
        self.dir.journal_removed(path);
        let synced = fs::sync_dir(dir).await.map_err(|e| LogError::flush(dir, "flushing directory", &e));
        // Its name is gone, or comes back: nothing that it is given from now on is safe.
        synced.inspect_err(|error| self.dir.fail(error))
    }
}

/// Without a file each batch waits for a write of its own: slower, and no less sure.
async fn try_later<M: Medium>(journal: Weak<JournalFile<M>>, path: &Path, error: &io::Error) {
    let otherwise = M::OTHERWISE;
    if error.kind() == io::ErrorKind::Unsupported {
        tracing::info!(path = %path.display(), %error, "no journal here: {otherwise}");
        return;
    }
    tracing::warn!(path = %path.display(), %error, "no journal for now: {otherwise}");
    sleep(MAKE_PAUSE).await;
    if let Some(journal) = journal.upgrade() {
        journal.is_asked_for.set(false);
    }
}

/// Behind the entries of a block that is used again lies what was there before, records of clients among it, and a block's
/// entries name its number: a client must not be able to know it, or it could write entries of other logs.
fn first_number() -> u64 {
    // Halved, so that it can be counted up from.
    if mutation::on(Mutation::NumberFromZero) { 0 } else { random_u64() >> 1 }
}
