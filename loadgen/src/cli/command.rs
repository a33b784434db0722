//! The workloads, and the settings that their options ask for.

use clap::{Args, Subcommand};

use super::connecting::Connecting;
use super::consuming::{Consuming, History};
use super::grouping::Grouping;
use super::machine::Machine;
use super::output::Output;
use super::producing::Producing;
use super::target::{Patience, Target};
use super::timing::{Counting, Timing, WarmingUp};
use crate::settings::{Acks, Settings, Workload};

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Produce; latency from the intended send time to the acknowledgement
    Produce {
        #[command(flatten)]
        common: Common,
        #[command(flatten)]
        load: Load,
    },
    /// Read the topics from their beginning to the end that they had at the start
    Consume {
        #[command(flatten)]
        common: Common,
        #[command(flatten)]
        counting: Counting,
        #[command(flatten)]
        consuming: Consuming,
    },
    /// Produce and consume; latency from the intended send time to receipt
    E2e {
        #[command(flatten)]
        common: Common,
        #[command(flatten)]
        load: Load,
        #[command(flatten)]
        consuming: Consuming,
        #[command(flatten)]
        verifying: Verifying,
    },
    /// Produce, follow what is produced, and read the history of the topics, all at once; each measured apart
    Mixed {
        #[command(flatten)]
        common: Common,
        #[command(flatten)]
        load: Load,
        #[command(flatten)]
        consuming: Consuming,
        #[command(flatten)]
        history: History,
        #[command(flatten)]
        verifying: Verifying,
    },
    /// Members of one classic consumer group that come and go; time of each rebalance, latency of commits
    Groups {
        #[command(flatten)]
        common: Common,
        #[command(flatten)]
        grouping: Grouping,
    },
    /// Open many connections at a rate and keep them: idle, asking now and then, or reading slowly
    Connections {
        #[command(flatten)]
        common: Topicless,
        #[command(flatten)]
        connecting: Connecting,
    },
}

/// What is produced, and how much.
#[derive(Args, Debug)]
pub struct Load {
    #[command(flatten)]
    counting: Counting,
    #[command(flatten)]
    warming_up: WarmingUp,
    #[command(flatten)]
    producing: Box<Producing>,
}

impl Load {
    fn settings(&self, common: &Common, workload: Workload) -> Result<Settings, String> {
        let mut settings = common.settings(workload)?;
        self.counting.apply(&common.timing, &mut settings);
        self.warming_up.apply(&mut settings);
        self.producing.apply(&mut settings)?;
        Ok(settings)
    }
}

/// Of workloads that receive what they sent.
#[derive(Args, Debug)]
#[command(next_help_heading = "Consumers")]
pub struct Verifying {
    /// Check that all acknowledged records come back once, in order, unchanged
    #[arg(long)]
    verify: bool,
}

impl Verifying {
    fn apply(&self, settings: &mut Settings) -> Result<(), String> {
        settings.verify = self.verify;
        if self.verify && settings.acks == Acks::None {
            return Err("--verify needs acknowledgements: --acks 1 or --acks all".to_owned());
        }
        Ok(())
    }
}

/// Options of every workload.
#[derive(Args, Debug)]
pub struct Common {
    #[command(flatten)]
    pub target: Target,
    #[command(flatten)]
    pub timing: Timing,
    #[command(flatten)]
    pub machine: Machine,
    #[command(flatten)]
    pub output: Output,
}

/// Options of workloads that need no topic.
#[derive(Args, Debug)]
#[command(next_help_heading = "Broker and topic")]
pub struct Topicless {
    /// Any broker of the cluster
    #[arg(long, alias = "bootstrap-server", value_name = "HOST:PORT", default_value = "localhost:9092")]
    server: String,
    /// A topic that is there, for --slow-read
    #[arg(long, value_name = "NAME")]
    topic: Option<String>,
    #[command(flatten)]
    patience: Patience,
    #[command(flatten)]
    timing: Timing,
    #[command(flatten)]
    machine: Machine,
    #[command(flatten)]
    output: Output,
}

impl Topicless {
    fn into_common(self) -> Common {
        let Topicless { server, topic, patience, timing, machine, output } = self;
        let target = Target::new(server, topic.unwrap_or_default(), patience);
        Common { target, timing, machine, output }
    }
}

impl Common {
    fn settings(&self, workload: Workload) -> Result<Settings, String> {
        let mut settings = Settings::of(workload, &self.target.topic);
        self.target.apply(&mut settings)?;
        self.timing.apply(&mut settings);
        self.machine.apply(&mut settings);
        Ok(settings)
    }
}

impl Command {
    pub fn into_settings(self) -> Result<(Common, Settings), String> {
        match self {
            Command::Produce { common, load } => {
                let settings = load.settings(&common, Workload::Produce)?;
                Ok((common, settings))
            }
            Command::Consume { common, counting, consuming } => {
                let mut settings = common.settings(Workload::Consume)?;
                counting.apply(&common.timing, &mut settings);
                consuming.apply(&mut settings);
                Ok((common, settings))
            }
            Command::E2e { common, load, consuming, verifying } => {
                let mut settings = load.settings(&common, Workload::EndToEnd)?;
                consuming.apply(&mut settings);
                verifying.apply(&mut settings)?;
                Ok((common, settings))
            }
            Command::Mixed { common, load, consuming, history, verifying } => {
                let mut settings = load.settings(&common, Workload::Mixed)?;
                consuming.apply(&mut settings);
                history.apply(&mut settings);
                verifying.apply(&mut settings)?;
                Ok((common, settings))
            }
            Command::Groups { common, grouping } => {
                let mut settings = common.settings(Workload::Groups)?;
                grouping.apply(&mut settings)?;
                Ok((common, settings))
            }
            Command::Connections { common, connecting } => {
                let common = common.into_common();
                let mut settings = common.settings(Workload::Connections)?;
                connecting.apply(&mut settings)?;
                Ok((common, settings))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use clap::Parser;

    use crate::cli::{Cli, Task};
    use crate::settings::{Acks, Rate, Settings};
    use crate::sizes::Sizes;

    fn settings(args: &str) -> Result<Settings, String> {
        let cli = Cli::try_parse_from(args.split_whitespace()).map_err(|error| error.to_string())?;
        let Task::Load(command) = cli.task else { panic!("{args} is no workload") };
        command.into_settings().map(|(_, settings)| settings)
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
        assert_eq!(settings.record_size, Sizes::fixed(100));
        assert_eq!(settings.warm_up, Duration::from_millis(500));
    }

    #[test]
    fn every_workload_that_needs_a_topic_takes_several() {
        for args in ["produce --max", "consume", "e2e --max", "mixed --max", "groups"] {
            let topics = |more| settings(&format!("kring-loadgen {args} --topic t {more}")).map(|s| s.topics);
            assert_eq!((topics(""), topics("--topics 3")), (Ok(1), Ok(3)), "{args}");
            assert!(topics("--topics 0").is_err(), "{args}");
        }
    }

    #[test]
    fn a_pace_must_be_chosen_and_only_one() {
        assert!(settings("kring-loadgen produce --topic t").is_err());
        assert!(settings("kring-loadgen produce --topic t --rate 5 --max").is_err());
        assert!(settings("kring-loadgen produce --topic t --max").is_ok());
    }

    #[test]
    fn what_an_idempotent_producer_cannot_promise_is_refused() {
        assert!(settings("kring-loadgen produce --topic t --max --idempotence --acks 1").is_err());
        assert!(settings("kring-loadgen produce --topic t --max --idempotence --in-flight 6").is_err());
        assert!(settings("kring-loadgen produce --topic t --max --idempotence").unwrap().idempotence);
    }

    #[test]
    fn keys_fit_in_their_size() {
        assert!(settings("kring-loadgen produce --topic t --max --keys 1000 --key-size 3").is_err());
        let keys = settings("kring-loadgen produce --topic t --max --keys 1000 --key-skew 1.1").unwrap().keys;
        assert_eq!(keys.map(|keys| (keys.count, keys.skew, keys.bytes)), Some((1000, 1.1, 16)));
        assert!(settings("kring-loadgen produce --topic t --max --key-skew 1").is_err(), "without keys");
    }

    #[test]
    fn a_count_lasts_an_hour_at_most_unless_told() {
        let duration = |args| settings(args).unwrap().duration.as_secs();
        assert_eq!(duration("kring-loadgen produce --topic t --max"), 10);
        assert_eq!(duration("kring-loadgen produce --topic t --max --count 5"), 3600);
        assert_eq!(duration("kring-loadgen consume --topic t --count 5 --duration 3"), 3);
    }

    #[test]
    fn options_that_a_workload_cannot_heed_are_refused() {
        for args in [
            "consume --topic t --warm-up 1",
            "groups --topic t --count 5",
            "groups --topic t --warm-up 1",
            "connections --partitions 3",
            "connections --topic t --topics 2",
            "connections --slow-read 100",
            "connections --request-timeout 0",
        ] {
            assert!(settings(&format!("kring-loadgen {args}")).is_err(), "{args}");
        }
    }

    #[test]
    fn the_time_of_connections_is_that_of_opening_them_and_the_duration() {
        let found =
            settings("kring-loadgen connections --connections 300 --connect-rate 100 --duration 4").unwrap();
        assert_eq!((found.duration.as_secs(), found.topic.as_str()), (7, ""));
    }

    #[test]
    fn verifying_without_acknowledgements_is_refused() {
        assert!(settings("kring-loadgen e2e --topic t --rate 5 --verify --acks 0").is_err());
        assert!(settings("kring-loadgen e2e --topic t --rate 5 --verify").is_ok());
    }
}
