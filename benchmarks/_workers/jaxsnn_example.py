"""jaxsnn's own analytical Yin-Yang example."""

from benchmarks._workers._jaxsnn_training import catch, training_of
from benchmarks._workers._protocol import Measure, serve


def prepare(case: dict) -> tuple[Measure, dict]:
    from jaxsnn.examples.event import (  # pyright: ignore[reportMissingImports]
        yinyang_analytical as example,
    )

    example.scan = catch
    args = example.get_parser().parse_args(["--seed", str(case["seed"])])
    settings = [5, args.hidden_size, 3], args.batch_size, args.trainset_size
    if settings != (case["sizes"], case["batch"], case["samples"]):
        raise ValueError(f"the example has sizes, batch, samples {settings}; the case is {case}")
    return training_of(lambda: example.main(args), case["seed"])


if __name__ == "__main__":
    serve(prepare)
