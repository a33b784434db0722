//! The block devices behind a mount: the device itself, or the disks below a mapped or striped one. Reads only.

use super::mount::Mount;
use crate::look::Look;
use crate::text;

/// Devices upon devices.
const DEEPEST: usize = 4;
const MOST_DISKS: usize = 64;

/// A disk, by the directory of its request queue.
pub(super) struct Disk {
    pub name: String,
    pub queue: String,
}

impl Disk {
    pub fn file(&self, name: &str) -> String {
        format!("{}/{name}", self.queue)
    }

    /// Behind these names is no moving head, whatever the host says of its own disk.
    pub fn is_rotational(&self, look: &Look<'_>) -> bool {
        let is_virtual = ["vd", "xvd", "nvme"].iter().any(|kind| self.name.starts_with(kind));
        !is_virtual && text::number(look.host, &self.file("rotational")) == Some(1)
    }
}

/// None for a file system without a device that can be seen.
pub(super) fn disks_of(look: &Look<'_>, mount: &Mount) -> Vec<Disk> {
    let by_number = format!("/sys/dev/block/{}", mount.device);
    let mut disks = below(look, &by_number, 0);
    if disks.is_empty()
        && let Some(name) = mount.source.strip_prefix("/dev/")
    {
        disks = below(look, &format!("/sys/class/block/{}", name.replace('/', "!")), 0);
    }
    disks
}

fn below(look: &Look<'_>, dir: &str, depth: usize) -> Vec<Disk> {
    let parts = look.host.list(&format!("{dir}/slaves"));
    if parts.is_empty() || depth == DEEPEST {
        return disk_at(look, dir).into_iter().collect();
    }
    let disks = parts.iter().flat_map(|name| below(look, &format!("/sys/class/block/{name}"), depth + 1));
    let mut disks: Vec<Disk> = disks.take(MOST_DISKS).collect();
    disks.dedup_by(|a, b| a.name == b.name);
    disks
}

/// A partition has its queue in the directory of its disk.
fn disk_at(look: &Look<'_>, dir: &str) -> Option<Disk> {
    let own = [dir.to_string(), format!("{dir}/..")];
    let home = own.iter().find(|dir| look.host.read(&format!("{dir}/queue/logical_block_size")).is_some())?;
    let event = look.host.read(&format!("{home}/uevent")).unwrap_or_default();
    let name = text::row(&event, "DEVNAME=").unwrap_or("disk").to_string();
    Some(Disk { name, queue: format!("{home}/queue") })
}
