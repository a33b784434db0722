//! `kring produce`: one line, one record. Ends at the end of the input, once everything is acknowledged.

mod batches;
mod lines;
mod partitioner;
mod sender;

use std::io::{self, IsTerminal, Read};
use std::time::Duration;

use bytes::Bytes;
use futures_lite::future::or;
use kring_runtime::channel::{self, Receiver, Sender};
use kring_runtime::{Queue, Task, blocking, now, signal, sleep, spawn, timeout_at, wall_ms};
use kring_wire::Str;
use kring_wire::record::{Codec, Compression};

use self::batches::{Batches, NewRecord};
use self::lines::Lines;
use self::partitioner::Partitioner;
use self::sender::Sender as RecordSender;
use super::args::{CompressionArg, ProduceArgs};
use super::client::offsets::no_partition;
use super::client::{Client, ClientError, Result};
use super::shard;

/// Read from standard input at a time.
const CHUNK_BYTES: usize = 256 << 10;
/// Chunks that wait while records are sent.
const CHUNKS_AHEAD: usize = 8;
/// How long records of a pipe wait for company; a typed line waits for nothing.
const LINGER: Duration = Duration::from_millis(5);
/// What is collected before it is sent.
const ROUND_BYTES: usize = 4 << 20;
/// How long a user who stops the command waits for what has been read to be acknowledged.
const GRACE: Duration = Duration::from_secs(2);

pub(super) fn run(args: ProduceArgs) -> std::result::Result<(), String> {
    shard::run(move || or(produce(args.clone()), given_up()))
}

/// Ends when the user does not wait any longer.
async fn given_up() -> Result<()> {
    signal::shutdown().await;
    sleep(GRACE).await;
    Err(ClientError::Plain("stopped before every record was acknowledged".to_owned()))
}

async fn produce(args: ProduceArgs) -> Result<()> {
    let mut client = Client::connect(&args.server.server).await?;
    let topic = client.topic(&Str::from(&args.topic), true).await?;
    if let Some(partition) = args.partition.filter(|index| topic.leader(*index).is_none()) {
        return Err(no_partition(&topic, partition));
    }
    let mut producer = Producer {
        input: Input::open(),
        lines: Lines::new(args.key_separator.map(String::into_bytes)),
        partitioner: Partitioner::new(topic.partitions.len(), args.partition),
        batches: Batches::new(),
        lines_read: 0,
        sender: RecordSender::new(client, topic, compression(args.compression)).await?,
    };
    while producer.collect().await? == Input::MORE {
        producer.flush().await?;
    }
    producer.flush().await
}

fn compression(arg: CompressionArg) -> Compression {
    Compression::default_of(match arg {
        CompressionArg::None => Codec::None,
        CompressionArg::Gzip => Codec::Gzip,
        CompressionArg::Snappy => Codec::Snappy,
        CompressionArg::Lz4 => Codec::Lz4,
        CompressionArg::Zstd => Codec::Zstd,
    })
}

struct Producer {
    input: Input,
    lines: Lines,
    partitioner: Partitioner,
    batches: Batches,
    lines_read: u64,
    sender: RecordSender,
}

impl Producer {
    /// Waits for input and takes what comes with it. Says whether more may come.
    async fn collect(&mut self) -> Result<bool> {
        let linger = if self.input.is_typed { Duration::ZERO } else { LINGER };
        let Some(chunk) = self.input.next().await? else { return self.finish() };
        self.take(chunk)?;
        let deadline = now() + linger;
        while self.batches.size_bytes() < ROUND_BYTES {
            match timeout_at(deadline, self.input.next()).await {
                Err(_late) => break,
                Ok(chunk) => match chunk? {
                    Some(chunk) => self.take(chunk)?,
                    None => return self.finish(),
                },
            }
        }
        Ok(Input::MORE)
    }

    fn take(&mut self, chunk: Bytes) -> Result<()> {
        self.lines.push(chunk).map_err(ClientError::Plain)?;
        while let Some(line) = self.lines.next_line() {
            self.add(line);
        }
        Ok(())
    }

    /// The last line needs no line end.
    fn finish(&mut self) -> Result<bool> {
        if let Some(line) = self.lines.finish() {
            self.add(line);
        }
        Ok(!Input::MORE)
    }

    fn add(&mut self, line: Bytes) {
        let (key, value) = self.lines.split(line);
        let partition = self.partitioner.choose(key.as_deref());
        self.lines_read += 1;
        self.batches.add(partition, NewRecord { line: self.lines_read, timestamp: wall_ms(), key, value });
    }

    async fn flush(&mut self) -> Result<()> {
        self.sender.send(&mut self.batches).await?;
        self.partitioner.move_on();
        Ok(())
    }
}

/// Standard input, read ahead by a task.
struct Input {
    is_typed: bool,
    chunks: Receiver<io::Result<Bytes>>,
    _reader: Task<()>,
}

impl Input {
    const MORE: bool = true;

    fn open() -> Self {
        let (ahead, chunks) = channel::bounded(CHUNKS_AHEAD);
        Self { is_typed: io::stdin().is_terminal(), chunks, _reader: spawn(Queue::Net, read_all(ahead)) }
    }

    /// What was read next; nothing at the end, and when the user stops the command.
    async fn next(&self) -> Result<Option<Bytes>> {
        let received = or(async { self.chunks.recv().await.ok() }, async {
            signal::shutdown().await;
            None
        });
        received
            .await
            .transpose()
            .map_err(|error| ClientError::Plain(format!("standard input cannot be read: {error}")))
    }
}

async fn read_all(chunks: Sender<io::Result<Bytes>>) {
    loop {
        let chunk = blocking(read_some).await;
        let is_last = chunk.as_ref().map_or(true, Bytes::is_empty);
        if matches!(&chunk, Ok(chunk) if chunk.is_empty()) || chunks.send(chunk).await.is_err() || is_last {
            return;
        }
    }
}

fn read_some() -> io::Result<Bytes> {
    let mut chunk = vec![0; CHUNK_BYTES];
    loop {
        match io::stdin().lock().read(&mut chunk) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            read => {
                chunk.truncate(read?);
                chunk.shrink_to_fit();
                return Ok(chunk.into());
            }
        }
    }
}
