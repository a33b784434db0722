//! The words of the `kring` command line. Never does anything but parse them.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::config::HostPort;

/// A Kafka broker in one binary.
#[derive(Debug, Parser)]
#[command(name = "kring", version, about, max_term_width = 100)]
pub struct Cli {
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run the broker (no configuration and no format step needed)
    Start(StartArgs),
    /// The properties that the broker knows
    #[command(subcommand)]
    Config(ConfigCommand),
    /// Create, list, describe and delete topics
    #[command(subcommand)]
    Topic(TopicCommand),
    /// Write records from standard input to a topic, one a line
    Produce(ProduceArgs),
    /// Print the records of a topic
    Consume(ConsumeArgs),
    /// Check, mend and print the files of logs that no broker uses now
    #[command(subcommand)]
    Log(LogCommand),
    /// Check and set up the host, and measure its disk
    #[command(subcommand)]
    Tune(TuneCommand),
}

#[derive(Debug, Args)]
pub struct StartArgs {
    /// An Apache Kafka server.properties, taken as it is
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Where the data lives; made if missing [default: ./kring-data]
    #[arg(long, value_name = "DIR")]
    pub data_dir: Option<PathBuf>,
    /// Where to listen; port 0 picks a free one [default: localhost:9092]
    #[arg(long, value_name = "HOST:PORT", value_parser = host_port)]
    pub listen: Option<String>,
    /// Number of shards [default: one per core that this process may use]
    #[arg(long, value_name = "N")]
    pub shards: Option<usize>,
    /// Any property; repeatable, wins over the file
    #[arg(short = 'o', value_name = "KEY=VALUE", value_parser = key_value)]
    pub overrides: Vec<(String, String)>,
    /// Write the bound addresses here once connections are accepted
    #[arg(long, value_name = "FILE")]
    pub ready_file: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
pub enum ConfigCommand {
    /// Print every property with type, default and meaning
    List,
}

#[derive(Debug, Args, Clone)]
pub struct ServerArgs {
    /// A broker to start from
    #[arg(long, alias = "bootstrap-server", value_name = "HOST:PORT", default_value = "localhost:9092")]
    pub server: String,
}

#[derive(Debug, Clone, Subcommand)]
pub enum TopicCommand {
    /// Create a topic
    Create {
        topic: String,
        /// Number of partitions [default: the broker's num.partitions]
        #[arg(long, short, value_name = "N", allow_negative_numbers = true)]
        partitions: Option<i32>,
        /// A topic configuration; repeatable
        #[arg(long, short = 'c', value_name = "KEY=VALUE", value_parser = key_value)]
        config: Vec<(String, String)>,
        #[command(flatten)]
        server: ServerArgs,
    },
    /// List topics
    List {
        #[command(flatten)]
        server: ServerArgs,
    },
    /// Show partitions, offsets and configuration that differs from the default
    Describe {
        topic: String,
        #[command(flatten)]
        server: ServerArgs,
    },
    /// Delete a topic with its records
    Delete {
        topic: String,
        #[command(flatten)]
        server: ServerArgs,
    },
}

#[derive(Debug, Clone, Args)]
pub struct ProduceArgs {
    pub topic: String,
    /// Splits a line into key and value at its first occurrence
    #[arg(long, short = 'K', value_name = "TEXT")]
    pub key_separator: Option<String>,
    /// Write to this partition [default: by key, else in turn]
    #[arg(long, short, value_name = "N")]
    pub partition: Option<i32>,
    /// Compression of the batches
    #[arg(long, default_value = "none")]
    pub compression: CompressionArg,
    #[command(flatten)]
    pub server: ServerArgs,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
pub enum CompressionArg {
    None,
    Gzip,
    Snappy,
    Lz4,
    Zstd,
}

#[derive(Debug, Clone, Args)]
pub struct ConsumeArgs {
    pub topic: String,
    /// Start at the oldest record instead of the end
    #[arg(long, conflicts_with = "offset")]
    pub from_beginning: bool,
    /// Start at this offset; negative counts back from the end
    #[arg(long, value_name = "N", allow_hyphen_values = true)]
    pub offset: Option<i64>,
    /// Read this partition only
    #[arg(long, short, value_name = "N")]
    pub partition: Option<i32>,
    /// Read as a member of this group and commit what was printed
    #[arg(long, value_name = "NAME", conflicts_with_all = ["offset", "partition"])]
    pub group: Option<String>,
    /// Stop after this many records
    #[arg(long, short = 'n', value_name = "N")]
    pub max_records: Option<u64>,
    /// Stop at the end of the topic instead of waiting for more
    #[arg(long, short)]
    pub exit: bool,
    /// %t topic, %p partition, %o offset, %T timestamp, %k key, %v value, %h headers, \n, \t
    #[arg(long, default_value = "%v\\n")]
    pub format: String,
    #[command(flatten)]
    pub server: ServerArgs,
}

#[derive(Debug, Clone, Subcommand)]
pub enum LogCommand {
    /// Check every batch, index, snapshot and checkpoint
    ///
    /// Prints file, byte and offset of everything that is damaged. The exit code is 0 when all is sound, 1 when
    /// something is damaged, and 2 when that cannot be told. Nothing is changed.
    Verify {
        /// Data directories, or directories of single partitions
        #[arg(required = true, value_name = "DIR")]
        dirs: Vec<PathBuf>,
    },
    /// Show what would mend the damage that `verify` finds; with --yes, do it
    ///
    /// What is taken out of a file is kept in another one beside it. Offsets do not move: an empty batch holds the place
    /// of records that are lost. The exit code is 0 when all is sound now, 1 when damage is left, and 2 for errors.
    Repair {
        /// Data directories, or directories of single partitions
        #[arg(required = true, value_name = "DIR")]
        dirs: Vec<PathBuf>,
        /// Do it
        #[arg(long)]
        yes: bool,
    },
    /// Print the batches of segments
    ///
    /// The exit code is 1 when there is damage between them, which is printed in its place, and 2 for errors.
    Dump {
        /// Segment files (.log), directories of partitions, or data directories
        #[arg(required = true, value_name = "PATH")]
        paths: Vec<PathBuf>,
        /// Print the records of each batch, too
        #[arg(long)]
        records: bool,
        /// Show the records as those of __consumer_offsets; prints them as --records does
        #[arg(long, conflicts_with = "cluster_metadata_decoder")]
        offsets_decoder: bool,
        /// Show the records as those of __cluster_metadata; prints them as --records does
        #[arg(long)]
        cluster_metadata_decoder: bool,
        /// The lines of kafka-dump-log, or one JSON object a batch
        #[arg(long, value_name = "FORMAT", default_value = "text")]
        format: DumpFormat,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum DumpFormat {
    Text,
    Json,
}

#[derive(Debug, Subcommand)]
pub enum TuneCommand {
    /// Say for each point what was found, what is wanted, why, and what it costs
    ///
    /// Changes nothing. The exit code is 0 when nothing is to be done, 1 when something could be better, 3 when the broker
    /// would not start or could lose what it acknowledged, and 2 for errors.
    Check {
        #[command(flatten)]
        at: DataDirArg,
        /// Look at the limits of this process, such as a running broker, instead of those of this shell. A relative
        /// --data-dir is relative to where that process runs
        #[arg(long, value_name = "PID")]
        pid: Option<u32>,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Set what `check` proposes and this host allows (as root)
    ///
    /// Writes a script that puts everything back, then the files of /proc/sys and /sys that `check` names, each until the
    /// next boot. The exit code is 0 when all were set or none was to be, 1 when some were not, and 2 when nothing was
    /// done because of an error.
    Apply {
        #[command(flatten)]
        at: DataDirArg,
        /// Show what would be set, and set nothing
        #[arg(long)]
        dry_run: bool,
        /// The script that puts everything back
        #[arg(long, value_name = "FILE", default_value = "/var/lib/kring-tune/undo.sh")]
        undo: PathBuf,
        /// Only this point of `check`; repeatable
        #[arg(long, value_name = "POINT")]
        only: Vec<String>,
    },
    /// Measure the disk of a data directory, and write how the broker should use it
    ///
    /// Durable writes by size and by how many at once, sequential and random reads. Writes kring-disk.properties into the
    /// directory, which the broker reads at its start. Not while a broker uses the directory. The exit code is 2 for
    /// errors.
    Disk {
        /// The data directory; it must exist
        dir: PathBuf,
        /// How long to measure
        #[arg(long, value_name = "N", default_value_t = 20, value_parser = clap::value_parser!(u64).range(1..=3600))]
        seconds: u64,
        /// Mebibytes of the disk to use at most, beside a quarter of what is free
        #[arg(long, value_name = "MIB", default_value_t = 512, value_parser = clap::value_parser!(u64).range(64..=65536))]
        space: u64,
        /// Measure, and write no settings
        #[arg(long)]
        dry_run: bool,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
}

#[derive(Debug, Args)]
pub struct DataDirArg {
    /// Where the data lives, or will
    #[arg(long, value_name = "DIR", default_value = "./kring-data")]
    pub data_dir: PathBuf,
}

fn host_port(text: &str) -> Result<String, String> {
    let parsed = HostPort::parse(text).map(|_| text.to_string());
    parsed.ok_or_else(|| "expected HOST:PORT, such as localhost:9092".to_string())
}

fn key_value(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.trim().is_empty() => Ok((key.trim().to_string(), value.to_string())),
        _ => Err("expected KEY=VALUE".to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn an_address_to_listen_at_has_a_host_and_a_port() {
        let parse = |address| Cli::try_parse_from(["kring", "start", "--listen", address]);
        for good in ["localhost:9092", ":0", "[::1]:9092", "0.0.0.0:65535"] {
            assert!(parse(good).is_ok(), "{good}");
        }
        for bad in ["localhost", "localhost:99999", "PLAINTEXT://localhost:9092", ""] {
            let said = parse(bad).unwrap_err().to_string();
            assert!(said.contains("expected HOST:PORT, such as localhost:9092"), "{said}");
        }
    }

    #[test]
    fn an_override_may_hold_equals_signs_in_its_value() {
        let cli = Cli::try_parse_from(["kring", "start", "-o", "a.b=c=d"]).unwrap();
        let Command::Start(start) = cli.command else { panic!() };
        assert_eq!(start.overrides, [("a.b".to_string(), "c=d".to_string())]);
        assert!(Cli::try_parse_from(["kring", "start", "-o", "nothing"]).is_err());
    }
}
