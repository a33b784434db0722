//! Drives the controller on the first shard: one operation at a time, decided, made durable, published to every
//! core, answered. Never decides.

use std::rc::Rc;
use std::sync::Arc;

use kring_runtime::channel::{self, Receiver, Sender};
use kring_runtime::{Queue, Task, spawn, wall_ms};
use kring_wire::{ErrorCode, Str, Uuid};

use super::metadata_log::MetadataLog;
use super::{Command, ReplyTo, Shard, give};
use crate::controller::{ControllerReply, ControllerRequest};

/// Operations that may wait for their turn.
const WAITING_OPERATIONS: usize = 1024;

/// Who this broker is, as it registers itself.
pub struct Identity {
    pub node_id: i32,
    pub rack: Option<Str>,
    pub incarnation: Uuid,
    pub log_dirs: Vec<Uuid>,
    /// Listener, host, port, security protocol.
    pub endpoints: Vec<(Str, Str, u16, i16)>,
}

type Operation = (ControllerRequest, ReplyTo<ControllerReply>);

/// Where operations queue up.
pub(super) struct ControllerHandle {
    queue: Sender<Operation>,
}

/// The running controller.
pub struct RunningController {
    log: Rc<MetadataLog>,
    task: Task<()>,
}

pub async fn start_controller(
    shard: &Rc<Shard>,
    log: MetadataLog,
    identity: Identity,
) -> Result<RunningController, String> {
    let _ = (shard, log, identity);
    Err("stub".into())
}

impl RunningController {
    pub async fn close(self) {
        drop(self.task);
        if let Err(error) = self.log.close().await {
            tracing::error!(%error, "the metadata log was not closed cleanly");
        }
    }
}

impl Shard {
    pub(super) fn control(&self, request: ControllerRequest, reply_to: ReplyTo<ControllerReply>) {
        let handle = self.controller.borrow();
        let handle = handle.as_ref().expect("the first shard has the controller before it takes requests");
        // A full queue drops the reply, which its asker takes for "try again".
        if handle.queue.try_send((request, reply_to)).is_err() {
            tracing::warn!("too many metadata operations are waiting");
        }
    }
}
