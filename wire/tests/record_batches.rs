//! Batches made here are valid, readable and patched without breaking their CRC.

use bytes::Bytes;
use kring_wire::record::{
    BatchBuilder, BatchHeader, Codec, Compression, Header, Record, RecordError, RecordsIter, Rules,
    TimestampType, ValidatedBatch, batch_crc, compress, control, split_batches, validate, verify_crcs,
};

const LIMIT: u64 = 64 << 20;
const CODECS: [Codec; 5] = [Codec::None, Codec::Gzip, Codec::Snappy, Codec::Lz4, Codec::Zstd];
const NOW: i64 = 1_700_000_000_000;

/// `count` records whose values have lengths around `value_bytes` and compress somewhat.
fn built(codec: Codec, count: usize, value_bytes: usize) -> ValidatedBatch {
    let mut builder = BatchBuilder::new(Compression::default_of(codec));
    for index in 0..count {
        let value: Vec<u8> = (0..value_bytes + index % 7).map(|at| (at * at / 50 + index) as u8).collect();
        let key = format!("key-{index}");
        let headers =
            [Header { key: b"trace", value: Some(key.as_bytes()) }, Header { key: b"", value: None }];
        let headers = &headers[..index % 3];
        let timestamp = NOW + [5, 9, 9, -3][index % 4];
        builder.append_with_headers(timestamp, Some(key.as_bytes()), Some(&value), headers).unwrap();
    }
    builder.build().unwrap()
}

fn records(batch: &ValidatedBatch) -> Vec<Record> {
    batch.records(LIMIT).unwrap().collect::<Result<_, _>>().unwrap()
}

fn crc_fits(batch: &ValidatedBatch) -> bool {
    batch_crc(&batch.to_bytes()) == Some(batch.header().crc)
}

#[test]
fn a_built_batch_validates_and_reads_back_with_every_codec() {
    let rules = Rules { max_message_bytes: LIMIT, ..Rules::default() };
    for codec in CODECS {
        for (count, value_bytes) in [(1, 0), (1, 100), (3, 10), (500, 300), (4, 200_000)] {
            let batch = built(codec, count, value_bytes);
            let checked = validate(&batch.to_bytes(), &rules, NOW);
            let checked = checked.unwrap_or_else(|error| panic!("{codec:?} {count} {value_bytes}: {error}"));
            assert!(!checked.was_rewritten());
            assert_eq!(checked.header(), batch.header());
            assert_eq!(checked.offset_of_max_timestamp(), if count == 1 { 0 } else { 1 });
            let read = records(&checked);
            assert_eq!(read.len(), count);
            assert_eq!(read[count - 1].offset, count as i64 - 1);
            assert_eq!(read[count - 1].headers().count(), (count - 1) % 3);
            assert_eq!(read, records(&built(Codec::None, count, value_bytes)));
        }
    }
}

#[test]
fn assigning_an_offset_leaves_the_crc_right() {
    let mut batch = built(Codec::Lz4, 10, 100);
    batch.assign(1_000, 7);
    assert!(crc_fits(&batch));
    assert_eq!(batch.last_offset(), 1_009);
    assert_eq!(batch.offset_of_max_timestamp(), 1_001);
    let header = BatchHeader::from_bytes(&batch.header_bytes());
    assert_eq!((header.base_offset, header.partition_leader_epoch), (1_000, 7));
    assert_eq!(records(&batch)[3].offset, 1_003);
}

#[test]
fn append_time_replaces_every_timestamp_and_carries_the_crc() {
    let rules = Rules { timestamp_type: TimestampType::LogAppendTime, ..Rules::default() };
    for codec in CODECS {
        let batch = validate(&built(codec, 20, 100).to_bytes(), &rules, NOW + 77).unwrap();
        assert!(crc_fits(&batch));
        assert!(!batch.was_rewritten());
        assert_eq!(batch.header().timestamp_type(), TimestampType::LogAppendTime);
        assert_eq!(batch.offset_of_max_timestamp(), 0);
        assert!(records(&batch).iter().all(|record| record.timestamp == NOW + 77));
    }
}

#[test]
fn another_codec_keeps_the_records() {
    for source in CODECS {
        for target in CODECS {
            let compression = Some(Compression::default_of(target));
            let rules = Rules { compression, ..Rules::default() };
            let sent = built(source, 50, 200);
            let batch = validate(&sent.to_bytes(), &rules, NOW).unwrap();
            assert_eq!(batch.was_rewritten(), source != target);
            assert_eq!(batch.header().codec(), Ok(target));
            assert!(crc_fits(&batch));
            assert_eq!(batch.max_timestamp(), sent.max_timestamp());
            assert_eq!(records(&batch), records(&sent));
        }
    }
}

#[test]
fn every_level_is_accepted() {
    for (codec, levels) in [
        (Codec::Gzip, vec![-1, 1, 9]),
        (Codec::Lz4, vec![1, 8, 9, 10, 17]),
        (Codec::Zstd, vec![-131_072, -5, 1, 3, 22]),
    ] {
        for level in levels {
            let rules = Rules { compression: Some(Compression { codec, level }), ..Rules::default() };
            let sent = built(Codec::None, 50, 200);
            let batch = validate(&sent.to_bytes(), &rules, NOW).unwrap();
            assert_eq!(records(&batch), records(&sent), "{codec:?} {level}");
        }
    }
}

#[test]
fn batches_are_split_and_the_cut_one_is_left_over() {
    let mut bytes = built(Codec::None, 2, 10).to_bytes().to_vec();
    bytes.extend_from_slice(&built(Codec::Zstd, 3, 10).to_bytes());
    let whole = bytes.len();
    bytes.extend_from_slice(&built(Codec::None, 1, 10).to_bytes()[..70]);
    let bytes = Bytes::from(bytes);
    let mut split = split_batches(&bytes);
    let batches: Vec<_> = split.by_ref().collect::<Result<_, _>>().unwrap();
    assert_eq!(batches.iter().map(|batch| batch.header.record_count).collect::<Vec<_>>(), [2, 3]);
    assert!(batches.iter().all(|batch| batch.check_crc().is_ok()));
    assert_eq!(split.rest().len(), bytes.len() - whole);
    assert_eq!(batches[1].records(LIMIT).unwrap().count(), 3);
}

#[test]
fn an_old_format_ends_the_split_with_an_error() {
    let mut bytes = built(Codec::None, 2, 10).to_bytes().to_vec();
    bytes[16] = 1;
    let mut split = split_batches(&Bytes::from(bytes));
    assert!(matches!(split.next(), Some(Err(RecordError::StoredOldMagic(1)))));
    assert!(split.next().is_none());
}

#[test]
fn the_crcs_of_a_request_are_judged_one_by_one() {
    let good = built(Codec::Lz4, 5, 50).to_bytes();
    let mut bad = good.to_vec();
    *bad.last_mut().unwrap() ^= 1;
    let (bad, short) = (Bytes::from(bad), good.slice(..40));
    let set = verify_crcs(&[&good, &bad, &good, &short]);
    assert_eq!([0, 1, 2, 3].map(|index| set.is_good(index)), [true, false, true, false]);
    assert!(!set.all_good());
    assert!(verify_crcs(&[&good, &good]).all_good());
}

#[test]
fn a_commit_marker_is_a_control_batch() {
    let marker = control::EndTxnMarker { committed: true, coordinator_epoch: 4 };
    let mut builder =
        BatchBuilder::new(Compression::NONE).control().transactional().producer(9, 2, -1).leader_epoch(1);
    control::append_control(&mut builder, NOW, marker.control_type(), &marker.value()).unwrap();
    let batch = builder.build().unwrap();
    assert!(batch.header().is_control());
    assert!(batch.header().is_transactional());
    let record = &records(&batch)[0];
    let read = control::EndTxnMarker::parse(record.key.as_ref().unwrap(), record.value.as_ref().unwrap());
    assert_eq!(read, Ok(Some(marker)));
}

#[test]
fn a_batch_without_records_is_read_as_such() {
    let mut header = *built(Codec::Gzip, 1, 1).header();
    header.record_count = 0;
    assert_eq!(RecordsIter::new(&header, Bytes::new(), LIMIT).unwrap().count(), 0);
}

fn lz4_frame(plain: &[u8], mode: lz4::BlockMode) -> Bytes {
    let mut encoder = lz4::EncoderBuilder::new()
        .block_mode(mode)
        .block_size(lz4::BlockSize::Max256KB)
        .block_checksum(lz4::liblz4::BlockChecksum::BlockChecksumEnabled)
        .checksum(lz4::ContentChecksum::ChecksumEnabled)
        .content_size(plain.len() as u64)
        .build(Vec::new())
        .unwrap();
    std::io::Write::write_all(&mut encoder, plain).unwrap();
    let (frame, result) = encoder.finish();
    result.unwrap();
    Bytes::from(frame)
}

#[test]
fn lz4_frames_with_every_option_are_read_but_for_linked_blocks() {
    let plain: Vec<u8> = (0..700_000u32).map(|at| (at / 1000) as u8).collect();
    let frame = lz4_frame(&plain, lz4::BlockMode::Independent);
    assert_eq!(compress::decompress(Codec::Lz4, &frame, LIMIT).unwrap(), plain);
    let linked = lz4_frame(&plain, lz4::BlockMode::Linked);
    let refused = compress::decompress(Codec::Lz4, &linked, LIMIT);
    assert_eq!(refused, Err(RecordError::Undecodable { codec: "lz4", what: "dependent blocks" }));
}
