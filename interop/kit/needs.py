"""What the suites need, installed from package registries through their ordinary clients, once.
Everything lands under interop/.cache, but for Debian's packages. Nothing is optional: what cannot
be had is an error that names it."""

import base64
import fcntl
import hashlib
import json
import os
import pathlib
import re
import shutil
import threading
import uuid

from . import paths, procs

INSTALL_S = 900
DEBIAN = {
    "kcat": ["/usr/bin/kcat"],
    "rapidjson-dev": ["/usr/include/rapidjson/document.h"],
    "libzstd-dev": ["/usr/include/zstd.h"],
    "libssl-dev": ["/usr/include/openssl/ssl.h"],
    "zlib1g-dev": ["/usr/include/zlib.h"],
    "pkg-config": ["/usr/bin/pkg-config"],
}
PROGRAMS = {
    "java": "a Java runtime, 17 or newer (Debian: default-jre-headless)",
    "mvn": "Apache Maven (Debian: maven)",
    "python3": "Python 3.9 or newer with venv (Debian: python3-venv)",
    "node": "Node.js 18 or newer (Debian: nodejs)",
    "npm": "npm (Debian: npm)",
    "go": "Go 1.22 or newer (Debian: golang)",
    "cargo": "Rust's cargo",
    "mkfs.ext4": "mkfs.ext4 (Debian: e2fsprogs)",
    "mount": "mount (Debian: mount)", "umount": "umount (Debian: mount)",
    "make": "make", "gcc": "a C compiler", "g++": "a C++ compiler",
}
_class_path = []
_lock = threading.Lock()


class Missing(Exception):
    """Something that a suite needs is not here and could not be installed."""


def programs(*names):
    for name in names:
        if shutil.which(name) is None:
            raise Missing(f"{name} is missing: install {PROGRAMS.get(name, name)}")


def installed(name, inputs, build):
    """Runs `build` unless it already succeeded with the same inputs. Holds a lock file, so that
    two runs in one checkout do not install over each other."""
    digest = hashlib.sha256("\0".join(str(i) for i in inputs).encode()).hexdigest()
    paths.CACHE.mkdir(parents=True, exist_ok=True)
    stamp = paths.CACHE / f"{name}.stamp"
    with open(paths.CACHE / f"{name}.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if stamp.exists() and stamp.read_text() == digest:
            return
        stamp.unlink(missing_ok=True)
        print(f"  installing {name} …", flush=True)
        build()
        stamp.write_text(digest)


def must(argv, **kwargs):
    """A step of an installation: its failure is `Missing`."""
    try:
        done = procs.run(argv, timeout=INSTALL_S, **kwargs)
    except FileNotFoundError as error:
        raise Missing(f"{argv[0]}: {error}") from error
    if done.code != 0:
        raise Missing(f"installation step failed: {done}")
    return done.out


# --- Debian packages ---

def debian(*packages):
    wanted = [p for p in packages if not all(pathlib.Path(f).exists() for f in DEBIAN[p])]
    if not wanted:
        return
    programs("apt-get")
    if os.geteuid() != 0:
        raise Missing(f"needs root to install: apt-get install {' '.join(wanted)}")
    env = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    argv = ["apt-get", "install", "-y", "--no-install-recommends", *wanted]
    if procs.run(argv, timeout=INSTALL_S, env=env).code != 0:
        must(["apt-get", "update"], env=env)
        must(argv, env=env)


# --- Apache Kafka ---

def kafka():
    programs("java", "mvn")
    pom = paths.INTEROP / "kafka" / "pom.xml"
    target = paths.CACHE / "kafka.classpath"

    def build():
        # archives of classes from other jars would be of no use
        shutil.rmtree(paths.CACHE / "class-archives", ignore_errors=True)
        must(["mvn", "-q", "-B", "-f", pom, "dependency:build-classpath",
              f"-Dmdep.outputFile={target}"])

    installed("kafka", [pom.read_text()], build)
    jars = target.read_text().strip()
    gone = [jar for jar in jars.split(":") if not pathlib.Path(jar).exists()]
    if gone:
        (paths.CACHE / "kafka.stamp").unlink()
        return kafka()
    _class_path[:] = [jars]
    return jars


def kafka_class_path():
    with _lock:
        return _class_path[0] if _class_path else kafka()


def logging(level):
    prefix = "-Dorg.slf4j.simpleLogger"
    return [f"{prefix}.defaultLogLevel={level}", f"{prefix}.showThreadName=false",
            f"{prefix}.showShortLogName=true"]


def java(main, *args, heap="256m", quick=True, level="error"):
    """The command line of one of Kafka's tools; `quick` trades peak speed for start-up time."""
    jit = ["-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"] if quick else []
    return ["java", f"-Xmx{heap}", *jit, *logging(level), "-cp", kafka_class_path(), main, *args]


def random_uuid():
    """A cluster id as Kafka writes one; never with a leading dash, which a tool would misread."""
    while True:
        text = base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")
        if not text.startswith("-"):
            return text


# --- Python ---

def python_clients():
    programs("python3")
    listing = paths.INTEROP / "clients" / "requirements.txt"

    def build():
        shutil.rmtree(paths.CACHE / "venv", ignore_errors=True)
        must(["python3", "-m", "venv", paths.CACHE / "venv"])
        must([paths.VENV_PYTHON, "-m", "pip", "install", "-q", "-r", listing])

    installed("venv", [listing.read_text()], build)


def kafka_python_sources():
    """kafka-python's source distribution, which carries its integration tests."""
    python_clients()
    listing = (paths.INTEROP / "clients" / "requirements.txt").read_text()
    pin = next(line for line in listing.split() if line.startswith("kafka-python=="))
    target = paths.CACHE / "kafka-python"

    def build():
        shutil.rmtree(target, ignore_errors=True)
        target.mkdir(parents=True)
        must([paths.VENV_PYTHON, "-m", "pip", "download", "-q", "--no-binary", ":all:",
              "--no-deps", "-d", target, pin])
        (archive,) = target.glob("*.tar.gz")
        must(["tar", "xzf", archive, "-C", target, "--strip-components=1"])

    installed("kafka-python", [pin], build)
    return target


# --- Rust clients and librdkafka ---

def cargo_env():
    return {**os.environ, "CARGO_TARGET_DIR": str(paths.CACHE / "rust-target"),
            "PKG_CONFIG_PATH": str(paths.RDKAFKA / "prefix" / "lib" / "pkgconfig"),
            "LD_LIBRARY_PATH": str(paths.RDKAFKA / "prefix" / "lib")}


def crate_source(name):
    """The unpacked sources of a crate that interop/rust-clients depends on."""
    out = must(["cargo", "metadata", "--format-version", "1", "--locked", "--manifest-path",
                paths.INTEROP / "rust-clients" / "Cargo.toml"], env=cargo_env())
    for package in json.loads(out)["packages"]:
        if package["name"] == name:
            return pathlib.Path(package["manifest_path"]).parent
    raise Missing(f"crate {name} is not in interop/rust-clients/Cargo.lock")


def librdkafka():
    """librdkafka as the rdkafka-sys crate carries it, with its own test-runner, by its own
    Makefiles; installed under .cache for the rdkafka crate to link with."""
    programs("cargo", "make", "gcc", "g++")
    debian("libzstd-dev", "rapidjson-dev", "libssl-dev", "zlib1g-dev", "pkg-config")
    lock = (paths.INTEROP / "rust-clients" / "Cargo.lock").read_text()
    version = re.search(r'name = "rdkafka-sys"\nversion = "(.*)"', lock)[1]

    def build():
        shutil.rmtree(paths.RDKAFKA, ignore_errors=True)
        shutil.copytree(crate_source("rdkafka-sys") / "librdkafka", paths.RDKAFKA)
        jobs = f"-j{os.cpu_count() or 2}"
        nice = ["nice", "-n", "10"]
        must(["./configure", f"--prefix={paths.RDKAFKA}/prefix", "--disable-gssapi",
              "--disable-curl", "--enable-zstd"], cwd=paths.RDKAFKA)
        must([*nice, "make", jobs, "libs"], cwd=paths.RDKAFKA)
        must(["make", "-C", "src", "install"], cwd=paths.RDKAFKA)
        must([*nice, "make", jobs, "build"], cwd=paths.RDKAFKA / "tests")

    installed("librdkafka", [version, "zstd", "rapidjson"], build)
    return paths.RDKAFKA / "tests"


def rdkafka_performance():
    """librdkafka's own load program, for benches/compare."""
    folder = librdkafka().parent / "examples"
    stamp = (paths.CACHE / "librdkafka.stamp").read_text()
    installed("rdkafka_performance", [stamp], lambda: must(["make", "-C", folder, "rdkafka_performance"]))
    return folder / "rdkafka_performance"


def adapt(path, old, new):
    text = path.read_text()
    if old not in text:
        raise Missing(f"{path}: the line to adapt is not there: {old}")
    path.write_text(text.replace(old, new))


def adapt_rdkafka(tests):
    """Some of its tests take the broker to be localhost:9092 whatever KAFKA_HOST says."""
    adapt(tests / "test_high_producers.rs", '.set("bootstrap.servers", "localhost")',
          '.set("bootstrap.servers", get_bootstrap_server())')
    adapt(tests / "test_metadata.rs", "port(), 9092)",
          "port().to_string(), get_bootstrap_server().rsplit(':').next().unwrap())")


def rust_clients():
    """The tests that the rdkafka and rskafka crates carry, built in a workspace under .cache."""
    librdkafka()
    source, target = paths.INTEROP / "rust-clients", paths.CACHE / "rust-clients"
    inputs = [f.read_text() for f in sorted(source.rglob("*")) if f.suffix in (".rs", ".toml", ".lock")]

    def build():
        shutil.rmtree(target, ignore_errors=True)
        shutil.copytree(source, target)
        for crate in ("rdkafka", "rskafka"):
            shutil.copytree(crate_source(crate) / "tests", target / f"{crate}-tests" / "tests")
        shutil.copy(source / "java_helper.rs", target / "rskafka-tests" / "tests")
        adapt_rdkafka(target / "rdkafka-tests" / "tests")
        # written for rdkafka 0.35, whose `send` gave a pair; two rdkafka-sys cannot be linked
        adapt(target / "rskafka-tests" / "tests" / "rdkafka_helper.rs",
              "let (_partition, offset) = client.send(f_record, Timeout::Never).await.unwrap();",
              "let offset = client.send(f_record, Timeout::Never).await.unwrap().offset;")
        told = must(["nice", "-n", "10", "cargo", "test", "-q", "--locked", "--no-run",
                     "--message-format", "json"], cwd=target, env=cargo_env())
        (target / "tests.json").write_text(json.dumps(test_programs(told)))

    installed("rust-clients", inputs, build)
    return target


def test_programs(told):
    """{"PACKAGE/TEST": program} from what `cargo test --message-format json` says it built."""
    rows = [json.loads(line) for line in told.splitlines() if line.startswith("{")]
    made = [r for r in rows if r.get("executable") and "test" in r["target"]["kind"]]
    return {f"{pathlib.Path(r['manifest_path']).parent.name}/{r['target']['name']}":
            r["executable"] for r in made}


# --- Node and Go ---

def node_clients():
    programs("node", "npm")
    source, target = paths.INTEROP / "clients" / "node", paths.CACHE / "node"
    lock = (source / "package-lock.json").read_text()

    def build():
        shutil.rmtree(target, ignore_errors=True)
        target.mkdir(parents=True)
        for name in ("package.json", "package-lock.json"):
            shutil.copy(source / name, target / name)
        must(["npm", "ci", "--no-audit", "--no-fund", "--ignore-scripts"], cwd=target)

    installed("node", [lock], build)
    return target


def go_client():
    programs("go")
    source, target = paths.INTEROP / "clients" / "franz-go", paths.CACHE / "franz-go-suite"
    inputs = [f.read_text() for f in sorted(source.iterdir())]
    env = {**os.environ, "GOFLAGS": "-mod=readonly"}
    installed("franz-go", inputs, lambda: must(["go", "build", "-o", target, "."], cwd=source,
                                               env=env))
    return target
