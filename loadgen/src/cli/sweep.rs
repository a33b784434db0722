//! `kring-loadgen sweep`: runs a workload again and again, at the rates that the search asks for.

use std::collections::BTreeMap;
use std::time::Duration;

use clap::Args;
use kring_runtime::{signal, sleep};

use super::command::{Command, Common};
use super::measure::{measure, on_one_shard};
use super::output::print;
use super::refuse;
use crate::interrupt::unless;
use crate::report::Report;
use crate::rows::Rows;
use crate::settings::{Rate, Settings};
use crate::sweep::decide::{Next, Search};
use crate::sweep::judge::{Limit, Target, judge};
use crate::sweep::result::{Step, Sweep, head};
use crate::text;

#[derive(Args, Debug)]
pub struct Sweeping {
    #[command(flatten)]
    target: TargetOptions,
    #[command(flatten)]
    search: SearchOptions,
    /// Rest between runs
    #[arg(long, value_name = "TIME", default_value = "1s", value_parser = duration)]
    pause: Duration,
    /// What to run; its --rate is the first that is tried
    #[command(subcommand)]
    load: Command,
}

#[derive(Args, Debug)]
struct SearchOptions {
    /// Records per second that are not exceeded
    #[arg(long, value_name = "N", default_value_t = 100_000_000)]
    highest: u64,
    /// Records per second below which the search ends
    #[arg(long, value_name = "N", default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..))]
    lowest: u64,
    /// How far the next rate that does not hold may be away from the one that does, as a part
    #[arg(long, value_name = "PART", default_value_t = 0.05)]
    within: f64,
    /// Runs that decide about a rate by majority
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=99))]
    repeat: u32,
    /// Runs in all at most
    #[arg(long, value_name = "N", default_value_t = 60)]
    max_steps: usize,
}

impl SearchOptions {
    fn from(&self, rate: Rate) -> Result<Search, String> {
        let Rate::Open(first) = rate else {
            return Err("a sweep searches a rate: it runs produce, e2e or mixed, with the first rate as --rate (not --max)".to_owned());
        };
        if self.lowest > self.highest {
            return Err(format!("--lowest {} is above --highest {}", self.lowest, self.highest));
        }
        let SearchOptions { highest, lowest, within, repeat, max_steps } = *self;
        Ok(Search { first, lowest, highest, within: within.max(0.0), repeat, max_steps })
    }
}

#[derive(Args, Debug)]
#[group(required = true, multiple = true)]
struct TargetOptions {
    /// Half of the latencies are within this: 500us, 10ms, 1s
    #[arg(long, value_name = "TIME", value_parser = duration)]
    p50: Option<Duration>,
    /// 99 of 100 latencies are
    #[arg(long, value_name = "TIME", value_parser = duration)]
    p99: Option<Duration>,
    /// 999 of 1000 latencies are
    #[arg(long = "p99.9", value_name = "TIME", value_parser = duration)]
    p999: Option<Duration>,
}

impl TargetOptions {
    fn target(&self) -> Target {
        let all = [("p50", 0.5, self.p50), ("p99", 0.99, self.p99), ("p99.9", 0.999, self.p999)];
        let limit = |(name, quantile, at_most): (&str, f64, Option<Duration>)| {
            Some(Limit { name: name.to_owned(), quantile, at_most: at_most? })
        };
        Target(all.into_iter().filter_map(limit).collect())
    }
}

/// A time with its unit.
pub fn duration(text: &str) -> Result<Duration, String> {
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic() || c == 'µ');
    let seconds = match &text[digits.len()..] {
        "us" | "µs" => 1e-6,
        "ms" => 1e-3,
        "s" => 1.0,
        _ => return Err(format!("{text} is no time such as 500us, 10ms or 1s")),
    };
    let number: f64 = digits.parse().map_err(|_| format!("{digits} is no number"))?;
    Duration::try_from_secs_f64(number * seconds).map_err(|error| error.to_string())
}

/// Whether a rate was found.
pub fn run(options: Sweeping) -> Result<bool, String> {
    let target = options.target.target();
    let (common, settings) = options.load.into_settings().unwrap_or_else(|sentence| refuse(sentence));
    let search = options.search.from(settings.rate).unwrap_or_else(|sentence| refuse(sentence));
    if settings.start_at.is_some() {
        refuse("a sweep is many runs: --start-at is for one".to_owned());
    }
    common.output.files.check().unwrap_or_else(|sentence| refuse(sentence));
    common.machine.check().unwrap_or_else(|sentence| refuse(sentence));
    let mut sweep = Sweep::new(target, &settings);
    common.output.name_sweep(&mut sweep);
    print(&introduction(&sweep, &common, &settings))?;
    let threads = common.machine.threads(settings.clients());
    sweep.settings.merge(&Rows::new([("threads", threads.to_string())]));
    let (mut held, mut stopped) = (BTreeMap::new(), None);
    loop {
        match search.next(&sweep.votes()) {
            Next::Try { rate, probe } => {
                let report = match step(&common, &settings, rate) {
                    Ok(report) if !report.interrupted => report,
                    Err(sentence) if sweep.steps.is_empty() => return Err(sentence),
                    cut => {
                        // A part of a step says nothing of its rate.
                        sweep.interrupted = signal::received().is_some();
                        stopped = cut.err().filter(|_| !sweep.interrupted);
                        let search = Search { max_steps: sweep.steps.len(), ..search };
                        break sweep.end = search.next(&sweep.votes());
                    }
                };
                let verdict = judge(&report, rate, &sweep.target);
                sweep.add(Step::new(rate, probe, verdict, &report), &report);
                print(&sweep.steps.last().map(Step::to_line).unwrap_or_default())?;
                held.insert(rate, report);
            }
            end => break sweep.end = end,
        }
        rest(options.pause)?;
    }
    sweep.best = sweep.found().and_then(|rate| held.remove(&rate));
    print(&format!("{}\n", sweep.sentence()))?;
    common.output.files.save_sweep(&sweep)?;
    // What was found until then is worth keeping.
    stopped.map_or(Ok(sweep.found().is_some()), Err)
}

fn introduction(sweep: &Sweep, common: &Common, settings: &Settings) -> String {
    let settings = match common.output.quiet {
        true => String::new(),
        false => text::head(&sweep.settings, common.machine.threads(settings.clients())),
    };
    format!("{settings}{:<26}{}\n{}", "target", sweep.target.title(), head())
}

fn step(common: &Common, settings: &Settings, rate: u64) -> Result<Report, String> {
    let settings = Settings { rate: Rate::Open(rate), ..settings.clone() };
    let threads = common.machine.threads(settings.clients());
    let mut report = measure(&common.machine, settings, threads, common.output.quiet)?;
    report.label = format!("{rate} records/s");
    Ok(report)
}

fn rest(pause: Duration) -> Result<(), String> {
    on_one_shard(move || async move {
        // The next step tells of it.
        let _interrupted = unless(sleep(pause), signal::shutdown()).await;
        Ok(())
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::{Cli, Task};
    use clap::Parser;

    fn sweeping(args: &str) -> Result<Sweeping, String> {
        let all = format!("kring-loadgen sweep {args}");
        let cli = Cli::try_parse_from(all.split_whitespace()).map_err(|error| error.to_string())?;
        let Task::Sweep(options) = cli.task else { panic!("{args} is no sweep") };
        Ok(options)
    }

    #[test]
    fn a_target_is_needed_and_may_have_several_limits() {
        assert!(sweeping("produce --topic t --rate 100").is_err());
        let options = sweeping("--p50 500us --p99.9 1s produce --topic t --rate 100").unwrap();
        assert_eq!(options.target.target().title(), "p50 ≤ 500 µs, p99.9 ≤ 1.000 s");
    }

    #[test]
    fn the_first_rate_is_that_of_the_workload() {
        let search = |args: &str| {
            let options = sweeping(args).unwrap();
            let (_, settings) = options.load.into_settings().unwrap();
            options.search.from(settings.rate)
        };
        assert_eq!(search("--p99 10ms produce --topic t --rate 700").unwrap().first, 700);
        assert!(search("--p99 10ms produce --topic t --max").is_err());
    }

    #[test]
    fn times_have_units() {
        assert_eq!(duration("1.5ms"), Ok(Duration::from_micros(1500)));
        assert_eq!(duration("2s"), Ok(Duration::from_secs(2)));
        assert!(duration("10").is_err() && duration("ms").is_err() && duration("-1s").is_err());
    }
}
