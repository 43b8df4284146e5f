"""Evaluate a checkpoint: ``python -m src.evaluate ckpt_path=...``; ``--help`` explains the options."""

from omegaconf import DictConfig

from ncp import cli, runs


@cli.main("evaluate")
def main(config: DictConfig) -> dict[str, float]:
    """Evaluate a training's checkpoint on its validation set."""
    from ncp.report import training as report
    from ncp.tasks import run as tasks

    folder = cli.run_folder()
    run = tasks.restore(config, folder)
    metrics = tasks.evaluate(run)
    if run.trainer.is_global_zero:
        result = tasks.summarise(run, metrics)
        runs.write_result(folder, result)
        report.show(result, folder, report.write_per_class(result, folder) + report.draw(run))
    return metrics


if __name__ == "__main__":
    main()
