//! The simulated `MappedFile`: what is copied in is in the cache at once, and on the disk by chance.

use std::io;
use std::path::Path;
use std::rc::Rc;
use std::sync::Arc;

use bytes::Bytes;

use crate::sim::disk::{self, Create, Disk, SimFile};
use crate::sim::world::SimShard;

pub(crate) struct SimMapped {
    disk: Disk,
    file: Arc<SimFile>,
}

impl SimMapped {
    pub(crate) async fn create(shard: &Rc<SimShard>, path: &Path, len: usize) -> io::Result<Self> {
        shard.clone().delay(1_000, 50_000).await;
        let disk = shard.world().disk();
        let file = disk.open(path, Create::New)?;
        let filled = disk::write_small(&disk, &file, &vec![0; len]).await;
        match filled {
            Ok(()) => Ok(Self { disk, file }),
            Err(error) => {
                disk.remove(path)?;
                Err(error)
            }
        }
    }

    pub(crate) fn put(&self, at: usize, parts: &[&[u8]]) {
        self.file.store(at as u64, Bytes::from(parts.concat()));
    }

    pub(crate) async fn sync(&self) -> io::Result<()> {
        disk::sync(&self.disk, &self.file).await
    }
}
