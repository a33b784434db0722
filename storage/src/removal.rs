//! Removes what no log has any more, unnoticed: in each log directory one file after another, a large one cut down
//! step by step before its name goes, so that no write waits for the freeing of a gigabyte (decision 0026).
//! Touches nothing that somebody still reads. Task queue `Background`, on whichever shard found nobody at it.

use std::collections::VecDeque;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use kring_runtime::{Queue, fs, sleep, spawn};

use crate::dir::LogDir;
use crate::mutation::{self, Mutation};

/// What is freed at once. The segments of simulated logs are small.
const STEP_BYTES: u64 = if cfg!(test) { 1 << 10 } else { 8 << 20 };
/// Between two steps, for the writes that have waited.
const PAUSE: Duration = Duration::from_millis(10);
/// How late it is noticed that nobody reads a file any more.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// What waits to be removed from a log directory, for one at a time of all shards.
#[derive(Default)]
pub(crate) struct Removals(Mutex<Waiting>);

#[derive(Default)]
struct Waiting {
    paths: VecDeque<PathBuf>,
    is_running: bool,
}

impl Removals {
    /// Whether somebody has to begin with it.
    fn push(&self, path: PathBuf) -> bool {
        let mut waiting = self.waiting();
        waiting.paths.push_back(path);
        !std::mem::replace(&mut waiting.is_running, true)
    }

    /// `None` is the end: whoever pushes next begins anew.
    fn next(&self) -> Option<PathBuf> {
        let mut waiting = self.waiting();
        let next = waiting.paths.pop_front();
        waiting.is_running = next.is_some();
        next
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        // A panic elsewhere ends the process; the queue is never left half changed.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl LogDir {
    /// Removes the directory of a deleted partition in the background, `delay` after the checkpoints say nothing of its log
    /// any more: until then it tells the next start that what they say is of a log that is gone. What the end of the process
    /// leaves is left to the next start.
    pub fn remove_after_checkpoint(&self, path: PathBuf, delay: Duration) {
        let dir = self.clone();
        spawn(Queue::Background, async move {
            if !mutation::on(Mutation::LeaveTraces)
                && let Err(error) = dir.write_checkpoints().await
            {
                tracing::warn!(dir = %dir.path().display(), %error, "the checkpoints still name a log that was deleted");
            }
            sleep(delay).await;
            dir.remove(vec![path]).await;
        })
        .detach();
    }

    /// Hands over files and directories of which no log knows any more, each as soon as nobody reads it.
    pub(crate) async fn remove(&self, paths: Vec<PathBuf>) {
        for path in paths {
            if let Err(error) = wait_until_unread(&path).await {
                tell_left(&path, &error);
            } else if self.removals().push(path) {
                spawn(Queue::Background, remove_waiting(self.clone())).detach();
            }
        }
    }
}

/// A file that is cut under a reader would look to it as if it were damaged.
async fn wait_until_unread(path: &Path) -> io::Result<()> {
    for file in files_of(path).await? {
        while fs::may_be_read(&file).await? && !mutation::on(Mutation::CutWhatIsRead) {
            sleep(LOOK_AGAIN).await;
        }
    }
    Ok(())
}

/// The files in a directory, or the one that it is; none if it is gone, because its log was deleted meanwhile.
async fn files_of(path: &Path) -> io::Result<Vec<PathBuf>> {
    match fs::metadata(path).await {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(Vec::new()),
        Ok(found) if found.is_dir => {
            let entries = fs::read_dir(path).await?.into_iter().filter(|entry| !entry.is_dir);
            Ok(entries.map(|entry| path.join(entry.name)).collect())
        }
        found => found.map(|_| vec![path.to_path_buf()]),
    }
}

async fn remove_waiting(dir: LogDir) {
    while let Some(path) = dir.removals().next() {
        match remove_all_of(&dir, &path).await {
            Ok(()) => tracing::debug!(path = %path.display(), "removed"),
            Err(error) => tell_left(&path, &error),
        }
    }
}

fn tell_left(path: &Path, error: &io::Error) {
    tracing::warn!(path = %path.display(), %error, "not removed; the next start tries again");
}

async fn remove_all_of(dir: &LogDir, path: &Path) -> io::Result<()> {
    for file in files_of(path).await? {
        cut_down(dir, &file).await?;
        unless_gone(fs::remove_file(&file).await)?;
    }
    match fs::metadata(path).await {
        Ok(found) if found.is_dir => unless_gone(fs::remove_dir_all(path).await),
        // A file of this name is another one: the next cleaning has put it here since.
        Ok(_) => Ok(()),
        Err(error) => unless_gone(Err(error)),
    }
}

fn unless_gone(removed: io::Result<()>) -> io::Result<()> {
    removed.or_else(|error| if error.kind() == ErrorKind::NotFound { Ok(()) } else { Err(error) })
}

/// Frees all but the last step of a file.
async fn cut_down(dir: &LogDir, file: &Path) -> io::Result<()> {
    let mut left = fs::len(file).await?;
    if left > STEP_BYTES && !mutation::on(Mutation::CutBeforeItsNameIsDurable) {
        // A crash that gave it its old name back would give it back to its log, cut.
        fs::sync_dir(file.parent().expect("a file is in a directory")).await?;
    }
    while left > STEP_BYTES {
        left -= STEP_BYTES;
        fs::set_len(file, left).await?;
        if dir.space().is_ample() {
            sleep(PAUSE).await;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use kring_runtime::now;
    use kring_runtime::sim::{Sim, SimConfig, disk};

    use super::*;

    const FILES: [&str; 3] = ["/data/a-0/1.deleted", "/data/a-0/2.deleted", "/data/b-0.x-delete/3.log"];
    const FILE_BYTES: u64 = 5 * STEP_BYTES + 7;

    fn lengths() -> [u64; 3] {
        FILES.map(|path| disk().peek(path).map_or(0, |bytes| bytes.len() as u64))
    }

    async fn opened() -> LogDir {
        LogDir::open(Path::new("/data")).await.unwrap().dir
    }

    /// Removes three files on two shards.
    async fn remove_three(shard: usize, dir: &LogDir) {
        match shard {
            0 => dir.remove(FILES[..2].iter().map(PathBuf::from).collect()).await,
            _ => dir.remove(vec![Path::new(FILES[2]).parent().unwrap().to_path_buf()]).await,
        }
    }

    async fn make_three() {
        for path in FILES.map(Path::new) {
            fs::create_dir_all(path.parent().unwrap()).await.unwrap();
            fs::write_atomic(path, &[1; FILE_BYTES as usize]).await.unwrap();
        }
    }

    #[test]
    fn files_of_a_directory_go_one_after_another_and_by_small_steps() {
        let sim = Sim::new(SimConfig::new(3, 1));
        let run = sim.run(|_| async {
            let dir = opened().await;
            make_three().await;
            let (mut steps, begun) = (0, now());
            remove_three(0, &dir).await;
            remove_three(1, &dir).await;
            let mut before = [FILE_BYTES; 3];
            while before != [0; 3] {
                sleep(Duration::from_millis(1)).await;
                let after = lengths();
                let changed: Vec<_> = before.iter().zip(after).filter(|(old, new)| **old != *new).collect();
                assert!(changed.iter().all(|(old, new)| **old - new <= STEP_BYTES), "{changed:?}");
                let begun_with = after.iter().filter(|left| (1..FILE_BYTES).contains(*left)).count();
                assert!(begun_with <= 1, "{after:?}");
                steps += changed.len();
                before = after;
            }
            assert_eq!(steps, 18);
            assert!(now().saturating_since(begun) >= PAUSE * 15);
        });
        run.unwrap_or_else(|error| panic!("{error}")).finished();
    }

    #[test]
    fn what_the_end_of_a_process_leaves_can_be_removed_by_the_next() {
        let sim = Sim::new(SimConfig::new(4, 1));
        let first = sim.run(|_| async {
            let dir = opened().await;
            make_three().await;
            remove_three(0, &dir).await;
            sleep(PAUSE * 3).await;
        });
        first.unwrap_or_else(|error| panic!("{error}")).finished();
        let second = sim.run(|_| async {
            let dir = opened().await;
            assert!(lengths()[0] < FILE_BYTES && lengths()[1] == FILE_BYTES);
            remove_three(0, &dir).await;
            remove_three(1, &dir).await;
            sleep(Duration::from_secs(1)).await;
            assert_eq!(lengths(), [0; 3]);
            assert!(!fs::exists("/data/b-0.x-delete").await.unwrap());
        });
        second.unwrap_or_else(|error| panic!("{error}")).finished();
    }

    #[test]
    fn without_room_nothing_pauses() {
        let sim = Sim::new(SimConfig::new(5, 1));
        let run = sim.run(|_| async {
            let dir = opened().await;
            make_three().await;
            disk().set_capacity(20_000);
            dir.measure_space(u64::MAX).await.unwrap();
            let begun = now();
            remove_three(0, &dir).await;
            while lengths()[..2] != [0; 2] {
                sleep(Duration::from_micros(100)).await;
            }
            assert!(now().saturating_since(begun) < PAUSE * 8, "{:?}", now().saturating_since(begun));
        });
        run.unwrap_or_else(|error| panic!("{error}")).finished();
    }
}
