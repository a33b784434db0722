//! `kring consume`: prints the records of a topic as they come, alone or as a member of a group.

mod format;
mod group;
mod printer;
mod source;
mod start;

use std::future::pending;

use kring_wire::Str;

use self::format::Format;
use self::printer::{Ended, Printer};
use self::source::Source;
use self::start::Start;
use super::args::ConsumeArgs;
use super::client::metadata::Topic;
use super::client::offsets::{Edge, no_partition};
use super::client::{Client, Result};
use super::shard;

pub(super) fn run(args: ConsumeArgs) -> std::result::Result<(), String> {
    let format = Format::parse(&args.format)?;
    shard::run(move || consume(args.clone(), format.clone()))
}

async fn consume(args: ConsumeArgs, format: Format) -> Result<()> {
    let topic = Str::from(&args.topic);
    let printer = Printer::new(&topic, format, args.max_records);
    match &args.group {
        Some(group) => group::consume(&args, &topic, &Str::from(group), printer).await,
        None => alone(&args, &topic, printer).await,
    }
}

async fn alone(args: &ConsumeArgs, name: &Str, mut printer: Printer) -> Result<()> {
    let servers = &args.server.server;
    let mut client = Client::connect(servers).await?;
    let topic = client.topic(name, false).await?;
    let partitions = chosen(&topic, args.partition)?;
    let start = Start::new(args.from_beginning, args.offset);
    let positions = start::positions(&mut client, name, &partitions, start).await?;
    let ends = match args.exit {
        true => Some(client.edges(name, &partitions, Edge::End).await?),
        false => None,
    };
    printer.assign(positions.clone(), ends);
    let source = Source::start(servers, name, positions);
    let _how: Ended<()> = printer.run(&source, pending()).await?;
    Ok(())
}

fn chosen(topic: &Topic, partition: Option<i32>) -> Result<Vec<i32>> {
    match partition {
        None => Ok(topic.indexes().collect()),
        Some(index) if topic.leader(index).is_some() => Ok(vec![index]),
        Some(index) => Err(no_partition(topic, index)),
    }
}
