"""Train an architecture: ``python -m src.train task=seg arch=random``; ``--help`` explains the options."""

import sys

from omegaconf import DictConfig

from ncp import cli, runs


@cli.main("train")
def main(config: DictConfig) -> dict[str, float]:
    """Train one architecture on one task, evaluate it, and leave checkpoints, figures and pictures in the run folder."""
    from ncp.report import training as report
    from ncp.tasks import run as tasks

    folder = cli.run_folder()
    run = tasks.assemble(config, folder)
    tasks.fit(run)
    metrics = tasks.evaluate(run)
    if run.trainer.is_global_zero:
        result = tasks.summarise(run, metrics)
        runs.write_result(folder, result)
        files = report.write_per_class(result, folder)
        files += report.draw(run) if config.callbacks.pictures else []
        report.show(result, folder, files)
    return metrics


if __name__ == "__main__":
    # `+debug=tiny` means `debug=tiny`, as people write it for either kind of group
    sys.argv[1:] = [a.removeprefix("+") if a.startswith(("+debug=", "+experiment=")) else a for a in sys.argv[1:]]
    main()
