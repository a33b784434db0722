//! One core and what it owns: partitions, coordinators, and on the first core the controller.
//! Commands come in through one inbox; each is started at once, in order, and answered when it is done.
//! Never decodes a request, never touches another core's state.

mod cleaner;
mod command;
mod controller;
mod directories;
mod fetch;
mod follow;
mod gate;
mod groups;
mod mesh;
mod metadata_log;
mod producer_ids;
mod recovery_points;
mod serve;
mod shut_out;

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;

use futures_util::FutureExt;
use kring_runtime::{Queue, spawn};
use kring_storage::{LogDir, LogName, ShardStorage};
use kring_wire::{ErrorCode, Str, Uuid};

pub use command::{Answers, Command, FetchTerms, ReplyTo};
pub use controller::{Identity, OnFailure, RunningController, random_id, start_controller};
pub use gate::{FetchGate, OpenOnDrop};
pub use mesh::{CONTROLLER_SHARD, Inbox, Mesh};
pub use metadata_log::MetadataLog;
pub use serve::LogDirState;

use crate::config::{BrokerConfig, TopicConfig};
use crate::metadata::Image;
use crate::partition::{Partition, PartitionId, Refusal};
use cleaner::CleanerStop;
use controller::ControllerHandle;
use directories::Opening;
use groups::Groups;
use producer_ids::ProducerIds;
use shut_out::ShutOuts;

/// Everything that one core owns.
pub struct Shard {
    pub mesh: Mesh,
    pub cluster_id: Str,
    config: RefCell<Arc<BrokerConfig>>,
    storage: ShardStorage,
    log_dirs: Vec<LogDir>,
    /// Partitions found on disk at the start, and in which directory.
    located: HashMap<LogName, usize>,
    image: RefCell<Arc<Image>>,
    partitions: RefCell<HashMap<PartitionId, Rc<Partition>>>,
    /// Those whose logs did not open.
    shut_outs: RefCell<ShutOuts>,
    opening: Opening,
    /// The logs are being closed: nothing may append any more, and nothing is opened.
    is_closing: Cell<bool>,
    topic_configs: RefCell<HashMap<Uuid, Arc<TopicConfig>>>,
    producer_ids: ProducerIds,
    groups: Groups,
    cleaner_stop: CleanerStop,
    controller: RefCell<Option<ControllerHandle>>,
}

/// What a shard is made of.
pub struct ShardParts {
    pub mesh: Mesh,
    pub config: Arc<BrokerConfig>,
    pub storage: ShardStorage,
    pub log_dirs: Vec<LogDir>,
    pub located: HashMap<LogName, usize>,
    pub cluster_id: Str,
}

impl Shard {
    pub fn new(parts: ShardParts) -> Rc<Self> {
        Rc::new(Self {
            groups: Groups::new(&parts.config),
            mesh: parts.mesh,
            cluster_id: parts.cluster_id,
            config: RefCell::new(parts.config),
            storage: parts.storage,
            log_dirs: parts.log_dirs,
            located: parts.located,
            image: RefCell::default(),
            partitions: RefCell::default(),
            shut_outs: RefCell::default(),
            opening: Opening::default(),
            is_closing: Cell::new(false),
            topic_configs: RefCell::default(),
            producer_ids: ProducerIds::default(),
            cleaner_stop: CleanerStop::default(),
            controller: RefCell::new(None),
        })
    }

    /// The configuration that holds now, dynamic values included.
    pub fn config(&self) -> Arc<BrokerConfig> {
        self.config.borrow().clone()
    }

    /// The metadata as this core sees it.
    pub fn image(&self) -> Arc<Image> {
        self.image.borrow().clone()
    }

    /// Takes commands until the mesh is closed.
    pub async fn run(self: Rc<Self>, inbox: Inbox) {
        while let Ok(command) = inbox.recv().await {
            self.execute(command);
        }
    }

    /// Starts a command. What must happen in order happens before this returns.
    pub fn execute(self: &Rc<Self>, command: Command) {
        match command {
            Command::Produce { acks, deadline, entries, reply_to } => {
                answer(reply_to, self.produce(acks, deadline, entries));
            }
            Command::Fetch { terms, entries, reply_to } => {
                answer(reply_to, self.clone().fetch(terms, entries))
            }
            Command::ListOffsets { entries, reply_to } => answer(reply_to, self.list_offsets(entries)),
            Command::EpochEnds { entries, reply_to } => give(reply_to, self.epoch_ends(entries)),
            Command::DeleteRecords { entries, reply_to } => answer(reply_to, self.delete_records(entries)),
            Command::Sizes { reply_to } => give(reply_to, self.sizes()),
            Command::Group { partition, request, reply_to } => self.group(partition, request, reply_to),
            Command::Controller { request, reply_to } => self.control(request, reply_to),
            Command::Publish { image, reply_to } => answer(reply_to, self.clone().follow(image)),
        }
    }

    /// A partition of this core, unless its log directory is offline.
    pub fn partition(&self, id: PartitionId) -> Result<Rc<Partition>, Refusal> {
        match self.known(id) {
            Some(partition) if self.is_offline(&partition) => Err(ErrorCode::KAFKA_STORAGE_ERROR.into()),
            Some(partition) => Ok(partition),
            None => Err(self.why_absent(id).into()),
        }
    }

    fn known(&self, id: PartitionId) -> Option<Rc<Partition>> {
        self.partitions.borrow().get(&id).cloned()
    }

    fn is_offline(&self, partition: &Partition) -> bool {
        self.log_dirs[partition.log_dir()].offline().is_some()
    }

    /// A partition that the metadata knows and that is not here could not be opened.
    fn why_absent(&self, id: PartitionId) -> ErrorCode {
        match self.image.borrow().partition(id.topic, id.index) {
            _ if self.is_closing.get() => ErrorCode::NOT_LEADER_OR_FOLLOWER,
            Some(_) => ErrorCode::KAFKA_STORAGE_ERROR,
            None => ErrorCode::UNKNOWN_TOPIC_OR_PARTITION,
        }
    }

    /// All partitions of this core.
    fn all_partitions(&self) -> Vec<Rc<Partition>> {
        self.partitions.borrow().values().cloned().collect()
    }
}

/// Answers when the future is done: often at once, and then without a task. A reply that nobody waits for any more is
/// no fault: its connection is gone.
fn answer<T: Send + 'static>(reply_to: ReplyTo<T>, work: impl Future<Output = T> + 'static) {
    let mut work = Box::pin(work);
    match work.as_mut().now_or_never() {
        Some(value) => give(reply_to, value),
        None => spawn(Queue::Net, async move { give(reply_to, work.await) }).detach(),
    }
}

fn give<T>(reply_to: ReplyTo<T>, value: T) {
    if reply_to.send(value).is_err() {
        tracing::trace!("nobody waits for a reply any more");
    }
}
