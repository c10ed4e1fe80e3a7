"""Commands are taken out of a text, and made small, as they stand."""

from tests.commands.documents import blocks, commands_in_sentences, programs
from tests.commands.reader import made_small, outputs

TEXT = """\
Words, and `make demo`, `trainer.task --config FILE`, `trainer/task.py`.

```sh
python -m one --flag '# no comment' \\
    --other 2   # a comment
# python -m two
make test    # the test suite
sh -c 'first
    second'
python -m trainer.export --format saved_model   # or onnx, or litert
```

<!-- not run: needs a cluster -->
```sh
srun sh -c 'A="{\\"b\\"}" \\
    exec python -m trainer.task --data_dir /shared/lines'
```

- in a list

  ```python
  if frames:
      print(frames, file)
  file = open("x")
  ```

<!-- file: kind.py -->
```python
import math
```
"""


def test_commands_of_a_block() -> None:
    first, second, third, fourth = blocks("A.md", TEXT)
    assert [command.text for command in first.commands()] == [
        "python -m one --flag '# no comment' --other 2",
        "make test",
        "sh -c 'first\n    second'",
        "python -m trainer.export --format saved_model",
        "python -m trainer.export --format onnx",
        "python -m trainer.export --format litert",
    ]
    assert {command.place for command in first.commands()} == {"A.md:3"}
    assert [block.reason for block in (first, second, third)] == ["", "needs a cluster", ""]
    assert [block.file for block in (first, second, third, fourth)] == ["", "", "", "kind.py"]
    assert third.source.startswith("if frames:\n    print")
    assert third.unbound_names() >= {"frames"}
    assert "file" not in third.unbound_names()


def test_programs_of_a_command() -> None:
    (command,) = blocks("A.md", TEXT)[1].commands()
    assert programs(command.text) == [("trainer.task", ["--data_dir", "/shared/lines"])]


def test_commands_in_sentences() -> None:
    assert [(command.place, command.text) for command in commands_in_sentences("A.md", TEXT)] == [
        ("A.md:1", "make demo"),
        ("A.md:1", "python -m trainer.task --config FILE"),
    ]


def test_sizes_are_bounds_of_flags() -> None:
    text = "python -m pipeline.generate --output_dir d --num_train=200000 --image_size 5 | tee log"
    small = made_small(text)
    assert "--num_train 4000" in small
    assert "--image_size 5" in small
    assert "pipeline.generate --num_test 1000 --num_validation 300 --output_dir d" in small
    assert "--epochs 2 " in made_small("python -m trainer.task --epochs 10 --data_dir d")
    assert "--num" not in made_small("python -m pipeline.preview --image_size 50")


def test_outputs() -> None:
    assert outputs("python -m trainer.evaluate --output=/a/m.json --flips 0 --plots p") == ["/a/m.json", "p"]
    assert outputs("python -m pipeline.generate --output_dir d --dry_run") == []
