"""Progress of long work, shown where the user looks: in the terminal, also from inside a notebook."""

from __future__ import annotations

import json
import os
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tqdm import tqdm

CHANNEL = "CLUSTERABILITY_PROGRESS"
"""Environment variable: a file that a notebook's kernel appends its progress to, so that stored
notebooks stay clean and the command line shows one bar."""


class Bar:
    """Counts finished work, in networks, from any thread."""

    def __init__(self, total: float, label: str) -> None:
        self._lock = threading.Lock()
        self._done, self._total, self._label = 0.0, total, label
        self._tqdm = None
        if not os.environ.get(CHANNEL):
            self._tqdm = _terminal_bar(total, label)
        self.advance(0)

    def advance(self, share: float) -> None:
        with self._lock:
            self._done = min(self._done + share, self._total)
            if self._tqdm is not None:
                _move(self._tqdm, self._done)
            else:
                _send({"label": self._label, "done": self._done, "total": self._total})

    def close(self) -> None:
        if self._tqdm is not None:
            self._tqdm.close()


def say(sentence: str) -> None:
    """Tell the user one sentence, outside the notebook's stored output."""
    if os.environ.get(CHANNEL):
        _send({"say": sentence})
    elif not os.environ.get("TQDM_DISABLE"):
        print(sentence, file=sys.stderr)


@contextmanager
def relayed(channel: Path) -> Iterator[None]:
    """Show on this terminal, as long as the block runs, what kernels write to ``channel``."""
    stop = threading.Event()
    channel.touch()

    def relay() -> None:
        bar, shown, position = None, None, 0
        while True:
            last = stop.wait(0.2)
            with channel.open() as file:
                file.seek(position)
                text = file.read()
            complete = text[: text.rfind("\n") + 1]
            position += len(complete.encode())
            for line in complete.splitlines():
                message = json.loads(line)
                if "say" in message:
                    tqdm.write(message["say"], file=sys.stderr)
                    continue
                if shown != (message["label"], message["total"]):
                    if bar is not None:
                        bar.close()
                    shown = message["label"], message["total"]
                    bar = _terminal_bar(message["total"], message["label"])
                _move(bar, message["done"])
            if last:
                break
        if bar is not None:
            bar.close()

    thread = threading.Thread(target=relay, daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def _terminal_bar(total: float, label: str) -> tqdm:
    shape = "{desc} {percentage:3.0f}%|{bar}| {n:.1f}/{total:.0f} [{elapsed} gone, {remaining} left]"
    return tqdm(total=total, desc=label, bar_format=shape, file=sys.stderr)


def _move(bar: tqdm, done: float) -> None:
    bar.update(done - bar.n)


def _send(message: dict) -> None:
    with open(os.environ[CHANNEL], "a") as file:
        file.write(json.dumps(message) + "\n")
