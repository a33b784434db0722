import java.io.DataInputStream;
import java.io.DataOutputStream;
import java.io.EOFException;
import java.net.Socket;
import java.net.SocketException;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.apache.kafka.common.Uuid;
import org.apache.kafka.common.compress.Compression;
import org.apache.kafka.common.message.CreateTopicsRequestData;
import org.apache.kafka.common.message.CreateTopicsRequestData.CreatableTopic;
import org.apache.kafka.common.message.CreateTopicsRequestData.CreatableTopicConfig;
import org.apache.kafka.common.message.CreateTopicsResponseData;
import org.apache.kafka.common.message.DeleteRecordsRequestData;
import org.apache.kafka.common.message.DeleteRecordsRequestData.DeleteRecordsPartition;
import org.apache.kafka.common.message.DeleteRecordsRequestData.DeleteRecordsTopic;
import org.apache.kafka.common.message.FetchRequestData;
import org.apache.kafka.common.message.FetchRequestData.FetchPartition;
import org.apache.kafka.common.message.FetchRequestData.FetchTopic;
import org.apache.kafka.common.message.FetchResponseData;
import org.apache.kafka.common.message.ListOffsetsRequestData;
import org.apache.kafka.common.message.ListOffsetsRequestData.ListOffsetsPartition;
import org.apache.kafka.common.message.ListOffsetsRequestData.ListOffsetsTopic;
import org.apache.kafka.common.message.MetadataRequestData;
import org.apache.kafka.common.message.MetadataRequestData.MetadataRequestTopic;
import org.apache.kafka.common.message.OffsetForLeaderEpochRequestData;
import org.apache.kafka.common.message.OffsetForLeaderEpochRequestData.OffsetForLeaderPartition;
import org.apache.kafka.common.message.OffsetForLeaderEpochRequestData.OffsetForLeaderTopic;
import org.apache.kafka.common.message.ProduceRequestData;
import org.apache.kafka.common.message.ProduceRequestData.PartitionProduceData;
import org.apache.kafka.common.message.ProduceRequestData.TopicProduceData;
import org.apache.kafka.common.message.RequestHeaderData;
import org.apache.kafka.common.message.ResponseHeaderData;
import org.apache.kafka.common.protocol.ApiKeys;
import org.apache.kafka.common.protocol.ApiMessage;
import org.apache.kafka.common.protocol.ByteBufferAccessor;
import org.apache.kafka.common.protocol.MessageUtil;
import org.apache.kafka.common.record.TimestampType;
import org.apache.kafka.common.record.internal.MemoryRecords;
import org.apache.kafka.common.record.internal.MemoryRecordsBuilder;
import org.apache.kafka.common.record.internal.MutableRecordBatch;
import org.apache.kafka.common.record.internal.Record;
import org.apache.kafka.common.record.internal.RecordBatch;
import org.apache.kafka.common.record.internal.SimpleRecord;
import org.apache.kafka.common.requests.AbstractResponse;
import org.apache.kafka.common.utils.Crc32C;

/**
 * Sends the same requests about the records of partitions, right and wrong, to the broker at the port given, and prints
 * each answer as `VERSION TAB WHAT TAB ANSWER`, with names for what differs between two runs.
 */
public final class Logs {
    private static final long TIME = 1_700_000_000_000L;
    private static final int MUCH = 1 << 20;

    private final int port;
    private final Map<String, Uuid> ids = new LinkedHashMap<>();
    private Socket socket;

    private Logs(int port) throws Exception {
        this.port = port;
        this.socket = connect();
    }

    public static void main(String[] args) throws Exception {
        Logs logs = new Logs(Integer.parseInt(args[0]));
        for (int version = 3; version <= 13; version++) logs.produce(version);
        logs.idempotent();
        logs.settings();
        for (int version = 4; version <= 18; version++) logs.fetch(version);
        for (int version = 1; version <= 11; version++) logs.listOffsets(version);
        for (int version = 2; version <= 4; version++) logs.epochs(version);
        logs.deleteRecords();
    }

    private void produce(int v) throws Exception {
        String topic = topic("produce-" + v, 2);
        MemoryRecords one = batch(2, Compression.NONE, 0, record(1, "key", "value"));
        put(v, "one", topic, 0, -1, one);
        for (int acks : new int[] {1, 2, -2}) put(v, "acks " + acks, topic, 1, acks, one);
        for (int partition : new int[] {2, -1}) put(v, "partition " + partition, topic, partition, -1, one);
        put(v, "unknown topic", "nowhere", 0, -1, one);
        put(v, "no records", topic, 0, -1, MemoryRecords.EMPTY);
        put(v, "not from offset 0", topic, 0, -1, batch(2, Compression.NONE, 5, record(1, "key", "value")));
        put(v, "zstd", topic, 0, -1, batch(2, Compression.zstd().build(), 0, record(1, "key", "value")));
        for (int magic : new int[] {0, 1}) {
            put(v, "format " + magic, topic, 0, -1, batch(magic, Compression.NONE, 0, record(1, "key", "value")));
        }
        for (int at : new int[] {0, 8, 16, 20, 22, 60, 66}) put(v, "flipped at " + at, topic, 0, -1, flipped(one, at));
        for (int length : new int[] {5, 17, 40, 61}) put(v, "cut to " + length, topic, 0, -1, resized(one, length));
        put(v, "with more behind it", topic, 0, -1, resized(one, one.sizeInBytes() + 9));
        show(17, "all that version " + v + " left", ApiKeys.FETCH, want(fetch(0, MUCH), topic, 0, 0, MUCH, -1));
    }

    private void idempotent() throws Exception {
        String topic = topic("idempotent", 1);
        int max = Integer.MAX_VALUE;
        int[][] batches = {
            {7, 0, 5, 1}, {7, 0, 6, 3}, {7, 0, 6, 3}, {7, 0, 6, 2}, {7, 0, 5, 1}, {7, 0, 11, 1}, {7, 0, 9, 1},
            {7, 0, 10, 1}, {7, 0, 11, 1}, {7, 0, 12, 1}, {7, 0, 5, 1}, {7, 0, 9, 1}, {7, 1, 1, 1}, {7, 1, 0, 1},
            {7, 0, 13, 1}, {7, 1, -1, 1}, {7, 9, 0, 2}, {7, 8, 2, 1}, {8, 0, max - 1, 2}, {8, 0, 0, 1},
            {8, 0, max - 1, 2}, {9, 0, max, 3}, {9, 0, 2, 1}, {9, 0, max, 3}};
        for (int[] b : batches) {
            String what = String.format("producer %d epoch %d sequence %d, %d records", b[0], b[1], b[2], b[3]);
            put(9, what, topic, 0, -1, sequenced(b[0], (short) b[1], b[2], b[3]));
        }
        show(17, "what producers left", ApiKeys.FETCH, want(fetch(0, MUCH), topic, 0, 0, MUCH, -1));
    }

    private void settings() throws Exception {
        MemoryRecords one = batch(2, Compression.NONE, 0, record(1, null, "value"));
        put(9, "no key", topic("compacted", 1, "cleanup.policy", "compact"), 0, -1, one);
        put(9, "more replicas asked for than there are", topic("replicas", 1, "min.insync.replicas", "3"), 0, -1, one);
        String small = topic("small", 1, "max.message.bytes", "200");
        for (int size : new int[] {100, 131, 132, 133, 400}) {
            put(9, "size " + size, small, 0, -1, batch(2, Compression.NONE, 0, record(1, "k", "v".repeat(size))));
        }
        put(9, "far in the future", small, 0, -1, batch(2, Compression.NONE, 0, record(TIME, "k", "v")));
        for (String codec : List.of("uncompressed", "gzip", "snappy", "lz4", "zstd", "producer")) {
            String topic = topic("to-" + codec, 1, "compression.type", codec);
            put(9, "none", topic, 0, -1, batch(2, Compression.NONE, 0, record(3, "a", "1"), record(1, null, "2")));
            Compression lz4 = Compression.lz4().build();
            put(9, "lz4", topic, 0, -1, batch(2, lz4, 0, record(4, "a", ""), record(5, "b", null)));
            show(17, "stored as " + codec, ApiKeys.FETCH, want(fetch(0, MUCH), topic, 0, 0, MUCH, -1));
        }
    }

    private void fetch(int v) throws Exception {
        String topic = filled("fetch-" + v);
        for (long offset : new long[] {-2, -1, 0, 3, 9, 10, 11}) {
            show(v, "from " + offset, ApiKeys.FETCH, want(fetch(0, MUCH), topic, 0, offset, MUCH, -1));
        }
        for (int max : new int[] {0, 1, 90}) {
            show(v, "first batch above " + max, ApiKeys.FETCH, want(fetch(0, MUCH), topic, 0, 4, max, -1));
            show(v, "first batch above all of " + max, ApiKeys.FETCH, want(fetch(0, max), topic, 0, 4, MUCH, -1));
            show(v, "several above " + max, ApiKeys.FETCH,
                want(want(want(fetch(0, MUCH), topic, 0, 0, max, -1), topic, 1, 0, max, -1), topic, 2, 0, max, -1));
        }
        show(v, "unknown partition", ApiKeys.FETCH, want(fetch(0, MUCH), topic, 9, 0, MUCH, -1));
        show(v, "unknown topic", ApiKeys.FETCH, want(fetch(0, MUCH), "nowhere", 0, 0, MUCH, -1));
        show(v, "waiting at the end", ApiKeys.FETCH, want(fetch(100, MUCH), topic, 0, 10, MUCH, -1));
        if (v < 12) return;
        for (int epoch : new int[] {-2, 0, 1, 5}) {
            show(v, "last epoch " + epoch, ApiKeys.FETCH, want(fetch(0, MUCH), topic, 0, 3, MUCH, epoch));
        }
    }

    private void listOffsets(int v) throws Exception {
        for (String topic : List.of(filled("offsets-" + v), topic("none-" + v, 1), "nowhere")) {
            for (long time : new long[] {-7, -6, -5, -4, -3, -2, -1, 0, TIME, TIME + 4, TIME + 9, 2 * TIME}) {
                ListOffsetsRequestData request = new ListOffsetsRequestData();
                request.topics().add(new ListOffsetsTopic().setName(topic)
                    .setPartitions(List.of(new ListOffsetsPartition().setPartitionIndex(0).setTimestamp(time))));
                show(v, "time " + time + " of " + topic, ApiKeys.LIST_OFFSETS, request);
            }
        }
    }

    private void epochs(int v) throws Exception {
        for (String topic : List.of(filled("epochs-" + v), topic("no-epochs-" + v, 1), "nowhere")) {
            for (int believed : new int[] {-1, 0, 1}) {
                for (int epoch : new int[] {-2, -1, 0, 1, 5}) {
                    OffsetForLeaderEpochRequestData request = new OffsetForLeaderEpochRequestData();
                    request.topics().add(new OffsetForLeaderTopic().setTopic(topic).setPartitions(List.of(
                        new OffsetForLeaderPartition().setCurrentLeaderEpoch(believed).setLeaderEpoch(epoch))));
                    String what = "epoch " + epoch + " of " + topic + ", led in " + believed;
                    show(v, what, ApiKeys.OFFSET_FOR_LEADER_EPOCH, request);
                }
            }
        }
    }

    private void deleteRecords() throws Exception {
        for (int v = 0; v <= 2; v++) {
            String topic = filled("deleted-" + v);
            for (long before : new long[] {-2, 3, 2, 11, -1, Long.MAX_VALUE}) {
                DeleteRecordsRequestData request = new DeleteRecordsRequestData().setTimeoutMs(5000);
                request.topics().add(new DeleteRecordsTopic().setName(topic)
                    .setPartitions(List.of(new DeleteRecordsPartition().setPartitionIndex(0).setOffset(before))));
                show(v, "delete before " + before, ApiKeys.DELETE_RECORDS, request);
                show(17, "then", ApiKeys.FETCH, want(fetch(0, MUCH), topic, 0, 3, MUCH, -1));
            }
        }
    }

    /** Three partitions of ten records, two to a batch, whose times do not rise with their offsets. */
    private String filled(String name) throws Exception {
        topic(name, 3);
        for (int partition = 0; partition < 3; partition++) {
            for (int i = 0; i < 10; i += 2) {
                SimpleRecord late = record(9 - i, "k" + i, "v".repeat(40));
                MemoryRecords two = batch(2, Compression.NONE, 0, late, record(i, "l", "w"));
                ApiMessage answer = ask(ApiKeys.PRODUCE, 9, produceRequest(9, name, partition, -1, two));
                if (!isSound(answer)) throw new IllegalStateException(answer.toString());
            }
        }
        return name;
    }

    private String topic(String name, int partitions, String... settings) throws Exception {
        CreatableTopic topic = new CreatableTopic().setName(name).setNumPartitions(partitions);
        topic.setReplicationFactor((short) 1);
        topic.configs().add(new CreatableTopicConfig().setName("retention.ms").setValue("-1"));
        for (int i = 0; i < settings.length; i += 2) {
            topic.configs().add(new CreatableTopicConfig().setName(settings[i]).setValue(settings[i + 1]));
        }
        CreateTopicsRequestData request = new CreateTopicsRequestData().setTimeoutMs(10_000);
        request.topics().add(topic);
        CreateTopicsResponseData made = (CreateTopicsResponseData) ask(ApiKeys.CREATE_TOPICS, 7, request);
        ids.put(name, made.topics().find(name).topicId());
        awaitLeaders(name, partitions);
        return name;
    }

    /** Until all partitions take requests: the broker hears of a topic after its controller has made it. */
    private void awaitLeaders(String name, int partitions) throws Exception {
        MetadataRequestTopic topic = new MetadataRequestTopic().setName(name);
        MetadataRequestData about = new MetadataRequestData().setTopics(List.of(topic));
        OffsetForLeaderTopic all = new OffsetForLeaderTopic().setTopic(name);
        for (int i = 0; i < partitions; i++) {
            all.partitions().add(new OffsetForLeaderPartition().setPartition(i).setLeaderEpoch(0));
        }
        OffsetForLeaderEpochRequestData probe = new OffsetForLeaderEpochRequestData();
        probe.topics().add(all);
        for (int attempt = 0; attempt < 500; attempt++) {
            boolean isKnown = isSound(ask(ApiKeys.METADATA, 12, about));
            if (isKnown && isSound(ask(ApiKeys.OFFSET_FOR_LEADER_EPOCH, 4, probe))) return;
            Thread.sleep(10);
        }
        throw new IllegalStateException("nobody leads " + name);
    }

    private static boolean isSound(ApiMessage answer) {
        return !answer.toString().matches("(?s).*errorCode=[^0].*");
    }

    private static SimpleRecord record(long millis, String key, String value) {
        return new SimpleRecord(TIME + millis, bytes(key), bytes(value));
    }

    private static byte[] bytes(String text) {
        return text == null ? null : text.getBytes(StandardCharsets.UTF_8);
    }

    private static MemoryRecords batch(int magic, Compression codec, long base, SimpleRecord... records) {
        return built(magic, codec, base, RecordBatch.NO_PRODUCER_ID, RecordBatch.NO_PRODUCER_EPOCH,
            RecordBatch.NO_SEQUENCE, records);
    }

    private static MemoryRecords sequenced(long producer, short epoch, int sequence, int count) {
        SimpleRecord[] records = new SimpleRecord[count];
        for (int i = 0; i < count; i++) records[i] = record(i, "key", "value");
        // the builder refuses a negative sequence; the broker must do so itself
        MemoryRecords made = built(2, Compression.NONE, 0, producer, epoch, Math.max(sequence, 0), records);
        if (sequence >= 0) return made;
        ByteBuffer bytes = made.buffer();
        bytes.putInt(53, sequence);
        return checksummed(bytes);
    }

    private static MemoryRecords built(int magic, Compression codec, long base, long producer, short epoch,
            int sequence, SimpleRecord... records) {
        ByteBuffer buffer = ByteBuffer.allocate(MUCH);
        MemoryRecordsBuilder builder = new MemoryRecordsBuilder(buffer, (byte) magic, codec,
            TimestampType.CREATE_TIME, base, RecordBatch.NO_TIMESTAMP, producer, epoch, sequence, false, false, -1,
            buffer.capacity());
        for (SimpleRecord record : records) builder.append(record);
        return builder.build();
    }

    private static MemoryRecords checksummed(ByteBuffer bytes) {
        byte[] all = new byte[bytes.remaining()];
        bytes.duplicate().get(all);
        long crc = Crc32C.compute(all, 21, all.length - 21);
        return MemoryRecords.readableRecords(ByteBuffer.wrap(all).putInt(17, (int) crc));
    }

    private static MemoryRecords flipped(MemoryRecords records, int at) {
        byte[] all = resized(records, records.sizeInBytes()).buffer().array();
        all[at] ^= 1;
        return MemoryRecords.readableRecords(ByteBuffer.wrap(all));
    }

    private static MemoryRecords resized(MemoryRecords records, int length) {
        byte[] all = new byte[length];
        records.buffer().duplicate().get(all, 0, Math.min(length, records.sizeInBytes()));
        return MemoryRecords.readableRecords(ByteBuffer.wrap(all));
    }

    private void put(int v, String what, String topic, int partition, int acks, MemoryRecords records)
            throws Exception {
        show(v, what, ApiKeys.PRODUCE, produceRequest(v, topic, partition, acks, records));
    }

    private ProduceRequestData produceRequest(int v, String topic, int partition, int acks, MemoryRecords records) {
        TopicProduceData data = new TopicProduceData();
        if (v >= 13) data.setTopicId(id(topic));
        else data.setName(topic);
        data.partitionData().add(new PartitionProduceData().setIndex(partition).setRecords(records));
        ProduceRequestData request = new ProduceRequestData().setAcks((short) acks).setTimeoutMs(30_000);
        request.topicData().mustAdd(data);
        return request;
    }

    private static FetchRequestData fetch(int waitMs, int max) {
        return new FetchRequestData().setMaxWaitMs(waitMs).setMinBytes(1).setMaxBytes(max).setSessionEpoch(-1);
    }

    private FetchRequestData want(FetchRequestData request, String topic, int partition, long offset, int max,
            int epoch) {
        FetchPartition wanted = new FetchPartition().setPartition(partition).setFetchOffset(offset)
            .setPartitionMaxBytes(max).setLastFetchedEpoch(epoch);
        FetchTopic named = new FetchTopic().setTopic(topic).setTopicId(id(topic));
        request.topics().add(named.setPartitions(List.of(wanted)));
        return request;
    }

    private Uuid id(String topic) {
        return ids.getOrDefault(topic, new Uuid(5, 6));
    }

    private void show(int v, String what, ApiKeys api, ApiMessage request) throws Exception {
        ApiMessage answer = ask(api, v, request);
        String text = answer instanceof FetchResponseData fetched ? told(fetched) : String.valueOf(answer);
        for (Map.Entry<String, Uuid> id : ids.entrySet()) text = text.replace(id.getValue().toString(), id.getKey());
        text = text.replace("" + port, "PORT");
        // libraries of different versions compress differently
        text = text.replaceAll(", crc=\\d+", "");
        text = text.replaceAll("within \\[[^\\]]*\\]", "within []");
        System.out.println(v + "\t" + api.name + " " + what + "\t" + text.replace("\n", " "));
    }

    /** Records one by one. A batch that a limit cuts in two is none for a reader, and Kring does not send it. */
    private static String told(FetchResponseData fetched) {
        StringBuilder text = new StringBuilder("error " + fetched.errorCode());
        fetched.responses().forEach(topic -> topic.partitions().forEach(partition -> {
            MemoryRecords records = (MemoryRecords) partition.records();
            partition.setRecords(null);
            text.append(" ").append(topic.topic()).append(topic.topicId()).append(" ").append(partition);
            for (MutableRecordBatch batch : records.batches()) {
                text.append(" ").append(batch).append(" ").append(batch.compressionType());
                for (Record record : batch) {
                    text.append(" ").append(record.offset()).append("@").append(record.timestamp()).append("=")
                        .append(string(record.key())).append(":").append(string(record.value()));
                }
            }
        }));
        return text.toString();
    }

    private static String string(ByteBuffer bytes) {
        return bytes == null ? "null" : StandardCharsets.UTF_8.decode(bytes).toString();
    }

    private Socket connect() throws Exception {
        Socket made = new Socket("127.0.0.1", port);
        made.setSoTimeout(30_000);
        made.setTcpNoDelay(true);
        return made;
    }

    /** The answer, or null where the broker hangs up; then there is a new connection. */
    private ApiMessage ask(ApiKeys api, int version, ApiMessage request) throws Exception {
        RequestHeaderData header = new RequestHeaderData().setRequestApiKey(api.id)
            .setRequestApiVersion((short) version).setClientId("app");
        ByteBuffer head = MessageUtil.toByteBufferAccessor(header, api.requestHeaderVersion((short) version)).buffer();
        ByteBuffer body = MessageUtil.toByteBufferAccessor(request, (short) version).buffer();
        int size = head.remaining() + body.remaining();
        try {
            new DataOutputStream(socket.getOutputStream())
                .write(ByteBuffer.allocate(4 + size).putInt(size).put(head).put(body).array());
            DataInputStream in = new DataInputStream(socket.getInputStream());
            byte[] answer = new byte[in.readInt()];
            in.readFully(answer);
            ByteBufferAccessor readable = new ByteBufferAccessor(ByteBuffer.wrap(answer));
            new ResponseHeaderData(readable, api.responseHeaderVersion((short) version));
            return AbstractResponse.parseResponse(api, readable, (short) version).data();
        } catch (EOFException | SocketException closed) {
            socket = connect();
            return null;
        }
    }
}
