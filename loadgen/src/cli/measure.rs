//! Runs a workload on as many shards as asked, and makes one report of what they saw.

use std::io::IsTerminal;
use std::time::Duration;

use kring_runtime::{RuntimeConfig, ShardPlacement, process};

use super::machine::Machine;
use crate::client::ClientError;
use crate::host::cpu_time;
use crate::live;
use crate::report::{Cpu, Report};
use crate::rows::Rows;
use crate::settings::{PARTITIONS, Settings};
use crate::work::{Outcome, Plan, Worker, prepare};

pub fn measure(machine: &Machine, settings: Settings, threads: usize, quiet: bool) -> Result<Report, String> {
    let asked = settings.clone();
    let plan: Plan = on_one_shard(move || {
        let settings = asked.clone();
        async move { prepare(settings).await.map_err(|error| error.to_string()) }
    })?;
    let found = found(&plan, threads);
    let mut worker = Worker::new(plan, threads);
    let live = !quiet && std::io::stderr().is_terminal();
    if live {
        worker = worker.with_live_line();
    }
    let before = cpu_now(&settings);
    let outcome = run_worker(machine, worker, threads);
    if live {
        live::clear();
    }
    let outcome = outcome?;
    let after = cpu_now(&settings);
    let cpu = Cpu { own: used(before.own, after.own), other: used(before.other, after.other) };
    let mut report = Report::new(&settings, outcome, cpu);
    report.settings.merge(&found);
    Ok(report)
}

/// What is settled before the run, and not by the options alone.
fn found(plan: &Plan, threads: usize) -> Rows {
    let partitions = plan.partitions_text().map(|text| (PARTITIONS, text));
    Rows::new(partitions.into_iter().chain([("threads", threads.to_string())]))
}

fn cpu_now(settings: &Settings) -> Cpu {
    Cpu { own: cpu_time(process::pid()), other: settings.pid.and_then(cpu_time) }
}

fn used(before: Option<Duration>, after: Option<Duration>) -> Option<Duration> {
    Some(after?.saturating_sub(before?))
}

fn run_worker(machine: &Machine, worker: Worker, threads: usize) -> Result<Outcome, String> {
    let mut config = RuntimeConfig::with_shards(threads);
    config.placement = machine.placement();
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
    failures.sort_by_key(|error| matches!(error, ClientError::Aborted));
    failures.first().map_or(Ok(whole), |error| Err(error.to_string()))
}

pub fn on_one_shard<F, Fut, T>(body: F) -> Result<T, String>
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
