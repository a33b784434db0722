// Record batches by Apache Kafka's own classes: makes test vectors, reads Kring's batches, and judges produced
// batches as a broker's log does. One file, run with Kafka's jars on the class path:
//
//   java -cp "$KAFKA_CLASSPATH" Records.java vectors          batches of every codec, with their records
//   java -cp "$KAFKA_CLASSPATH" Records.java read  < batches  fails unless Kafka reads the same records
//   java -cp "$KAFKA_CLASSPATH" Records.java judge < cases    each case, followed by what Kafka's log does with it
//
// Lines are tab-separated. `batch NAME HEX` is followed by its records, `record OFFSET TIMESTAMP KEY VALUE HEADERS`,
// where bytes are `-` for none, hex, or `LENGTH:CRC32C` when longer than 40. `case NAME RULES HEX` is followed by
// `stored HEX` (the batch in the log) or `refused CODE MESSAGE INDEX=TEXT…`.

import java.io.BufferedReader;
import java.io.ByteArrayOutputStream;
import java.io.File;
import java.io.IOException;
import java.io.InputStreamReader;
import java.io.OutputStream;
import java.io.PrintStream;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Comparator;
import java.util.HashMap;
import java.util.HexFormat;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Properties;
import java.util.concurrent.ScheduledFuture;
import java.util.function.Supplier;
import java.util.stream.Collectors;
import java.util.stream.Stream;
import java.util.zip.GZIPOutputStream;

import com.github.luben.zstd.Zstd;
import org.apache.kafka.common.Uuid;
import org.apache.kafka.common.compress.Compression;
import org.apache.kafka.common.compress.Lz4BlockOutputStream;
import org.apache.kafka.common.header.Header;
import org.apache.kafka.common.header.internals.RecordHeader;
import org.apache.kafka.common.message.LeaderChangeMessage;
import org.apache.kafka.common.protocol.Errors;
import org.apache.kafka.common.record.TimestampType;
import org.apache.kafka.common.record.internal.CompressionType;
import org.apache.kafka.common.record.internal.ControlRecordType;
import org.apache.kafka.common.record.internal.DefaultRecordBatch;
import org.apache.kafka.common.record.internal.EndTransactionMarker;
import org.apache.kafka.common.record.internal.MemoryRecords;
import org.apache.kafka.common.record.internal.MemoryRecordsBuilder;
import org.apache.kafka.common.record.internal.Record;
import org.apache.kafka.common.record.internal.RecordBatch;
import org.apache.kafka.common.requests.ProduceRequest;
import org.apache.kafka.common.utils.ByteBufferOutputStream;
import org.apache.kafka.common.utils.Crc32C;
import org.apache.kafka.common.utils.Time;
import org.apache.kafka.server.util.Scheduler;
import org.apache.kafka.storage.internals.log.LogConfig;
import org.apache.kafka.storage.internals.log.LogDirFailureChannel;
import org.apache.kafka.storage.internals.log.ProducerStateManagerConfig;
import org.apache.kafka.storage.internals.log.RecordValidationException;
import org.apache.kafka.storage.internals.log.UnifiedLog;
import org.apache.kafka.storage.log.metrics.BrokerTopicStats;
import org.xerial.snappy.Snappy;

public class Records {
    static final long NOW = 1_700_000_000_000L;
    static final HexFormat HEX = HexFormat.of();
    static final PrintStream OUT = new PrintStream(new java.io.BufferedOutputStream(System.out, 1 << 16), false);

    public static void main(String[] args) throws Exception {
        switch (args.length == 1 ? args[0] : "") {
            case "vectors" -> vectors();
            case "read" -> read();
            case "judge" -> judge();
            default -> throw new IllegalArgumentException("vectors, read or judge");
        }
        OUT.flush();
    }

    // ---- making batches

    interface Filling {
        void fill(MemoryRecordsBuilder builder) throws IOException;
    }

    static MemoryRecordsBuilder builder(Compression compression, TimestampType type, long producerId, boolean transactional,
                                        boolean control, int epoch) {
        boolean idempotent = producerId >= 0;
        return new MemoryRecordsBuilder(new ByteBufferOutputStream(1024), RecordBatch.MAGIC_VALUE_V2, compression, type, 0L,
            NOW + 12345, producerId, idempotent ? (short) 3 : -1, idempotent && !control ? 77 : -1, transactional, control,
            epoch, Integer.MAX_VALUE);
    }

    static void batch(String name, MemoryRecordsBuilder builder, Filling filling) throws IOException {
        filling.fill(builder);
        ByteBuffer buffer = builder.build().buffer();
        byte[] bytes = new byte[buffer.remaining()];
        buffer.get(bytes);
        show(name, bytes);
    }

    static void show(String name, byte[] bytes) {
        OUT.println("batch\t" + name + "\t" + HEX.formatHex(bytes));
        lines(bytes).forEach(OUT::println);
    }

    static byte[] utf8(String text) {
        return text.getBytes(StandardCharsets.UTF_8);
    }

    static byte[] pattern(int length, int seed) {
        byte[] bytes = new byte[length];
        for (int i = 0; i < length; i++)
            bytes[i] = (byte) ((i / 1000) * 7 + seed);
        return bytes;
    }

    static byte[] noise(int length, int seed) {
        byte[] bytes = new byte[length];
        new java.util.Random(seed).nextBytes(bytes);
        return bytes;
    }

    static void one(MemoryRecordsBuilder builder) {
        builder.append(NOW, utf8("key"), utf8("value"));
    }

    static void nulls(MemoryRecordsBuilder builder) {
        builder.append(NOW, (byte[]) null, null);
        builder.append(NOW - 70, new byte[0], new byte[0]);
        builder.append(RecordBatch.NO_TIMESTAMP, utf8("k"), null,
            new Header[] {new RecordHeader("", (byte[]) null), new RecordHeader("h\u00e9", new byte[0])});
        builder.append(NOW + 9_000_000_000L, null, utf8("v"), new Header[] {new RecordHeader("a", utf8("b"))});
    }

    static void many(MemoryRecordsBuilder builder) {
        for (int i = 0; i < 12; i++)
            builder.append(NOW + (i * 37) % 101, utf8("key-" + i), utf8("some value, the same but for its number " + i));
    }

    static void large(MemoryRecordsBuilder builder) {
        for (int i = 0; i < 3; i++)
            builder.append(NOW + i, utf8("large-" + i), pattern(90_000 + i, i));
    }

    static void incompressible(MemoryRecordsBuilder builder) {
        builder.append(NOW, null, noise(300, 5));
    }

    static void vectors() throws IOException {
        Map<String, Compression> codecs = new java.util.LinkedHashMap<>();
        codecs.put("none", Compression.NONE);
        codecs.put("gzip", Compression.gzip().build());
        codecs.put("gzip-9", Compression.gzip().level(9).build());
        codecs.put("snappy", Compression.snappy().build());
        codecs.put("lz4", Compression.lz4().build());
        codecs.put("lz4-17", Compression.lz4().level(17).build());
        codecs.put("zstd", Compression.zstd().build());
        codecs.put("zstd-22", Compression.zstd().level(22).build());
        for (Map.Entry<String, Compression> codec : codecs.entrySet()) {
            String name = codec.getKey();
            Compression c = codec.getValue();
            batch(name + "/one", create(c), Records::one);
            batch(name + "/nulls", create(c), Records::nulls);
            batch(name + "/many", create(c), Records::many);
            batch(name + "/incompressible", create(c), Records::incompressible);
            if (c.type() != CompressionType.NONE)
                batch(name + "/large", create(c), Records::large);
            batch(name + "/append-time", builder(c, TimestampType.LOG_APPEND_TIME, -1, false, false, 4), Records::many);
            batch(name + "/transactional", builder(c, TimestampType.CREATE_TIME, 4000, true, false, -1), Records::one);
        }
        controls();
        foreign();
    }

    static MemoryRecordsBuilder create(Compression compression) {
        return builder(compression, TimestampType.CREATE_TIME, -1, false, false, -1);
    }

    static void controls() throws IOException {
        batch("control/commit", builder(Compression.NONE, TimestampType.CREATE_TIME, 4000, true, true, 1),
            b -> b.appendEndTxnMarker(NOW, new EndTransactionMarker(ControlRecordType.COMMIT, 6)));
        batch("control/abort", builder(Compression.NONE, TimestampType.CREATE_TIME, 4000, true, true, 1),
            b -> b.appendEndTxnMarker(NOW, new EndTransactionMarker(ControlRecordType.ABORT, 6)));
        batch("control/leader-change", builder(Compression.NONE, TimestampType.CREATE_TIME, -1, false, true, 1),
            b -> b.appendLeaderChangeMessage(NOW, new LeaderChangeMessage().setLeaderId(1)));
    }

    // ---- batches as other clients frame them

    interface Squeeze {
        byte[] squeeze(byte[] plain) throws IOException;
    }

    static void foreign() throws IOException {
        reframed("foreign/snappy-bare", CompressionType.SNAPPY, Snappy::compress);
        reframed("foreign/lz4-block-checksums", CompressionType.LZ4, plain -> {
            ByteArrayOutputStream out = new ByteArrayOutputStream();
            try (OutputStream lz4 = new Lz4BlockOutputStream(out, 5, 9, true, false)) {
                lz4.write(plain);
            }
            return out.toByteArray();
        });
        reframed("foreign/gzip-two-members", CompressionType.GZIP, plain -> halves(plain, Records::gzip));
        reframed("foreign/zstd-two-frames", CompressionType.ZSTD, plain -> halves(plain, Zstd::compress));
    }

    static byte[] gzip(byte[] plain) throws IOException {
        ByteArrayOutputStream out = new ByteArrayOutputStream();
        try (OutputStream gzip = new GZIPOutputStream(out)) {
            gzip.write(plain);
        }
        return out.toByteArray();
    }

    static byte[] halves(byte[] plain, Squeeze squeeze) throws IOException {
        ByteArrayOutputStream out = new ByteArrayOutputStream();
        out.write(squeeze.squeeze(Arrays.copyOfRange(plain, 0, plain.length / 2)));
        out.write(squeeze.squeeze(Arrays.copyOfRange(plain, plain.length / 2, plain.length)));
        return out.toByteArray();
    }

    static void reframed(String name, CompressionType type, Squeeze squeeze) throws IOException {
        MemoryRecordsBuilder plain = create(Compression.NONE);
        many(plain);
        large(plain);
        ByteBuffer buffer = plain.build().buffer();
        byte[] bytes = new byte[buffer.remaining()];
        buffer.get(bytes);
        byte[] body = squeeze.squeeze(Arrays.copyOfRange(bytes, DefaultRecordBatch.RECORD_BATCH_OVERHEAD, bytes.length));
        ByteBuffer out = ByteBuffer.allocate(DefaultRecordBatch.RECORD_BATCH_OVERHEAD + body.length);
        out.put(DefaultRecordBatch.RECORD_BATCH_OVERHEAD, body);
        RecordBatch old = MemoryRecords.readableRecords(ByteBuffer.wrap(bytes)).batches().iterator().next();
        DefaultRecordBatch.writeHeader(out, 0, (int) old.lastOffset(), out.capacity(), (byte) 2, type, TimestampType.CREATE_TIME,
            NOW, old.maxTimestamp(), -1, (short) -1, -1, false, false, false, -1, old.countOrNull());
        show(name, out.array());
    }

    // ---- reading batches

    static List<String> lines(byte[] bytes) {
        List<String> lines = new ArrayList<>();
        int size = 0;
        for (RecordBatch batch : MemoryRecords.readableRecords(ByteBuffer.wrap(bytes)).batches()) {
            batch.ensureValid();
            size += batch.sizeInBytes();
            for (Record record : batch)
                lines.add(line(record));
        }
        if (size != bytes.length)
            throw new IllegalStateException("batches take " + size + " of " + bytes.length + " bytes");
        return lines;
    }

    static String line(Record record) {
        String headers = Stream.of(record.headers()).map(h -> bytes(utf8(h.key())) + "=" + bytes(h.value()))
            .collect(Collectors.joining(","));
        return String.join("\t", "record", "" + record.offset(), "" + record.timestamp(), bytes(array(record.key())),
            bytes(array(record.value())), headers.isEmpty() ? "." : headers);
    }

    static byte[] array(ByteBuffer buffer) {
        if (buffer == null)
            return null;
        byte[] bytes = new byte[buffer.remaining()];
        buffer.get(bytes);
        return bytes;
    }

    static String bytes(byte[] bytes) {
        if (bytes == null)
            return "-";
        if (bytes.length > 40)
            return bytes.length + ":" + String.format("%08x", Crc32C.compute(bytes, 0, bytes.length));
        return HEX.formatHex(bytes);
    }

    static BufferedReader in() {
        return new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
    }

    static void read() throws IOException {
        int batches = 0;
        String name = null;
        List<String> expected = new ArrayList<>();
        List<String> actual = new ArrayList<>();
        for (String line : (Iterable<String>) in().lines()::iterator) {
            if (line.startsWith("batch\t")) {
                compare(name, expected, actual);
                String[] fields = line.split("\t");
                name = fields[1];
                expected = new ArrayList<>();
                actual = lines(HEX.parseHex(fields[2]));
                batches++;
            } else if (line.startsWith("record\t")) {
                expected.add(line);
            }
        }
        compare(name, expected, actual);
        if (batches == 0)
            throw new IllegalStateException("no batches to read");
        OUT.println("Kafka reads " + batches + " batches the same way");
    }

    static void compare(String name, List<String> expected, List<String> actual) {
        if (!expected.equals(actual))
            throw new IllegalStateException(name + ": expected " + expected + " but Kafka reads " + actual);
    }

    // ---- judging produced batches

    static void judge() throws Exception {
        Path root = Files.createTempDirectory("records-judge");
        try {
            for (String line : (Iterable<String>) in().lines()::iterator) {
                String[] fields = line.split("\t");
                if (!fields[0].equals("case"))
                    continue;
                OUT.println(line);
                OUT.println(verdict(root, rules(fields[2]), HEX.parseHex(fields.length > 3 ? fields[3] : "")));
            }
        } finally {
            remove(root);
        }
    }

    static Map<String, String> rules(String text) {
        Map<String, String> rules = new HashMap<>();
        for (String rule : text.split(" ")) {
            String[] parts = rule.split("=");
            rules.put(parts[0], parts[1]);
        }
        return rules;
    }

    static LogConfig config(Map<String, String> rules) {
        Properties properties = new Properties();
        properties.put("cleanup.policy", rules.get("compacted").equals("1") ? "compact" : "delete");
        properties.put("message.timestamp.type", rules.get("type").equals("append") ? "LogAppendTime" : "CreateTime");
        properties.put("message.timestamp.before.max.ms", rules.get("before"));
        properties.put("message.timestamp.after.max.ms", rules.get("after"));
        properties.put("max.message.bytes", rules.get("max"));
        properties.put("internal.segment.bytes", rules.get("segment"));
        String codec = rules.get("compression");
        properties.put("compression.type", codec.equals("none") ? "uncompressed" : codec);
        return new LogConfig(properties);
    }

    static String verdict(Path root, Map<String, String> rules, byte[] bytes) throws IOException {
        Path dir = root.resolve("topic-0");
        UnifiedLog log = UnifiedLog.create(dir.toFile(), config(rules), 0, 0, new NoScheduler(), STATS, new Fixed(Long.parseLong(rules.get("now"))),
            3_600_000, new ProducerStateManagerConfig(86_400_000, false), 600_000, new LogDirFailureChannel(1), true, Optional.of(TOPIC));
        try {
            MemoryRecords records = MemoryRecords.readableRecords(ByteBuffer.wrap(bytes));
            ProduceRequest.validateRecords(Short.parseShort(rules.get("version")), records);
            log.appendAsLeader(records, 0);
            log.flush(true);
            return "stored\t" + HEX.formatHex(Files.readAllBytes(dir.resolve("00000000000000000000.log")));
        } catch (RecordValidationException e) {
            String faults = e.recordErrors().stream().map(r -> r.batchIndex + "=" + r.message).collect(Collectors.joining("\t"));
            return "refused\t" + Errors.forException(e.invalidException()).code() + "\t" + e.invalidException().getMessage() + "\t" + faults;
        } catch (Throwable e) {
            return "refused\t" + Errors.forException(e).code() + "\t-";
        } finally {
            log.close();
            remove(dir);
        }
    }

    static final BrokerTopicStats STATS = new BrokerTopicStats();
    static final Uuid TOPIC = new Uuid(1, 2);

    static void remove(Path path) throws IOException {
        try (Stream<Path> paths = Files.walk(path)) {
            paths.sorted(Comparator.reverseOrder()).map(Path::toFile).forEach(File::delete);
        }
    }

    record Fixed(long now) implements Time {
        public long milliseconds() { return now; }
        public long nanoseconds() { return now * 1_000_000; }
        public void sleep(long ms) { }
        public void waitObject(Object object, Supplier<Boolean> condition, long deadlineMs) { }
    }

    static class NoScheduler implements Scheduler {
        public void startup() { }
        public void shutdown() { }
        public ScheduledFuture<?> schedule(String name, Runnable task, long delayMs, long periodMs) { return new Never(); }
        public void resizeThreadPool(int size) { }
    }

    static class Never extends java.util.concurrent.CompletableFuture<Object> implements ScheduledFuture<Object> {
        public long getDelay(java.util.concurrent.TimeUnit unit) { return 0; }
        public int compareTo(java.util.concurrent.Delayed other) { return 0; }
    }
}
