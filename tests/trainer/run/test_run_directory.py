"""A run directory is on a file system that TensorFlow supports."""

import pytest

from pipeline.command_line.errors import RequestError
from trainer.run.run_directory import RunDirectory


def test_a_run_where_tensorflow_cannot_write_is_refused() -> None:
    with pytest.raises(
        RequestError, match=r"--model_dir s3://bucket/run: TensorFlow knows no file system s3://"
    ):
        RunDirectory("s3://bucket/run")
