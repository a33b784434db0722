#!/usr/bin/env python3
"""Writes wire/schema/*.kring from the message definitions inside Apache Kafka's jars.

    import_schema.py [--check] [--schema DIR] CLASSPATH

CLASSPATH is a Java class path, a directory of jars, or several of both joined by ':'. Without --check the
schema files are rewritten; with --check nothing is written, the differences are listed (new, changed and
vanished messages, versions and fields) and the exit status is 1 when there are any.

Only names, types, versions, defaults and tags are taken: no descriptions. The notation is explained in
wire/schema/README.md.
"""

import argparse
import glob
import json
import os
import re
import sys
import zipfile

# The jars whose definitions Kring speaks; the rest (Streams, Connect) are private to their clients.
JARS = (
    "kafka-clients",
    "kafka-group-coordinator",
    "kafka-transaction-coordinator",
    "kafka-share-coordinator",
    "kafka-metadata",
    "kafka-raft",
    "kafka-storage",
)
DEFINITION = re.compile(r"(common/)?(message|metadata)/\w+\.json$")

# Which file a request and its response live in, by API key. A key that is not here lands in other.kring.
FAMILIES = {
    "produce_fetch": [0, 1, 2, 3, 21, 23, 75],
    "groups": [8, 9, 10, 11, 12, 13, 14, 15, 16, 42, 47, 68, 69],
    "transactions": [22, 24, 25, 26, 27, 28, 61, 65, 66],
    "share": [76, 77, 78, 79, 83, 84, 85, 86, 87, 90, 91, 92],
    "streams": [88, 89],
    "security": [17, 29, 30, 31, 36, 38, 39, 40, 41, 50, 51],
    "admin": [18, 19, 20, 32, 33, 34, 35, 37, 43, 44, 45, 46, 48, 49, 57, 60, 71, 72, 74],
    "cluster": [4, 5, 6, 7, 52, 53, 54, 55, 56, 58, 59, 62, 63, 64, 67, 70, 73, 80, 81, 82],
}
OTHER_FAMILY = {"kafka-group-coordinator": "group_records", "kafka-transaction-coordinator": "transaction_records",
                "kafka-share-coordinator": "share_records", "kafka-metadata": "metadata_records",
                "kafka-raft": "quorum_state", "kafka-storage": "storage_records", "kafka-clients": "embedded"}
KINDS = {"request": "request", "response": "response", "header": "header", "data": "data",
         "metadata": "record", "coordinator-key": "key", "coordinator-value": "value"}


def fail(text):
    sys.exit("import_schema: " + text)


def jars_of(class_path):
    for entry in class_path.split(":"):
        yield from sorted(glob.glob(os.path.join(entry, "*.jar"))) if os.path.isdir(entry) else [entry]


def jar_kind(path):
    match = re.match(r"(kafka-[a-z-]+?)-\d[\w.]*\.jar$", os.path.basename(path))
    return match.group(1) if match and match.group(1) in JARS else None


def strip_comments(text):
    """Removes // comments that stand outside string literals."""
    return re.sub(r'("(?:[^"\\\n]|\\.)*")|//[^\n]*', lambda m: m.group(1) or "", text)


def definitions(class_path):
    """Yields (jar kind, definition) for every message in the jars."""
    found = set()
    for path in jars_of(class_path):
        kind = jar_kind(path)
        if kind is None:
            continue
        found.add(kind)
        with zipfile.ZipFile(path) as jar:
            for name in sorted(filter(DEFINITION.match, jar.namelist())):
                yield kind, json.loads(strip_comments(jar.read(name).decode()))
    missing = set(JARS) - found
    if missing:
        fail("not on the class path: " + ", ".join(sorted(missing)))


def family(jar, definition):
    if definition["type"] == "header":
        return "headers"
    if definition["type"] in ("request", "response"):
        key = definition["apiKey"]
        return next((name for name, keys in FAMILIES.items() if key in keys), "other")
    return OTHER_FAMILY[jar]


def default_text(value):
    """The notation's default, or None for the type's own zero. JSON's null means the zero too, as in Kafka."""
    if value is None:
        return None
    text = str(value).lower() if isinstance(value, bool) or str(value) in ("True", "False") else str(value)
    if text.startswith("0x"):
        text = str(int(text, 16))
    return None if text in ("", "0", "false") else text


def field_lines(fields, indent):
    for field in fields:
        tagged = field.get("taggedVersions")
        words = [field["name"], field["type"], field.get("versions", tagged)]
        if field.get("nullableVersions", "none") != "none":
            words.append("null " + field["nullableVersions"])
        if tagged:
            words.append("tag %d %s" % (field["tag"], tagged))
        if field.get("flexibleVersions") == "none":
            words.append("plain")
        default = default_text(field.get("default"))
        if default is not None:
            words.append("= " + default)
        if field.get("ignorable"):
            words.append("ignorable")
        yield "  " * indent + " ".join(words)
        yield from field_lines(field.get("fields", []), indent + 1)


def header_line(definition):
    words = ["message", definition["name"], KINDS[definition["type"]]]
    if "apiKey" in definition:
        words.append(str(definition["apiKey"]))
    words += ["versions", definition["validVersions"], "flexible", definition.get("flexibleVersions", "none")]
    if definition.get("listeners"):
        words.append("listeners " + ",".join(definition["listeners"]))
    if definition.get("latestVersionUnstable"):
        words.append("unstable")
    return " ".join(words)


def message_lines(definition):
    yield header_line(definition)
    for struct in definition.get("commonStructs", []):
        yield "  struct %s %s" % (struct["name"], struct["versions"])
        yield from field_lines(struct["fields"], 2)
    yield from field_lines(definition.get("fields", []), 1)


def sort_key(definition):
    return definition.get("apiKey", -1), list(KINDS).index(definition["type"]), definition["name"]


def schema_of(class_path):
    """{file name: {message name: [lines]}}"""
    files, names = {}, set()
    for jar, definition in sorted(definitions(class_path), key=lambda pair: sort_key(pair[1])):
        if definition["name"] in names:
            fail("two different messages are called " + definition["name"])
        names.add(definition["name"])
        file = files.setdefault(family(jar, definition) + ".kring", {})
        file[definition["name"]] = list(message_lines(definition))
    return files


def read_schema(directory):
    files = {}
    for path in sorted(glob.glob(os.path.join(directory, "*.kring"))):
        messages = files[os.path.basename(path)] = {}
        with open(path) as lines:
            for line in filter(None, (line.rstrip() for line in lines)):
                if line.startswith("message "):
                    current = messages[line.split()[1]] = []
                current.append(line)
    return files


def write_schema(directory, files):
    for name, messages in files.items():
        with open(os.path.join(directory, name), "w") as out:
            out.write("\n\n".join("\n".join(lines) for lines in messages.values()) + "\n")
    for path in glob.glob(os.path.join(directory, "*.kring")):
        if os.path.basename(path) not in files:
            os.remove(path)


def paths_of(lines):
    """{path of a field: the rest of its line}, so that a moved line is not reported as a change."""
    stack, out = [], {"": lines[0].split(None, 2)[2]}
    for line in lines[1:]:
        depth = (len(line) - len(line.lstrip())) // 2
        words = line.split()
        name = " ".join(words[:2]) if words[0] == "struct" else words[0]
        stack[depth - 1:] = [name]
        out["/".join(stack)] = " ".join(words[1:])
    return out


def changes(old_files, new_files):
    old = {name: lines for file in old_files.values() for name, lines in file.items()}
    new = {name: lines for file in new_files.values() for name, lines in file.items()}
    for name in sorted(new.keys() - old.keys()):
        yield "new message: " + new[name][0].split(None, 1)[1]
    for name in sorted(old.keys() - new.keys()):
        yield "vanished message: " + name
    for name in sorted(old.keys() & new.keys()):
        yield from message_changes(name, paths_of(old[name]), paths_of(new[name]))
        if old[name] != new[name] and paths_of(old[name]) == paths_of(new[name]):
            yield "%s: fields in another order" % name


def message_changes(name, old, new):
    for path in [path for path in new if path not in old]:
        yield "%s: new field %s %s" % (name, path, new[path])
    for path in [path for path in old if path not in new]:
        yield "%s: vanished field %s" % (name, path)
    for path in [path for path in new if path in old and old[path] != new[path]]:
        yield "%s%s: was `%s`, is `%s`" % (name, path and "/" + path, old[path], new[path])


def main():
    parser = argparse.ArgumentParser(description="Import Kafka's message definitions.")
    parser.add_argument("--check", action="store_true", help="report differences, write nothing")
    parser.add_argument("--schema", default=os.path.join(os.path.dirname(__file__), "..", "schema"))
    parser.add_argument("class_path", metavar="CLASSPATH")
    args = parser.parse_args()
    new = schema_of(args.class_path)
    report = list(changes(read_schema(args.schema), new))
    print("\n".join(report) if report else "no differences")
    if args.check:
        sys.exit(1 if report else 0)
    write_schema(args.schema, new)


if __name__ == "__main__":
    main()
