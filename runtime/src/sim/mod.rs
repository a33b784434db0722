//! stub
use std::path::Path;
use std::rc::Rc;
use std::task::Waker;
use crate::context::ShardId;
use crate::task::TaskCore;
use crate::time::Monotonic;
pub(crate) mod disk;
pub(crate) mod net;
pub(crate) struct SimShard { pub(crate) id: ShardId, pub(crate) count: usize }
impl SimShard {
    pub(crate) fn now(&self) -> Monotonic { Monotonic::ZERO }
    pub(crate) fn wall_ms(&self) -> i64 { 0 }
    pub(crate) fn start(&self, _core: Rc<TaskCore>) -> Waker { panic!("not yet") }
    pub(crate) fn fill_random(&self, _out: &mut [u8]) {}
    pub(crate) async fn shutdown_requested(&self) { std::future::pending().await }
    pub(crate) fn files(&self) -> disk::SimFiles { disk::SimFiles }
}
pub(crate) async fn sleep_until(_shard: Rc<SimShard>, _deadline: Monotonic) {}
#[allow(dead_code)]
fn unused(_: &Path) {}
