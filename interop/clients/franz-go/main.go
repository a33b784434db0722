// franz-go as its users write it (kgo and kadm): produce, consume, groups, admin.
// Argument: HOST:PORT. Claims are printed as `ok NAME`, `not ok NAME :: WHY`, and last `1..N`.
package main

import (
	"context"
	"fmt"
	"os"
	"sort"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

var (
	server   string
	claims   int
	failures int
)

func claim(name string, body func(ctx context.Context) error) {
	claims++
	ctx, cancel := context.WithTimeout(context.Background(), 40*time.Second)
	defer cancel()
	if err := body(ctx); err != nil {
		failures++
		fmt.Printf("not ok %s :: %s\n", name, strings.ReplaceAll(err.Error(), "\n", " "))
		return
	}
	fmt.Printf("ok %s\n", name)
}

func client(options ...kgo.Opt) (*kgo.Client, error) {
	return kgo.NewClient(append([]kgo.Opt{kgo.SeedBrokers(server)}, options...)...)
}

func until(ctx context.Context, what string, probe func() (bool, error)) error {
	for {
		done, err := probe()
		if err != nil || done {
			return err
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("not in time: %s", what)
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// member is one member of a group, polling on a goroutine of its own.
type member struct {
	client *kgo.Client
	mu     sync.Mutex
	parts  map[int32]bool
	read   []string
	done   chan struct{}
}

func join(group, topic string, options ...kgo.Opt) (*member, error) {
	m := &member{parts: map[int32]bool{}, done: make(chan struct{})}
	change := func(owned bool) func(context.Context, *kgo.Client, map[string][]int32) {
		return func(_ context.Context, _ *kgo.Client, topics map[string][]int32) {
			m.mu.Lock()
			defer m.mu.Unlock()
			for _, part := range topics[topic] {
				if owned {
					m.parts[part] = true
				} else {
					delete(m.parts, part)
				}
			}
		}
	}
	var err error
	m.client, err = client(append(options, kgo.ConsumerGroup(group), kgo.ConsumeTopics(topic),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.HeartbeatInterval(300*time.Millisecond),
		kgo.SessionTimeout(6*time.Second), kgo.FetchMaxWait(100*time.Millisecond),
		kgo.OnPartitionsAssigned(change(true)), kgo.OnPartitionsRevoked(change(false)),
		kgo.OnPartitionsLost(change(false)))...)
	if err != nil {
		return nil, err
	}
	go m.poll()
	return m, nil
}

func (m *member) poll() {
	defer close(m.done)
	for {
		fetches := m.client.PollFetches(context.Background())
		if fetches.IsClientClosed() {
			return
		}
		m.mu.Lock()
		fetches.EachRecord(func(r *kgo.Record) { m.read = append(m.read, string(r.Value)) })
		m.mu.Unlock()
	}
}

func (m *member) owned() []int32 {
	m.mu.Lock()
	defer m.mu.Unlock()
	var parts []int32
	for part := range m.parts {
		parts = append(parts, part)
	}
	return parts
}

func (m *member) values() []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return append([]string(nil), m.read...)
}

// leave commits what was read and leaves the group.
func (m *member) leave(ctx context.Context) error {
	err := m.client.CommitUncommittedOffsets(ctx)
	m.client.Close()
	<-m.done
	return err
}

func codecs() {
	for name, codec := range map[string]kgo.CompressionCodec{
		"none": kgo.NoCompression(), "gzip": kgo.GzipCompression(), "snappy": kgo.SnappyCompression(),
		"lz4": kgo.Lz4Compression(), "zstd": kgo.ZstdCompression(),
	} {
		claim("1,000 records there and back, "+name, func(ctx context.Context) error {
			return roundTrip(ctx, "franz-"+name, codec)
		})
	}
}

func roundTrip(ctx context.Context, topic string, codec kgo.CompressionCodec) error {
	// idempotent by default
	producer, err := client(kgo.ProducerBatchCompression(codec), kgo.AllowAutoTopicCreation())
	if err != nil {
		return err
	}
	defer producer.Close()
	var records []*kgo.Record
	for i := range 1000 {
		records = append(records, &kgo.Record{Topic: topic, Key: []byte("k"), Value: []byte(strconv.Itoa(i)),
			Headers: []kgo.RecordHeader{{Key: "n", Value: []byte(strconv.Itoa(i))}}})
	}
	if err := producer.ProduceSync(ctx, records...).FirstErr(); err != nil {
		return err
	}
	consumer, err := client(kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{
		topic: {0: kgo.NewOffset().AtStart()}}))
	if err != nil {
		return err
	}
	defer consumer.Close()
	next := 0
	for next < 1000 {
		fetches := consumer.PollFetches(ctx)
		if err := fetches.Err(); err != nil {
			return err
		}
		for _, r := range fetches.Records() {
			if string(r.Value) != strconv.Itoa(next) || r.Offset != int64(next) || len(r.Headers) != 1 {
				return fmt.Errorf("record %d is %q at offset %d", next, r.Value, r.Offset)
			}
			next++
		}
	}
	return nil
}

func groups(admin *kadm.Client) {
	const group, topic = "franz-group", "franz-shared"
	var first, second *member
	claim("a lone member gets every partition", func(ctx context.Context) (err error) {
		if _, err = admin.CreateTopic(ctx, 4, 1, nil, topic); err != nil {
			return err
		}
		if first, err = join(group, topic); err != nil {
			return err
		}
		return until(ctx, "four partitions", func() (bool, error) { return len(first.owned()) == 4, nil })
	})
	claim("a second member takes half of them (cooperative)", func(ctx context.Context) (err error) {
		if second, err = join(group, topic); err != nil {
			return err
		}
		return until(ctx, "two and two", func() (bool, error) {
			return len(first.owned()) == 2 && len(second.owned()) == 2, nil
		})
	})
	claim("every record reaches one of the two, once", func(ctx context.Context) error {
		return shareRecords(ctx, topic, first, second)
	})
	claim("the group is described while it lives", func(ctx context.Context) error {
		described, err := admin.DescribeGroups(ctx, group)
		if err != nil {
			return err
		}
		if g := described[group]; g.State != "Stable" || len(g.Members) != 2 || g.Err != nil {
			return fmt.Errorf("state %s, %d members, %v", g.State, len(g.Members), g.Err)
		}
		return nil
	})
	claim("when one leaves, the other takes over", func(ctx context.Context) error {
		if err := second.leave(ctx); err != nil {
			return err
		}
		return until(ctx, "four", func() (bool, error) { return len(first.owned()) == 4, nil })
	})
	claim("committed offsets and lag are there; the group is deleted when empty", func(ctx context.Context) error {
		if err := first.leave(ctx); err != nil {
			return err
		}
		return checkAndDelete(ctx, admin, group)
	})
}

func shareRecords(ctx context.Context, topic string, first, second *member) error {
	producer, err := client(kgo.RecordPartitioner(kgo.ManualPartitioner()))
	if err != nil {
		return err
	}
	defer producer.Close()
	var records []*kgo.Record
	for i := range 200 {
		records = append(records, &kgo.Record{Topic: topic, Partition: int32(i % 4), Value: []byte(strconv.Itoa(i))})
	}
	if err := producer.ProduceSync(ctx, records...).FirstErr(); err != nil {
		return err
	}
	err = until(ctx, "200 records", func() (bool, error) {
		return len(first.values())+len(second.values()) >= 200, nil
	})
	if err != nil {
		return err
	}
	var got []int
	for _, value := range append(first.values(), second.values()...) {
		n, _ := strconv.Atoi(value)
		got = append(got, n)
	}
	sort.Ints(got)
	for i, n := range got {
		if i != n {
			return fmt.Errorf("record %d is %d", i, n)
		}
	}
	return nil
}

func checkAndDelete(ctx context.Context, admin *kadm.Client, group string) error {
	lags, err := admin.Lag(ctx, group)
	if err != nil {
		return err
	}
	if total := lags[group].Lag.Total(); total != 0 {
		return fmt.Errorf("lag %d", total)
	}
	listed, err := admin.ListGroups(ctx)
	if err != nil {
		return err
	}
	if _, there := listed[group]; !there {
		return fmt.Errorf("not listed: %v", listed.Groups())
	}
	if _, err := admin.DeleteGroup(ctx, group); err != nil {
		return err
	}
	listed, err = admin.ListGroups(ctx)
	if _, there := listed[group]; there {
		return fmt.Errorf("still listed")
	}
	return err
}

func administration(admin *kadm.Client) {
	claim("admin: topics with settings, more partitions, deletion", func(ctx context.Context) error {
		value := "88000"
		if _, err := admin.CreateTopic(ctx, 2, 1, map[string]*string{"retention.ms": &value}, "franz-admin"); err != nil {
			return err
		}
		configs, err := admin.DescribeTopicConfigs(ctx, "franz-admin")
		if err != nil {
			return err
		}
		found := false
		for _, config := range configs[0].Configs {
			found = found || (config.Key == "retention.ms" && config.MaybeValue() == value)
		}
		if !found || len(configs[0].Configs) < 25 {
			return fmt.Errorf("settings: %v", configs[0].Configs)
		}
		if _, err := admin.UpdatePartitions(ctx, 5, "franz-admin"); err != nil {
			return err
		}
		err = until(ctx, "five partitions", func() (bool, error) {
			topics, err := admin.ListTopics(ctx, "franz-admin")
			return err == nil && len(topics["franz-admin"].Partitions) == 5, err
		})
		if err != nil {
			return err
		}
		deleted, err := admin.DeleteTopic(ctx, "franz-admin")
		if err == nil {
			err = deleted.Err
		}
		return err
	})
	claim("admin: offsets at both ends, after milliseconds, and delete records", func(ctx context.Context) error {
		return offsets(ctx, admin)
	})
	claim("admin: log dirs, api versions, broker metadata", func(ctx context.Context) error {
		dirs, err := admin.DescribeAllLogDirs(ctx, nil)
		if err != nil || len(dirs) != 1 {
			return fmt.Errorf("%d brokers with log dirs, %v", len(dirs), err)
		}
		if _, err := admin.ApiVersions(ctx); err != nil {
			return err
		}
		meta, err := admin.BrokerMetadata(ctx)
		if err != nil || len(meta.Brokers) != 1 || meta.Cluster == "" {
			return fmt.Errorf("%v, %v", meta, err)
		}
		return nil
	})
}

func offsets(ctx context.Context, admin *kadm.Client) error {
	ends, err := admin.ListEndOffsets(ctx, "franz-gzip")
	if err != nil {
		return err
	}
	if end, _ := ends.Lookup("franz-gzip", 0); end.Offset != 1000 {
		return fmt.Errorf("end %d", end.Offset)
	}
	after, err := admin.ListOffsetsAfterMilli(ctx, 1000, "franz-gzip")
	if err != nil {
		return err
	}
	if first, _ := after.Lookup("franz-gzip", 0); first.Offset != 0 {
		return fmt.Errorf("first after: %d", first.Offset)
	}
	want := kadm.Offsets{}
	want.AddOffset("franz-gzip", 0, 10, -1)
	if _, err := admin.DeleteRecords(ctx, want); err != nil {
		return err
	}
	starts, err := admin.ListStartOffsets(ctx, "franz-gzip")
	if err != nil {
		return err
	}
	if start, _ := starts.Lookup("franz-gzip", 0); start.Offset != 10 {
		return fmt.Errorf("start %d", start.Offset)
	}
	return nil
}

func main() {
	server = os.Args[1]
	base, err := client()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(2)
	}
	admin := kadm.NewClient(base)
	codecs()
	groups(admin)
	administration(admin)
	admin.Close()
	fmt.Printf("1..%d\n", claims)
	if failures > 0 {
		os.Exit(1)
	}
}
