//! One shard's life: wait for what the first shard found, take commands, accept connections, stop in order.
//! The first shard does the common parts in between.

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use kring_runtime::{Monotonic, Queue, ShardId, Task, now, signal, spawn};
use kring_storage::{ShardConfig, ShardStorage};

use super::listen::{self, Sockets};
use super::stages::{Found, Stages};
use super::{BootError, banner, dirs, limits, watch};
use crate::api::ApiState;
use crate::metadata::{Endpoint, Image};
use crate::net::Server;
use crate::shard::{
    self, CONTROLLER_SHARD, Identity, MetadataLog, OnFailure, RunningController, Shard, ShardParts,
};

pub(super) async fn run(stages: Arc<Stages>, id: ShardId) -> Result<(), BootError> {
    let begun = now();
    if id.index() == CONTROLLER_SHARD {
        return first(&stages, begun).await;
    }
    let Some(found) = stages.found.hear().await else { return Err(BootError::Elsewhere) };
    let shard = make_shard(&stages, id, &found);
    let commands = take_commands(&stages, id, &shard);
    stages.taking_commands.pass().await;
    let bound = listen::bind_same(&found.bound, &stages.plan.config.sockets);
    if bound.is_err() {
        stages.fail();
    }
    let (sockets, result) = match bound {
        Ok(sockets) => (sockets, Ok(())),
        Err(error) => (Sockets::new(), Err(error)),
    };
    serve_until_stopped(&stages, &shard, sockets).await;
    stages.finished.hear().await;
    drop(commands);
    result
}

/// The first shard's life.
async fn first(stages: &Arc<Stages>, begun: Monotonic) -> Result<(), BootError> {
    let (found, (log, image), sockets) = match find(stages).await {
        Ok(found) => found,
        Err(error) => {
            stages.found.make(None);
            return Err(error);
        }
    };
    stages.found.make(Some(found.clone()));
    let id = ShardId(CONTROLLER_SHARD as u16);
    let shard = make_shard(stages, id, &found);
    let commands = take_commands(stages, id, &shard);
    stages.taking_commands.pass().await;
    let identity = identity(stages, &found, &image);
    let controller = shard::start_controller(&shard, log, image, identity, on_metadata_failure(stages)).await;
    if controller.is_err() {
        stages.fail();
    }
    let checkpoints = keep_checkpoints(stages, &found);
    let watching = watch::begin(stages, &found, &shard).await;
    let ready = spawn(Queue::Net, announce(stages.clone(), found.clone(), begun));
    let stop = spawn(Queue::Net, wait_for_stop(stages.clone()));
    serve_until_stopped(stages, &shard, sockets).await;
    stages.closed.reached().await;
    drop((checkpoints, watching, ready, stop));
    let result = finish(controller, &found, &shard).await;
    stages.finished.make(());
    drop(commands);
    if stages.has_failed() { Err(stages.cause_of(result)) } else { result }
}

/// The last steps, when every partition is closed.
async fn finish(
    controller: Result<RunningController, String>,
    found: &Found,
    shard: &Shard,
) -> Result<(), BootError> {
    controller.map_err(BootError::Metadata)?.close().await;
    mark_clean(found, shard).await
}

/// What must be known before any shard can begin: directories, metadata, addresses.
async fn find(stages: &Stages) -> Result<(Found, (MetadataLog, Image), Sockets), BootError> {
    let config = &stages.plan.config;
    let mut dirs = dirs::open(config).await?;
    let (bound, sockets) = listen::bind_first(config).await?;
    let storage = storage(stages);
    let opened =
        MetadataLog::open(&storage, &dirs.dirs[dirs::Dirs::METADATA]).await.map_err(BootError::Metadata)?;
    dirs.set_strays_aside(&opened.1).await?;
    Ok((Found { dirs: Arc::new(dirs), bound: Arc::new(bound) }, opened, sockets))
}

fn storage(stages: &Stages) -> ShardStorage {
    let shards = stages.mesh.shards();
    let logs = &stages.plan.config.logs;
    let memory = |bytes: u64| usize::try_from(bytes).unwrap_or(usize::MAX);
    ShardStorage::new(ShardConfig {
        tail_cache_bytes: memory(logs.cache_bytes) / shards,
        journal_bytes: memory(logs.journal_bytes),
        open_files: limits::log_files(shards),
        ..ShardConfig::default()
    })
}

fn make_shard(stages: &Stages, id: ShardId, found: &Found) -> Rc<Shard> {
    tracing::debug!(shard = id.index(), "shard starts");
    Shard::new(ShardParts {
        mesh: stages.mesh.clone(),
        config: Arc::new(stages.plan.config.clone()),
        storage: storage(stages),
        log_dirs: found.dirs.dirs.clone(),
        located: found.dirs.located.clone(),
        cluster_id: found.dirs.cluster_id.as_str().into(),
    })
}

fn take_commands(stages: &Stages, id: ShardId, shard: &Rc<Shard>) -> Task<()> {
    let inbox = stages.take_inbox(id.index());
    spawn(Queue::Net, shard.clone().run(inbox))
}

/// The controller's log is the truth about the cluster: a broker that cannot write it must not go on telling clients
/// what it believes.
fn on_metadata_failure(stages: &Arc<Stages>) -> OnFailure {
    let stages = stages.clone();
    Box::new(move |why| {
        stages.give_up(format!("the broker stops: its metadata log can no longer be trusted: {why}"));
    })
}

fn identity(stages: &Stages, found: &Found, image: &Image) -> Identity {
    let endpoints = found.bound.iter().filter_map(|bound| {
        let at = bound.advertised.as_ref()?;
        Some(Endpoint {
            listener: bound.name.as_str().into(),
            host: at.host.as_str().into(),
            port: at.port,
            security_protocol: bound.protocol,
        })
    });
    Identity {
        rack: stages.plan.config.node.rack.as_deref().map(Into::into),
        incarnation_id: shard::random_id(),
        log_dirs: found.dirs.online_ids(),
        endpoints: endpoints.collect(),
        after_unclean_stop: !found.dirs.was_clean,
        placement: found.dirs.placement(image),
    }
}

/// Accepts connections until the broker stops; then closes what this shard owns. Nobody is accepted before every
/// shard follows the metadata: until then all topics would be unknown. The sockets listen, so clients wait.
async fn serve_until_stopped(stages: &Stages, shard: &Rc<Shard>, sockets: Sockets) {
    stages.accepting.pass().await;
    let server = Server::new(ApiState::new(shard.clone()), &stages.limits);
    let listening: Vec<_> = sockets.into_iter().map(|(name, socket)| server.listen(name, socket)).collect();
    let sweeping = server.sweep();
    let expiring = spawn(Queue::Background, shard.clone().expire_producers());
    let cleaning = spawn(Queue::Background, shard.clone().clean_logs());
    // Not dropped: what it writes, it writes to the end, and closing a log waits for that.
    spawn(Queue::Background, shard.clone().keep_recovery_points()).detach();
    stages.stopping.hear().await;
    drop((listening, sweeping, expiring));
    shard.stop_cleaning();
    server.close().await;
    // Also for what other shards answer to their clients.
    stages.answered.pass().await;
    cleaning.await;
    shard.close().await;
    stages.closed.pass().await;
}

/// Tells the operator, once every shard accepts.
async fn announce(stages: Arc<Stages>, found: Found, begun: Monotonic) {
    stages.accepting.reached().await;
    if stages.has_failed() {
        stages.stopping.make(());
        return;
    }
    if let Some(path) = &stages.plan.ready_file
        && let Err(error) = banner::write_ready_file(path, &found.bound).await
    {
        stages.fail_because(error);
        stages.stopping.make(());
        return;
    }
    if let Some(program) = &stages.plan.greet {
        let started_in_ms = begun.elapsed().as_millis() as u64;
        banner::greet(&stages.plan, program, &found.bound, stages.mesh.shards(), started_in_ms);
    }
}

async fn wait_for_stop(stages: Arc<Stages>) {
    signal::shutdown().await;
    tracing::info!(
        "stopping: connections end, and every log is closed; a second signal ends the process at once"
    );
    stages.stopping.make(());
}

/// Writes the checkpoint files at intervals, so that a recovery has little to look at.
fn keep_checkpoints(stages: &Stages, found: &Found) -> Task<()> {
    // Both files are written together, so as often as the one that is to be written more often.
    let logs = &stages.plan.config.logs;
    let every_ms = logs.recovery_checkpoint_ms.min(logs.start_offset_checkpoint_ms);
    let every = Duration::from_millis(every_ms.unsigned_abs().max(1));
    let dirs = found.dirs.clone();
    spawn(Queue::Background, async move {
        let mut interval = kring_runtime::Interval::new(every);
        loop {
            interval.tick().await;
            for dir in dirs.dirs.iter().filter(|dir| dir.offline().is_none()) {
                if let Err(error) = dir.write_checkpoints().await {
                    tracing::error!(%error, "checkpoints are not written");
                }
            }
        }
    })
}

/// Marks every directory that was closed in order. One that failed keeps none of the others from it.
async fn mark_clean(found: &Found, shard: &Shard) -> Result<(), BootError> {
    let epoch = shard.image().broker(shard.config().node.id).map_or(-1, |broker| broker.epoch);
    let mut result = Ok(());
    for dir in found.dirs.dirs.iter().filter(|dir| dir.offline().is_none()) {
        let marked = dir.mark_clean(epoch).await;
        if !matches!(marked, Ok(true)) {
            tracing::warn!(path = %dir.path().display(), "the next start will check this directory");
        }
        result = result.and(marked.map(|_| ()));
    }
    result.map_err(BootError::from)
}
