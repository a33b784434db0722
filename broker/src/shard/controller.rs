//! Drives the controller on the first shard: one operation at a time, decided, made durable, published to every
//! core, answered. Never decides.

use std::rc::Rc;
use std::sync::Arc;

use kring_runtime::channel::{self, Receiver, Sender};
use kring_runtime::{Queue, Task, fill_random, spawn};
use kring_wire::{ErrorCode, MetadataRecord, Str, Uuid};

use super::metadata_log::{MetadataLog, Waiting};
use super::{Command, Mesh, ReplyTo, Shard, give};
use crate::controller::{
    Controller, ControllerReply, ControllerRequest, PartitionKey, Placement, Refused, Registration,
};
use crate::metadata::{Endpoint, Image};

/// Operations that may wait for their turn.
const WAITING_OPERATIONS: usize = 1024;

/// Who this broker is, as it registers itself.
pub struct Identity {
    pub rack: Option<Str>,
    pub incarnation_id: Uuid,
    pub log_dirs: Vec<Uuid>,
    pub endpoints: Vec<Endpoint>,
    pub after_unclean_stop: bool,
    pub placement: Placement,
}

type Operation = (ControllerRequest, ReplyTo<ControllerReply>);

/// Where operations queue up.
pub(super) struct ControllerHandle {
    queue: Sender<Operation>,
}

/// The controller with its log, at work.
pub struct RunningController {
    queue: Sender<Operation>,
    waiting: Waiting,
    task: Task<MetadataLog>,
}

/// Told, once, why the metadata log can no longer be followed.
pub type OnFailure = Box<dyn FnOnce(String)>;

/// The decider and everything it needs done.
struct Driver {
    controller: Controller,
    log: MetadataLog,
    mesh: Mesh,
    /// Partitions that no core could open at the start, until the controller hears of them.
    lost: Vec<PartitionKey>,
}

/// How an operation ended.
enum Operated {
    Done(ControllerReply),
    /// Its records have no encoding, or are too long together: nothing has happened, and others can go on. The
    /// client hears what Kafka says then, and does not ask again for ever.
    Refused(ControllerReply),
}

/// Opens this broker's term, registers it, and lets every core follow; then operations are taken.
/// The error is a sentence: without its metadata a broker does not start.
pub async fn start_controller(
    shard: &Rc<Shard>,
    log: MetadataLog,
    image: Image,
    identity: Identity,
    on_failure: OnFailure,
) -> Result<RunningController, String> {
    let controller = Controller::new(shard.config(), image);
    let mut driver = Driver { controller, log, mesh: shard.mesh.clone(), lost: Vec::new() };
    driver.begin(identity).await?;
    let (queue, operations) = channel::bounded(WAITING_OPERATIONS);
    *shard.controller.borrow_mut() = Some(ControllerHandle { queue: queue.clone() });
    let waiting = driver.log.waiting();
    Ok(RunningController { queue, waiting, task: spawn(Queue::Net, driver.run(operations, on_failure)) })
}

impl RunningController {
    /// Takes no more operations and closes the log. An operation that waits for room on the disk is given up.
    pub async fn close(self) {
        self.queue.close();
        self.waiting.end();
        if let Err(error) = self.task.await.close().await {
            tracing::error!(%error, "the metadata log was not closed cleanly");
        }
    }
}

impl Driver {
    /// What the term begins with is written together, so that a disk without room keeps nobody from reading: then it is
    /// written later, and nothing else before it.
    async fn begin(&mut self, identity: Identity) -> Result<(), String> {
        self.log.begin_term(self.controller.node_id())?;
        self.begin_bootstrap()?;
        let records = self.registration(identity);
        self.begin_records(&records)?;
        let is_written = self.log.settle_if_there_is_room().await?;
        self.controller.replay(&records).map_err(|error| error.to_string())?;
        self.lost = self.publish().await;
        if is_written { self.fail_lost().await } else { Ok(()) }
    }

    fn registration(&self, identity: Identity) -> Vec<MetadataRecord> {
        let registration = Registration {
            incarnation_id: identity.incarnation_id,
            broker_epoch: self.controller.registration_offset(self.log.next_offset()),
            endpoints: identity.endpoints,
            rack: identity.rack,
            log_dirs: identity.log_dirs,
            after_unclean_stop: identity.after_unclean_stop,
            placement: identity.placement,
        };
        let request = ControllerRequest::RegisterBroker(registration);
        self.controller.handle(request, &mut random_id).records
    }

    /// Kafka's format may have chosen features: a log that says nothing yet begins with them.
    fn begin_bootstrap(&mut self) -> Result<(), String> {
        let records = self.log.take_bootstrap();
        if records.is_empty() {
            return Ok(());
        }
        self.begin_records(&records)?;
        self.controller.replay(&records).map_err(|error| error.to_string())
    }

    fn begin_records(&self, records: &[MetadataRecord]) -> Result<(), String> {
        let batch = self.log.batch(records).map_err(|error| error.to_string())?;
        self.log.begin_append(batch)
    }

    async fn run(mut self, operations: Receiver<Operation>, on_failure: OnFailure) -> MetadataLog {
        match self.take(operations).await {
            Err(error) if self.log.waiting().has_ended() => {
                tracing::warn!(%error, "a metadata operation may not have been written");
            }
            // What is not durable has not happened, but nobody can tell any more what is.
            Err(error) => on_failure(error),
            Ok(()) => {}
        }
        self.log
    }

    async fn take(&mut self, operations: Receiver<Operation>) -> Result<(), String> {
        self.log.settle().await?;
        self.fail_lost().await?;
        while let Ok((request, reply_to)) = operations.recv().await {
            let (Operated::Done(reply) | Operated::Refused(reply)) = self.operate(request).await?;
            give(reply_to, reply);
        }
        Ok(())
    }

    /// One operation, and what follows from it: partitions that a core cannot open lose their leader before anybody is
    /// answered.
    async fn operate(&mut self, request: ControllerRequest) -> Result<Operated, String> {
        let (operated, lost) = self.perform(request).await?;
        self.lost = lost;
        self.fail_lost().await?;
        Ok(operated)
    }

    /// Each is told once, so this ends.
    async fn fail_lost(&mut self) -> Result<(), String> {
        while !self.lost.is_empty() {
            let request = ControllerRequest::FailPartitions { partitions: std::mem::take(&mut self.lost) };
            (_, self.lost) = self.perform(request).await?;
        }
        Ok(())
    }

    /// From the decision to the last core that follows it; the partitions that could not be opened then.
    async fn perform(&mut self, request: ControllerRequest) -> Result<(Operated, Vec<PartitionKey>), String> {
        let outcome = self.controller.handle(request, &mut random_id);
        if outcome.records.is_empty() {
            return Ok((Operated::Done(outcome.reply), Vec::new()));
        }
        let batch = match self.log.batch(&outcome.records) {
            Ok(batch) => batch,
            Err(error) => {
                tracing::warn!(%error, "a metadata operation is refused");
                let why = Refused::silent(ErrorCode::UNKNOWN_SERVER_ERROR);
                return Ok((Operated::Refused(outcome.reply.refused(&why)), Vec::new()));
            }
        };
        self.log.append(batch).await?;
        self.controller.replay(&outcome.records).map_err(|error| error.to_string())?;
        Ok((Operated::Done(outcome.reply), self.publish().await))
    }

    async fn publish(&self) -> Vec<PartitionKey> {
        let image: &Arc<Image> = self.controller.image();
        let lost = self.mesh.ask_all(|reply_to| Command::Publish { image: image.clone(), reply_to }).await;
        lost.into_iter().flatten().flatten().collect()
    }
}

/// An id that Kafka's tools take: random, and not beginning with a dash, which command lines misread.
pub fn random_id() -> Uuid {
    loop {
        let mut bytes = [0; 16];
        fill_random(&mut bytes);
        if let Some(id) = Uuid::from_random(bytes).filter(|id| !id.to_string().starts_with('-')) {
            return id;
        }
    }
}

impl Shard {
    pub(super) fn control(&self, request: ControllerRequest, reply_to: ReplyTo<ControllerReply>) {
        let handle = self.controller.borrow();
        let queued = handle.as_ref().is_some_and(|handle| handle.queue.try_send((request, reply_to)).is_ok());
        if !queued {
            // The dropped reply tells the asker to try again.
            tracing::warn!("a metadata operation found the controller busy or not there yet");
        }
    }
}
