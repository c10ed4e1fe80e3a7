"""The store behaves as Google Cloud Storage does behind Beam, in every process that Beam or we start."""

import gzip
import os
import signal
import subprocess
import sys
import time

import apache_beam as beam
import pytest
from apache_beam.io.filesystem import BeamIOError, CompressionTypes
from apache_beam.io.filesystems import FileSystems

from pipeline.generation.runners import choose_runner
from pipeline.storage import files
from pipeline.workers.local_pool import local_pool
from tests.conftest import ROOT
from tests.object_store.file_system import NotFound
from tests.object_store.store import Store
from tests.processes import environment

A, DATA, DATA2 = "store://bucket/data/a", "store://bucket/data", "store://bucket/data2/b"


def write(path: str, content: bytes) -> None:
    with FileSystems.create(path, compression_type=CompressionTypes.UNCOMPRESSED) as stream:
        stream.write(content)


def read(path: str) -> bytes:
    with FileSystems.open(path, compression_type=CompressionTypes.UNCOMPRESSED) as stream:
        return bytes(stream.read())


def listed(pattern: str) -> list[str]:
    (match,) = FileSystems.match([pattern])
    return [found.path for found in match.metadata_list]


def test_an_object_is_known_by_its_whole_name_only(store: Store) -> None:
    before = time.time() - 60
    write(A, b"123456789")
    system = FileSystems.get_filesystem(A)
    assert store.objects() == {A: b"123456789"}
    assert FileSystems.exists(A)
    assert read(A) == b"123456789"
    assert system.size(A) == system.metadata(A).size_in_bytes == 9
    assert before < system.last_updated(A) < time.time() + 60
    assert system.metadata(A).last_updated_in_seconds == system.last_updated(A)
    assert FileSystems.checksum(A) == "4waSgw=="  # The check value of CRC-32C, as big-endian base64.


@pytest.mark.parametrize("path", [DATA, f"{DATA}/", "store://bucket/dat", "store://other/data/a"])
def test_nothing_else_exists_folders_least_of_all(store: Store, path: str) -> None:
    write(A, b"content")
    system = FileSystems.get_filesystem(path)
    assert not FileSystems.exists(path)
    for raises_bare in (FileSystems.open, system.size, FileSystems.last_updated):
        with pytest.raises(NotFound, match="404"):
            raises_bare(path)
    for wraps in (system.metadata, FileSystems.checksum):
        with pytest.raises(BeamIOError, match="NotFound") as caught:
            wraps(path)
        assert caught.value.exception_details[path].code == 404
    assert not issubclass(NotFound, OSError)


@pytest.mark.parametrize("path", ["store://bucket", "store://bucket/"])
def test_a_bucket_is_no_object(store: Store, path: str) -> None:
    system = FileSystems.get_filesystem(path)
    for asks in (system.exists, system.open, system.create, system.size):
        with pytest.raises(ValueError, match=r"must be in the form store://<bucket>/<object>"):
            asks(path)
    with pytest.raises(BeamIOError, match="must be in the form"):
        system.metadata(path)


def test_there_are_no_directories(store: Store) -> None:
    system = FileSystems.get_filesystem(DATA)
    assert not system.has_dirs()
    FileSystems.mkdirs(DATA)
    FileSystems.mkdirs(DATA)
    assert not FileSystems.exists(DATA)
    assert store.paths() == []
    write(DATA, b"an object beside those below it")
    write(A, b"content")
    assert store.paths() == [DATA, A]


def test_paths_are_joined_and_split_as_text(store: Store) -> None:
    assert FileSystems.join("store://bucket/", "/a/", "b") == "store://bucket/a/b"
    assert FileSystems.split(A) == (DATA, "a")
    assert FileSystems.split("store://bucket/") == ("store://bucket", "")
    assert FileSystems.split("store://bucket") == ("store://bucket", "")
    assert FileSystems.split("store:///a") == ("store://", "a")
    system = FileSystems.get_filesystem(A)
    for asks in (system.join, system.split):
        with pytest.raises(ValueError, match="must be"):
            asks("/bucket/data")


def test_listing_goes_by_a_prefix_of_the_whole_path(store: Store) -> None:
    deep = f"{DATA}/deep/c"
    for path in (DATA2, A, deep, "store://buckets/data/a"):
        write(path, path.encode())
    system = FileSystems.get_filesystem(DATA)
    assert [found.path for found in system._list(DATA)] == [A, deep, DATA2]
    assert [found.size_in_bytes for found in system._list(f"{DATA}2")] == [len(DATA2)]
    assert list(system._list("store://bucket/none")) == []
    with pytest.raises(BeamIOError, match="List operation failed"):
        list(system._list("store://bucket"))
    assert listed("store://bucket/**") == [A, deep, DATA2]
    assert listed(f"{DATA}/**") == [A, deep]
    assert listed(f"{DATA}/*") == listed(f"{DATA}/") == [A]
    assert listed(f"{DATA}*/?") == [A, DATA2]
    assert listed(DATA) == []
    assert listed(A) == [A]


def test_deleting_a_name_deletes_that_object_and_nothing_below(store: Store) -> None:
    for path in (A, DATA2):
        write(path, b"content")
    FileSystems.delete([DATA, "store://bucket/none"])
    assert store.paths() == [A, DATA2]
    FileSystems.delete([A])
    assert store.paths() == [DATA2]
    FileSystems.delete(["store://bucket/data?/*"])  # It is a pattern.
    assert store.paths() == []


def test_deleting_with_a_slash_deletes_all_below(store: Store) -> None:
    for path in (DATA, A, f"{DATA}/deep/c", DATA2):
        write(path, b"content")
    FileSystems.delete([f"{DATA}/"])
    assert store.paths() == [DATA, DATA2]
    FileSystems.delete([f"{DATA}/"])
    with pytest.raises(ValueError, match="must be in the form"):
        FileSystems.delete(["store://bucket/"])


def test_renaming_is_copying_and_deleting_one_by_one(store: Store) -> None:
    write(A, b"new")
    write(DATA2, b"old")
    missing = "store://bucket/none"
    with pytest.raises(BeamIOError, match="Rename operation failed") as caught:
        FileSystems.rename([missing, A], [f"{missing}2", DATA2])
    assert caught.value.exception_details == {(missing, f"{missing}2"): 404}
    assert store.objects() == {DATA2: b"new"}
    with pytest.raises(BeamIOError):
        FileSystems.rename(["store://bucket/data2"], [DATA])  # A folder is nothing.
    FileSystems.rename([DATA2], [DATA2])  # Copied, then deleted.
    assert store.paths() == []


def test_more_are_renamed_than_fit_in_a_batch(store: Store) -> None:
    sources = [f"{DATA}/{number}" for number in range(150)]
    for source in sources:
        store.put(source, source.encode())
    targets = [source.replace("data", "moved") for source in sources]
    FileSystems.rename(sources, targets)
    assert store.objects() == {
        target: source.encode() for source, target in zip(sources, targets, strict=True)
    }


def test_copies(store: Store) -> None:
    write(A, b"content")
    FileSystems.copy([A, f"{DATA}/"], [DATA2, "store://other/tree/"])
    assert store.objects() == dict.fromkeys([A, DATA2, "store://other/tree/a"], b"content")
    with pytest.raises(BeamIOError, match="Copy operation failed") as caught:
        FileSystems.copy([DATA, A], [DATA2, "store://bucket/c"])
    assert list(caught.value.exception_details) == [(DATA, DATA2)]
    assert FileSystems.exists("store://bucket/c")


def test_an_object_is_visible_once_its_stream_is_closed(store: Store) -> None:
    write(A, b"old")
    stream = FileSystems.create(A, compression_type=CompressionTypes.UNCOMPRESSED)
    assert stream.writable()
    assert not stream.readable()
    assert not stream.seekable()
    stream.write(b"new ")
    stream.write(memoryview(b"content"))
    assert stream.tell() == 11
    stream.flush()
    assert store.objects() == {A: b"old"}
    stream.close()
    stream.close()
    assert stream.closed
    assert store.objects() == {A: b"new content"}
    with pytest.raises(ValueError, match="closed"):
        stream.write(b"more")


def test_an_object_may_be_empty(store: Store) -> None:
    FileSystems.create(A).close()
    assert read(A) == b""
    assert FileSystems.get_filesystem(A).size(A) == 0


def _raise_while_writing(path: str) -> None:
    with FileSystems.create(path) as stream:
        stream.write(b"half")
        raise RuntimeError("while writing")


def test_an_exception_leaves_what_was_written(store: Store) -> None:
    with pytest.raises(RuntimeError, match="while writing"):
        _raise_while_writing(A)
    assert store.objects() == {A: b"half"}


def test_a_killed_process_leaves_nothing(store: Store) -> None:
    code = f"""
import time
from apache_beam.io.filesystems import FileSystems
FileSystems.create({DATA!r}).close()
stream = FileSystems.create({A!r})
stream.write(bytes(2**20))
print("written", flush=True)
time.sleep(600)
"""
    with subprocess.Popen(
        [sys.executable, "-c", code],
        env=environment(**store.variables),
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "written\n"
        process.send_signal(signal.SIGKILL)
    assert store.paths() == [DATA]


def test_reading_is_seekable(store: Store) -> None:
    write(A, b"first\nsecond\n")
    with FileSystems.open(A, compression_type=CompressionTypes.UNCOMPRESSED) as stream:
        assert stream.readable()
        assert stream.seekable()
        assert not stream.writable()
        assert stream.readline() == b"first\n"
        assert stream.tell() == 6
        assert stream.seek(2) == 2
        assert stream.read(3) == b"rst"
        assert stream.seek(-3, os.SEEK_END) == 10
        assert stream.read() == b"nd\n"
        assert stream.read(1) == b""
        assert stream.seek(1000) == 13
        assert stream.seek(-13, os.SEEK_CUR) == 0
        buffer = bytearray(5)
        assert stream.readinto(buffer) == 5
        assert buffer == b"first"
    with pytest.raises(ValueError, match="closed"):
        stream.read()


def test_one_that_is_replaced_while_it_is_read_is_gone(store: Store) -> None:
    write(A, b"old content")
    with FileSystems.open(A, compression_type=CompressionTypes.UNCOMPRESSED) as stream:
        assert stream.read(3) == b"old"
        write(A, b"new content")
        assert stream.read(8) == b" content"  # It was fetched with the first ones.
        with pytest.raises(NotFound):
            stream.read()


def test_names_ask_for_compression_as_everywhere_in_beam(store: Store) -> None:
    path = "store://bucket/data.gz"
    with FileSystems.create(path) as stream:
        stream.write(b"content")
    assert gzip.decompress(store.get(path)) == b"content"
    with FileSystems.open(path) as stream:
        assert stream.read() == b"content"
    write(path, b"as it is")
    assert store.get(path) == read(path) == b"as it is"
    with FileSystems.create(A, compression_type=CompressionTypes.BZIP2) as stream:
        stream.write(b"content")
    assert store.get(A).startswith(b"BZh")
    with pytest.raises(TypeError, match="compression_type must be"):
        FileSystems.open(A, compression_type="unknown")


@pytest.mark.parametrize(
    "name", ["é ü/%2F?&=#", ".hidden", "a//b/", "%part-1", "n" * 1000, "/".join("ab" * 250)]
)
def test_names_are_kept_as_they_are(store: Store, name: str) -> None:
    path = f"store://bucket/{name}"
    write(path, b"content")
    assert read(path) == b"content"
    assert store.sizes() == {path: 7}
    assert [found.path for found in FileSystems.get_filesystem(path)._list("store://bucket/")] == [path]
    FileSystems.delete(["store://bucket/**"])
    assert store.paths() == []


def test_the_store_is_seen_and_changed_from_outside(store: Store) -> None:
    store.put(A, b"content")
    assert read(A) == b"content"
    store.put(DATA2, b"2")
    assert store.paths(DATA) == [A, DATA2]
    assert store.sizes(f"{DATA}/") == {A: 7}
    store.remove(A)
    assert not FileSystems.exists(A)
    with pytest.raises(FileNotFoundError):
        store.remove(A)
    assert all(file.is_file() for file in store.directory.iterdir())


def test_programs_know_it_and_import_beam_only_when_they_need_it(store: Store) -> None:
    store.put("store://bucket/lines/manifest.json", b"no manifest")
    done = store.run("pipeline.verify", "store://bucket/lines")
    assert "manifest.json" in done.stdout
    assert "JSONDecodeError" in done.stdout, "it was not read"
    code = "import sys; print(sorted({'apache_beam', 'tests', 'sitecustomize'} & set(sys.modules)))"
    start = subprocess.run(
        [sys.executable, "-c", code],
        env=environment(**store.variables),
        capture_output=True,
        text=True,
        check=True,
    )
    assert start.stdout == "['sitecustomize']\n"


def test_beams_workers_know_it(store: Store) -> None:
    store.put(A, b"content")
    runner, options = choose_runner(None, 2, None, [])

    def copy(path: str) -> None:
        import os

        from apache_beam.io.filesystems import FileSystems

        with FileSystems.open(path) as source, FileSystems.create(f"{path}-{os.getpid()}") as copy:
            copy.write(source.read())

    with beam.Pipeline(runner, options) as pipeline:
        _ = pipeline | beam.Create([A]) | beam.Map(copy)
    (copied,) = set(store.paths()) - {A}
    assert store.get(copied) == b"content"
    assert copied != f"{A}-{os.getpid()}"


def test_spawned_workers_know_it(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    store.put(A, b"content")
    monkeypatch.setattr(os, "cpu_count", lambda: 2)
    with local_pool(parallel=True) as pool:
        assert list(pool.run(files.read_bytes, [A])) == [(A, b"content")]
