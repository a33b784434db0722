//! Runs a client command on one shard of its own, and writes what it prints without blocking that shard.

use std::future::Future;
use std::io::{self, Write};

use futures_lite::future::or;
use kring_runtime::{RuntimeConfig, ShardPlacement, blocking, process, signal};

use super::client::ClientError;

/// A client needs little of a machine.
const RING_DEPTH: usize = 128;
const IO_MEMORY_BYTES: usize = 64 << 10;

/// Runs `command` to its end.
pub(super) fn run<F, Fut, T>(command: F) -> Result<T, String>
where
    F: Fn() -> Fut + Clone + Send + 'static,
    Fut: Future<Output = Result<T, ClientError>> + 'static,
    T: Send + 'static,
{
    let config = RuntimeConfig {
        placement: ShardPlacement::Unpinned,
        ring_depth: RING_DEPTH,
        io_memory: IO_MEMORY_BYTES,
        ..RuntimeConfig::with_shards(1)
    };
    let mut results = kring_runtime::run(&config, move |_| command()).map_err(|error| error.to_string())?;
    results.pop().expect("one shard was asked for").map_err(String::from)
}

/// What became of text for standard output.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Written {
    All,
    /// Nobody reads any more: an end as good as any.
    ReaderIsGone,
    /// The user wants to stop; how much was written is unknown.
    Stopped,
}

/// Writes to standard output, and stops waiting for a slow reader when the user stops the command.
pub(super) async fn write(text: Vec<u8>) -> Result<Written, ClientError> {
    let written = or(blocking(move || write_now(&text)), async {
        signal::shutdown().await;
        Ok(Written::Stopped)
    });
    written.await.map_err(|error| ClientError::Plain(format!("standard output cannot be written: {error}")))
}

fn write_now(text: &[u8]) -> io::Result<Written> {
    let mut out = io::stdout().lock();
    match out.write_all(text).and_then(|()| out.flush()) {
        Ok(()) => Ok(Written::All),
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(Written::ReaderIsGone),
        Err(error) => Err(error),
    }
}

/// Whether whoever read standard output has gone, without writing.
pub(super) fn reader_is_gone() -> bool {
    process::stdout_reader_is_gone()
}
