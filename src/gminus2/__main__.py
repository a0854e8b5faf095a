"""``python -m gminus2`` is the ``gminus2`` command."""

from gminus2.cli.main import run

if __name__ == "__main__":
    run()
