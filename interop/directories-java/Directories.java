import java.io.DataInputStream;
import java.io.DataOutputStream;
import java.net.Socket;
import java.nio.ByteBuffer;
import java.security.MessageDigest;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.HexFormat;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.AlterConfigOp;
import org.apache.kafka.clients.admin.ConfigEntry;
import org.apache.kafka.clients.admin.NewTopic;
import org.apache.kafka.clients.admin.RecordsToDelete;
import org.apache.kafka.clients.admin.TopicDescription;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.config.ConfigResource;
import org.apache.kafka.common.header.internals.RecordHeader;
import org.apache.kafka.common.message.FetchRequestData;
import org.apache.kafka.common.message.FetchResponseData;
import org.apache.kafka.common.message.ListOffsetsRequestData;
import org.apache.kafka.common.message.ListOffsetsResponseData;
import org.apache.kafka.common.message.RequestHeaderData;
import org.apache.kafka.common.message.ResponseHeaderData;
import org.apache.kafka.common.protocol.ApiKeys;
import org.apache.kafka.common.protocol.ApiMessage;
import org.apache.kafka.common.protocol.ByteBufferAccessor;
import org.apache.kafka.common.protocol.MessageUtil;
import org.apache.kafka.common.record.internal.MemoryRecords;
import org.apache.kafka.common.requests.AbstractResponse;
import org.apache.kafka.common.serialization.ByteArraySerializer;

/**
 * `fill PORT MS` gives a broker topics, records of every kind from that time on, transactions and committed offsets;
 * `ask PORT MS` prints all that can be read of them, a line a fact; `more PORT MS` adds what no transaction is needed for;
 * `features PORT MS` prints the features that are on.
 */
public final class Directories {
    private static final List<String> CODECS = List.of("none", "gzip", "snappy", "lz4", "zstd");
    private static final List<String> LATE = List.of("late-kept", "late-gone");
    private static final int ROUNDS = 6;

    private final String server;
    private final int port;
    /** Time of the first record, in milliseconds. */
    private final long began;

    private Directories(int port, long began) {
        this.port = port;
        this.began = began;
        this.server = "127.0.0.1:" + port;
    }

    public static void main(String[] args) throws Exception {
        Directories directories = new Directories(Integer.parseInt(args[1]), Long.parseLong(args[2]));
        switch (args[0]) {
            case "fill" -> directories.fill();
            case "ask" -> directories.ask();
            case "more" -> directories.more();
            case "features" -> directories.features();
            default -> throw new IllegalArgumentException(args[0]);
        }
        System.out.flush();
        // An open transaction stays open: no producer is closed.
        Runtime.getRuntime().halt(0);
    }

    // --- fill ---

    private void fill() throws Exception {
        try (Admin admin = admin()) {
            for (String codec : CODECS) create(admin, "codec-" + codec, 2, "segment.ms", "1000");
            create(admin, "append-time", 1, "message.timestamp.type", "LogAppendTime");
            create(admin, "ledger", 1, "segment.ms", "1000");
            create(admin, "cut", 1, "segment.ms", "1000", "retention.ms", "-1");
            create(admin, "gone", 1);
            create(admin, "table", 1, "cleanup.policy", "compact", "segment.ms", "1000",
                "min.cleanable.dirty.ratio", "0.01", "min.compaction.lag.ms", "0");
            for (String topic : LATE) create(admin, topic, 1, "cleanup.policy", "compact", "segment.bytes", "1048576",
                "min.cleanable.dirty.ratio", "0.01", "min.compaction.lag.ms", "0");
            for (String codec : CODECS) codec(codec);
            for (String topic : LATE) late(topic);
            appendTime();
            ledger();
            table();
            cut(admin);
            admin.deleteTopics(List.of("gone")).all().get();
            commit(admin, "group-a", "ledger", 3);
            commit(admin, "group-a", "cut", 7);
            commit(admin, "group-b", "table", 5);
            commit(admin, "group-b", "table", 6);
        }
    }

    private void create(Admin admin, String name, int partitions, String... settings) throws Exception {
        Map<String, String> configs = new HashMap<>();
        // Times are those of the records; none is too old to be kept.
        configs.put("retention.ms", "-1");
        for (int i = 0; i < settings.length; i += 2) configs.put(settings[i], settings[i + 1]);
        admin.createTopics(List.of(new NewTopic(name, partitions, (short) 1).configs(configs))).all().get();
    }

    /** Headers, records without key or value, and times that end a segment with every round. */
    private void codec(String codec) throws Exception {
        try (KafkaProducer<byte[], byte[]> producer = producer("compression.type", codec)) {
            for (int round = 0; round < ROUNDS; round++) {
                for (int i = 0; i < 50; i++) {
                    byte[] key = i % 3 == 0 ? null : ("key-" + i).getBytes();
                    byte[] value = i % 5 == 0 ? null : ("value-" + round + "-" + i + "x".repeat(i * 7)).getBytes();
                    var record = new ProducerRecord<>("codec-" + codec, i % 2, began + round * 2_000L + i, key, value);
                    record.headers().add(new RecordHeader("h", ("" + i).getBytes()));
                    record.headers().add(new RecordHeader("empty", null));
                    producer.send(record);
                }
                producer.flush();
            }
        }
    }

    private void appendTime() throws Exception {
        try (KafkaProducer<byte[], byte[]> producer = producer()) {
            for (int i = 0; i < 20; i++) {
                producer.send(new ProducerRecord<>("append-time", 0, 5L, null, ("v" + i).getBytes())).get();
            }
        }
    }

    /** Transactions beside and across each other and segments, committed and aborted; the last one stays open. */
    private void ledger() throws Exception {
        var one = transactional("one");
        var two = transactional("two");
        var plain = producer();
        for (int round = 0; round < ROUNDS; round++) {
            long time = began + round * 4_000L;
            one.beginTransaction();
            put(one, "ledger", time, "one-" + round);
            put(plain, "ledger", time + 1, "plain-" + round);
            two.beginTransaction();
            put(two, "ledger", time + 2, "two-" + round);
            // In the next segment.
            put(one, "ledger", time + 2_000, "one-again-" + round);
            if (round % 2 == 0) one.abortTransaction(); else one.commitTransaction();
            put(two, "ledger", time + 2_001, "two-again-" + round);
            if (round % 3 == 0) two.commitTransaction(); else two.abortTransaction();
        }
        one.beginTransaction();
        put(one, "ledger", began + 30_000, "for ever open");
        put(plain, "ledger", began + 30_001, "not to be seen by readers of committed records");
        put(plain, "ledger", began + 33_000, "nor this, in a segment of its own");
    }

    /** Values that are replaced, tombstones, transactions; the last record ends the segment before it. */
    private void table() throws Exception {
        try (KafkaProducer<byte[], byte[]> plain = producer(); var keeper = transactional("keeper")) {
            for (int round = 0; round < ROUNDS; round++) {
                for (int i = 0; i < 20; i++) {
                    byte[] value = (round + i) % 7 == 0 ? null : ("value-" + round).getBytes();
                    long time = began + round * 2_000L + i;
                    plain.send(new ProducerRecord<>("table", 0, time, ("key-" + i % (5 + round)).getBytes(), value));
                }
                plain.flush();
                keeper.beginTransaction();
                keeper.send(new ProducerRecord<>("table", 0, began + round * 2_000L + 90, "kept".getBytes(),
                    ("round-" + round).getBytes())).get();
                if (round % 2 == 0) keeper.abortTransaction(); else keeper.commitTransaction();
            }
            plain.send(new ProducerRecord<>("table", 0, began + 60_000, "closer".getBytes(), "x".getBytes())).get();
        }
    }

    /** The largest time is in a batch that compaction empties, or takes away once its producer has another one. */
    private void late(String topic) throws Exception {
        try (var late = producer(); var other = producer()) {
            put(other, topic, began, "first", 10);
            put(late, topic, began + 50_000, "key", 10);
            put(other, topic, began + 1, "key", 10);
            if (topic.equals("late-gone")) put(late, topic, began + 2, "own", 10);
            // Until a segment is full: a later time would end it, too, and be the largest then.
            for (int i = 0; i < 12; i++) put(other, topic, began + 3, "fill", 100_000);
        }
    }

    private static void put(KafkaProducer<byte[], byte[]> producer, String topic, long time, String key, int bytes)
            throws Exception {
        producer.send(new ProducerRecord<>(topic, 0, time, key.getBytes(), new byte[bytes])).get();
    }

    private void cut(Admin admin) throws Exception {
        try (KafkaProducer<byte[], byte[]> producer = producer()) {
            for (int i = 0; i < 10; i++) put(producer, "cut", began + i * 700L, "record-" + i);
        }
        admin.deleteRecords(Map.of(new TopicPartition("cut", 0), RecordsToDelete.beforeOffset(4))).all().get();
    }

    private void commit(Admin admin, String group, String topic, long offset) throws Exception {
        var offsets = Map.of(new TopicPartition(topic, 0), new OffsetAndMetadata(offset, "by " + group));
        admin.alterConsumerGroupOffsets(group, offsets).all().get();
    }

    private static void put(KafkaProducer<byte[], byte[]> producer, String topic, long time, String value)
            throws Exception {
        producer.send(new ProducerRecord<>(topic, 0, time, null, value.getBytes())).get();
    }

    // --- more ---

    private void more() throws Exception {
        try (Admin admin = admin(); KafkaProducer<byte[], byte[]> producer = producer("compression.type", "lz4")) {
            create(admin, "later", 1);
            for (String topic : List.of("later", "codec-zstd", "table", "cut", "ledger")) {
                for (int i = 0; i < 20; i++) {
                    producer.send(new ProducerRecord<>(topic, 0, began + 90_000 + i, ("key-" + i).getBytes(),
                        ("later-" + i).getBytes())).get();
                }
            }
            commit(admin, "group-b", "table", 9);
            commit(admin, "group-c", "later", 1);
            var resource = new ConfigResource(ConfigResource.Type.TOPIC, "append-time");
            var change = new AlterConfigOp(new ConfigEntry("max.message.bytes", "2000000"), AlterConfigOp.OpType.SET);
            admin.incrementalAlterConfigs(Map.of(resource, List.of(change))).all().get();
        }
    }

    // --- features ---

    /** The finalized features, with their levels. */
    private void features() throws Exception {
        try (Admin admin = admin()) {
            var features = admin.describeFeatures().featureMetadata().get().finalizedFeatures();
            new TreeMap<>(features).forEach((name, range) -> tell(name, range.maxVersionLevel()));
        }
    }

    // --- ask ---

    private void ask() throws Exception {
        try (Admin admin = admin(); Connection connection = new Connection(port)) {
            var names = new ArrayList<>(admin.listTopics().names().get());
            names.sort(null);
            Map<String, TopicDescription> topics = new TreeMap<>(admin.describeTopics(names).allTopicNames().get());
            for (TopicDescription topic : topics.values()) {
                tell("topic " + topic.name(), topic.topicId() + " with " + topic.partitions().size());
                settings(admin, topic.name());
                topic.partitions().forEach(p -> tell("leader " + topic.name() + "-" + p.partition(), p.leader()));
            }
            for (TopicDescription topic : topics.values()) {
                for (var partition : topic.partitions()) partition(connection, topic, partition.partition());
            }
            for (String group : List.of("group-a", "group-b", "group-c")) {
                var offsets = admin.listConsumerGroupOffsets(group).partitionsToOffsetAndMetadata().get();
                offsets.forEach((at, offset) -> tell("committed " + group + " " + at,
                    offset.offset() + " " + offset.metadata()));
            }
        }
    }

    private void settings(Admin admin, String topic) throws Exception {
        var resource = new ConfigResource(ConfigResource.Type.TOPIC, topic);
        var own = new TreeMap<String, String>();
        for (ConfigEntry entry : admin.describeConfigs(List.of(resource)).all().get().get(resource).entries()) {
            boolean isOwn = entry.source() == ConfigEntry.ConfigSource.DYNAMIC_TOPIC_CONFIG;
            if (isOwn) own.put(entry.name(), entry.value());
        }
        tell("configs " + topic, own);
    }

    private void partition(Connection connection, TopicDescription topic, int index) throws Exception {
        String name = topic.name() + "-" + index;
        for (byte isolation = 0; isolation <= 1; isolation++) {
            for (long time : new long[] {-1, -2, -3, 0, began + 3, began + 2_001, began + 6_000, began + 30_001}) {
                tell("offset " + name + " isolation " + isolation + " at " + time,
                    offset(connection, topic.name(), index, isolation, time));
            }
            long first = offset(connection, topic.name(), index, isolation, -2).offset();
            long end = offset(connection, topic.name(), index, isolation, -1).offset();
            for (int maxBytes : new int[] {1 << 20, 1000}) {
                walk(connection, topic, index, isolation, first, end, maxBytes);
            }
        }
    }

    private record Found(long timestamp, long offset) {}

    private Found offset(Connection connection, String topic, int index, byte isolation, long time) throws Exception {
        var partition = new ListOffsetsRequestData.ListOffsetsPartition().setPartitionIndex(index).setTimestamp(time);
        var asked = new ListOffsetsRequestData.ListOffsetsTopic().setName(topic).setPartitions(List.of(partition));
        var request = new ListOffsetsRequestData().setReplicaId(-1).setIsolationLevel(isolation).setTopics(List.of(asked));
        var answer = (ListOffsetsResponseData) connection.ask(ApiKeys.LIST_OFFSETS, (short) 8, request);
        var found = answer.topics().get(0).partitions().get(0);
        if (found.errorCode() != 0) throw new IllegalStateException(topic + ": error " + found.errorCode());
        return new Found(found.timestamp(), found.offset());
    }

    /**
     * Fetches from the first offset to the end, and tells what each answer holds, byte for byte; but for a batch that
     * the limit cuts short, which no client reads and not every answer has.
     */
    private void walk(Connection connection, TopicDescription topic, int index, byte isolation, long first, long end,
            int maxBytes) throws Exception {
        String name = topic.name() + "-" + index + " isolation " + isolation + " by " + maxBytes;
        for (long offset = first; offset < end;) {
            var answer = fetch(connection, topic, index, isolation, offset, maxBytes);
            var records = (MemoryRecords) answer.records();
            tell("fetch " + name + " from " + offset, "error " + answer.errorCode() + " end " + answer.highWatermark()
                + " stable " + answer.lastStableOffset() + " start " + answer.logStartOffset() + " aborted "
                + answer.abortedTransactions() + " records " + digest(records));
            long next = offset;
            for (var batch : records.batches()) next = batch.nextOffset();
            if (next == offset) throw new IllegalStateException(name + ": nothing at " + offset + " of " + end);
            offset = next;
        }
    }

    private FetchResponseData.PartitionData fetch(Connection connection, TopicDescription topic, int index,
            byte isolation, long offset, int maxBytes) throws Exception {
        var partition = new FetchRequestData.FetchPartition().setPartition(index).setFetchOffset(offset)
            .setPartitionMaxBytes(maxBytes);
        var asked = new FetchRequestData.FetchTopic().setTopicId(topic.topicId()).setPartitions(List.of(partition));
        var request = new FetchRequestData().setMaxBytes(1 << 24).setMinBytes(1).setMaxWaitMs(0)
            .setIsolationLevel(isolation).setTopics(List.of(asked));
        var answer = (FetchResponseData) connection.ask(ApiKeys.FETCH, (short) 16, request);
        return answer.responses().get(0).partitions().get(0);
    }

    private static String digest(MemoryRecords records) throws Exception {
        MessageDigest digest = MessageDigest.getInstance("SHA-256");
        digest.update(records.buffer().duplicate().limit(records.validBytes()));
        return records.validBytes() + " " + HexFormat.of().formatHex(digest.digest(), 0, 8);
    }

    private static void tell(String what, Object fact) {
        System.out.println(what + "\t" + fact);
    }

    // --- clients ---

    private Admin admin() {
        return Admin.create(Map.of("bootstrap.servers", server));
    }

    private KafkaProducer<byte[], byte[]> producer(String... settings) {
        Map<String, Object> configs = new HashMap<>(Map.of("bootstrap.servers", server, "linger.ms", "5"));
        for (int i = 0; i < settings.length; i += 2) configs.put(settings[i], settings[i + 1]);
        return new KafkaProducer<>(configs, new ByteArraySerializer(), new ByteArraySerializer());
    }

    private KafkaProducer<byte[], byte[]> transactional(String id) {
        var producer = producer("transactional.id", id, "transaction.timeout.ms", "900000");
        producer.initTransactions();
        return producer;
    }

    private static final class Connection implements AutoCloseable {
        private final Socket socket;
        private final DataOutputStream out;
        private final DataInputStream in;
        private int correlationId = 0;

        Connection(int port) throws Exception {
            socket = new Socket("127.0.0.1", port);
            socket.setSoTimeout(30_000);
            out = new DataOutputStream(socket.getOutputStream());
            in = new DataInputStream(socket.getInputStream());
        }

        ApiMessage ask(ApiKeys api, int version, ApiMessage request) throws Exception {
            send(api, version, request);
            return receive(api, version);
        }

        @Override
        public void close() throws Exception {
            socket.close();
        }

        void send(ApiKeys api, int version, ApiMessage request) throws Exception {
            RequestHeaderData header = new RequestHeaderData().setRequestApiKey(api.id)
                .setRequestApiVersion((short) version).setCorrelationId(++correlationId).setClientId("app");
            short headerVersion = api.requestHeaderVersion((short) version);
            ByteBuffer head = MessageUtil.toByteBufferAccessor(header, headerVersion).buffer();
            ByteBuffer body = MessageUtil.toByteBufferAccessor(request, (short) version).buffer();
            ByteBuffer frame = ByteBuffer.allocate(4 + head.remaining() + body.remaining());
            frame.putInt(head.remaining() + body.remaining()).put(head).put(body);
            out.write(frame.array());
            out.flush();
        }

        ApiMessage receive(ApiKeys api, int version) throws Exception {
            byte[] bytes = new byte[in.readInt()];
            in.readFully(bytes);
            ByteBufferAccessor readable = new ByteBufferAccessor(ByteBuffer.wrap(bytes));
            new ResponseHeaderData(readable, api.responseHeaderVersion((short) version));
            return AbstractResponse.parseResponse(api, readable, (short) version).data();
        }
    }
}
