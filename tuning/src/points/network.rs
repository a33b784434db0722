//! Network cards and the sysctls of TCP.

use crate::finding::{Finding, Setting, Verdict, Who};
use crate::look::Look;
use crate::text;

const NETS: &str = "/sys/class/net";
/// What each listening socket of the broker asks for.
pub(crate) const BACKLOG: u64 = 1024;
/// With it one connection carries 4 GB/s at a round trip of 1 ms.
const WINDOW: u64 = 4 << 20;
const PORT: u16 = 9092;
/// One CPU takes the packets of that many others before it is the narrow place.
const CPUS_OF_ONE_QUEUE: usize = 4;

pub(super) fn points(look: &Look<'_>) -> Vec<Finding> {
    let cards = cards(look);
    let mut points = vec![interrupts(look, &cards), receiving(look, &cards), sending(look, &cards)];
    points.extend([buffers(look), backlog(look), half_open(look), busy_poll(look), ports(look)]);
    points
}

/// Interfaces with hardware, or what stands for it, behind them.
fn cards(look: &Look<'_>) -> Vec<String> {
    let has_device = |name: &String| look.host.list(&format!("{NETS}/{name}")).iter().any(|n| n == "device");
    look.host.list(NETS).into_iter().filter(has_device).collect()
}

fn queues(look: &Look<'_>, card: &str, kind: &str) -> Vec<String> {
    let dir = format!("{NETS}/{card}/queues");
    let mut names = look.host.list(&dir);
    names.retain(|name| name.starts_with(kind));
    names.into_iter().map(|name| format!("{dir}/{name}")).collect()
}

/// Which CPUs the interrupts of a card go to.
fn interrupt_cpus(look: &Look<'_>, card: &str) -> Vec<usize> {
    let device = format!("{NETS}/{card}/device");
    let own = [format!("{device}/msi_irqs"), format!("{device}/../msi_irqs")];
    let numbers =
        own.iter().map(|dir| look.host.list(dir)).find(|names| !names.is_empty()).unwrap_or_default();
    let files = numbers.iter().map(|number| format!("/proc/irq/{number}/effective_affinity_list"));
    let mut cpus: Vec<usize> =
        files.filter_map(|path| look.host.read(&path)).flat_map(|text| text::list(&text)).collect();
    cpus.sort_unstable();
    cpus.dedup();
    cpus
}

fn interrupts(look: &Look<'_>, cards: &[String]) -> Finding {
    let known: Vec<(&String, Vec<usize>)> =
        cards.iter().map(|card| (card, interrupt_cpus(look, card))).collect();
    let known: Vec<_> = known.into_iter().filter(|(_, cpus)| !cpus.is_empty()).collect();
    if known.is_empty() {
        return Finding::unknown("interrupts");
    }
    let is_crowded = |card: &str, cpus: &[usize]| cpus.len() == 1 && queues(look, card, "rx-").len() > 1;
    let crowded = known.iter().any(|(card, cpus)| is_crowded(card, cpus));
    let one = |(card, cpus): &(&String, Vec<usize>)| {
        format!(
            "{card}: {} on {}",
            text::count(queues(look, card, "rx-").len(), "queue"),
            text::count(cpus.len(), "CPU")
        )
    };
    let found = known.iter().map(one).collect::<Vec<_>>().join(", ");
    Finding::new("interrupts", if crowded { Verdict::Tune } else { Verdict::Good }, found)
        .wanted("the queues of a card on several CPUs")
        .why("the CPU that takes all interrupts of a card has the less time for its shard, and is the narrow place for all")
        .cost("nothing")
        .by(Who::Operator, "run irqbalance, or write /proc/irq/*/smp_affinity_list")
}

fn receiving(look: &Look<'_>, cards: &[String]) -> Finding {
    let rx = |card: &String| queues(look, card, "rx-");
    let (most, cpus) = (cards.iter().map(|card| rx(card).len()).max(), look.cpus());
    let Some(most) = most.filter(|most| *most > 0) else {
        return Finding::new("RPS", Verdict::Unknown, "no network card is shown");
    };
    let single: Vec<String> = cards.iter().map(rx).filter(|queues| queues.len() == 1).flatten().collect();
    let steered =
        |queue: &&String| text::word(look.host, &format!("{queue}/rps_cpus")).is_some_and(|m| is_zero(&m));
    let off: Vec<&String> = single.iter().filter(steered).collect();
    if off.is_empty() || cpus.len() <= CPUS_OF_ONE_QUEUE {
        let found = format!("{} for {}", text::count(most, "receive queue"), text::count(cpus.len(), "CPU"));
        return Finding::new("RPS", Verdict::Good, found);
    }
    Finding::new(
        "RPS",
        Verdict::Tune,
        format!("off, and one receive queue for {}", text::count(cpus.len(), "CPU")),
    )
    .wanted("as many queues as CPUs, or rps_cpus set")
    .why("all packets are taken from the card by one CPU, whose shard gets the less of it")
    .cost("an interrupt between CPUs for each burst of packets")
    .settings(masks(look, &off, "rps_cpus", |_| cpus.clone()))
}

fn sending(look: &Look<'_>, cards: &[String]) -> Finding {
    let cpus = look.cpus();
    let several: Vec<Vec<String>> =
        cards.iter().map(|card| queues(look, card, "tx-")).filter(|queues| queues.len() > 1).collect();
    if several.is_empty() {
        return Finding::new("XPS", Verdict::Irrelevant, "no card with several send queues");
    }
    let is_off =
        |queue: &String| text::word(look.host, &format!("{queue}/xps_cpus")).is_some_and(|m| is_zero(&m));
    let off: Vec<&Vec<String>> = several.iter().filter(|queues| queues.iter().all(is_off)).collect();
    if off.is_empty() {
        return Finding::new("XPS", Verdict::Good, "each send queue has its CPUs");
    }
    let settings = off.iter().flat_map(|queues| {
        let queues: Vec<&String> = queues.iter().collect();
        let share = |place: usize| cpus.iter().copied().skip(place).step_by(queues.len()).collect();
        masks(look, &queues, "xps_cpus", share)
    });
    Finding::new("XPS", Verdict::Tune, "off, with several send queues")
        .wanted("xps_cpus of each queue set")
        .why("each shard answers from its own CPU; with a queue of its own it waits for no other's lock")
        .cost("nothing")
        .settings(settings.collect())
}

fn masks(
    look: &Look<'_>,
    queues: &[&String],
    file: &str,
    cpus: impl Fn(usize) -> Vec<usize>,
) -> Vec<Setting> {
    let one = |(place, queue): (usize, &&String)| {
        let path = format!("{queue}/{file}");
        let mask = text::mask_like(&look.host.read(&path)?, &cpus(place))?;
        look.setting(&path, &mask)
    };
    queues.iter().enumerate().filter_map(one).collect()
}

fn is_zero(mask: &str) -> bool {
    mask.chars().all(|c| c == '0' || c == ',')
}

/// The broker sets no sizes itself, so the kernel grows a buffer up to the last of the three numbers.
fn buffers(look: &Look<'_>) -> Finding {
    let paths = ["/proc/sys/net/ipv4/tcp_rmem", "/proc/sys/net/ipv4/tcp_wmem"];
    let triples: Vec<[u64; 3]> = paths.iter().filter_map(|path| triple(&look.host.read(path)?)).collect();
    let [receive, send] = triples.as_slice() else { return Finding::unknown("TCP buffers") };
    let small = receive[2] < WINDOW || send[2] < WINDOW;
    let raised = paths.iter().zip([receive, send]).filter(|(_, three)| three[2] < WINDOW);
    let settings =
        raised.filter_map(|(path, three)| look.setting(path, &format!("{} {} {WINDOW}", three[0], three[1])));
    let found = format!("grow to {} in, {} out", text::bytes(receive[2]), text::bytes(send[2]));
    Finding::new("TCP buffers", if small { Verdict::Tune } else { Verdict::Good }, found)
        .wanted("4 MiB or more as the last number of tcp_rmem and tcp_wmem")
        .why("a connection carries at most one buffer in a round trip: far clients want more")
        .cost("memory of the kernel for connections that use it")
        .settings(settings.collect())
}

fn triple(text: &str) -> Option<[u64; 3]> {
    let numbers: Vec<u64> = text.split_whitespace().map_while(|word| word.parse().ok()).collect();
    numbers.try_into().ok()
}

fn backlog(look: &Look<'_>) -> Finding {
    let path = "/proc/sys/net/core/somaxconn";
    let Some(value) = text::number(look.host, path) else { return Finding::unknown("accept backlog") };
    let verdict = if value < BACKLOG { Verdict::Tune } else { Verdict::Good };
    Finding::new("accept backlog", verdict, format!("net.core.somaxconn={value}"))
        .wanted(format!("{BACKLOG} or more, which is what each listener asks for"))
        .why("connections that come faster than they are accepted wait there; beyond it clients try again after a second")
        .cost("nothing until it is used")
        .settings(look.settings(path, "4096"))
}

/// Since Linux 4.4 the backlog of the listener bounds half-open connections; this sysctl only where cookies are off.
fn half_open(look: &Look<'_>) -> Finding {
    let path = "/proc/sys/net/ipv4/tcp_max_syn_backlog";
    let Some(value) = text::number(look.host, path) else { return Finding::unknown("SYN backlog") };
    let found = format!("net.ipv4.tcp_max_syn_backlog={value}");
    let verdict = match text::number(look.host, "/proc/sys/net/ipv4/tcp_syncookies") {
        Some(0) if value < BACKLOG => Verdict::Tune,
        Some(0) => Verdict::Good,
        Some(_) => {
            return Finding::new(
                "SYN backlog",
                Verdict::Irrelevant,
                format!("{found}; unused with tcp_syncookies"),
            );
        }
        None => Verdict::Unknown,
    };
    Finding::new("SYN backlog", verdict, format!("{found}, tcp_syncookies=0"))
        .wanted(format!("{BACKLOG} or more"))
        .why("without cookies it bounds the connections that are being made")
        .cost("nothing until it is used")
        .settings(look.settings(path, "2048"))
}

fn busy_poll(look: &Look<'_>) -> Finding {
    let path = "/proc/sys/net/core/busy_read";
    let Some(value) = text::number(look.host, path) else { return Finding::unknown("busy poll") };
    let verdict = if value == 0 { Verdict::Good } else { Verdict::Tune };
    Finding::new("busy poll", verdict, format!("net.core.busy_read={value}"))
        .wanted("0")
        .why("a shard waits through io_uring, which this does not shorten; but each read that finds nothing asks the card first")
        .cost("others that wait in read lose it")
        .settings(look.settings(path, "0"))
}

fn ports(look: &Look<'_>) -> Finding {
    let range = look.host.read("/proc/sys/net/ipv4/ip_local_port_range");
    let Some((first, last)) = range.as_deref().and_then(pair) else { return Finding::unknown("port range") };
    let path = "/proc/sys/net/ipv4/ip_local_reserved_ports";
    let reserved = look.host.read(path).unwrap_or_default();
    let is_free = !(first..=last).contains(&PORT) || text::list_has(&reserved, PORT.into());
    let all = [reserved.trim(), &PORT.to_string()].join(",");
    Finding::new("port range", if is_free { Verdict::Good } else { Verdict::Tune }, format!("{first} to {last}"))
        .wanted(format!("without {PORT}, or with it among ip_local_reserved_ports"))
        .why("any outgoing connection may hold a port of the range, and the broker does not start while one holds its own")
        .cost("one port")
        .settings(look.settings(path, all.trim_start_matches(',')))
}

fn pair(text: &str) -> Option<(u16, u16)> {
    let mut numbers = text.split_whitespace().map(|word| word.parse::<u16>().ok());
    Some((numbers.next()??, numbers.next()??))
}
