"""The whole loop of the paper on this machine: ``python -m src.loop``; ``--help`` explains the options."""

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig

from ncp import cli, runs


@cli.main("loop")
def main(config: DictConfig) -> None:
    """Sample and train architectures for two tasks, fit predictors, search one for both, train it and compare."""
    from ncp.campaign import loop
    from ncp.report import loop as report

    folder = cli.run_folder()
    short = HydraConfig.get().runtime.choices.get("debug") == "short"
    result = loop.run(cli.plain(config), folder.resolve(), short)
    files = report.write_page(result, folder)
    runs.write_result(folder, loop.summary(result) | {"files": {name: str(path) for name, path in files.items()}})
    report.show(result, files)


if __name__ == "__main__":
    main()
