//! What only real shards do: threads, ports of other processes, panics.

mod common;

use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use kring_runtime::net::{Listener, ListenerOptions};
use kring_runtime::{
    Queue, RuntimeConfig, RuntimeError, ShardPlacement, blocking, channel, preflight, process, run,
    shard_count, shard_id, sleep, spawn, timeout,
};

#[test]
fn results_come_in_the_order_of_the_shards_with_more_shards_than_cpus() {
    let got = run(&RuntimeConfig::with_shards(4), |shard| async move {
        sleep(Duration::from_millis(4 - u64::from(shard.0))).await;
        (shard_id().0, shard_count())
    });
    assert_eq!(got.unwrap(), [(0, 4), (1, 4), (2, 4), (3, 4)]);
}

#[test]
fn unpinned_shards_run_and_a_forbidden_cpu_is_refused() {
    let unpinned = RuntimeConfig { placement: ShardPlacement::Unpinned, ..RuntimeConfig::with_shards(2) };
    assert_eq!(run(&unpinned, |shard| async move { shard.0 }).unwrap(), [0, 1]);
    let forbidden =
        RuntimeConfig { placement: ShardPlacement::Cpus(vec![100_000]), ..RuntimeConfig::default() };
    let refused = run(&forbidden, |_| async {}).unwrap_err();
    assert!(matches!(refused, RuntimeError::CpuNotAllowed { cpu: 100_000 }), "{refused}");
    assert!(matches!(run(&RuntimeConfig::with_shards(0), |_| async {}), Err(RuntimeError::NoShards)));
}

#[test]
fn a_panic_on_one_shard_ends_the_others_and_is_told() {
    let died = run(&RuntimeConfig::with_shards(2), |shard| async move {
        if shard.index() == 1 {
            sleep(Duration::from_millis(5)).await;
            panic!("as the test wants it");
        }
        std::future::pending::<()>().await;
    });
    let Err(RuntimeError::ShardPanicked { shard: 1, message }) = died else { panic!("{died:?}") };
    assert_eq!(message, "as the test wants it");
}

#[test]
fn a_panic_in_a_blocking_call_reaches_the_caller_instead_of_hanging_it() {
    let died = run(&RuntimeConfig::with_shards(1), |_| async {
        blocking(|| panic!("in the pool")).await;
    });
    assert!(matches!(died, Err(RuntimeError::ShardPanicked { .. })), "{died:?}");
}

#[test]
fn a_port_that_another_process_shares_is_in_use_all_the_same() {
    use rustix::net::{AddressFamily, SocketType, bind, getsockname, listen, socket, sockopt};
    let other = socket(AddressFamily::INET, SocketType::STREAM, None).unwrap();
    sockopt::set_socket_reuseport(&other, true).unwrap();
    bind(&other, &SocketAddr::from(([127, 0, 0, 1], 0))).unwrap();
    listen(&other, 1).unwrap();
    let addr = SocketAddr::try_from(getsockname(&other).unwrap()).unwrap();
    run(&RuntimeConfig::with_shards(1), move |_| async move {
        assert_eq!(Listener::bind(addr).unwrap_err().kind(), io::ErrorKind::AddrInUse);
    })
    .unwrap();
}

/// How much a connection of a listener with these options takes that its peer does not read, and how much of what the
/// peer sends it takes without reading.
async fn taken_unread(options: ListenerOptions) -> (usize, usize) {
    let listener = Listener::bind_with(SocketAddr::from(([127, 0, 0, 1], 0)), &options).unwrap();
    let mut client = small_client(listener.local_addr());
    let (_reader, mut writer) = listener.accept().await.unwrap().into_split();
    let mut unsent = VecDeque::from([Bytes::from(vec![0; 64 << 20])]);
    assert!(futures_lite::future::poll_once(writer.write_parts(&mut unsent)).await.is_none());
    let sent = (64 << 20) - unsent[0].len();
    let mut received = 0;
    while let Ok(taken) = std::io::Write::write(&mut client, &[0; 1024]) {
        received += taken;
    }
    (sent, received)
}

/// A client with buffers of its own as small as the kernel lets them be.
#[allow(clippy::disallowed_types, reason = "a peer that is no shard")]
fn small_client(to: SocketAddr) -> std::net::TcpStream {
    use rustix::net::{AddressFamily, SocketType, connect, socket, sockopt};
    let client = socket(AddressFamily::INET, SocketType::STREAM, None).unwrap();
    sockopt::set_socket_recv_buffer_size(&client, 1).unwrap();
    sockopt::set_socket_send_buffer_size(&client, 1).unwrap();
    connect(&client, &to).unwrap();
    let client = std::net::TcpStream::from(client);
    client.set_nonblocking(true).unwrap();
    client
}

#[test]
fn connections_have_the_buffers_of_their_listener() {
    run(&RuntimeConfig::with_shards(1), |_| async {
        let usual = taken_unread(ListenerOptions::default()).await;
        let small = Some(4096);
        let little = ListenerOptions { send_buffer_bytes: small, receive_buffer_bytes: small, backlog: None };
        let little = taken_unread(little).await;
        assert!(little.0 < usual.0 / 4, "sent: {} of {}", little.0, usual.0);
        assert!(little.1 < usual.1 / 4, "received: {} of {}", little.1, usual.1);
    })
    .unwrap();
}

#[test]
fn a_port_can_be_bound_again_after_its_connections_were_closed_by_this_side() {
    run(&RuntimeConfig::with_shards(1), |_| async {
        let mut addr = SocketAddr::from(([127, 0, 0, 1], 0));
        for _ in 0..3 {
            let listener = Listener::bind(addr).unwrap();
            addr = listener.local_addr();
            let client = kring_runtime::net::connect(addr).await.unwrap();
            drop(listener.accept().await.unwrap());
            drop(client);
        }
    })
    .unwrap();
}

#[test]
fn idle_shards_end_by_a_wake_from_a_thread_that_is_no_shard() {
    let (sender, receiver) = channel::bounded::<u32>(1);
    #[allow(clippy::disallowed_methods)]
    let outside = std::thread::spawn(move || {
        for value in 0..100 {
            futures_lite::future::block_on(sender.send(value)).unwrap();
        }
    });
    let got = run(&RuntimeConfig::with_shards(1), move |_| {
        let receiver = receiver.clone();
        async move {
            let mut sum = 0;
            while let Ok(value) = receiver.recv().await {
                sum += value;
            }
            sum
        }
    });
    outside.join().unwrap();
    assert_eq!(got.unwrap(), [4_950]);
}

#[test]
fn wakers_may_be_dropped_on_foreign_threads_after_their_task_has_ended() {
    let rounds = Arc::new(AtomicU64::new(0));
    let counter = rounds.clone();
    run(&RuntimeConfig::with_shards(2), move |_| {
        let rounds = counter.clone();
        async move {
            for _ in 0..500 {
                let (reply, answer) = channel::oneshot::<()>();
                let waiting = spawn(Queue::Net, timeout(Duration::from_micros(20), answer));
                let late = blocking(move || drop(reply));
                let _either = waiting.await;
                late.await;
                rounds.fetch_add(1, Ordering::Relaxed);
            }
        }
    })
    .unwrap();
    assert_eq!(rounds.load(Ordering::Relaxed), 1_000);
}

#[test]
fn this_machine_passes_the_preflight_and_knows_its_cpus() {
    preflight(2).unwrap();
    assert!(!process::cpus().is_empty());
    assert!(process::resident_bytes() > 1 << 20);
    assert!(process::open_file_limit().is_none_or(|limit| limit >= 64));
}
