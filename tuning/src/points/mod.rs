//! The points by groups. Each reads files of the host and judges by what the broker does with what they say; where a
//! limit or a constant of the broker decides, the point names it. Never writes.

mod container;
mod cpu;
mod disk;
mod kernel;
mod limits;
mod memory;
mod mount;
mod network;
mod queues;

use crate::finding::Finding;
use crate::look::Look;

type Group = (&'static str, fn(&Look<'_>) -> Vec<Finding>);

pub(crate) const GROUPS: [Group; 7] = [
    ("kernel", kernel::points),
    ("limits", limits::points),
    ("container", container::points),
    ("cpu", cpu::points),
    ("memory", memory::points),
    ("disk", disk::points),
    ("network", network::points),
];
