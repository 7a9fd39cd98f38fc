"""The one exception that means "your input is wrong"."""

from collections.abc import Iterable


class InputError(ValueError):
    """A value that the user gave cannot be used; its text is one sentence that names the value.

    The command line prints the sentence and exits with status 2, without a traceback.
    """


def check_known(kind: str, name: str, known: Iterable[str]) -> None:
    """Raise InputError unless a ``kind`` of thing is called so."""
    if name not in known:
        raise InputError(f"no {kind} is called {name!r}: choose from {', '.join(known)}")


def reason(failure: Exception) -> str:
    """The first line that an exception says, or else its kind."""
    return (str(failure).strip() or type(failure).__name__).splitlines()[0]
