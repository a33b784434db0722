//! Reading as a member of a group: assignments come and go, and what was printed is committed.

mod assignor;
mod heartbeat;
mod member;
mod offsets;
mod protocol;

use std::time::Duration;

use futures_lite::future::or;
use kring_runtime::{Monotonic, now, signal, sleep_until};
use kring_wire::Str;

use self::member::Member;
use super::printer::{Ended, Printer};
use super::source::Source;
use super::start::{self, Start};
use crate::cli::args::ConsumeArgs;
use crate::cli::client::offsets::{Edge, Offsets};
use crate::cli::client::{Client, Result};

/// How often progress is committed, as Kafka's consumers do.
const COMMIT_EVERY: Duration = Duration::from_secs(5);

pub(super) async fn consume(
    args: &ConsumeArgs,
    topic: &Str,
    group: &Str,
    mut printer: Printer,
) -> Result<()> {
    let mut client = Client::connect(&args.server.server).await?;
    // A topic that is not there is said at once, not after a rebalance.
    client.topic(topic, false).await?;
    let mut member = Member::new(client, group, topic);
    let outcome = read(args, topic, &mut member, &mut printer).await;
    member.leave().await;
    outcome
}

async fn read(args: &ConsumeArgs, topic: &Str, member: &mut Member, printer: &mut Printer) -> Result<()> {
    loop {
        let joined = or(async { member.join().await.map(Some) }, async {
            signal::shutdown().await;
            Ok(None)
        });
        let Some(partitions) = joined.await? else { return Ok(()) };
        let (positions, ends) = begin(args, topic, member, &partitions).await?;
        printer.assign(positions.clone(), ends);
        let source = Source::start(&args.server.server, topic, positions);
        if !read_assigned(member, printer, &source).await? {
            return Ok(());
        }
    }
}

/// Says whether the group must be joined again.
async fn read_assigned(member: &mut Member, printer: &mut Printer, source: &Source) -> Result<bool> {
    let mut rebalance = member.heartbeat();
    loop {
        let ended = printer.run(source, wake(&mut rebalance, now() + COMMIT_EVERY)).await?;
        match ended {
            Ended::Interrupted(Wake::Commit) => member.commit_if_member(printer.printed()).await?,
            Ended::Interrupted(Wake::Rebalance) => {
                member.commit_if_member(printer.printed()).await?;
                return Ok(true);
            }
            Ended::Complete | Ended::ReaderIsGone | Ended::Stopped => {
                member.commit(printer.printed()).await?;
                return Ok(false);
            }
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wake {
    Commit,
    Rebalance,
}

async fn wake(rebalance: &mut (impl Future<Output = ()> + Unpin), commit_at: Monotonic) -> Wake {
    let rebalanced = async {
        rebalance.await;
        Wake::Rebalance
    };
    let due = async {
        sleep_until(commit_at).await;
        Wake::Commit
    };
    or(rebalanced, due).await
}

/// Where to read the assigned partitions: where the group is, else where the user says.
async fn begin(
    args: &ConsumeArgs,
    topic: &Str,
    member: &mut Member,
    partitions: &[i32],
) -> Result<(Offsets, Option<Offsets>)> {
    let mut positions = member.committed(partitions).await?;
    let fresh: Vec<i32> = partitions.iter().copied().filter(|index| !positions.contains_key(index)).collect();
    let start = Start::new(args.from_beginning, None);
    positions.extend(start::positions(member.client(), topic, &fresh, start).await?);
    let ends = match args.exit {
        true => Some(member.client().edges(topic, partitions, Edge::End).await?),
        false => None,
    };
    Ok((positions, ends))
}
