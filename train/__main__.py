"""python -m train: FRR-Net from photographs to the files in weights/; `python -m train.detector` has its own."""

import typer

from train.commands import data, evaluate, figures, fit, publish
from train.common.options import run

app = typer.Typer(help=__doc__, no_args_is_help=True, pretty_exceptions_enable=False)
for group in (fit, data, evaluate, publish, figures):
    app.add_typer(group.app)


def main() -> None:
    """Run a command."""
    run(app)


if __name__ == "__main__":
    main()
