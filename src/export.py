"""Export a network: ``python -m src.export ckpt_path=... format=onnx``; ``--help`` explains the options."""

from pathlib import Path

from omegaconf import DictConfig

from ncp import cli, runs, terminal


@cli.main("export")
def main(config: DictConfig) -> dict[str, str]:
    """Write a trained network, or an architecture without training, as safetensors or ONNX."""
    from ncp.tasks import export

    folder = cli.run_folder()
    found = export.network_of(config)
    options = cli.plain(config)
    files = export.write(found, options["format"], Path(options["out"] or folder / found.task), options["size"])
    runs.write_result(folder, export.summarise(found, files, options["size"]))
    for path in files.values():
        terminal.say(path)
    return files


if __name__ == "__main__":
    main()
