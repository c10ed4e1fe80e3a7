"""A Flink session cluster of separate processes on the loopback interface, for trying and testing.

Flink's jars come from the PyPI package ``apache-flink-libraries``, which has no start scripts: the JVMs are
started here as Flink's scripts start them.
"""

import json
import socket
import subprocess
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from tests.engines.beam_workers import POOL_NAME, pool_address
from tests.engines.servers import Servers, free_ports

FLINK_VERSION = "1.19"


# As in the configuration that Flink is delivered with, for Java 17.
_JAVA_OPENS = {
    "exports": (
        "java.base/sun.net.util",
        "java.rmi/sun.rmi.registry",
        "java.security.jgss/sun.security.krb5",
    ),
    "opens": (
        "java.base/java.lang",
        "java.base/java.net",
        "java.base/java.io",
        "java.base/java.nio",
        "java.base/sun.nio.ch",
        "java.base/java.lang.reflect",
        "java.base/java.text",
        "java.base/java.time",
        "java.base/java.util",
        "java.base/java.util.concurrent",
        "java.base/java.util.concurrent.atomic",
        "java.base/java.util.concurrent.locks",
    ),
}
_LOG4J = """rootLogger.level = INFO
rootLogger.appenderRef.console.ref = Console
appender.console.name = Console
appender.console.type = CONSOLE
appender.console.layout.type = PatternLayout
appender.console.layout.pattern = %d{HH:mm:ss,SSS} %-5p %-40c{1} - %m%n
"""
# Flink's scripts work these out; a task manager started without them needs every one.
_MEMORY = {
    "taskmanager.memory.task.heap.size": "256m",
    "taskmanager.memory.task.off-heap.size": "0m",
    "taskmanager.memory.managed.size": "64m",
    "taskmanager.memory.network.min": "32m",
    "taskmanager.memory.network.max": "32m",
    "taskmanager.memory.framework.heap.size": "128m",
    "taskmanager.memory.framework.off-heap.size": "64m",
    "taskmanager.memory.jvm-metaspace.size": "256m",
    "taskmanager.memory.jvm-overhead.min": "128m",
    "taskmanager.memory.jvm-overhead.max": "128m",
}


class FlinkCluster(NamedTuple):
    """A job manager and its task managers."""

    address: str
    job_server_jar: Path
    servers: Servers
    task_managers: list["subprocess.Popen[bytes]"]

    @property
    def flags(self) -> list[str]:
        """What `pipeline.generate` is given, besides the workers' environment."""
        return [
            "--runner=FlinkRunner",
            f"--flink_master={self.address}",
            f"--flink_version={FLINK_VERSION}",
            f"--flink_job_server_jar={self.job_server_jar}",
            f"--parallelism={len(self.task_managers)}",
        ]

    def get(self, path: str) -> Any:
        """What the job manager's REST interface answers."""
        with urllib.request.urlopen(f"http://{self.address}{path}", timeout=10) as answer:
            return json.load(answer)

    def num_slots(self, task_manager: int) -> int:
        """How many slots of a task manager are at work."""
        managers = self.get("/taskmanagers")["taskmanagers"]
        (manager,) = (each for each in managers if each["id"] == f"task-manager-{task_manager}")
        return int(manager["slotsNumber"]) - int(manager["freeSlots"])


@contextmanager
def flink_cluster(
    directory: Path, home: Path, environment: Mapping[str, str], task_managers: int = 2
) -> Iterator[FlinkCluster]:
    """A cluster that runs as long as the block, and that starts a job again after a fault.

    Args:
        directory: for its logs and files; made if it is not there.
        home: what ``make build/flink/ready`` has fetched: ``job-server.jar`` and Flink's ``lib``.
        environment: of its processes, and of Beam workers that they start themselves.
        task_managers: how many, with as many slots each, so that one can do the work of all.
    """
    rpc, rest, blob, *ports = free_ports(3 + 2 * task_managers)
    common = {
        "jobmanager.rpc.address": "127.0.0.1",
        "jobmanager.rpc.port": rpc,
        "jobmanager.bind-host": "127.0.0.1",
        "rest.address": "127.0.0.1",
        "rest.bind-address": "127.0.0.1",
        "rest.port": rest,
        "rest.bind-port": rest,
        "blob.server.port": blob,
        "web.upload.dir": directory / "upload",
        "cluster.evenly-spread-out-slots": "true",
        "heartbeat.interval": 2000,
        "heartbeat.timeout": 10000,
        "slot.request.timeout": 15000,
        # Without a strategy a job fails at the first fault.
        "restart-strategy.type": "fixed-delay",
        "restart-strategy.fixed-delay.attempts": 5,
        "restart-strategy.fixed-delay.delay": "1 s",
    }
    with Servers(directory) as servers:
        (directory / "tmp").mkdir(exist_ok=True)

        def start(
            name: str, main: str, settings: Mapping[str, object], *options: str
        ) -> "subprocess.Popen[bytes]":
            configuration = directory / f"{name}-conf"
            configuration.mkdir()
            lines = (f"{key}: {value}\n" for key, value in {**common, **settings}.items())
            (configuration / "config.yaml").write_text("".join(lines))
            (configuration / "log4j.properties").write_text(_LOG4J)
            log4j = f"-Dlog4j.configurationFile={configuration / 'log4j.properties'}"
            command = ["java", "-Xmx512m", f"-Djava.io.tmpdir={directory / 'tmp'}", log4j, *_java_opens()]
            jars = [*(home / "lib").glob("flink-dist-*.jar"), *(home / "lib").glob("log4j-*.jar")]
            command += [*options, "-cp", ":".join(map(str, jars)), f"org.apache.flink.runtime.{main}"]
            return servers.start(name, [*command, "--configDir", str(configuration)], environment)

        start("job-manager", "entrypoint.StandaloneSessionClusterEntrypoint", {})
        for number in range(task_managers):
            (directory / f"hosts-{number}").write_text(_hosts(number))
        managers = [
            start(
                f"task-manager-{number}",
                "taskexecutor.TaskManagerRunner",
                {
                    **_MEMORY,
                    "taskmanager.resource-id": f"task-manager-{number}",
                    "taskmanager.host": "127.0.0.1",
                    "taskmanager.bind-host": "127.0.0.1",
                    "taskmanager.rpc.port": ports[2 * number],
                    "taskmanager.data.port": ports[2 * number + 1],
                    "taskmanager.numberOfTaskSlots": task_managers,
                    "taskmanager.cpu.cores": task_managers,
                },
                f"-Djdk.net.hosts.file={directory / f'hosts-{number}'}",
            )
            for number in range(task_managers)
        ]
        cluster = FlinkCluster(f"127.0.0.1:{rest}", home / "job-server.jar", servers, managers)

        def is_complete() -> bool:
            try:
                return len(cluster.get("/taskmanagers")["taskmanagers"]) == task_managers
            except OSError:
                return False

        servers.wait_until(is_complete, 120)
        yield cluster


def _hosts(task_manager: int) -> str:
    """Names as a task manager knows them: the workers' pool is the one of its own host."""
    return f"127.0.0.1 localhost {socket.gethostname()}\n{pool_address(task_manager)} {POOL_NAME}\n"


def _java_opens() -> list[str]:
    return [f"--add-{how}={package}=ALL-UNNAMED" for how, those in _JAVA_OPENS.items() for package in those]
