"""The store of models, its jobs and what is live: python -m serving [ACTION] [serving.KEY=VALUE ...]; see --help."""

import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import hydra
from omegaconf import DictConfig

from serving.settings import ServingSettings
from tuning.checks import check_line
from utils.build import build, check_own, settings
from utils.configuration import command, plain
from utils.loading import loading
from utils.log import to_terminal
from utils.words import many

if TYPE_CHECKING:
    from serving.parts import Parts

ACTIONS = {"backup": 1, "restore": 1, "register": 1, "token": 2, "prune": 0, "check": 0}  # and how many words follow


@hydra.main(version_base="1.3", config_path="../configuration", config_name="serving")
def main(cfg: DictConfig) -> None:
    """Serves, or does what the action says."""
    to_terminal()
    config = plain(cfg)
    check_own(config)
    chosen = settings(ServingSettings, config["serving"], "serving.")
    action, *words = _ACTION or ["serve"]
    if action == "serve":
        serve(chosen, config["promotion"], config["engine"])
    elif action == "restore":
        print(restored(Path(words[0]).expanduser(), chosen, config["promotion"]))
    elif action == "register":
        print(registered(Path(words[0]).expanduser()))
    else:
        print(done(action, words, chosen, config["promotion"]))


def opened(chosen: ServingSettings, rule: dict[str, Any], engine: dict[str, Any] | None = None) -> "Parts":
    """The store with all that works on it."""
    with loading():
        from serving.parts import assemble
        from serving.verification import verify
        from serving.version import code_version

    return assemble(chosen, build(rule), code_version(), verify, engine, check_line)


def serve(chosen: ServingSettings, rule: dict[str, Any], engine: dict[str, Any]) -> None:
    """Until it is stopped."""
    parts = opened(chosen, rule, engine)
    tokens = parts.store.root / "tokens"
    new = parts.tokens.first(tokens)

    def announce(address: str) -> None:
        secret = (tokens / "operator").read_text().strip() if new or sys.stdout.isatty() else None
        print("\n".join(greeting(address, secret, tokens)), flush=True)

    if chosen.backend == "ray":
        from serving import ray_backend

        ray_backend.serve(parts, rule, engine, announce)
    else:
        with loading():
            from serving import server
            from serving.api.app import create_app

        server.serve(parts, create_app(parts), announce)


def greeting(address: str, secret: str | None, tokens: Path) -> list[str]:
    """Where the server is reached. secret: goes into the pages' links; None where the lines may end in a log.

    What follows a '#' stays in the browser: it is in no request, and so in nobody's log.
    """
    link = f"#token={secret}" if secret else ""
    return [
        f"the demo      {address}/{link}",
        f"the store     {address}/store{link}",
        f"the API       {address}/api",
        *([f"your token    {secret}"] if secret else []),
        f"tokens        {tokens}: operator, worker, admin",
    ]


def restored(file: Path, chosen: ServingSettings, rule: dict[str, Any]) -> str:
    """A backup into an empty store. Raises ValueError; a root that was made for it is then gone again."""
    from serving.backup import restore

    if not file.is_file():
        raise ValueError(f"{file} is not there, or no file; name what python -m serving backup wrote")
    is_new = not chosen.folder.exists()
    try:
        parts = opened(chosen, rule)
        told = restore(parts.store.root, parts.database, file)
    except BaseException:
        if is_new:
            shutil.rmtree(chosen.folder, ignore_errors=True)
        raise
    parts.feedback.repair()
    return told


def registered(folder: Path) -> str:
    """A finished run, brought where its own callback=store says. Raises ValueError, ConnectionError."""
    from models.run import Run

    run = Run(folder)
    node = run.read()["callback"].get("store") if run.finished else None
    if node is None:
        raise ValueError(f"{folder} is no finished run with callback=store: name the folder of one")
    return str(build(node).registered(folder))


def done(action: str, words: list[str], chosen: ServingSettings, rule: dict[str, Any]) -> str:
    """What an action did with a store that is there, in words. Raises ValueError."""
    from serving.backup import backup, require_place
    from serving.parts import require_store

    require_store(chosen)
    if action == "backup":
        require_place(Path(words[0]).expanduser())
    parts = opened(chosen, rule)
    if action == "backup":
        return backup(parts.store.root, parts.database, Path(words[0]).expanduser())
    if action == "token":
        return parts.tokens.create(words[1], words[0])
    if action == "prune":
        gone = parts.store.prune(parts.settings.keep_models, parts.settings.reach, "this machine")
        return f"{many(len(gone), 'model')} gave up their files{': ' if gone else ''}{', '.join(gone)}"
    return checked(parts)


def checked(parts: "Parts") -> str:
    """What is damaged ends in an error."""
    damaged = parts.store.damaged()
    line = parts.deployments.broken()
    found = [f"damaged: {name}" for name in damaged]
    found += [f"the history was tampered with at line {line}"] if line else []
    if found:
        raise ValueError("\n".join(found))
    return "all files are whole, the history is as it was written"


def action_of(arguments: list[str]) -> list[str]:
    """The action with its words, taken out of the arguments; empty where there is none."""
    first, *others = arguments or [""]
    if first not in ACTIONS:
        for word in [*filter(str.isalpha, [first]), *(other for other in others if other in ACTIONS)]:
            sys.exit(f"error: {word}: an action comes first, and is one of {', '.join(ACTIONS)}")
        return []
    count = 1 + ACTIONS[first]
    further = [word for word in arguments[count : count + 1] if "=" not in word and not word.startswith(("-", "~"))]
    if len(arguments) < count or any("=" in word for word in arguments[:count]) or further:
        words = {0: "no word", 1: "one word", 2: "two words"}[count - 1]
        sys.exit(f"error: {first} takes {words} after it, then KEY=VALUE: see python -m serving --help")
    taken = arguments[:count]
    del arguments[:count]
    return taken


_ACTION: list[str] = []

if __name__ == "__main__":
    rest = sys.argv[1:]
    _ACTION[:] = action_of(rest)
    sys.argv[1:] = rest
    command(main, serves=True)
