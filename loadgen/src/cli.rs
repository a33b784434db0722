//! The command line: options, printing, exit code. Everything else is asked of the other modules.

use std::io::{IsTerminal, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};
use kring_runtime::{RuntimeConfig, ShardPlacement, fs, now, process};
use kring_wire::record::{Codec, HEADER_BYTES, varint};

use crate::host::cpu_time;
use crate::report::{Cpu, Report, head};
use crate::settings::{Acks, Filler, Rate, Settings, Workload};
use crate::stamp::STAMP_BYTES;
use crate::work::{Outcome, Plan, Worker, prepare};

/// Loads a Kafka broker and measures it from the intended send times.
#[derive(Debug, Parser)]
#[command(name = "kring-loadgen", version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Produce; latency from the intended send time to the acknowledgement
    Produce {
        #[command(flatten)]
        common: Common,
        #[command(flatten)]
        producing: Producing,
    },
    /// Read a topic from its beginning to the end that it had at the start
    Consume {
        #[command(flatten)]
        common: Common,
        #[command(flatten)]
        consuming: Consuming,
    },
    /// Produce and consume; latency from the intended send time to receipt
    E2e {
        #[command(flatten)]
        common: Common,
        #[command(flatten)]
        producing: Producing,
        #[command(flatten)]
        consuming: Consuming,
        /// Check that all acknowledged records come back once, in order, unchanged
        #[arg(long)]
        verify: bool,
    },
}

#[derive(Args, Debug)]
struct Common {
    /// Any broker of the cluster
    #[arg(long, value_name = "HOST:PORT", default_value = "localhost:9092")]
    server: String,
    #[arg(long)]
    topic: String,
    /// Make the topic with this many partitions when it is not there
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(i32).range(1..))]
    partitions: Option<i32>,
    /// Seconds that are measured
    #[arg(long, value_name = "S", default_value = "10", value_parser = seconds)]
    duration: Duration,
    /// Seconds of load before them
    #[arg(long, value_name = "S", default_value = "2", value_parser = seconds)]
    warm_up: Duration,
    /// Threads, each with its own clients; as many as there are CPUs or clients unless told
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    threads: Option<u16>,
    /// Pin the threads to these CPUs
    #[arg(long, value_name = "LIST", value_delimiter = ',')]
    cpus: Vec<usize>,
    /// Report the CPU time of this process, the broker's for instance
    #[arg(long, value_name = "PID")]
    pid: Option<u32>,
    /// Write the result here as JSON
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

#[derive(Args, Debug)]
struct Producing {
    /// Producers, each with its own connections
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    producers: u32,
    /// Bytes of a record's value
    #[arg(long, value_name = "B", default_value_t = 1024)]
    record_size: usize,
    /// Records of a batch at most
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    batch_records: Option<u64>,
    /// Bytes of a batch at most, before compression
    #[arg(long, value_name = "B", default_value_t = 16384)]
    batch_bytes: usize,
    /// Milliseconds that a record may wait for others
    #[arg(long, value_name = "MS", default_value_t = 0)]
    linger_ms: u64,
    #[arg(long, value_enum, default_value_t = AcksOption::All)]
    acks: AcksOption,
    /// none, gzip, snappy, lz4 or zstd
    #[arg(long, default_value = "none", value_parser = codec)]
    codec: Codec,
    /// Fill records with text that compresses rather than with random bytes
    #[arg(long)]
    compressible: bool,
    #[command(flatten)]
    pace: Pace,
    /// Requests in flight on each connection
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u16).range(1..=1000))]
    in_flight: u16,
}

#[derive(Args, Debug)]
#[group(required = true, multiple = false)]
struct Pace {
    /// Records per second of all producers together, whatever the broker does
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=1_000_000_000))]
    rate: Option<u64>,
    /// As fast as the broker answers
    #[arg(long)]
    max: bool,
}

#[derive(Args, Debug)]
struct Consuming {
    /// Consumers, each with its own partitions and connections
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    consumers: u32,
    /// Bytes of a partition in one answer at most
    #[arg(long, value_name = "B", default_value_t = 1 << 20)]
    fetch_bytes: i32,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum AcksOption {
    All,
    #[value(name = "1")]
    Leader,
    #[value(name = "0")]
    None,
}

fn seconds(text: &str) -> Result<Duration, String> {
    let seconds: f64 = text.parse().map_err(|_| format!("{text} is not a number of seconds"))?;
    let duration = Duration::try_from_secs_f64(seconds).map_err(|error| error.to_string())?;
    // A day: long enough, and times add up without overflow.
    if duration.as_secs() > 86_400 { Err("at most 86400".to_owned()) } else { Ok(duration) }
}

fn codec(text: &str) -> Result<Codec, String> {
    Codec::from_name(text).ok_or_else(|| format!("{text} is none of none, gzip, snappy, lz4, zstd"))
}

/// Runs the program.
pub fn run() -> ExitCode {
    match execute(Cli::parse()) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(sentence) => {
            let _nobody_listens = writeln!(std::io::stderr(), "kring-loadgen: {sentence}");
            ExitCode::FAILURE
        }
    }
}

/// Whether the run was good.
fn execute(cli: Cli) -> Result<bool, String> {
    let (common, settings) = cli.command.into_settings()?;
    let threads = common.threads.map_or_else(process_cpus, usize::from).min(settings.clients());
    print(&head(&settings, threads))?;
    let report = measure(&common, settings, threads)?;
    print(&report.to_text())?;
    if let Some(path) = common.json {
        let json = format!("{}\n", report.to_json());
        on_one_shard(move || save(path.clone(), json.clone()))?;
    }
    Ok(report.is_good())
}

fn process_cpus() -> usize {
    process::cpus().len().max(1)
}

async fn save(path: PathBuf, json: String) -> Result<(), String> {
    let saved = fs::write_atomic(&path, json.as_bytes()).await;
    saved.map_err(|error| format!("cannot write {}: {error}", path.display()))
}

fn measure(common: &Common, settings: Settings, threads: usize) -> Result<Report, String> {
    let asked = settings.clone();
    let plan: Plan = on_one_shard(move || {
        let settings = asked.clone();
        async move { prepare(settings).await.map_err(|error| error.to_string()) }
    })?;
    let mut worker = Worker::new(plan, threads);
    if std::io::stderr().is_terminal() {
        worker = worker.with_live_line();
    }
    let (began, before) = (now(), cpu_now(&settings));
    let outcome = run_worker(common, worker, threads)?;
    let after = cpu_now(&settings);
    let cpu = Cpu { own: used(before.own, after.own), other: used(before.other, after.other) };
    Ok(Report::new(settings, threads, outcome, cpu, began.elapsed()))
}

fn cpu_now(settings: &Settings) -> Cpu {
    Cpu { own: cpu_time(process::pid()), other: settings.pid.and_then(cpu_time) }
}

fn used(before: Option<Duration>, after: Option<Duration>) -> Option<Duration> {
    Some(after?.saturating_sub(before?))
}

fn run_worker(common: &Common, worker: Worker, threads: usize) -> Result<Outcome, String> {
    let mut config = RuntimeConfig::with_shards(threads);
    config.placement = match common.cpus.is_empty() {
        true => ShardPlacement::Unpinned,
        false => ShardPlacement::Cpus(common.cpus.clone()),
    };
    let outcomes = kring_runtime::run(&config, move |shard| worker.clone().run(shard.index()));
    let mut whole = Outcome::default();
    let mut failures = Vec::new();
    for outcome in outcomes.map_err(|error| error.to_string())? {
        match outcome {
            Ok(outcome) => whole.merge(outcome),
            Err(error) => failures.push(error),
        }
    }
    // One shard's failure aborts the others: the cause says more than they do.
    failures.sort_by_key(|error| matches!(error, crate::client::ClientError::Aborted));
    failures.first().map_or(Ok(whole), |error| Err(error.to_string()))
}

fn on_one_shard<F, Fut, T>(body: F) -> Result<T, String>
where
    F: Fn() -> Fut + Clone + Send + 'static,
    Fut: Future<Output = Result<T, String>> + 'static,
    T: Send + 'static,
{
    let mut config = RuntimeConfig::with_shards(1);
    config.placement = ShardPlacement::Unpinned;
    let results = kring_runtime::run(&config, move |_| body()).map_err(|error| error.to_string())?;
    results.into_iter().next().expect("one shard gives one result")
}

/// Writes to standard output; a reader that has gone away is no error, as in any pipe.
fn print(text: &str) -> Result<(), String> {
    let mut out = std::io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => Err(error.to_string()),
        _ => Ok(()),
    }
}

impl Command {
    fn into_settings(self) -> Result<(Common, Settings), String> {
        let (common, workload, producing, consuming, verify) = match self {
            Command::Produce { common, producing } => {
                (common, Workload::Produce, Some(producing), None, false)
            }
            Command::Consume { common, consuming } => {
                (common, Workload::Consume, None, Some(consuming), false)
            }
            Command::E2e { common, producing, consuming, verify } => {
                (common, Workload::EndToEnd, Some(producing), Some(consuming), verify)
            }
        };
        let mut settings = Settings::new(workload, &common)?;
        settings.verify = verify;
        if let Some(producing) = producing {
            settings.set_producing(&producing)?;
        }
        if let Some(consuming) = consuming {
            settings.consumers = consuming.consumers;
            settings.fetch_bytes = consuming.fetch_bytes;
        }
        if verify && settings.acks == Acks::None {
            return Err("--verify needs acknowledgements: --acks 1 or --acks all".to_owned());
        }
        Ok((common, settings))
    }
}

impl Settings {
    fn new(workload: Workload, common: &Common) -> Result<Settings, String> {
        let (host, port) = common.server.rsplit_once(':').unwrap_or((&common.server, "9092"));
        let port = port.parse().map_err(|_| format!("{} is not HOST:PORT", common.server))?;
        Ok(Settings {
            host: host.trim_matches(['[', ']']).to_owned(),
            port,
            partitions: common.partitions,
            warm_up: if workload == Workload::Consume { Duration::ZERO } else { common.warm_up },
            duration: common.duration,
            pid: common.pid,
            ..Settings::of(workload, &common.topic)
        })
    }

    fn set_producing(&mut self, options: &Producing) -> Result<(), String> {
        if options.record_size < STAMP_BYTES {
            return Err(format!("--record-size is at least {STAMP_BYTES}, the size of the stamp"));
        }
        self.producers = options.producers;
        self.record_bytes = options.record_size;
        let fitting = records_within(options.batch_bytes, options.record_size);
        self.batch_records = options.batch_records.map_or(fitting, |records| records.min(fitting));
        self.linger = Duration::from_millis(options.linger_ms);
        self.acks = match options.acks {
            AcksOption::All => Acks::All,
            AcksOption::Leader => Acks::Leader,
            AcksOption::None => Acks::None,
        };
        self.codec = options.codec;
        self.filler = if options.compressible { Filler::Text } else { Filler::Random };
        self.rate = options.pace.rate.map_or(Rate::Max, Rate::Open);
        self.in_flight = usize::from(options.in_flight);
        Ok(())
    }
}

/// Records of a size that fit in a batch; at least one.
fn records_within(batch_bytes: usize, record_bytes: usize) -> u64 {
    // Attributes, timestamp delta, key and header count take a byte each, the offset delta three at most.
    let body = 7 + varint::varint_bytes(record_bytes.min(i32::MAX as usize) as i32) + record_bytes;
    let record = varint::varint_bytes(body.min(i32::MAX as usize) as i32) + body;
    (batch_bytes.saturating_sub(HEADER_BYTES) / record).max(1) as u64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::payload::Payload;
    use crate::stamp::Stamp;
    use kring_runtime::Monotonic;
    use kring_wire::record::Compression;

    fn settings(args: &str) -> Result<Settings, String> {
        let cli = Cli::try_parse_from(args.split_whitespace()).map_err(|error| error.to_string())?;
        cli.command.into_settings().map(|(_, settings)| settings)
    }

    #[test]
    fn options_become_settings() {
        let settings = settings(
            "kring-loadgen produce --server [::1]:9093 --topic t --partitions 6 --producers 2 --record-size 100 \
             --batch-records 3 --acks 1 --rate 500 --warm-up 0.5 --duration 3",
        )
        .unwrap();
        assert_eq!((settings.host.as_str(), settings.port), ("::1", 9093));
        assert_eq!(
            (settings.rate, settings.acks, settings.batch_records),
            (Rate::Open(500), Acks::Leader, 3)
        );
        assert_eq!(settings.warm_up, Duration::from_millis(500));
    }

    #[test]
    fn a_pace_must_be_chosen_and_only_one() {
        assert!(settings("kring-loadgen produce --topic t").is_err());
        assert!(settings("kring-loadgen produce --topic t --rate 5 --max").is_err());
        assert!(settings("kring-loadgen produce --topic t --max").is_ok());
    }

    #[test]
    fn verifying_without_acknowledgements_is_refused() {
        assert!(settings("kring-loadgen e2e --topic t --rate 5 --verify --acks 0").is_err());
        assert!(settings("kring-loadgen e2e --topic t --rate 5 --verify").is_ok());
    }

    #[test]
    fn a_batch_stays_within_its_bytes_and_is_nearly_full() {
        for (batch_bytes, record_bytes) in [(1 << 20, 1024), (16384, 100), (1 << 20, 28), (1000, 5000)] {
            let records = records_within(batch_bytes, record_bytes);
            let stamp = |number| Stamp { run: 0, producer: 0, number, intended: Monotonic::ZERO };
            let batch = Payload::new(record_bytes, Filler::Random)
                .batch(Compression::NONE, 0, (0..records).map(stamp))
                .unwrap();
            let size = batch.size_bytes() as usize;
            assert!(size <= batch_bytes || records == 1, "{size} of {batch_bytes}");
            assert!(size + 2 * record_bytes + records as usize * 3 > batch_bytes, "{size} of {batch_bytes}");
        }
    }
}
