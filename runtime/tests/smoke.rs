//! First smoke.
use std::time::Duration;
use bytes::{Bytes, BytesMut};
use kring_runtime::{self as rt, RuntimeConfig, Queue, disk::*, net::*, channel};

#[test]
fn smoke() {
    let dir = std::env::temp_dir().join(format!("kring-smoke-{}", rt::process::pid()));
    let d2 = dir.clone();
    let (tx, rx) = channel::bounded::<std::net::SocketAddr>(1);
    let out = rt::run(&RuntimeConfig::with_shards(2), move |id| {
        let (dir, tx, rx) = (d2.clone(), tx.clone(), rx.clone());
        async move {
            rt::sleep(Duration::from_millis(1)).await;
            if id.0 == 0 {
                rt::fs::create_dir_all(&dir).await.unwrap();
                let f = DirectFile::create(dir.join("a.log")).await.unwrap();
                let (r, _b) = f.write_at(AlignedBuf::from_slice(&[7u8; 100_000]), 0).await;
                assert_eq!(r.unwrap(), 102400);
                f.fdatasync().await.unwrap();
                assert_eq!(f.size(), 102400);
                let b = f.read_at(99_990, 100).await.unwrap();
                assert_eq!(&b[..10], &[7; 10]);
                assert_eq!(&b[10..], &[0; 90]);
                let rh = ReadHandle::open(dir.join("a.log")).await.unwrap();
                eprintln!("resident {}", rh.is_resident(0, 100000));
                let l = Listener::bind("127.0.0.1:0".parse().unwrap()).unwrap();
                tx.send(l.local_addr()).await.unwrap();
                let s = l.accept().await.unwrap();
                let (mut r, mut w) = s.into_split();
                let mut buf = BytesMut::new();
                while buf.len() < 5 { assert!(r.read(&mut buf).await.unwrap() > 0); }
                assert_eq!(&buf[..], b"hello");
                w.write_all(vec![Bytes::from_static(b"ab"), Bytes::from(vec![1u8; 3_000_000])]).await.unwrap();
                w.send_file(&FileRange { file: rh, offset: 0, len: 100_000 }).await.unwrap();
                w.shutdown();
                f.close().await.unwrap();
            } else {
                let addr = rx.recv().await.unwrap();
                let s = connect(addr).await.unwrap();
                let (mut r, mut w) = s.into_split();
                w.write_all(vec![Bytes::from_static(b"hello")]).await.unwrap();
                let t = rt::spawn(Queue::Net, async move {
                    let mut buf = BytesMut::new();
                    while r.read(&mut buf).await.unwrap() > 0 {}
                    buf.len()
                });
                assert_eq!(t.await, 3_100_002);
            }
            rt::fs::len("/etc/passwd").await.unwrap()
        }
    }).unwrap();
    assert_eq!(out.len(), 2);
    std::fs::remove_dir_all(dir).unwrap();
}
