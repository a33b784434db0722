//! Partitions of this core whose logs did not open: damaged, or not theirs. Each is told once, loses its leader, and
//! stays as it is on disk until a start finds it mended, or its topic is deleted. The others are served.
//! Never looks into a log and never mends one: `kring log repair` does.

use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

use kring_runtime::sleep;
use kring_storage::{LogError, LogName};
use kring_wire::Uuid;

use super::Shard;
use super::directories::ASK_AGAIN_AFTER;
use crate::controller::{ControllerRequest, PartitionKey};
use crate::partition::PartitionId;

/// Where the files of one lie.
pub(super) struct ShutOut {
    name: LogName,
    /// Place in `log.dirs`.
    log_dir: usize,
}

pub(super) type ShutOuts = BTreeMap<PartitionId, ShutOut>;

impl Shard {
    /// Says what is wrong with a log, and how it is called to the controller.
    pub(super) fn shut_out(
        &self,
        id: PartitionId,
        name: LogName,
        log_dir: usize,
        error: &LogError,
    ) -> PartitionKey {
        let dir = self.log_dirs[log_dir].path().join(name.to_string());
        tracing::error!(partition = %name, %error, dir = %dir.display(),
            "this partition is offline until its files are mended (`kring log repair DIR`, with the broker stopped) and the \
             broker is started again");
        self.shut_outs.borrow_mut().insert(id, ShutOut { name, log_dir });
        (id.topic, id.index)
    }

    pub(super) fn is_shut_out(&self, id: PartitionId) -> bool {
        self.shut_outs.borrow().contains_key(&id)
    }

    /// For a partition that did not open after its image had been followed.
    pub(super) async fn lose_leader(self: Rc<Self>, lost: PartitionKey) {
        let request = ControllerRequest::FailPartitions { partitions: vec![lost] };
        while !self.is_closing.get() && self.ask_controller(request.clone()).await.is_err() {
            sleep(ASK_AGAIN_AFTER).await;
        }
    }

    /// The topics of these are no more: so are their files.
    pub(super) async fn delete_shut_out(&self, is_gone: impl Fn(&Uuid) -> bool, delay: Duration) {
        let gone = self.take_shut_out(is_gone);
        for ShutOut { name, log_dir } in gone {
            if let Err(error) = self.log_dirs[log_dir].delete(&name, delay).await {
                tracing::error!(partition = %name, %error, "the files of a deleted partition remain");
            }
        }
    }

    fn take_shut_out(&self, is_gone: impl Fn(&Uuid) -> bool) -> Vec<ShutOut> {
        let mut all = self.shut_outs.borrow_mut();
        let ids: Vec<PartitionId> = all.keys().copied().filter(|id| is_gone(&id.topic)).collect();
        ids.into_iter().filter_map(|id| all.remove(&id)).collect()
    }
}
