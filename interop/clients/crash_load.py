"""Load that outlives its broker: an idempotent producer with acks=all that writes 0, 1, 2, … to
each partition, so that a record's value must equal its offset, and a committer of ever larger
group offsets. Told what to do on stdin, one word a line:
  acked    how many records are acknowledged so far
  verify   read on from where the last `verify` ended, and compare with what was acknowledged
  finish   stop, flush, and read everything again from the beginning
Arguments: HOST:PORT TOPIC PARTITIONS RECORDS_PER_SECOND."""

import sys
import threading
import time

from confluent_kafka import Consumer, KafkaException, Producer, TopicPartition

SERVER, TOPIC, PARTITIONS, RATE = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
BASE = {"bootstrap.servers": SERVER, "broker.address.family": "v4", "log_level": 0,
        "reconnect.backoff.ms": 20, "reconnect.backoff.max.ms": 200}
GROUP = "crash-committer"


class Load:
    def __init__(self):
        self.producer = Producer({
            **BASE, "enable.idempotence": True, "linger.ms": 2, "message.timeout.ms": 0,
            "retry.backoff.ms": 20, "retry.backoff.max.ms": 200, "queue.buffering.max.messages": 5000,
            "error_cb": self.error})
        self.sent = [0] * PARTITIONS
        self.acked = [0] * PARTITIONS
        self.broken = []
        self.running = True

    def error(self, error):
        if error.fatal():
            self.broken.append(f"fatal error in the idempotent producer: {error}")

    def delivered(self, error, message):
        if error is not None:
            self.broken.append(f"a record failed: {error}")
            return
        part, value, offset = message.partition(), int(message.value()[:12]), message.offset()
        if value != self.acked[part]:
            self.broken.append(f"partition {part}: {value} acknowledged after {self.acked[part]}")
        if offset >= 0 and offset != value:
            self.broken.append(f"partition {part}: {value} acknowledged at offset {offset}")
        self.acked[part] = value + 1

    def run(self):
        began, count = time.monotonic(), 0
        while self.running:
            due = int((time.monotonic() - began) * RATE)
            while count < due:
                part = count % PARTITIONS
                try:
                    self.producer.produce(TOPIC, b"%012d%s" % (self.sent[part], b"." * 88),
                                          partition=part, on_delivery=self.delivered)
                except BufferError:
                    began += (due - count) / RATE  # the broker is away: catch up with nothing
                    break
                self.sent[part] += 1
                count += 1
            self.producer.poll(0.005)
        left = self.producer.flush(60)
        if left:
            self.broken.append(f"{left} records were never acknowledged")


class Committer:
    """Commits 1, 2, 3, … for partition 0 and remembers what was answered."""

    def __init__(self):
        self.consumer = Consumer({**BASE, "group.id": GROUP, "enable.auto.commit": False})
        self.answered, self.tried, self.running = 0, 0, True
        self.failures = 0

    def run(self):
        while self.running:
            self.tried += 1
            try:
                self.consumer.commit(offsets=[TopicPartition(TOPIC, 0, self.tried)],
                                     asynchronous=False)
                self.answered = self.tried
            except KafkaException:
                self.failures += 1  # the broker is away: the next one is larger
                time.sleep(0.02)
            time.sleep(0.005)


class Verifier:
    def __init__(self):
        self.next = [0] * PARTITIONS

    def read(self, promised):
        """Reads on to the end. Value must equal offset, and the end must cover `promised`."""
        consumer = Consumer({**BASE, "group.id": "verifier", "enable.auto.commit": False,
                             "enable.partition.eof": True, "auto.offset.reset": "error",
                             "check.crcs": True})
        try:
            for part in range(PARTITIONS):
                low, high = consumer.get_watermark_offsets(TopicPartition(TOPIC, part), 30)
                if low != 0 or high < promised[part]:
                    return f"partition {part} is {low}..{high}, acknowledged {promised[part]}"
                self.read_partition(consumer, part, high)
        except AssertionError as error:
            return str(error)
        finally:
            consumer.close()
        return None

    def read_partition(self, consumer, part, high):
        consumer.assign([TopicPartition(TOPIC, part, self.next[part])])
        deadline = time.monotonic() + 60
        while self.next[part] < high:
            assert time.monotonic() < deadline, f"partition {part}: no record at {self.next[part]}"
            for message in consumer.consume(5000, 0.2):
                if message.error():
                    continue
                want, value = self.next[part], int(message.value()[:12])
                assert message.offset() == want, f"partition {part}: {message.offset()} after {want}"
                assert value == want, f"partition {part}: {value} at offset {want}"
                self.next[part] += 1


def committed(committer, promised):
    consumer = Consumer({**BASE, "group.id": GROUP, "enable.auto.commit": False})
    try:
        got = consumer.committed([TopicPartition(TOPIC, 0)], 30)[0].offset
    finally:
        consumer.close()
    if promised and not promised <= got <= committer.tried:
        return f"committed offset is {got}, answered {promised}, tried {committer.tried}"
    return None


def say(text):
    print(text, flush=True)


def main():
    load, committer, verifier = Load(), Committer(), Verifier()
    threads = [threading.Thread(target=x.run, daemon=True) for x in (load, committer)]
    for thread in threads:
        thread.start()
    for line in sys.stdin:
        command = line.strip()
        if command == "finish":
            load.running = committer.running = False
            for thread in threads:
                thread.join(90)
            verifier.next = [0] * PARTITIONS
        promised, answered = list(load.acked), committer.answered
        if command == "acked":
            say(f"acked {sum(promised)} {answered}")
            continue
        wrong = load.broken[:1] or [verifier.read(promised) or committed(committer, answered)]
        if wrong[0] is None and command == "finish" and verifier.next != load.sent:
            wrong = [f"records sent {load.sent}, in the log {verifier.next}"]
        say(f"wrong: {wrong[0]}" if wrong[0] else f"right {sum(verifier.next)} {answered}")
        if command == "finish":
            return


main()
