//! What is measured, one step after the other.

use std::cell::Cell;
use std::io;
use std::time::Duration;

use futures_util::future::try_join_all;
use kring_runtime::disk::{AlignedBuf, BLOCK, DirectFile};
use kring_runtime::{Monotonic, now, random_below};

use super::Measured;
use super::files::{Files, SMALL_BYTES, noise};
use super::samples::{Row, Samples};

const KIB: u32 = 1 << 10;
const SIZES: [u32; 6] = [4 * KIB, 16 * KIB, 64 * KIB, 256 * KIB, 1024 * KIB, 4096 * KIB];
const DEPTHS: [u32; 6] = [1, 2, 4, 8, 16, 32];
/// A batch of the Java producer's default size.
pub(super) const SMALL_WRITE: u32 = 16 * KIB;
/// What a recovery may read at once; with the default among it.
const SEQUENTIAL: [(u32, u32); 9] = [
    (256 * KIB, 1),
    (256 * KIB, 3),
    (256 * KIB, 8),
    (1024 * KIB, 1),
    (1024 * KIB, 3),
    (1024 * KIB, 8),
    (4096 * KIB, 1),
    (4096 * KIB, 3),
    (4096 * KIB, 8),
];
const RANDOM: (u32, [u32; 2]) = (4 * KIB, [1, 16]);
/// Parts of the time: one for each row.
pub(super) const COUNT: u32 = 6 + 6 + 2 + 9 + 2;
const ROUNDS: u32 = 4;
/// A file that is made longer begins again from here.
const GROWN: u64 = 16 << 20;

/// Every step, each for `time`. What is compared takes turns, so that all of it meets the same load.
pub(super) async fn all(files: &Files, time: Duration) -> io::Result<Measured> {
    let durable = by_size(files, now() + time * SIZES.len() as u32).await?;
    let together = by_depth(files, time * DEPTHS.len() as u32).await?;
    let (within, longer) = within_and_longer(files, now() + time * 2).await?;
    let sequential = in_order(files, time * SEQUENTIAL.len() as u32).await?;
    let mut random = Vec::new();
    for depth in RANDOM.1 {
        random.push(anywhere(files, depth, now() + time).await?);
    }
    Ok(Measured { durable, together, within, longer, sequential, random })
}

/// One durable write of each size after the other, in the same large file.
async fn by_size(files: &Files, until: Monotonic) -> io::Result<Vec<Row>> {
    let mut writers = SIZES.map(|size| Writer::new(&files.large, size, files.large_bytes));
    while now() < until && !writers[0].samples.is_full() || writers[0].samples.is_empty() {
        for writer in &mut writers {
            writer.write().await?;
        }
    }
    Ok(writers.into_iter().map(|writer| writer.row(1)).collect())
}

async fn by_depth(files: &Files, time: Duration) -> io::Result<Vec<Row>> {
    let slice = time / (ROUNDS * DEPTHS.len() as u32);
    let mut found: [Samples; DEPTHS.len()] = Default::default();
    for _ in 0..ROUNDS {
        for (samples, depth) in found.iter_mut().zip(DEPTHS) {
            samples.join(several(files, depth, now() + slice).await?);
        }
    }
    Ok(found.into_iter().zip(DEPTHS).map(|(samples, depth)| samples.row(SMALL_WRITE, depth)).collect())
}

/// Durable writes into several files at once, as several partitions have them.
async fn several(files: &Files, depth: u32, until: Monotonic) -> io::Result<Samples> {
    let begun = now();
    let one = |file| async move {
        let mut writer = Writer::new(file, SMALL_WRITE, SMALL_BYTES);
        loop {
            writer.write().await?;
            if now() >= until {
                return Ok::<_, io::Error>(writer.samples);
            }
        }
    };
    let all = try_join_all(files.small.iter().take(depth as usize).map(one)).await?;
    Ok(Samples::together(all, begun.elapsed()))
}

/// A durable write into what is there, one that makes its file longer, and so on.
async fn within_and_longer(files: &Files, until: Monotonic) -> io::Result<(Row, Row)> {
    let mut within = Writer::new(&files.large, SMALL_WRITE, files.large_bytes);
    let mut longer = Writer::new(&files.growing, SMALL_WRITE, GROWN);
    loop {
        within.write().await?;
        longer.write().await?;
        if now() >= until || within.samples.is_full() {
            return Ok((within.row(1), longer.row(1)));
        }
        if longer.pos == 0 {
            files.growing.truncate(0).await?;
        }
    }
}

/// Durable writes one behind the other, from the beginning again after `bytes`.
struct Writer<'a> {
    file: &'a DirectFile,
    size: u32,
    bytes: u64,
    pos: u64,
    /// Absent while it is written.
    buffer: Option<AlignedBuf>,
    samples: Samples,
}

impl<'a> Writer<'a> {
    fn new(file: &'a DirectFile, size: u32, bytes: u64) -> Writer<'a> {
        Writer { file, size, bytes, pos: 0, buffer: Some(filled(size)), samples: Samples::default() }
    }

    async fn write(&mut self) -> io::Result<()> {
        let begun = now();
        let buffer = self.buffer.take().expect("it comes back from each write that is no error");
        let (written, buffer) = self.file.write_through(buffer, self.pos).await;
        written?;
        self.samples.add(begun.elapsed());
        self.buffer = Some(buffer);
        self.pos += u64::from(self.size);
        if self.pos + u64::from(self.size) > self.bytes {
            self.pos = 0;
        }
        Ok(())
    }

    fn row(self, depth: u32) -> Row {
        self.samples.row(self.size, depth)
    }
}

fn filled(size: u32) -> AlignedBuf {
    let (noise, size) = (noise(), size as usize);
    let mut buffer = AlignedBuf::with_capacity(size);
    while buffer.len() < size {
        buffer.extend_from_slice(&noise[..noise.len().min(size - buffer.len())]);
    }
    buffer
}

async fn in_order(files: &Files, time: Duration) -> io::Result<Vec<Row>> {
    let slice = time / (ROUNDS * SEQUENTIAL.len() as u32);
    let mut found: [Samples; SEQUENTIAL.len()] = Default::default();
    for _ in 0..ROUNDS {
        for (samples, (size, depth)) in found.iter_mut().zip(SEQUENTIAL) {
            samples.join(behind_one_another(files, size, depth, now() + slice).await?);
        }
    }
    Ok(found.into_iter().zip(SEQUENTIAL).map(|(samples, (size, depth))| samples.row(size, depth)).collect())
}

async fn behind_one_another(files: &Files, size: u32, depth: u32, until: Monotonic) -> io::Result<Samples> {
    let next = Cell::new(0);
    let place = || {
        let pos = next.get();
        let after = pos + u64::from(size);
        next.set(if after + u64::from(size) > files.large_bytes { 0 } else { after });
        pos
    };
    reads(files, size, depth, until, &place).await
}

async fn anywhere(files: &Files, depth: u32, until: Monotonic) -> io::Result<Row> {
    let block = BLOCK as u64;
    let place = || random_below(files.large_bytes / block) * block;
    Ok(reads(files, RANDOM.0, depth, until, &place).await?.row(RANDOM.0, depth))
}

async fn reads(
    files: &Files,
    size: u32,
    depth: u32,
    until: Monotonic,
    place: &dyn Fn() -> u64,
) -> io::Result<Samples> {
    let begun = now();
    let one = || async {
        let mut samples = Samples::default();
        loop {
            let asked = now();
            files.large.read_at(place(), size as usize).await?;
            samples.add(asked.elapsed());
            if now() >= until || samples.is_full() {
                return Ok::<_, io::Error>(samples);
            }
        }
    };
    let all = try_join_all((0..depth).map(|_| one())).await?;
    Ok(Samples::together(all, begun.elapsed()))
}
