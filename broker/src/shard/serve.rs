//! Commands on this core's partitions, apart from fetch. Appends happen at once and in order; waiting comes after.

use std::pin::{Pin, pin};
use std::rc::Rc;
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::{Either, join_all, select};
use kring_runtime::{Interval, Monotonic, fs, sleep_until, wall_ms};
use kring_storage::LogDir;

use super::{Answers, Shard};
use crate::partition::{
    Acks, Appended, EpochQuery, ListedOffset, Offered, OffsetQuery, Partition, PartitionId, PartitionSize,
    Produced, Refusal,
};

/// A batch in its log, with the log to wait for.
type Accepted = (Rc<Partition>, Appended);

impl Shard {
    /// Appends every batch before it returns; the future resolves when they may be acknowledged.
    pub(super) fn produce(
        &self,
        acks: Acks,
        deadline: Monotonic,
        entries: Vec<(PartitionId, Offered)>,
    ) -> impl Future<Output = Answers<Produced>> + use<> {
        let appended: Vec<_> =
            entries.into_iter().map(|(id, offered)| self.append(acks, id, offered)).collect();
        async move {
            let mut patience = Patience { timer: pin!(sleep_until(deadline)), is_over: false };
            let mut answers = Vec::with_capacity(appended.len());
            for outcome in appended {
                answers.push(acknowledge(acks, outcome, &mut patience).await);
            }
            answers
        }
    }

    fn append(&self, acks: Acks, id: PartitionId, offered: Offered) -> Result<Accepted, Refusal> {
        let partition = self.partition(id)?;
        let batch = offered.map_err(|code| partition.refused(code))?;
        let appended = partition.append(batch, acks)?;
        Ok((partition, appended))
    }

    pub(super) fn list_offsets(
        &self,
        entries: Vec<(PartitionId, OffsetQuery)>,
    ) -> impl Future<Output = Answers<ListedOffset>> + use<> {
        let found: Vec<_> = entries.into_iter().map(|(id, query)| (self.partition(id), query)).collect();
        join_all(
            found.into_iter().map(|(partition, query)| async move { partition?.list_offset(query).await }),
        )
    }

    pub(super) fn epoch_ends(&self, entries: Vec<(PartitionId, EpochQuery)>) -> Answers<(i32, i64)> {
        entries.into_iter().map(|(id, query)| self.partition(id)?.epoch_end(query)).collect()
    }

    pub(super) fn delete_records(
        &self,
        entries: Vec<(PartitionId, i64)>,
    ) -> impl Future<Output = Answers<i64>> + use<> {
        let found: Vec<_> = entries.into_iter().map(|(id, before)| (self.partition(id), before)).collect();
        join_all(
            found
                .into_iter()
                .map(|(partition, before)| async move { partition?.delete_records(before).await }),
        )
    }

    pub(super) fn sizes(&self) -> Vec<PartitionSize> {
        let size = |p: Rc<Partition>| PartitionSize {
            id: p.id(),
            topic: p.topic().clone(),
            log_dir: p.log_dir(),
            bytes: p.log().size_bytes(),
        };
        self.all_partitions().into_iter().map(size).collect()
    }

    /// Forgets idempotent producers that have been silent for `producer.id.expiration.ms`, at the interval that
    /// the configuration names, until the task is dropped.
    pub async fn expire_producers(self: Rc<Self>) {
        let every =
            Duration::from_millis(self.config().producers.id_expiration_check_ms.unsigned_abs().max(1));
        let mut interval = Interval::new(every);
        loop {
            interval.tick().await;
            let now_ms = wall_ms();
            self.all_partitions().iter().for_each(|partition| partition.log().expire_producers(now_ms));
        }
    }

    /// The log directories and the space on their disks.
    pub async fn log_dir_states(&self) -> Vec<LogDirState> {
        join_all(self.log_dirs.iter().map(log_dir_state)).await
    }

    /// Closes every log of this core, so that the next start needs no scan. Other cores may still have commands on
    /// their way: those find no partition any more.
    pub async fn close(&self) {
        self.is_closing.set(true);
        self.groups.unload();
        let partitions: Vec<Rc<Partition>> = self.partitions.take().into_values().collect();
        let closed = join_all(partitions.iter().map(|partition| partition.log().close())).await;
        for (partition, result) in partitions.iter().zip(closed) {
            if let Err(error) = result {
                tracing::error!(partition = partition.name(), %error, "the log was not closed cleanly");
            }
        }
    }
}

/// One log directory as DescribeLogDirs tells it; -1 bytes are unknown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogDirState {
    pub path: String,
    pub is_offline: bool,
    pub total_bytes: i64,
    pub usable_bytes: i64,
}

async fn log_dir_state(dir: &LogDir) -> LogDirState {
    let space = fs::disk_free(dir.path()).await.ok();
    let bytes = |count: Option<u64>| count.map_or(-1, |count| i64::try_from(count).unwrap_or(i64::MAX));
    LogDirState {
        path: dir.path().display().to_string(),
        is_offline: dir.offline().is_some(),
        total_bytes: bytes(space.as_ref().map(|space| space.total_bytes)),
        usable_bytes: bytes(space.as_ref().map(|space| space.available_bytes)),
    }
}

async fn acknowledge<T: Future<Output = ()>>(
    acks: Acks,
    outcome: Result<Accepted, Refusal>,
    patience: &mut Patience<'_, T>,
) -> Result<Produced, Refusal> {
    let (partition, appended) = outcome?;
    let waited = partition.acknowledged(acks, appended.end);
    let in_time = match acks {
        Acks::None | Acks::Leader => Some(waited.await),
        Acks::All => patience.wait(waited).await,
    };
    match in_time {
        Some(result) => result.map(|()| appended.produced),
        None => Ok(Produced { is_late: true, ..appended.produced }),
    }
}

/// One timer for everything that a request waits for. It is set only when something does wait.
struct Patience<'a, T> {
    timer: Pin<&'a mut T>,
    is_over: bool,
}

impl<T: Future<Output = ()>> Patience<'_, T> {
    /// `None` when the time is up; what is done already is done in time.
    async fn wait<R>(&mut self, work: impl Future<Output = R>) -> Option<R> {
        if self.is_over {
            return work.now_or_never();
        }
        match select(pin!(work), self.timer.as_mut()).await {
            Either::Left((done, _)) => Some(done),
            Either::Right(_) => {
                self.is_over = true;
                None
            }
        }
    }
}
