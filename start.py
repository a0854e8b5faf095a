#!/usr/bin/env python3
"""Set gminus2 up in a private environment and run it.

    python3 start.py                 set-up, then the default measurement
    python3 start.py test            set-up, then the test suite (further words go to pytest)
    python3 start.py -- fit FILE     set-up, then any gminus2 command

Only the standard library is used. The environment is `.venv` beside this file, with the versions pinned in
`constraints.txt`; it is made again only when `pyproject.toml` or the pins change. `uv` is used when present, else
installed into `.tools/`, else pip does the work.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent
VENV = ROOT / ".venv"
TOOLS = ROOT / ".tools"
STAMP = VENV / "gminus2-setup.txt"
EXTRAS = "root,parquet,dask,test,dev"
BIN = VENV / ("Scripts" if os.name == "nt" else "bin")


def say(text: str) -> None:
    print(f"[start] {text}", file=sys.stderr, flush=True)


def environment() -> dict[str, str]:
    """Return the environment of every command: no Python downloads, system certificates, writable caches."""
    env = dict(os.environ)
    env.setdefault("UV_PYTHON_DOWNLOADS", "never")
    env.setdefault("UV_SYSTEM_CERTS", "1")
    env.setdefault("UV_NATIVE_TLS", "1")  # the older name of the same switch
    env.setdefault("MPLBACKEND", "Agg")
    env.setdefault("OPENBLAS_NUM_THREADS", "1")  # the package threads over chunks; BLAS threads would fight them
    env.setdefault("NUMBA_CACHE_DIR", str(ROOT / ".numba_cache" / kernels()))
    env["VIRTUAL_ENV"] = str(VENV)
    for name, setting in (("UV_DEFAULT_INDEX", "global.index-url"), ("SSL_CERT_FILE", "global.cert")):
        if name not in env and (value := pip_setting(setting)):
            env[name] = value
    return env


def kernels() -> str:
    """Return a digest of all compiled kernels: a cached one does not notice that a function it calls has changed."""
    digest = hashlib.sha256()
    for file in sorted((ROOT / "src").rglob("*.py")):
        text = file.read_bytes()
        if b"njit" in text:
            digest.update(text)
    return digest.hexdigest()[:12]


def pip_setting(name: str) -> str:
    """Return what pip is configured with, so that uv asks the same package index."""
    answer = subprocess.run(
        [sys.executable, "-m", "pip", "config", "get", name], capture_output=True, text=True, check=False
    )
    from_file = answer.stdout.strip() if answer.returncode == 0 else ""
    return os.environ.get("PIP_" + name.removeprefix("global.").replace("-", "_").upper(), from_file)


def find_uv(env: dict[str, str]) -> str | None:
    """Return the path of uv, installing it into `.tools/` where the machine has none; None if it has no wheel."""
    if found := shutil.which("uv"):
        return found
    local = TOOLS / "bin" / "uv"
    if not local.exists():
        say(f"installing uv into {TOOLS}")
        subprocess.run(
            [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check",
             "--root-user-action=ignore", "--target", str(TOOLS), "--only-binary=:all:", "uv"],
            env=env, check=False,
        )  # fmt: skip
    return str(local) if local.exists() else None


def fingerprint() -> str:
    """Return a digest of what the environment is made from."""
    digest = hashlib.sha256(f"{sys.version_info[:2]} {ROOT} {EXTRAS}".encode())
    for name in ("pyproject.toml", "constraints.txt"):
        digest.update((ROOT / name).read_bytes())
    return digest.hexdigest()


def set_up(env: dict[str, str]) -> None:
    """Make `.venv` unless it already matches `pyproject.toml` and `constraints.txt`."""
    wanted = fingerprint()
    if STAMP.exists() and STAMP.read_text() == wanted:
        return
    uv = find_uv(env)
    say(f"making {VENV} with the versions pinned in constraints.txt ({'uv' if uv else 'pip'})")
    project = f"{ROOT}[{EXTRAS}]"
    if uv:
        run([uv, "venv", "--quiet", "--clear", "--python", sys.executable, str(VENV)], env)
        run([uv, "pip", "install", "--quiet", "-e", project, "-c", str(ROOT / "constraints.txt")], env)
    else:
        shutil.rmtree(VENV, ignore_errors=True)
        make_venv_with_pip(env)
        # pip cannot mix hashes with an editable project, so its constraints are the versions alone.
        pins = VENV / "constraints-without-hashes.txt"
        lines = (ROOT / "constraints.txt").read_text().splitlines()
        pins.write_text("\n".join(x.rstrip(" \\") for x in lines if not x.lstrip().startswith("--hash")))
        run([str(BIN / "python"), "-m", "pip", "install", "--quiet", "-e", project, "-c", str(pins)], env)
    STAMP.write_text(wanted)
    say("environment ready")


def make_venv_with_pip(env: dict[str, str]) -> None:
    """Make an environment on a machine whose Python may lack ensurepip (Debian without python3-venv)."""
    done = subprocess.run([sys.executable, "-m", "venv", str(VENV)], env=env, check=False, capture_output=True)
    if done.returncode == 0:
        return
    say("the venv module cannot bootstrap pip here; using virtualenv")
    run([sys.executable, "-m", "pip", "install", "--quiet", "--target", str(TOOLS), "virtualenv"], env)
    run([sys.executable, "-m", "virtualenv", "--quiet", str(VENV)], {**env, "PYTHONPATH": str(TOOLS)})


def run(command: list[str], env: dict[str, str]) -> None:
    """Run one set-up command and stop with its exit code where it fails."""
    done = subprocess.run(command, env=env, cwd=ROOT, check=False)
    if done.returncode != 0:
        say(f"failed: {' '.join(command)}")
        raise SystemExit(done.returncode)


def main(arguments: list[str]) -> int:
    if sys.version_info < (3, 11):
        say(f"gminus2 needs Python 3.11 or newer; this is {sys.version.split()[0]}")
        return 2
    if arguments and arguments[0] not in {"test", "setup", "--"}:
        print(__doc__)
        return 0 if arguments[0] in {"-h", "--help"} else 2
    env = environment()
    set_up(env)
    python = str(BIN / "python")
    if arguments[:1] == ["setup"]:
        return 0
    if arguments[:1] == ["test"]:
        command = [python, "-m", "pytest", *(arguments[1:] or ["-n", str(os.cpu_count() or 1)])]
        return subprocess.run(command, env=env, cwd=ROOT, check=False).returncode
    if arguments[:1] == ["--"]:
        return subprocess.run([python, "-m", "gminus2", *arguments[1:]], env=env, check=False).returncode
    say("running: gminus2 measure")
    return subprocess.run([python, "-m", "gminus2", "measure"], env=env, check=False).returncode


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
