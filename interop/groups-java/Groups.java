import java.io.DataInputStream;
import java.io.DataOutputStream;
import java.net.Socket;
import java.nio.ByteBuffer;
import java.util.Comparator;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.apache.kafka.common.Uuid;
import org.apache.kafka.common.message.CreateTopicsRequestData;
import org.apache.kafka.common.message.CreateTopicsRequestData.CreatableTopic;
import org.apache.kafka.common.message.CreateTopicsResponseData;
import org.apache.kafka.common.message.DeleteGroupsRequestData;
import org.apache.kafka.common.message.DescribeGroupsRequestData;
import org.apache.kafka.common.message.FindCoordinatorRequestData;
import org.apache.kafka.common.message.FindCoordinatorResponseData;
import org.apache.kafka.common.message.HeartbeatRequestData;
import org.apache.kafka.common.message.JoinGroupRequestData;
import org.apache.kafka.common.message.JoinGroupRequestData.JoinGroupRequestProtocol;
import org.apache.kafka.common.message.JoinGroupResponseData;
import org.apache.kafka.common.message.LeaveGroupRequestData;
import org.apache.kafka.common.message.LeaveGroupRequestData.MemberIdentity;
import org.apache.kafka.common.message.ListGroupsRequestData;
import org.apache.kafka.common.message.OffsetCommitRequestData;
import org.apache.kafka.common.message.OffsetCommitRequestData.OffsetCommitRequestPartition;
import org.apache.kafka.common.message.OffsetCommitRequestData.OffsetCommitRequestTopic;
import org.apache.kafka.common.message.OffsetDeleteRequestData;
import org.apache.kafka.common.message.OffsetDeleteRequestData.OffsetDeleteRequestPartition;
import org.apache.kafka.common.message.OffsetDeleteRequestData.OffsetDeleteRequestTopic;
import org.apache.kafka.common.message.OffsetFetchRequestData;
import org.apache.kafka.common.message.OffsetFetchRequestData.OffsetFetchRequestGroup;
import org.apache.kafka.common.message.OffsetFetchRequestData.OffsetFetchRequestTopic;
import org.apache.kafka.common.message.OffsetFetchRequestData.OffsetFetchRequestTopics;
import org.apache.kafka.common.message.RequestHeaderData;
import org.apache.kafka.common.message.ResponseHeaderData;
import org.apache.kafka.common.message.SyncGroupRequestData;
import org.apache.kafka.common.message.SyncGroupRequestData.SyncGroupRequestAssignment;
import org.apache.kafka.common.protocol.ApiKeys;
import org.apache.kafka.common.protocol.ApiMessage;
import org.apache.kafka.common.protocol.ByteBufferAccessor;
import org.apache.kafka.common.protocol.MessageUtil;
import org.apache.kafka.common.requests.AbstractResponse;

/**
 * Sends the same group requests, right and wrong, in every version, to the broker at the port given, and prints each
 * answer as `VERSION TAB WHAT TAB ANSWER`, with names for what differs between two runs. The life of a group is told
 * once for each JoinGroup version v, with the other APIs in the version nearest to v that they have.
 */
public final class Groups {
    private static final Uuid UNKNOWN_TOPIC = new Uuid(5, 6);

    private final int port;
    private final int version;
    private final Uuid topicId;
    private final Connection first;
    private final Connection second;
    private final String group;
    /** What the answers of this broker call something, and what we call it. */
    private final Map<String, String> names = new LinkedHashMap<>();

    private Groups(int port, int version, Uuid topicId) throws Exception {
        this.port = port;
        this.version = version;
        this.topicId = topicId;
        this.first = new Connection(port);
        this.second = new Connection(port);
        this.group = "group-" + version;
        names.put(topicId.toString(), "TOPIC-ID");
    }

    public static void main(String[] args) throws Exception {
        int port = Integer.parseInt(args[0]);
        Connection admin = new Connection(port);
        Uuid topicId = createTopics(admin);
        awaitCoordinator(admin);
        for (int version = 0; version <= 9; version++) {
            Groups groups = new Groups(port, version, topicId);
            groups.findCoordinator();
            groups.refusedJoins();
            String leader = groups.firstJoin();
            groups.refusedSyncs(leader);
            groups.stable(leader);
            groups.offsets(leader);
            groups.rebalance(leader);
        }
    }

    private static Uuid createTopics(Connection admin) throws Exception {
        CreateTopicsRequestData request = new CreateTopicsRequestData().setTimeoutMs(10_000);
        request.topics().add(new CreatableTopic().setName("t").setNumPartitions(2).setReplicationFactor((short) 1));
        request.topics().add(new CreatableTopic().setName("u").setNumPartitions(1).setReplicationFactor((short) 1));
        CreateTopicsResponseData made = (CreateTopicsResponseData) admin.ask(ApiKeys.CREATE_TOPICS, 7, request);
        return made.topics().find("t").topicId();
    }

    /** The first question makes the topic of the groups; then its coordinators load. */
    private static void awaitCoordinator(Connection admin) throws Exception {
        for (int attempt = 0; attempt < 100; attempt++) {
            FindCoordinatorRequestData request = new FindCoordinatorRequestData().setCoordinatorKeys(List.of("g"));
            ApiMessage answer = admin.ask(ApiKeys.FIND_COORDINATOR, 4, request);
            boolean found = ((FindCoordinatorResponseData) answer).coordinators().get(0).errorCode() == 0;
            DescribeGroupsRequestData all = new DescribeGroupsRequestData();
            for (int i = 0; i < 500; i++) all.groups().add("probe-" + i);
            if (found && !admin.ask(ApiKeys.DESCRIBE_GROUPS, 6, all).toString().contains("errorCode=1")) return;
            Thread.sleep(100);
        }
        throw new IllegalStateException("no coordinator");
    }

    private void findCoordinator() throws Exception {
        int v = Math.min(version, 6);
        for (int type : new int[] {0, 2, 7}) {
            FindCoordinatorRequestData request = new FindCoordinatorRequestData();
            if (v >= 4) request.setCoordinatorKeys(List.of("g", ""));
            else request.setKey("g");
            if (v >= 1) request.setKeyType((byte) type);
            if (v >= 1 || type == 0) show("find, type " + type, first, ApiKeys.FIND_COORDINATOR, v, request);
        }
    }

    private void refusedJoins() throws Exception {
        show("join, short session", joinWith(first, join("", null, "consumer", "range").setSessionTimeoutMs(100)));
        show("join, no group", joinWith(first, join("", null, "consumer", "range").setGroupId("")));
        show("join, unknown member", joinWith(first, join("ghost", null, "consumer", "range")));
        show("join, no protocol", joinWith(first, join("", null, "consumer")));
        show("join, no protocol type", joinWith(first, join("", null, "", "range")));
        if (version >= 5) show("join, unknown instance", joinWith(first, join("ghost", "inst", "consumer", "range")));
    }

    private String firstJoin() throws Exception {
        JoinGroupResponseData joined = joinWith(first, join("", null, "consumer", "range", "other"));
        names.put(joined.memberId(), "LEADER");
        show("join", joined);
        if (version >= 4) {
            joined = joinWith(first, join(joined.memberId(), null, "consumer", "range", "other"));
            show("join again", joined);
        }
        names.put(joined.memberId(), "LEADER");
        show("list", first, ApiKeys.LIST_GROUPS, Math.min(version, 5), new ListGroupsRequestData());
        return joined.memberId();
    }

    private void refusedSyncs(String leader) throws Exception {
        show("sync, other generation", syncWith(first, sync(leader, null, 9)));
        show("sync, unknown member", syncWith(first, sync("ghost", null, 1)));
        show("sync, unknown group", syncWith(first, sync("ghost", null, 1).setGroupId("nope")));
        if (version >= 5) {
            show("sync, no protocol", syncWith(first, sync(leader, null, 1).setProtocolType(null)));
            show("sync, other protocol", syncWith(first, sync(leader, null, 1).setProtocolName("zz")));
        }
        show("commit while completing", commitWith(9, commit(leader, null, 1, "t", 0)));
        show("describe while completing", first, ApiKeys.DESCRIBE_GROUPS, Math.min(version, 6),
            new DescribeGroupsRequestData().setGroups(List.of(group, "nope", "")));
    }

    private void stable(String leader) throws Exception {
        show("sync", syncWith(first, sync(leader, null, 1, leader)));
        show("sync again", syncWith(first, sync(leader, null, 1)));
        show("beat", beat(group, leader, null, 1));
        show("beat, other generation", beat(group, leader, null, 2));
        show("beat, unknown member", beat(group, "ghost", null, 1));
        show("beat, unknown group", beat("nope", leader, null, 1));
        show("beat, no group", beat("", leader, null, 1));
        if (version >= 3) show("beat, unknown instance", beat(group, leader, "zz", 1));
        DescribeGroupsRequestData describe = new DescribeGroupsRequestData().setGroups(List.of(group));
        if (version >= 3) describe.setIncludeAuthorizedOperations(true);
        show("describe", first, ApiKeys.DESCRIBE_GROUPS, Math.min(version, 6), describe);
    }

    private void offsets(String leader) throws Exception {
        int v = Math.min(2 + version, 9);
        show("commit", commitWith(v, commit(leader, null, 1, "t", 0, 1, 5)));
        show("commit by id", commitWith(10, commitById(leader, topicId, 0, 5)));
        show("commit by unknown id", commitWith(10, commitById(leader, UNKNOWN_TOPIC, 0)));
        show("commit, unknown topic", commitWith(v, commit(leader, null, 1, "zz", 0)));
        show("commit, other generation", commitWith(v, commit(leader, null, 7, "t", 0)));
        show("commit, unknown member", commitWith(v, commit("ghost", null, 1, "t", 0)));
        show("commit, nobody", commitWith(v, commit("", null, -1, "t", 0)));
        show("commit, unknown group", commitWith(v, commit("x", null, 1, "t", 0).setGroupId("nope")));
        OffsetCommitRequestData simple = commit("", null, -1, "t", 0).setGroupId("simple-" + version);
        show("commit, no members", commitWith(v, v <= 4 ? simple.setRetentionTimeMs(1_000_000) : simple));
        show("commit, empty group name", commitWith(v, commit("", null, -1, "t", 0).setGroupId("")));
        fetch();
        deleteOffsets();
        show("delete groups", first, ApiKeys.DELETE_GROUPS, Math.min(version, 2), new DeleteGroupsRequestData()
            .setGroupsNames(List.of(group, "nope", group, "simple-" + version, "")));
    }

    private void fetch() throws Exception {
        int v = 1 + version;
        OffsetFetchRequestData request = new OffsetFetchRequestData();
        if (v >= 8) {
            OffsetFetchRequestTopics known =
                new OffsetFetchRequestTopics().setName("t").setTopicId(topicId).setPartitionIndexes(List.of(0, 1, 2));
            OffsetFetchRequestTopics unknown =
                new OffsetFetchRequestTopics().setName("zz").setTopicId(UNKNOWN_TOPIC).setPartitionIndexes(List.of(0));
            request.groups().add(new OffsetFetchRequestGroup().setGroupId(group).setTopics(List.of(known, unknown)));
            request.groups().add(new OffsetFetchRequestGroup().setGroupId("nope").setTopics(null));
            request.groups().add(new OffsetFetchRequestGroup().setGroupId(group).setTopics(null));
        } else {
            request.setGroupId(group).setTopics(List.of(
                new OffsetFetchRequestTopic().setName("t").setPartitionIndexes(List.of(0, 1, 2)),
                new OffsetFetchRequestTopic().setName("zz").setPartitionIndexes(List.of(0))));
        }
        if (v >= 7) request.setRequireStable(true);
        show("fetch", first, ApiKeys.OFFSET_FETCH, v, request);
        if (v >= 2 && v < 8) {
            OffsetFetchRequestData all = new OffsetFetchRequestData().setGroupId(group).setTopics(null);
            show("fetch all", first, ApiKeys.OFFSET_FETCH, v, all);
        }
    }

    private void deleteOffsets() throws Exception {
        OffsetDeleteRequestData request = new OffsetDeleteRequestData().setGroupId(group);
        for (String topic : List.of("t", "u", "zz")) {
            OffsetDeleteRequestTopic asked = new OffsetDeleteRequestTopic().setName(topic);
            asked.partitions().add(new OffsetDeleteRequestPartition().setPartitionIndex(0));
            asked.partitions().add(new OffsetDeleteRequestPartition().setPartitionIndex(7));
            request.topics().add(asked);
        }
        show("delete offsets", first, ApiKeys.OFFSET_DELETE, 0, request);
        show("delete offsets, unknown group", first, ApiKeys.OFFSET_DELETE, 0, request.duplicate().setGroupId("nope"));
        show("delete offsets, no group", first, ApiKeys.OFFSET_DELETE, 0, request.duplicate().setGroupId(""));
    }

    /** A second member comes, static where there are static members, comes back, and both leave. */
    private void rebalance(String leader) throws Exception {
        String instance = version >= 5 ? "static" : null;
        String follower = secondJoin(leader, instance);
        second.send(ApiKeys.SYNC_GROUP, Math.min(version, 5), sync(follower, instance, 2));
        show("leader syncs", syncWith(first, sync(leader, null, 2, leader, follower)));
        show("follower is synced", second.receive(ApiKeys.SYNC_GROUP, Math.min(version, 5)));
        show("follower rejoins", joinWith(second, join(follower, instance, "consumer", "range")));
        if (version >= 5) fenced(follower);
        leave(leader, follower);
        show("list", first, ApiKeys.LIST_GROUPS, Math.min(version, 5), new ListGroupsRequestData());
        if (version >= 4) {
            ListGroupsRequestData empty = new ListGroupsRequestData().setStatesFilter(List.of("empty"));
            show("list the empty", first, ApiKeys.LIST_GROUPS, 4, empty);
        }
        for (String type : version >= 5 ? List.of("classic", "bogus") : List.<String>of()) {
            ListGroupsRequestData of = new ListGroupsRequestData().setTypesFilter(List.of(type));
            show("list the " + type, first, ApiKeys.LIST_GROUPS, 5, of);
        }
        show("delete the group", first, ApiKeys.DELETE_GROUPS, Math.min(version, 2),
            new DeleteGroupsRequestData().setGroupsNames(List.of(group)));
    }

    private String secondJoin(String leader, String instance) throws Exception {
        second.send(ApiKeys.JOIN_GROUP, version, join("", instance, "consumer", "range"));
        if (version == 4) {
            JoinGroupResponseData named = (JoinGroupResponseData) second.receive(ApiKeys.JOIN_GROUP, version);
            names.put(named.memberId(), "FOLLOWER");
            show("second member, its id", named);
            second.send(ApiKeys.JOIN_GROUP, version, join(named.memberId(), null, "consumer", "range"));
        }
        awaitRebalance();
        show("beat while rebalancing", beat(group, leader, null, 1));
        show("sync while rebalancing", syncWith(first, sync(leader, null, 1)));
        JoinGroupResponseData mine = joinWith(first, join(leader, null, "consumer", "range"));
        JoinGroupResponseData theirs = (JoinGroupResponseData) second.receive(ApiKeys.JOIN_GROUP, version);
        names.put(theirs.memberId(), "FOLLOWER");
        mine.members().sort(Comparator.comparing(member -> named(member.memberId())));
        show("leader rejoins", mine);
        show("second member joins", theirs);
        return theirs.memberId();
    }

    private void fenced(String old) throws Exception {
        JoinGroupResponseData back = joinWith(second, join("", "static", "consumer", "range"));
        names.put(back.memberId(), "FOLLOWER-AGAIN");
        show("static member is back", back);
        show("fenced beat", beat(group, old, "static", 2));
        show("fenced commit", commitWith(9, commit(old, "static", 2, "t", 0)));
        show("fenced join", joinWith(second, join(old, "static", "consumer", "range")));
        show("fenced sync", syncWith(second, sync(old, "static", 2)));
    }

    private void leave(String leader, String follower) throws Exception {
        int v = Math.min(version, 5);
        LeaveGroupRequestData request = new LeaveGroupRequestData().setGroupId(group);
        if (v < 3) {
            for (String member : List.of("ghost", leader, follower)) {
                show("leave " + named(member), first, ApiKeys.LEAVE_GROUP, v, request.duplicate().setMemberId(member));
            }
            show("leave an unknown group", first, ApiKeys.LEAVE_GROUP, v,
                request.duplicate().setGroupId("nope").setMemberId("ghost"));
            return;
        }
        request.setMembers(List.of(
            new MemberIdentity().setMemberId("ghost"),
            new MemberIdentity().setMemberId("").setGroupInstanceId("zz"),
            new MemberIdentity().setMemberId("x").setGroupInstanceId("static"),
            new MemberIdentity().setMemberId(leader),
            version >= 5
                ? new MemberIdentity().setMemberId("").setGroupInstanceId("static")
                : new MemberIdentity().setMemberId(follower)));
        show("leave", first, ApiKeys.LEAVE_GROUP, v, request);
        show("leave an unknown group", first, ApiKeys.LEAVE_GROUP, v, request.duplicate().setGroupId("nope"));
        show("leave no group", first, ApiKeys.LEAVE_GROUP, v, request.duplicate().setGroupId(""));
    }

    /** Until the JoinGroup on the other connection has reached the group. */
    private void awaitRebalance() throws Exception {
        DescribeGroupsRequestData describe = new DescribeGroupsRequestData().setGroups(List.of(group));
        for (int attempt = 0; attempt < 1_000; attempt++) {
            if (first.ask(ApiKeys.DESCRIBE_GROUPS, 0, describe).toString().contains("PreparingRebalance")) return;
            Thread.sleep(10);
        }
        throw new IllegalStateException("no rebalance");
    }

    private JoinGroupRequestData join(String member, String instance, String type, String... protocols) {
        byte[] subscription = {0, 0, 0, 0, 0, 1, 0, 1, 't', 0, 0, 0, 0};
        JoinGroupRequestData request = new JoinGroupRequestData().setGroupId(group).setMemberId(member)
            .setGroupInstanceId(instance).setProtocolType(type).setSessionTimeoutMs(10_000)
            .setRebalanceTimeoutMs(5_000);
        for (String protocol : protocols) {
            request.protocols().add(new JoinGroupRequestProtocol().setName(protocol).setMetadata(subscription));
        }
        return request;
    }

    private JoinGroupResponseData joinWith(Connection with, JoinGroupRequestData request) throws Exception {
        return (JoinGroupResponseData) with.ask(ApiKeys.JOIN_GROUP, version, request);
    }

    private SyncGroupRequestData sync(String member, String instance, int generation, String... assigned) {
        SyncGroupRequestData request = new SyncGroupRequestData().setGroupId(group).setMemberId(member)
            .setGroupInstanceId(instance).setGenerationId(generation);
        if (version >= 5) request.setProtocolType("consumer").setProtocolName("range");
        for (String to : assigned) {
            request.assignments().add(
                new SyncGroupRequestAssignment().setMemberId(to).setAssignment(new byte[] {1, 2}));
        }
        return request;
    }

    private ApiMessage syncWith(Connection with, SyncGroupRequestData request) throws Exception {
        return with.ask(ApiKeys.SYNC_GROUP, Math.min(version, 5), request);
    }

    private ApiMessage beat(String of, String member, String instance, int generation) throws Exception {
        return first.ask(ApiKeys.HEARTBEAT, instance != null ? 4 : Math.min(version, 4), new HeartbeatRequestData()
            .setGroupId(of).setMemberId(member).setGroupInstanceId(instance).setGenerationId(generation));
    }

    private OffsetCommitRequestData commit(String member, String instance, int generation, String topic, int... at) {
        OffsetCommitRequestTopic offsets = new OffsetCommitRequestTopic().setName(topic);
        for (int partition : at) {
            offsets.partitions().add(new OffsetCommitRequestPartition().setPartitionIndex(partition)
                .setCommittedOffset(10 + partition).setCommittedMetadata("m" + partition));
        }
        return new OffsetCommitRequestData().setGroupId(group).setMemberId(member).setGroupInstanceId(instance)
            .setGenerationIdOrMemberEpoch(generation).setTopics(List.of(offsets));
    }

    private OffsetCommitRequestData commitById(String member, Uuid topic, int... at) {
        OffsetCommitRequestData request = commit(member, null, 1, "", at);
        request.topics().get(0).setTopicId(topic);
        return request;
    }

    private ApiMessage commitWith(int v, OffsetCommitRequestData request) throws Exception {
        return first.ask(ApiKeys.OFFSET_COMMIT, v, request);
    }

    private void show(String what, Connection with, ApiKeys api, int v, ApiMessage request) throws Exception {
        show(what, with.ask(api, v, request));
    }

    private void show(String what, ApiMessage answer) {
        System.out.println(version + "\t" + what + "\t" + named(answer.toString()));
    }

    private String named(String text) {
        for (Map.Entry<String, String> name : names.entrySet()) {
            text = text.replace(name.getKey(), name.getValue());
        }
        return text.replaceAll("[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", "UUID").replace("" + port, "PORT");
    }

    /** One socket; answers come in the order of the requests. */
    private static final class Connection {
        private final DataOutputStream out;
        private final DataInputStream in;
        private int correlationId = 0;

        Connection(int port) throws Exception {
            Socket socket = new Socket("127.0.0.1", port);
            socket.setSoTimeout(30_000);
            out = new DataOutputStream(socket.getOutputStream());
            in = new DataInputStream(socket.getInputStream());
        }

        ApiMessage ask(ApiKeys api, int version, ApiMessage request) throws Exception {
            send(api, version, request);
            return receive(api, version);
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
