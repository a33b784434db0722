//! The log directories of this broker: opened, locked, and declared as this cluster's and node's.
//! Never opens a log. Runs on the first shard.

use std::collections::HashMap;
use std::path::Path;
use std::time::Duration;

use kring_runtime::fs;
use kring_storage::{DiskSettings, LogDir, LogError, LogName, MetaProperties, OpenedLogDir};
use kring_wire::Uuid;

use super::BootError;
use crate::config::BrokerConfig;
use crate::controller::Placement;
use crate::metadata::{Image, Topic, names};
use crate::shard::random_id;

/// All log directories, and where each partition was found.
pub(super) struct Dirs {
    pub dirs: Vec<LogDir>,
    /// Their ids; `None` for one that could not be opened.
    pub ids: Vec<Option<Uuid>>,
    pub located: HashMap<LogName, usize>,
    pub cluster_id: String,
    /// The broker epoch of the last clean stop, when all directories had one.
    pub was_clean: bool,
}

impl Dirs {
    /// The directory of the metadata log: without it there is no broker.
    pub const METADATA: usize = 0;

    /// The ids of the directories that work.
    pub fn online_ids(&self) -> Vec<Uuid> {
        let online = self.dirs.iter().zip(&self.ids).filter(|(dir, _)| dir.offline().is_none());
        online.filter_map(|(_, id)| *id).collect()
    }

    /// Which directory each partition was found in.
    pub fn placement(&self, image: &Image) -> Placement {
        let is_partial = self.dirs.iter().any(|dir| dir.offline().is_some());
        let numbered =
            image.topics().flat_map(|topic| topic.numbered().map(move |(index, _)| (topic, index)));
        let id_of = |topic: &Topic, index: i32| {
            let place = self.located.get(&LogName::new(topic.name.as_str(), index))?;
            self.ids[*place]
        };
        let found = numbered.filter_map(|(topic, index)| Some(((topic.id, index), id_of(topic, index)?)));
        Placement { found: found.collect(), is_partial }
    }
}

/// Opens every directory of `log.dirs`; makes what is missing. One that its disk does not let us open is offline
/// from the start, and the others go on without it, unless it holds the metadata log.
pub(super) async fn open(config: &BrokerConfig) -> Result<Dirs, BootError> {
    let mut opened = Vec::with_capacity(config.dirs.logs.len());
    for (place, path) in config.dirs.logs.iter().enumerate() {
        opened.push(match LogDir::open(path).await {
            Err(error @ LogError::Io { .. }) if place != Dirs::METADATA => {
                OpenedLogDir::offline(path, &error)
            }
            other => other?,
        });
    }
    for dir in opened.iter().filter(|dir| dir.dir.offline().is_none()) {
        remove_measurement(dir.dir.path()).await;
        dir.dir.use_disk(disk_settings(&dir.dir, &config.dirs.disk).await);
    }
    let cluster_id = cluster_id(&opened)?;
    let mut dirs = Dirs {
        was_clean: opened.iter().all(|dir| dir.clean_shutdown.is_some()),
        dirs: Vec::with_capacity(opened.len()),
        ids: Vec::with_capacity(opened.len()),
        located: HashMap::new(),
        cluster_id,
    };
    for (place, dir) in opened.into_iter().enumerate() {
        let id = match dir.dir.offline() {
            None => Some(declare(&dir, &dirs.cluster_id, config.node.id).await?),
            Some(_) => None,
        };
        dir.deleted.iter().for_each(|path| dir.dir.remove_after_checkpoint(path.clone(), Duration::ZERO));
        dirs.check_alone(id, dir.dir.path())?;
        for name in dir.partitions {
            dirs.locate(name, place, dir.dir.path())?;
        }
        dirs.ids.push(id);
        dirs.dirs.push(dir.dir);
    }
    Ok(dirs)
}

impl Dirs {
    /// A copy of a directory has its id; which of the two is the newer only an operator can tell (`LogManager` of Kafka).
    fn check_alone(&self, id: Option<Uuid>, path: &Path) -> Result<(), BootError> {
        let Some(twin) = id.and_then(|_| self.ids.iter().position(|other| *other == id)) else {
            return Ok(());
        };
        Err(BootError::Twice(format!(
            "{} has the directory.id of {}: one is a copy of the other; leave the older one out of log.dirs",
            path.display(),
            self.dirs[twin].path().display()
        )))
    }

    fn locate(&mut self, name: LogName, place: usize, path: &Path) -> Result<(), BootError> {
        match self.located.insert(name.clone(), place) {
            None => Ok(()),
            Some(other) => Err(BootError::Twice(format!(
                "{name} is in {} and in {}: keep the newer one (`kring log dump` shows both), and move the other away",
                self.dirs[other].path().display(),
                path.display()
            ))),
        }
    }
}

/// A `kring tune disk` that was killed has left files as large as it was allowed to make them. The directory is
/// locked: none is at work now.
async fn remove_measurement(path: &Path) {
    if let Err(error) = kring_tuning::disk::remove_leftovers(path).await {
        tracing::warn!(dir = %path.display(), %error, "what a measurement left cannot be removed");
    }
}

/// What was measured in a directory, and over it what the configuration says.
async fn disk_settings(dir: &LogDir, explicit: &[(String, String)]) -> DiskSettings {
    let mut settings = dir.measured_disk().await;
    for (name, value) in explicit {
        settings.set(name, value).expect("the configuration was checked");
    }
    settings
}

impl Dirs {
    /// Puts aside the directories of partitions that the metadata does not have, as Kafka does at its start: a crash
    /// came between a deletion and its renaming, or somebody put them there. Only an operator can know that they
    /// are not wanted.
    pub(super) async fn set_strays_aside(&mut self, image: &Image) -> Result<(), BootError> {
        let is_stray = |name: &LogName| {
            name.topic != names::CLUSTER_METADATA
                && image.topic(&name.topic).and_then(|topic| topic.partition(name.partition)).is_none()
        };
        let mut strays: Vec<LogName> = self.located.keys().filter(|name| is_stray(name)).cloned().collect();
        strays.sort();
        for name in strays {
            let place = self.located.remove(&name).expect("it was found there");
            self.dirs[place].set_aside(&name).await?;
        }
        Ok(())
    }
}

/// The id that all directories agree on, or a new one.
fn cluster_id(opened: &[OpenedLogDir]) -> Result<String, BootError> {
    let mut known = opened.iter().filter_map(|dir| Some((dir.meta.as_ref()?, dir.dir.path())));
    let Some((first, path)) = known.next() else { return Ok(random_id().to_string()) };
    match known.find(|(meta, _)| meta.cluster_id != first.cluster_id) {
        None => Ok(first.cluster_id.clone()),
        Some((other, elsewhere)) => Err(BootError::OtherNode(format!(
            "{} belongs to cluster {} and {} to cluster {}: log.dirs must hold directories of one cluster",
            path.display(),
            first.cluster_id,
            elsewhere.display(),
            other.cluster_id
        ))),
    }
}

/// The directory's own id; a new directory gets one.
async fn declare(dir: &OpenedLogDir, cluster_id: &str, node_id: i32) -> Result<Uuid, BootError> {
    let Some(meta) = &dir.meta else {
        let id = random_id();
        let meta = MetaProperties { cluster_id: cluster_id.to_string(), node_id, directory_id: id };
        dir.dir.write_meta(&meta).await?;
        return Ok(id);
    };
    if meta.node_id != node_id {
        return Err(other_node(dir.dir.path(), meta.node_id, node_id));
    }
    Ok(meta.directory_id)
}

fn other_node(path: &Path, found: i32, wanted: i32) -> BootError {
    BootError::OtherNode(format!(
        "{} belongs to node {found}, and this broker is node {wanted}: set node.id={found}, or choose another --data-dir",
        path.display()
    ))
}

/// The name of this machine, for listeners on every interface.
pub(super) async fn host_name() -> String {
    let name = fs::read("/proc/sys/kernel/hostname").await.unwrap_or_default();
    let name = String::from_utf8_lossy(&name).trim().to_string();
    if name.is_empty() { "localhost".to_string() } else { name }
}
