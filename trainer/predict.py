"""Program: predict sequences."""

from __future__ import annotations

from collections.abc import Sequence

from pipeline.pictures import PICTURE_TYPES, check_num_sequences, check_picture_path, draw_sequences
from pipeline.program import ArgumentParser, RequestError, non_negative_int, path_text, positive_int, run
from pipeline.settings import SPLITS

PROGRAM = "trainer.predict"


def main(arguments: Sequence[str]) -> int:
    """Parse, predict, print a line a sequence and draw them if asked to."""
    parser = ArgumentParser(
        PROGRAM,
        "Predict sequences: of a split of a data set, or fresh ones from a seed.",
        f"python -m {PROGRAM} --model_dir /tmp/run --num_sequences 4 --output predictions.png",
    )
    add = parser.add_argument
    add("--model_dir", required=True, type=path_text, help="the run directory of a finished training")
    add("--data_dir", type=path_text, help="a data set; without it, fresh sequences are drawn from the seed")
    add("--split", choices=SPLITS, help="with --data_dir: which split (default: test)")
    add("--seed", type=non_negative_int, help="without --data_dir: decides the sequences (default: 0)")
    add("--first", type=non_negative_int, default=0, help="index of the first sequence")
    add("--num_sequences", type=positive_int, default=1, help="how many sequences")
    add(
        "--output",
        type=path_text,
        help=f"picture of the frames with the verdict: {', '.join(PICTURE_TYPES)}; .gif moves",
    )
    add("--device", choices=("auto", "cpu", "gpu"), default="cpu", help="auto: a GPU where there is one")
    flags = parser.parse_args(arguments)
    if flags.data_dir is not None and flags.seed is not None:
        raise RequestError("--data_dir brings its own sequences; leave --seed out")
    if flags.data_dir is None and flags.split is not None:
        raise RequestError("--split is of a data set; add --data_dir or leave it out")
    if flags.output is not None:
        check_picture_path(flags.output)
        check_num_sequences(flags.num_sequences)

    from trainer.startup import import_tensorflow_quietly

    import_tensorflow_quietly()
    from trainer.devices import choose_device
    from trainer.prediction.sequences import predict

    choose_device(flags.device)
    predictions = predict(
        flags.model_dir,
        flags.num_sequences,
        flags.first,
        data_dir=flags.data_dir,
        split=flags.split or "test",
        seed=flags.seed or 0,
    )
    verdicts = predictions.verdicts()
    print("\n".join(verdicts))
    if flags.output is not None:
        draw_sequences(predictions.frames, verdicts, flags.output, num_frames=5)
        print(flags.output)
    return 0


if __name__ == "__main__":
    run(PROGRAM, main)
