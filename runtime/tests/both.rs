//! What holds on real shards and in the simulation alike.

mod common;

use std::cell::Cell;
use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use common::on_both;
use kring_runtime::channel::{self, RecvError, TrySendError};
use kring_runtime::disk::{AlignedBuf, BLOCK, DirectFile, FileRange, ReadHandle};
use kring_runtime::mapped::MappedFile;
use kring_runtime::net::{self, Listener, ReadHalf, SendFileError, Stream};
use kring_runtime::{Interval, Queue, Upcoming, fs, local, now, sleep, spawn, timeout, yield_now};

fn pattern(len: usize) -> Vec<u8> {
    (0..len).map(|at| u8::try_from((at * 31 + at / 251) % 251).unwrap()).collect()
}

fn loopback() -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], 0))
}

async fn read_to_end(half: &mut ReadHalf) -> Vec<u8> {
    let mut buf = BytesMut::new();
    while half.read(&mut buf).await.unwrap() > 0 {}
    buf.to_vec()
}

async fn connected() -> (Stream, Stream) {
    let listener = Listener::bind(loopback()).unwrap();
    let addr = listener.local_addr();
    let accepting = spawn(Queue::Net, async move { listener.accept().await.unwrap() });
    let client = net::connect(addr).await.unwrap();
    (client, accepting.await)
}

#[test]
fn a_file_is_read_as_long_as_a_handle_leads_to_it_whatever_its_name() {
    on_both(1, |_, dir| async move {
        let (path, other) = (dir.join("a.log"), dir.join("a.log.deleted"));
        fs::write_atomic(&path, b"abc").await.unwrap();
        assert!(!fs::may_be_read(&path).await.unwrap());
        let file = ReadHandle::open(&path).await.unwrap();
        let (clone, second) = (file.clone(), ReadHandle::open(&path).await.unwrap());
        fs::rename(&path, &other).await.unwrap();
        assert!(!fs::may_be_read(&path).await.unwrap(), "nothing is there");
        drop((file, second));
        assert!(fs::may_be_read(&other).await.unwrap());
        drop(clone);
        // The real test's neighbours open files, too.
        while fs::may_be_read(&other).await.unwrap() {
            yield_now().await;
        }
    });
}

#[test]
fn a_direct_file_reads_back_what_was_written_also_after_it_was_reopened() {
    on_both(1, |_, dir| async move {
        let path = dir.join("a.log");
        let bytes = pattern(10_000);
        let file = DirectFile::create(&path).await.unwrap();
        let (written, buf) = file.write_at(AlignedBuf::from_slice(&bytes), 0).await;
        assert_eq!((written.unwrap(), buf.as_slice()), (3 * BLOCK, &bytes[..]));
        let mut buf = buf;
        buf.clear();
        buf.extend_from_slice(&[9; BLOCK]);
        let (written, _) = file.write_at(buf, BLOCK as u64).await;
        assert_eq!(written.unwrap(), BLOCK);
        file.fdatasync().await.unwrap();
        assert_eq!(file.size(), 3 * BLOCK as u64);
        assert_eq!(&*file.read_at(100, 50).await.unwrap(), &bytes[100..150]);
        file.close().await.unwrap();

        let file = DirectFile::open(&path).await.unwrap();
        assert_eq!(file.size(), 3 * BLOCK as u64);
        let all = file.read_at(0, 1 << 20).await.unwrap();
        assert_eq!(all[..BLOCK], bytes[..BLOCK]);
        assert_eq!(all[BLOCK..2 * BLOCK], [9; BLOCK]);
        assert_eq!(all[2 * BLOCK..10_000], bytes[2 * BLOCK..]);
        assert!(all[10_000..].iter().all(|byte| *byte == 0));
        file.truncate(5_000).await.unwrap();
        assert_eq!(file.read_at(4_000, 5_000).await.unwrap().len(), 1_000);
        assert!(file.read_at(5_000, 10).await.unwrap().is_empty());
    });
}

#[test]
fn what_is_put_into_a_mapped_file_is_read_by_its_path_at_once() {
    on_both(1, |_, dir| async move {
        let path = dir.join("a");
        let (file, whole) = (MappedFile::create(&path, 300_000).await.unwrap(), pattern(300_000));
        assert_eq!(fs::read(&path).await.unwrap(), vec![0; 300_000]);
        let mut pos = 0;
        while pos < whole.len() {
            let end = (pos + 1 + pos * 7 % 9_001).min(whole.len());
            let middle = pos + (end - pos) / 3;
            file.put(pos, &[&whole[pos..middle], &[], &whole[middle..end]]);
            pos = end;
        }
        assert_eq!(fs::read(&path).await.unwrap(), whole);
        file.put(0, &[&[9; 100]]);
        file.sync().await.unwrap();
        drop(file);
        assert_eq!(fs::read(&path).await.unwrap()[..100], [9; 100]);
        let again = MappedFile::create(&path, 10).await.unwrap_err();
        assert_eq!(again.kind(), io::ErrorKind::AlreadyExists);
    });
}

#[test]
#[should_panic(expected = "within the file")]
fn nothing_is_put_beyond_the_end_of_a_mapped_file() {
    on_both(1, |_, dir| async move {
        let file = MappedFile::create(dir.join("a"), 100).await.unwrap();
        file.put(60, &[&[1; 20], &[2; 21]]);
    });
}

#[test]
fn creating_a_file_that_exists_and_opening_one_that_does_not_are_errors() {
    on_both(1, |_, dir| async move {
        DirectFile::create(dir.join("a")).await.unwrap();
        let again = DirectFile::create(dir.join("a")).await.unwrap_err();
        assert_eq!(again.kind(), io::ErrorKind::AlreadyExists);
        let missing = DirectFile::open(dir.join("b")).await.unwrap_err();
        assert_eq!(missing.kind(), io::ErrorKind::NotFound);
        assert_eq!(ReadHandle::open(dir.join("b")).await.unwrap_err().kind(), io::ErrorKind::NotFound);
    });
}

#[test]
fn a_zeroed_allocation_is_zero_and_sets_the_size() {
    on_both(1, |_, dir| async move {
        let file = DirectFile::create(dir.join("a")).await.unwrap();
        file.allocate_zeroed(0, 1_536 << 10).await.unwrap();
        assert_eq!(file.size(), 1_536 << 10);
        assert!(file.read_at(0, 1_536 << 10).await.unwrap().iter().all(|byte| *byte == 0));
    });
}

#[test]
fn a_write_whose_future_is_dropped_keeps_its_memory_until_it_has_ended() {
    on_both(1, |_, dir| async move {
        let file = DirectFile::create(dir.join("a")).await.unwrap();
        let write = file.write_at(AlignedBuf::from_slice(&[5; BLOCK]), 0);
        assert!(futures_lite::future::poll_once(write).await.is_none(), "a write takes its time");
        drop(file);
        while fs::len(dir.join("a")).await.unwrap() == 0 {
            yield_now().await;
        }
        assert_eq!(fs::read(dir.join("a")).await.unwrap(), [5; BLOCK]);
    });
}

#[test]
fn a_read_handle_works_on_another_shard() {
    let (give, take) = channel::bounded::<ReadHandle>(1);
    on_both(2, move |shard, dir| {
        let (give, take) = (give.clone(), take.clone());
        async move {
            if shard.index() == 0 {
                fs::write_atomic(dir.join("a"), &pattern(300_000)).await.unwrap();
                give.send(ReadHandle::open(dir.join("a")).await.unwrap()).await.unwrap();
            } else {
                let handle = take.recv().await.unwrap();
                assert_eq!(handle.read_at(1_000, 290_000).await.unwrap(), pattern(300_000)[1_000..291_000]);
                assert_eq!(handle.read_at(299_990, 100).await.unwrap().len(), 10);
                assert!(handle.read_at(300_000, 1).await.unwrap().is_empty());
            }
        }
    });
}

#[test]
fn files_and_directories_do_what_their_names_say() {
    on_both(1, |_, dir| async move {
        let sub = dir.join("x/y");
        fs::create_dir_all(&sub).await.unwrap();
        fs::write_atomic(sub.join("b"), b"two").await.unwrap();
        fs::write_atomic(sub.join("a"), b"one").await.unwrap();
        fs::write_atomic(sub.join("a"), b"three").await.unwrap();
        let names: Vec<_> =
            fs::read_dir(&sub).await.unwrap().into_iter().map(|entry| (entry.name, entry.len)).collect();
        assert_eq!(names, [("a".to_owned(), 5), ("b".to_owned(), 3)]);
        fs::rename(sub.join("a"), sub.join("b")).await.unwrap();
        fs::sync_dir(&sub).await.unwrap();
        assert_eq!(fs::read(sub.join("b")).await.unwrap(), b"three");
        assert!(!fs::exists(sub.join("a")).await.unwrap());
        fs::set_len(sub.join("b"), 2).await.unwrap();
        assert_eq!(fs::len(sub.join("b")).await.unwrap(), 2);
        fs::rename(&sub, dir.join("z")).await.unwrap();
        assert_eq!(fs::read(dir.join("z/b")).await.unwrap(), b"th");
        assert!(fs::metadata(&dir.join("x")).await.unwrap().is_dir);
        fs::remove_dir_all(dir.join("z")).await.unwrap();
        assert_eq!(fs::read(dir.join("z/b")).await.unwrap_err().kind(), io::ErrorKind::NotFound);
        assert!(fs::disk_free(&dir).await.unwrap().available_bytes > 0);
    });
}

#[test]
fn a_lock_excludes_until_it_is_dropped() {
    on_both(1, |_, dir| async move {
        let held = fs::lock_exclusive(dir.join(".lock")).await.unwrap();
        let refused = fs::lock_exclusive(dir.join(".lock")).await.unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::WouldBlock);
        drop(held);
        fs::lock_exclusive(dir.join(".lock")).await.unwrap();
    });
}

#[test]
fn large_messages_arrive_whole_in_both_directions_at_once() {
    on_both(1, |_, _| async move {
        let (client, server) = connected().await;
        assert_eq!(client.local_addr(), server.peer_addr());
        let mut tasks = Vec::new();
        for (stream, first) in [(client, 1_u8), (server, 2)] {
            let (mut reads, mut writes) = stream.into_split();
            let parts = (0..200).map(|at| Bytes::from(vec![first; 7_000 + at])).collect();
            tasks.push(spawn(Queue::Net, async move {
                writes.write_all(parts).await.unwrap();
                writes.shutdown();
                Vec::new()
            }));
            tasks.push(spawn(Queue::Net, async move { read_to_end(&mut reads).await }));
        }
        let mut got = Vec::new();
        for task in tasks {
            got.push(task.await);
        }
        let expected: usize = (0..200).map(|at| 7_000 + at).sum();
        assert_eq!(got[1], vec![2; expected]);
        assert_eq!(got[3], vec![1; expected]);
    });
}

#[test]
fn send_file_delivers_exactly_the_range_however_slowly_it_is_read() {
    on_both(1, |_, dir| async move {
        let bytes = pattern(800_000);
        fs::write_atomic(dir.join("a"), &bytes).await.unwrap();
        let file = ReadHandle::open(dir.join("a")).await.unwrap();
        forget_pages(&dir.join("a"));
        let (client, server) = connected().await;
        let (_reads, mut writes) = server.into_split();
        let range = FileRange { file, offset: 4_097, len: 790_000 };
        let sending = spawn(Queue::Net, async move {
            writes.write_all(vec![Bytes::from_static(b"head")]).await.unwrap();
            writes.send_file(&range).await.unwrap();
            writes.shutdown();
        });
        sleep(Duration::from_millis(20)).await;
        let (mut reads, _writes) = client.into_split();
        let got = read_to_end(&mut reads).await;
        sending.await;
        assert_eq!(&got[..4], b"head");
        assert!(got[4..] == bytes[4_097..794_097]);
    });
}

#[test]
fn ranges_that_are_sent_one_after_another_arrive_whole_and_in_their_order() {
    on_both(1, |_, dir| async move {
        let bytes = pattern(3_000_000);
        fs::write_atomic(dir.join("a"), &bytes).await.unwrap();
        fs::write_atomic(dir.join("b"), &bytes[7..]).await.unwrap();
        let (a, b) =
            (ReadHandle::open(dir.join("a")).await.unwrap(), ReadHandle::open(dir.join("b")).await.unwrap());
        ["a", "b"].iter().for_each(|name| forget_pages(&dir.join(name)));
        let range = |file: &ReadHandle, offset, len| FileRange { file: file.clone(), offset, len };
        let ranges = [
            range(&a, 5, 700_000),
            range(&b, 0, 0),
            range(&b, 262_144, 262_144),
            range(&a, 1_000_000, 2_000_000),
        ];
        let (client, server) = connected().await;
        let (_reads, mut writes) = server.into_split();
        let sending = spawn(Queue::Net, async move {
            let mut upcoming = Upcoming::of(ranges);
            for number in 0..4 {
                writes.write_all(vec![Bytes::from(vec![number])]).await.unwrap();
                writes.send_next(&mut upcoming).await.unwrap();
            }
            writes.shutdown();
        });
        let got = read_to_end(&mut client.into_split().0).await;
        sending.await;
        let parts: [&[u8]; 4] =
            [&bytes[5..700_005], &[], &bytes[262_151..524_295], &bytes[1_000_000..3_000_000]];
        let expected: Vec<u8> = (0..4).flat_map(|n| [&[n as u8][..], parts[n]].concat()).collect();
        assert!(got == expected);
    });
}

/// Drops a real file from the page cache; a simulated one is not there, and needs nothing.
#[allow(clippy::disallowed_types)]
fn forget_pages(path: &std::path::Path) {
    if let Ok(file) = std::fs::File::open(path) {
        rustix::fs::fadvise(&file, 0, None, rustix::fs::Advice::DontNeed).unwrap();
    }
}

#[test]
fn a_range_beyond_the_end_of_its_file_is_an_error_not_a_hang() {
    on_both(1, |_, dir| async move {
        fs::write_atomic(dir.join("a"), &[1; 100]).await.unwrap();
        let file = ReadHandle::open(dir.join("a")).await.unwrap();
        let (_client, server) = connected().await;
        let (_reads, mut writes) = server.into_split();
        let failed =
            writes.send_file(&FileRange { file: file.clone(), offset: 50, len: 100 }).await.unwrap_err();
        assert!(matches!(failed, SendFileError::File(e) if e.kind() == io::ErrorKind::UnexpectedEof));
        assert!(file.has_failed(), "who reads it next is warned");
    });
}

#[test]
fn closing_ends_a_pending_read_here_and_there() {
    on_both(1, |_, _| async move {
        let (client, server) = connected().await;
        let closer = server.closer();
        let (mut here, _writes) = server.into_split();
        let (mut there, _other) = client.into_split();
        let pending = spawn(Queue::Net, async move { here.read(&mut BytesMut::new()).await });
        sleep(Duration::from_millis(5)).await;
        closer.close();
        assert!(!matches!(pending.await, Ok(count) if count > 0));
        assert!(!matches!(there.read(&mut BytesMut::new()).await, Ok(count) if count > 0));
        closer.close();
    });
}

#[test]
fn connecting_where_nobody_listens_is_refused() {
    on_both(1, |_, _| async move {
        let listener = Listener::bind(loopback()).unwrap();
        let addr = listener.local_addr();
        drop(listener);
        let refused = net::connect(addr).await.expect_err("nobody is there");
        assert_eq!(refused.kind(), io::ErrorKind::ConnectionRefused);
    });
}

#[test]
fn every_shard_listens_on_the_same_port_and_every_connection_is_accepted_once() {
    let (port, ports) = channel::bounded::<SocketAddr>(4);
    let ended = [channel::bounded::<()>(1), channel::bounded::<()>(1)];
    on_both(2, move |shard, _| {
        let (port, ports, ended) = (port.clone(), ports.clone(), ended.clone());
        async move {
            let listener = if shard.index() == 0 {
                let listener = Listener::bind(loopback()).unwrap();
                port.send(listener.local_addr()).await.unwrap();
                listener
            } else {
                Listener::bind(ports.recv().await.unwrap()).unwrap()
            };
            let addr = listener.local_addr();
            let serving = spawn(Queue::Net, async move {
                loop {
                    let (mut reads, mut writes) = listener.accept().await.unwrap().into_split();
                    let echo = async move {
                        let mut buf = BytesMut::new();
                        reads.read(&mut buf).await.unwrap();
                        writes.write_all(vec![buf.freeze()]).await.unwrap();
                    };
                    spawn(Queue::Net, echo).detach();
                }
            });
            for turn in 0..20_u8 {
                let (mut reads, mut writes) = net::connect(addr).await.unwrap().into_split();
                writes.write_all(vec![Bytes::from(vec![turn])]).await.unwrap();
                let mut buf = BytesMut::new();
                reads.read(&mut buf).await.unwrap();
                assert_eq!(&buf[..], [turn]);
            }
            // The other shard may still be connecting to this one.
            ended[1 - shard.index()].0.send(()).await.unwrap();
            ended[shard.index()].1.recv().await.unwrap();
            drop(serving);
        }
    });
}

#[test]
fn values_cross_shards_in_order_and_a_closed_channel_says_so() {
    on_both(1, |_, _| async { full_and_closed_are_told_apart().await });
    let (there, here) = (channel::bounded::<u64>(8), channel::bounded::<u64>(8));
    on_both(2, move |shard, _| {
        let ((to_one, at_one), (to_zero, at_zero)) = (there.clone(), here.clone());
        async move {
            if shard.index() == 0 {
                let sending = spawn(Queue::Net, async move {
                    for value in 0..2_000 {
                        to_one.send(value).await.unwrap();
                    }
                });
                for value in 0..2_000 {
                    assert_eq!(at_zero.recv().await, Ok(value * 2));
                }
                sending.await;
            } else {
                for _ in 0..2_000 {
                    let value = at_one.recv().await.unwrap();
                    to_zero.send(value * 2).await.unwrap();
                }
            }
        }
    });
}

async fn full_and_closed_are_told_apart() {
    let (sender, receiver) = channel::bounded(1);
    sender.try_send(1).unwrap();
    assert_eq!(sender.try_send(2), Err(TrySendError::Full(2)));
    receiver.close();
    assert_eq!(sender.try_send(3), Err(TrySendError::Closed(3)));
    assert_eq!((receiver.recv().await, receiver.recv().await), (Ok(1), Err(RecvError)));
}

#[test]
fn a_reply_arrives_and_a_dropped_sender_is_noticed() {
    let (commands, inbox) = channel::bounded::<channel::ReplySender<u32>>(4);
    on_both(2, move |shard, _| {
        let (commands, inbox) = (commands.clone(), inbox.clone());
        async move {
            if shard.index() == 0 {
                for value in 0..200 {
                    let (reply, answer) = channel::oneshot();
                    commands.send(reply).await.unwrap();
                    let expected = if value % 2 == 0 { Ok(value) } else { Err(RecvError) };
                    assert_eq!(answer.await, expected);
                }
            } else {
                for value in 0..200 {
                    let reply = inbox.recv().await.unwrap();
                    if value % 2 == 0 {
                        reply.send(value).unwrap();
                    }
                }
            }
        }
    });
}

#[test]
fn an_event_reaches_every_listener_that_listened_before_it() {
    let (event, ready) = (channel::Event::new(), channel::bounded::<()>(8));
    on_both(2, move |shard, _| {
        let (event, (ready, readies)) = (event.clone(), ready.clone());
        async move {
            if shard.index() == 0 {
                for _ in 0..3 {
                    readies.recv().await.unwrap();
                }
                event.notify_all();
            } else {
                let own = event.listen();
                let listening: Vec<_> = (0..3).map(|_| event.listen()).collect();
                for listener in listening {
                    ready.send(()).await.unwrap();
                    spawn(Queue::Net, listener).detach();
                }
                own.await;
            }
        }
    });
}

#[test]
fn local_notifications_are_not_lost_between_looking_and_waiting() {
    on_both(1, |_, _| async move {
        let notify = local::Notify::new();
        let early = notify.notified();
        notify.notify_all();
        early.await;
        let waiting: Vec<_> = (0..3).map(|_| spawn(Queue::Net, notify.notified())).collect();
        while notify.waiters() < 3 {
            yield_now().await;
        }
        notify.notify_all();
        for task in waiting {
            task.await;
        }
        drop(spawn(Queue::Net, notify.notified()));
        yield_now().await;
        assert_eq!(notify.waiters(), 0);
    });
}

#[test]
fn timers_end_in_the_order_of_their_deadlines_and_never_early() {
    on_both(1, |_, _| async move {
        let (done, ended) = channel::bounded(8);
        for millis in [15_u64, 5, 10] {
            let done = done.clone();
            let wait = async move {
                let start = now();
                sleep(Duration::from_millis(millis)).await;
                assert!(start.elapsed() >= Duration::from_millis(millis));
                done.send(millis).await.unwrap();
            };
            spawn(Queue::Net, wait).detach();
        }
        for millis in [5, 10, 15] {
            assert_eq!(ended.recv().await, Ok(millis));
        }
        let mut interval = Interval::new(Duration::from_millis(2));
        let first = interval.tick().await;
        assert!(interval.tick().await > first);
    });
}

#[test]
fn a_timeout_drops_what_is_late_and_returns_what_is_not() {
    on_both(1, |_, _| async move {
        assert_eq!(timeout(Duration::ZERO, async { 7 }).await, Ok(7));
        let late = timeout(Duration::from_millis(3), std::future::pending::<()>()).await;
        assert!(late.is_err());
    });
}

#[test]
fn a_dropped_task_is_cancelled_at_once_and_a_detached_one_goes_on() {
    struct CountDrop(Rc<Cell<u32>>);
    impl Drop for CountDrop {
        fn drop(&mut self) {
            self.0.set(self.0.get() + 1);
        }
    }
    on_both(1, |_, _| async move {
        let drops = Rc::new(Cell::new(0));
        let guard = CountDrop(drops.clone());
        let task = spawn(Queue::Background, async move {
            std::future::pending::<()>().await;
            drop(guard);
        });
        yield_now().await;
        drop(task);
        assert_eq!(drops.get(), 1);
        let guard = CountDrop(drops.clone());
        spawn(Queue::Cold, async move {
            yield_now().await;
            drop(guard);
        })
        .detach();
        while drops.get() == 1 {
            yield_now().await;
        }
    });
}

#[test]
fn tasks_left_over_are_dropped_when_their_shard_ends() {
    let (marks, left) = channel::bounded::<()>(64);
    let (check, watch) = (left.clone(), marks);
    on_both(1, move |_, _| {
        let marks = watch.clone();
        async move {
            struct Mark(channel::Sender<()>);
            impl Drop for Mark {
                fn drop(&mut self) {
                    self.0.try_send(()).unwrap();
                }
            }
            let mark = Mark(marks);
            spawn(Queue::Net, async move {
                std::future::pending::<()>().await;
                drop(mark);
            })
            .detach();
        }
    });
    assert_eq!(check.len() as u64, 1 + common::SEEDS);
}

#[test]
fn blocking_calls_return_their_value() {
    on_both(1, |_, _| async move {
        let calls: Vec<_> =
            (0..20).map(|value| spawn(Queue::Net, kring_runtime::blocking(move || value * 2))).collect();
        let mut sum = 0;
        for call in calls {
            sum += call.await;
        }
        assert_eq!(sum, 380);
    });
}

#[test]
fn a_write_to_a_peer_that_is_gone_is_an_error() {
    on_both(1, |_, _| async move {
        let (client, server) = connected().await;
        drop(client);
        let (_reads, mut writes) = server.into_split();
        let mut parts: VecDeque<_> = (0..64).map(|_| Bytes::from(vec![0; 65_536])).collect();
        writes.write_parts(&mut parts).await.unwrap_err();
        assert!(!parts.is_empty());
    });
}
